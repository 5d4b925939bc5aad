"""Run a role until it is told to stop: uvloop, signals, one task group."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from wire.errors import HoldfastError

log = structlog.get_logger()


def run_daemon(
    main: Callable[[asyncio.Event], Coroutine[Any, Any, None]], *, fast: bool = True
) -> None:
    """Run `main(stop)`; SIGTERM and SIGINT set `stop`, and a second one kills.
    Not `fast` is a mebibyte smaller: the standard library's event loop.

    A `HoldfastError` that ends the role, alone or in an exception group, is raised as itself.
    """

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, stop, loop, number)
        await until_stopped(main(stop), stop)

    try:
        if fast:
            import uvloop

            uvloop.run(run())
        else:
            asyncio.run(run())
    except BaseExceptionGroup as group:
        raise first_error(group) from None


def _stop(stop: asyncio.Event, loop: asyncio.AbstractEventLoop, number: int) -> None:
    stop.set()
    loop.remove_signal_handler(number)


async def until_stopped(work: Awaitable[None], stop: asyncio.Event) -> None:
    """Run `work` until it ends or `stop` is set, whichever comes first."""
    async with asyncio.TaskGroup() as tasks:

        async def watch(task: asyncio.Task[None]) -> None:
            await stop.wait()
            task.cancel()

        async def finish() -> None:
            try:
                await work
            finally:
                stop.set()

        worker = tasks.create_task(finish())
        tasks.create_task(watch(worker))


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to tell the user of several errors at once: a bug before all else, or the first."""
    known, unknown = group.split(HoldfastError)
    return _flat(unknown or known or group)


def _flat(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _flat(first) if isinstance(first, BaseExceptionGroup) else first
