"""Machines of their own for validators, joined by switches that can be told apart.

Each is a network namespace with two lines: one to a switch, where the others are, and one that
only the tests use. Needs iproute2 and the right to make namespaces (Linux, root).
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from holdfast.network import Machine

NAME = f"hf{os.getpid()}"
SWITCHES = 2
OTHERS, TESTS = "198.18.0", "198.19"
"""Addresses that RFC 2544 sets aside for tests of networks."""


class Separable:
    """Machines that hear those at the same switch; at first all are at one."""

    def __init__(self, names: Sequence[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(names, start=1)}
        self.machines = {
            name: Machine(
                host=f"{OTHERS}.{number}",
                api_host=f"{TESTS}.{number}.2",
                command=("ip", "netns", "exec", f"{NAME}-{number}"),
            )
            for name, number in self._numbers.items()
        }

    def make(self) -> None:
        """Make all; raises `CalledProcessError` with why it is not permitted."""
        ip("netns", "add", NAME)
        for switch in range(SWITCHES):
            ip("-n", NAME, "link", "add", f"switch{switch}", "type", "bridge")
            ip("-n", NAME, "link", "set", f"switch{switch}", "up")
        for number in self._numbers.values():
            own, port = f"{NAME}-{number}", f"port{number}"
            ip("netns", "add", own)
            ip("-n", own, "link", "set", "lo", "up")
            ip("link", "add", "others", "netns", own, "type", "veth", "peer", port, "netns", NAME)
            ip("-n", own, "address", "add", f"{OTHERS}.{number}/24", "dev", "others")
            ip("-n", own, "link", "set", "others", "up")
            ip("-n", NAME, "link", "set", port, "up")
            ip("link", "add", own, "type", "veth", "peer", "tests", "netns", own)
            ip("address", "add", f"{TESTS}.{number}.1/30", "dev", own)
            ip("link", "set", own, "up")
            ip("-n", own, "address", "add", f"{TESTS}.{number}.2/30", "dev", "tests")
            ip("-n", own, "link", "set", "tests", "up")
        self.part()

    def part(self, *aside: str) -> None:
        """Put these at the second switch, the others at the first."""
        for name, number in self._numbers.items():
            switch = f"switch{int(name in aside)}"
            ip("-n", NAME, "link", "set", f"port{number}", "master", switch)

    def remove(self) -> None:
        """Take away whatever was made."""
        for number in self._numbers.values():
            for what in (("link", f"{NAME}-{number}"), ("netns", f"{NAME}-{number}")):
                subprocess.run(["ip", what[0], "del", what[1]], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", NAME], capture_output=True, check=False)


def ip(*arguments: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *arguments], capture_output=True, check=True, text=True)


@contextmanager
def separable(names: Sequence[str]) -> Iterator[Separable]:
    """Machines inside the block; the test is skipped where there can be none."""
    found = Separable(names)
    try:
        try:
            found.make()
        except FileNotFoundError:
            pytest.skip("needs the command `ip` of iproute2")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
        yield found
    finally:
        found.remove()
