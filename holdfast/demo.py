"""A whole network, started, used and stopped: the story that `holdfast demo` tells.

Real processes over loopback sockets: validators, attestors, hosters, one owner. The owner
publishes a folder, hosters fetch it, a committee flips its coin, visits them unannounced and
reports; the chain settles; the report is exported and checked with no network.
"""

import asyncio
import json
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from chain.challenge_records import ChallengeRecord, DrawRecord, VerdictRecord
from chain.client.light_client import ChainClient
from chain.hosting_records import DataRequest
from chain.records import (
    Account,
    ContractRecord,
    FeedRecord,
    Meta,
    Roster,
    RosterName,
    StakeRecord,
    Table,
    stake_key,
)
from feed.store import FeedStore
from feed.tree import leaf_hash
from holdfast.network import LocalNetwork
from owner.service import verdicts_of
from wire import zbase32
from wire.errors import Unavailable

Sabotage = Literal["none", "offline", "drop", "corrupt"]

PRICE_BASE = 1_000_000
CHUNK_BYTES = 8192
"""Small, so that a source tree has enough chunks to lose some."""

STARTUP_TIMEOUT_S = 60
STORY_TIMEOUT_S = 180
"""Far more than a slow machine needs; without it a fault would hang instead of telling."""

Tell = Callable[[str], None]


