"""A daemon that dies at an await: `python -m tests.attacks.mortal STEPS --home HOME attest run`.

The event loop kills its own process with SIGKILL in place of its STEPS-th step, so whatever was
awaited there never goes on. STEPS 0: it lives, and tells how many steps it took when told to end.
"""

import asyncio
import atexit
import os
import signal
import sys
from typing import Any

import holdfast.role
from holdfast.__main__ import main
from holdfast.commands import role_cli
from holdfast.daemon import run_daemon


def dying_after(steps: int) -> None:
    """Count what the event loop runs, and die at that number."""
    run = asyncio.Handle._run
    taken = 0

    def step(handle: asyncio.Handle) -> None:
        nonlocal taken
        taken += 1
        if taken == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        run(handle)

    asyncio.Handle._run = step  # type: ignore[method-assign]
    atexit.register(lambda: sys.stdout.write(f"steps {taken}\n"))


def stay(role: str, home: object, terms: Any) -> None:
    """In place of `become`: a new program would forget to count."""
    document = holdfast.role.json.dumps(holdfast.role.asdict(terms))
    sys.argv = ["role", role, str(home), document]
    sys.exit(holdfast.role.main())


if __name__ == "__main__":
    steps = int(sys.argv.pop(1))
    role_cli.become = stay  # type: ignore[assignment]
    # The standard library's loop, whose steps are Python's.
    holdfast.role.run_daemon = lambda run, **_: run_daemon(run, fast=False)
    dying_after(steps)
    sys.exit(main())
