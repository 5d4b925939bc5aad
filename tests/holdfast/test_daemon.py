"""How a role ends: by itself, when told to, or with the error that ended it."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.daemon import first_error, until_stopped
from wire.errors import Malformed, NotFound, Unavailable

ROOT = Path(__file__).parent.parent.parent


async def test_work_that_ends_is_the_end():
    stop, done = asyncio.Event(), []

    async def work() -> None:
        done.append(1)

    await asyncio.wait_for(until_stopped(work(), stop), 5)
    assert done == [1]
    assert stop.is_set()


async def test_work_that_is_told_to_stop_may_clean_up():
    stop, said = asyncio.Event(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("cleaning")
            await asyncio.sleep(0)
            said.append("clean")

    running = asyncio.create_task(until_stopped(work(), stop))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 5)
    assert said == ["cleaning", "clean"]


async def test_work_that_fails_says_why():
    async def work() -> None:
        raise Unavailable("no disk")

    with pytest.raises(ExceptionGroup) as group:
        await until_stopped(work(), asyncio.Event())
    assert str(first_error(group.value)) == "no disk"


async def test_work_that_fails_while_it_stops_says_why():
    stop = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise Unavailable("cannot save")

    running = asyncio.create_task(until_stopped(work(), stop))
    for _ in range(3):
        await asyncio.sleep(0)
    stop.set()
    with pytest.raises(ExceptionGroup) as group:
        await asyncio.wait_for(running, 5)
    assert str(first_error(group.value)) == "cannot save"


async def test_being_cancelled_from_outside_is_being_cancelled():
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    running = asyncio.create_task(until_stopped(work(), asyncio.Event()))
    for _ in range(3):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == [1]


async def test_a_stop_before_the_beginning_ends_it_too():
    stop = asyncio.Event()
    stop.set()
    await asyncio.wait_for(until_stopped(asyncio.Event().wait(), stop), 5)


OURS, OTHER, BUG = Unavailable("ours"), NotFound("other"), AssertionError("bug")


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([OURS], OURS),
        ([OURS, OTHER], OURS),
        ([OTHER, OURS], OTHER),
        ([OURS, BUG], BUG),
        ([BUG, OURS], BUG),
        ([ExceptionGroup("inner", [OURS]), OTHER], OURS),
        ([ExceptionGroup("inner", [ExceptionGroup("more", [OTHER])])], OTHER),
        ([OURS, ExceptionGroup("inner", [OTHER, BUG])], BUG),
        ([Malformed("m"), ValueError("bug")], None),
    ],
)
def test_the_first_error_is_told_and_a_bug_before_all(errors, expected):
    found = first_error(ExceptionGroup("all", errors))
    assert found is expected or (expected is None and isinstance(found, ValueError))


DAEMON = """
import asyncio, sys
from holdfast.daemon import run_daemon
from wire.errors import Unavailable

async def main(stop):
    print("ready", flush=True)
    try:
        await asyncio.Event().wait() if sys.argv[1] != "fails" else None
        raise Unavailable("failed")
    finally:
        print("cleaning", flush=True)
        if sys.argv[1] == "hangs":
            await asyncio.Event().wait()
        print("clean", flush=True)

try:
    run_daemon(main)
except Unavailable as error:
    print(error)
"""


@contextmanager
def daemon(how: str) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, how], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            assert line(process) == "ready"
            yield process
        finally:
            process.kill()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_daemon_in_order_and_a_second_one_at_once(number):
    with daemon("waits") as process:
        process.send_signal(number)
        assert (line(process), line(process)) == ("cleaning", "clean")
        assert process.wait(10) == 0
    with daemon("hangs") as process:
        process.send_signal(number)
        assert line(process) == "cleaning"
        process.send_signal(number)
        assert process.wait(10) != 0


def test_what_ends_a_daemon_is_raised_as_itself():
    with daemon("fails") as process:
        assert [line(process) for _ in range(3)] == ["cleaning", "clean", "failed"]
        assert process.wait(10) == 0
