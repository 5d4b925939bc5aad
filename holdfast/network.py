"""A whole network on this machine: real processes, each with its own home and port.

For the demo, the end-to-end tests and the benchmarks. Everything lies under one directory,
and every process ends with the one that started it, however that one ends.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from chain.endpoint import Endpoint
from chain.genesis import Genesis, GenesisBalance, GenesisValidator, Parameters
from holdfast.home import Home
from wire.errors import Unavailable
from wire.keys import KeyPair, Use

BALANCE_BASE = 1_000_000_000
"""What every account of a local network owns at first."""

STOP_TIMEOUT_S = 10.0
"""For a process to end by itself after SIGTERM."""

PR_SET_PDEATHSIG = 1

LOCAL_PARAMETERS = Parameters(
    block_interval_ms=250,
    network_delay_ms=500,
    registration_lag_blocks=2,
    epoch_blocks=20,
    gathering_blocks=12,
    committee_per_address=100,
    committee_per_network=100,
    flip_blocks=80,
    window_blocks=48,
    opening_blocks=40,
    acknowledge_blocks=2_400,
    transaction_lifetime_blocks=400,
    answer_blocks=120,
    ask_rest_blocks=40,
    ask_memory_blocks=400,
    maintenance_blocks=240,
    maintenance_rest_blocks=480,
)
"""Small numbers, so that a challenge takes seconds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a member runs when not beside the others: a network namespace, for example."""

    host: str
    """Its address for other members."""
    api_host: str
    """Its address for whoever started it."""
    command: tuple[str, ...]
    """What runs a command there."""


THIS_MACHINE = Machine("127.0.0.1", "127.0.0.1", ())


class LocalNetwork:
    """Validators, attestors, hosters and an owner, by name: `validator-1`, `attestor-1`, …"""

    def __init__(
        self,
        root: Path,
        *,
        validators: int = 1,
        attestors: int = 10,
        hosters: int = 3,
        parameters: Parameters = LOCAL_PARAMETERS,
        settings: Mapping[str, str] | None = None,
        through: Mapping[str, int] | None = None,
        balances: Sequence[GenesisBalance] = (),
        machines: Mapping[str, Machine] | None = None,
    ) -> None:
        """`settings` adds lines of TOML to the homes that it names.

        `through` has ports at which other validators dial one instead of its own: of something
        that delays or cuts what passes. `balances` are more accounts that own something.
        `machines` are those of members that do not run on this one.
        """
        self.root = root
        self.validators = [f"validator-{number}" for number in range(1, validators + 1)]
        self.attestors = [f"attestor-{number}" for number in range(1, attestors + 1)]
        self.hosters = [f"hoster-{number}" for number in range(1, hosters + 1)]
        self.names = [*self.validators, *self.attestors, *self.hosters, "owner"]
        self.homes = {name: Home(root / name) for name in self.names}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self._parameters = parameters
        self._settings = settings or {}
        self._through = through or {}
        self._balances = tuple(balances)
        self._machines = machines or {}
        self.gossip_ports: dict[str, int] = {}
        """Where each validator listens for the others."""
        self._ports: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        self.prepare()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The first validator's API."""
        return self.url_for(0)

    def url_for(self, number: int) -> str:
        """The API of one of the validators: each serves its share of the others."""
        name = self.validators[number % len(self.validators)]
        return f"http://{self._machine(name).api_host}:{self._ports[name]}"

    def port(self, name: str) -> int:
        """Where a member of the network listens."""
        return self._ports[name]

    def account(self, name: str) -> bytes:
        """A member's account."""
        return self.homes[name].account()

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""
        return self.homes["validator-1"].genesis()

    def prepare(self) -> None:
        """Make all homes, one genesis, and settings with free ports."""
        ports = free_ports(len(self.names) + len(self.validators))
        self._ports = dict(zip(self.names, ports, strict=False))
        gossip = dict(zip(self.validators, ports[len(self.names) :], strict=True))
        self.gossip_ports = gossip
        for home in self.homes.values():
            home.create()
        genesis = Genesis(
            name="local",
            time_ms=time.time_ns() // 1_000_000,
            parameters=self._parameters,
            validators=tuple(
                self._genesis_validator(name, self._through.get(name, port))
                for name, port in gossip.items()
            ),
            balances=(
                *(
                    GenesisBalance(account=self.account(name), balance_base=BALANCE_BASE)
                    for name in self.names
                ),
                *self._balances,
            ),
        )
        for number, (name, home) in enumerate(self.homes.items()):
            home.write_genesis(genesis)
            lines = [f'chain.url = "{self.url_for(number)}"']
            if name in gossip:
                lines += [f"chain.listen.port = {self.port(name)}"]
                lines += [f"chain.gossip.port = {gossip[name]}"]
            if name in self._machines:
                lines += ['chain.listen.host = "0.0.0.0"', 'chain.gossip.host = "0.0.0.0"']
            lines += [f"{role}.listen.port = {self.port(name)}" for role in _ROLES]
            lines.append(self._settings.get(name, ""))
            (home.path / "holdfast.toml").write_text("\n".join(lines) + "\n")

    def _machine(self, name: str) -> Machine:
        return self._machines.get(name, THIS_MACHINE)

    def _genesis_validator(self, name: str, port: int) -> GenesisValidator:
        seed = self.homes[name].seed()
        swarm_key = KeyPair.derive(seed, Use.SWARM).public
        return GenesisValidator(
            account=self.account(name),
            key=KeyPair.derive(seed, Use.VALIDATOR).public,
            vrf_key=KeyPair.derive(seed, Use.VRF).public,
            endpoint=Endpoint(host=self._machine(name).host, port=port, swarm_key=swarm_key),
            stake_base=self._parameters.validator_stake_base,
        )

    async def start(self, *names: str) -> None:
        """Start the daemons of these members."""
        for name in names:
            role = name.partition("-")[0]
            await self.run(name, *_COMMANDS[role])

    async def run(self, name: str, *arguments: str) -> asyncio.subprocess.Process:
        """Start `holdfast` in a member's home; its output goes to the home's `log`."""
        home = self.homes[name].path
        with (home / "log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *self._machine(name).command,
                *(sys.executable, "-m", "holdfast", "--home", str(home), *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,
                preexec_fn=partial(_end_with_parent, os.getpid()),
            )
        return self.processes[name]

    async def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a member's process and wait until it is gone."""
        process = self.processes.pop(name, None)
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        await process.wait()

    async def stop(self) -> None:
        """End all processes: kindly, then not."""
        running = [p for p in self.processes.values() if p.returncode is None]
        for process in running:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                for process in running:
                    await process.wait()
        except TimeoutError:
            for process in running:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        self.processes.clear()

    def require_alive(self) -> None:
        """Raise `Unavailable` with its last words when a process has ended by itself."""
        for name, process in self.processes.items():
            if process.returncode:
                raise Unavailable(f"{name} ended: {self.last_words(name)}")

    def last_words(self, name: str) -> str:
        """The last line that a member logged."""
        try:
            lines = (self.homes[name].path / "log").read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return next((line for line in reversed(lines) if line.strip()), "it left no log")

    def memory_bytes(self, name: str) -> int:
        """The resident memory of a member's process now, at its highest."""
        process = self.processes[name]
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise Unavailable(f"{name} has no memory figure")


_ROLES = ("hoster", "attestor", "owner")
_COMMANDS = {
    "validator": ("chain", "run"),
    "attestor": ("attest", "run"),
    "hoster": ("host", "run"),
}


def _environment() -> dict[str, str]:
    """Ours without settings that were meant for this process."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}


def _end_with_parent(parent: int) -> None:
    """In the child: be told to end when the parent is gone, even by SIGKILL (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # it was gone before it could be watched


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