class Demo:
    """One run of the demo on a prepared network."""

    def __init__(
        self,
        network: LocalNetwork,
        path: Path,
        sabotage: Sabotage,
        replicas: int,
        *,
        tell: Tell,
        show: Tell,
    ) -> None:
        """`tell` is given each step of the story, `show` what it waits for meanwhile."""
        self._network = network
        self._path = path
        self._sabotage = sabotage
        self._tell = tell
        self._show = show
        self._replicas = replicas
        self._started = time.monotonic()

    async def run(self) -> dict[str, Any]:
        """The whole story; returns the document of `--json`."""
        network = self._network
        async with ChainClient(network.url, network.genesis) as chain, asyncio.TaskGroup() as group:
            background = [group.create_task(self._watch_processes())]
            try:
                async with asyncio.timeout(STORY_TIMEOUT_S):
                    await self._start(chain)
                    background.append(group.create_task(chain.run()))
                    background.append(group.create_task(self._watch_height(chain)))
                    document = await self._story(chain)
            except TimeoutError:
                raise Unavailable(
                    f"the demo did not end within {STORY_TIMEOUT_S} s; the validator's last "
                    f"words: {network.last_words('validator-1')}"
                ) from None
            for task in background:
                task.cancel()
        return document

    async def _watch_processes(self) -> None:
        while True:
            self._network.require_alive()
            await asyncio.sleep(0.5)

    async def _watch_height(self, chain: ChainClient) -> None:
        while True:
            self._show(f"[dim]height {await chain.next_block()}[/]")

    async def _start(self, chain: ChainClient) -> None:
        network = self._network
        self._tell(f"starting {len(network.names) - 1} processes")
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with asyncio.timeout(STARTUP_TIMEOUT_S):
            while not await self._answers(chain):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)

    async def _answers(self, chain: ChainClient) -> bool:
        try:
            await chain.meta()
        except Unavailable:
            return False
        return True

    async def _story(self, chain: ChainClient) -> dict[str, Any]:
        network = self._network
        for name, wanted in (
            (RosterName.ATTESTORS, len(network.attestors)),
            (RosterName.HOSTERS, len(network.hosters)),
        ):
            await chain.wait(
                Roster,
                Table.ROSTER,
                name.key,
                lambda r, wanted=wanted: len(r.members) >= wanted,  # type: ignore[misc]
            )
        before = await self._holdings(chain)
        supply_before = await self._supply(chain)
        self._tell(
            f"{len(network.attestors)} attestors and {len(network.hosters)} hosters have "
            "registered and staked"
        )
        feed = await self._publish(chain)
        self._tell(
            f"published {feed.head.length} chunks ({feed.head.byte_length} bytes) and replicated "
            f"them to {self._replicas} hosters"
        )
        await self._spoil(feed)
        challenge = await self._challenge(chain)
        verdicts = [
            verdict
            for verdict in await verdicts_of(chain, feed.feed, 64)
            if verdict.challenge == challenge.challenge
        ]
        await self._tell_warnings(chain, verdicts)
        after = await self._holdings(chain)
        checked = await self._verify(feed.feed)
        self._tell(
            f"checked {checked['reports']} reports over {checked['samples']} chunks again, "
            "offline, from one file"
        )
        return {
            "network": chain.genesis.network.hex(),
            "height": chain.height,
            "feed": {
                "key": zbase32.encode(feed.feed),
                "chunks": feed.head.length,
                "bytes": feed.head.byte_length,
            },
            "challenges": [self._describe(challenge, verdicts)],
            "accounts": [
                {
                    "role": name.partition("-")[0],
                    "id": zbase32.encode(network.account(name)),
                    "before": before[name],
                    "after": after[name],
                }
                for name in network.names
            ],
            "supply_before": supply_before,
            "supply_after": await self._supply(chain),
            "elapsed_s": round(time.monotonic() - self._started, 3),
        }

    async def _publish(self, chain: ChainClient) -> FeedRecord:
        network = self._network
        owner = await network.run(
            "owner",
            *("publish", str(self._path.resolve()), "--json", "--chunk-bytes", str(CHUNK_BYTES)),
            *("--replicas", str(self._replicas), "--epochs", "24"),
            *("--price", str(PRICE_BASE)),
        )
        if await owner.wait():
            raise Unavailable(f"publishing failed: {network.last_words('owner')}")
        network.processes.pop("owner")
        output = (network.homes["owner"].path / "log").read_text()
        published = json.loads(output[output.index("{\n") :])
        return await chain.need(FeedRecord, Table.FEED, zbase32.parse_key(published["feed"]))

    async def _spoil(self, feed: FeedRecord) -> None:
        """Make the last hoster a bad one."""
        name = self._network.hosters[-1]
        lost = range(0, max(feed.head.length - 1, 1), 10)
        if self._sabotage == "offline":
            await self._network.kill(name, signal.SIGTERM)
            self._tell(f"sabotage: {name} went offline")
        elif self._sabotage == "drop":
            with FeedStore(self._network.homes[name].feeds) as store:
                store.open(feed.feed).forget(lost)
            self._tell(f"sabotage: {name} threw away {len(lost)} of {feed.head.length} chunks")
        elif self._sabotage == "corrupt":
            falsify(self._network.homes[name].feeds, feed.feed, list(lost))
            self._tell(f"sabotage: {name} serves {len(lost)} false chunks and signs for them")

    async def _covering(self, chain: ChainClient) -> bytes:
        """The first challenge that may visit every hoster: the line-up of an earlier one can
        have been fixed before the last of them had acknowledged.
        """
        seen: tuple[bytes, ...] = ()
        while True:
            before = seen
            meta = await chain.wait(
                Meta,
                Table.META,
                b"",
                lambda meta: bool(meta.open_challenges) and meta.open_challenges != before,  # noqa: B023
            )
            seen = meta.open_challenges
            for draw in await chain.records(DrawRecord, Table.DRAW, seen):
                if len(draw.eligible) >= self._replicas:
                    return draw.challenge

    async def _challenge(self, chain: ChainClient) -> ChallengeRecord:
        """Follow a challenge to its settlement."""
        name = await self._covering(chain)

        async def until(*statuses: str) -> ChallengeRecord:
            return await chain.wait(
                ChallengeRecord, Table.CHALLENGE, name, lambda now: now.status in statuses
            )

        over = ("settled", "failed")
        drawn = await until("flipping", "visiting", "opening", *over)
        self._tell(f"the beacon drew {len(drawn.members)} attestors; they flip a coin")
        sealed = await until("visiting", "opening", *over)
        self._tell(
            f"coin sealed at height {sealed.window_start}: now they alone know whom to visit "
            f"until height {sealed.window_end}"
        )
        opening = await until("opening", *over)
        self._tell(f"window closed with {len(opening.commitments)} reports committed")
        record = await until(*over)
        if record.status == "failed":
            raise Unavailable("the challenge failed: no coin was agreed on, or nobody opened it")
        self._tell(f"coin and {len(record.opened)} reports opened and checked; settled")
        return record

    async def _tell_warnings(self, chain: ChainClient, verdicts: list[VerdictRecord]) -> None:
        """Who is asked to show chunks on the chain, or to lose the contract."""
        names = {self._network.account(name): name for name in self._network.hosters}
        contracts = await chain.records(
            ContractRecord, Table.CONTRACT, [verdict.contract for verdict in verdicts]
        )
        for contract in contracts:
            if contract.warned is None:
                continue
            request = await chain.wait(
                DataRequest,
                Table.DATA_REQUEST,
                contract.warned,
                lambda found: found.status != "asked",
            )
            self._tell(
                f"the chain asks {names[contract.hoster]} to show {len(request.chunks)} chunks by "
                f"height {request.deadline}, or to lose the contract"
            )

    async def _verify(self, feed: bytes) -> dict[str, Any]:
        """Export the report and check it in a process that has only the file."""
        network = self._network
        bundle = network.root / "report.holdfast"
        key = zbase32.encode(feed)
        await self._command("report", key, "--export", str(bundle))
        output = await self._command(
            "verify", str(bundle), "--network", network.genesis.network.hex(), "--json"
        )
        checked: dict[str, Any] = json.loads(output)
        return checked

    async def _command(self, *arguments: str) -> bytes:
        home = self._network.homes["owner"].path
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "holdfast", "--home", str(home), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode:
            raise Unavailable(f"`holdfast {arguments[0]}` failed: {err.decode().strip()}")
        return out

    async def _holdings(self, chain: ChainClient) -> dict[str, int]:
        """Balance and stake of every account, proven, of one state."""
        network = self._network
        keys: list[tuple[Table, bytes]] = []
        for name in network.names:
            account = network.account(name)
            keys += [
                (Table.ACCOUNT, account),
                (Table.STAKE, stake_key("attestor", account)),
                (Table.STAKE, stake_key("hoster", account)),
            ]
        _, records = await chain.prove(keys)
        held = [
            record.balance_base
            if isinstance(record, Account)
            else record.amount_base + record.unbonding_base
            if isinstance(record, StakeRecord)
            else 0
            for record in records
        ]
        return {name: sum(held[3 * i : 3 * i + 3]) for i, name in enumerate(network.names)}

    async def _supply(self, chain: ChainClient) -> int:
        """All coins, counted anew by the validator over all its records."""
        counted: int = (await chain.read_json("/supply"))["counted_base"]
        return counted

    def _describe(
        self, challenge: ChallengeRecord, verdicts: list[VerdictRecord]
    ) -> dict[str, Any]:
        assert challenge.coin is not None, "a settled challenge has a coin"
        names = {self._network.account(name): name for name in self._network.hosters}
        return {
            "id": challenge.challenge.hex(),
            "attestors": len(challenge.members),
            "exit": 1,
            "coin": challenge.coin.hex(),
            "reports": len(challenge.opened),
            "verdicts": [
                {
                    "hoster": zbase32.encode(verdict.hoster),
                    "name": names[verdict.hoster],
                    "class": verdict.verdict,
                    "score_ppm": verdict.score_ppm,
                    "samples": verdict.samples,
                    "missing": verdict.missing,
                    "latency_us": {
                        "p50": verdict.latency_p50_us,
                        "p95": verdict.latency_p95_us,
                    },
                    "throughput_bytes_per_s": verdict.throughput_bytes_per_s,
                    "lower_bound_ppm": verdict.lower_bound_ppm,
                    "detection_ppm": verdict.detection_ppm,
                    "paid_base": verdict.paid_base,
                }
                for verdict in sorted(verdicts, key=lambda verdict: names[verdict.hoster])
            ],
        }


def falsify(database: Path, feed: bytes, chunks: list[int]) -> None:
    """What a dishonest operator does to its store: other bytes, and hashes that fit them.

    The hoster's own check of its disk is satisfied, so it signs for what it serves.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        (number,) = connection.execute("SELECT id FROM feed WHERE key = ?", (feed,)).fetchone()
        for index in chunks:
            place = (number << 40) + index
            (value,) = connection.execute(
                "SELECT bytes FROM chunk WHERE id = ?", (place,)
            ).fetchone()
            wrong = bytes(byte ^ 0x55 for byte in value)
            connection.execute(
                "UPDATE chunk SET bytes = ?, hash = ? WHERE id = ?",
                (wrong, leaf_hash(wrong), place),
            )
