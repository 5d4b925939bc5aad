"""The process that a daemon's command becomes: `python -m holdfast.role ROLE HOME SETTINGS`.

The command line's own libraries weigh as much as an attestor's work; `holdfast host run` and
`holdfast attest run` resolve the settings, then replace themselves by this module, which
imports only what the role needs. SETTINGS is the JSON of `Terms`.
"""

import sys

if __name__ == "__main__":
    # structlog imports rich, 5 MiB of it, for tracebacks that a daemon's log does not have.
    sys.modules["rich"] = None  # type: ignore[assignment]

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from chain.client.light_client import ChainClient
from chain.trust import Trust
from holdfast.daemon import run_daemon
from holdfast.home import Home
from holdfast.logs import set_up
from wire.errors import HoldfastError, NotFound, Unavailable

SLIM = {
    # One heap for all threads: several would each keep what a visit once needed.
    "MALLOC_ARENA_MAX": "1",
    # Chunks of 64 KiB go back to the system when they are freed.
    "MALLOC_MMAP_THRESHOLD_": "65536",
    # The heap grows and shrinks by pages, not by 128 KiB.
    "MALLOC_TOP_PAD_": "4096",
    "MALLOC_TRIM_THRESHOLD_": "4096",
}
"""The environment in which a daemon stays small."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a daemon needs of the settings and flags."""

    chain_url: str
    log_level: str
    log_format: str
    role: dict[str, Any]
    """Fields of `HosterTerms` or `AttestorTerms`."""


def become(role: str, home: Path, terms: Terms) -> NoReturn:
    """Replace this process by the role's; signals, output and parent stay as they are."""
    sys.stdout.flush()
    sys.stderr.flush()
    document = json.dumps(asdict(terms))
    command = [sys.executable, "-m", "holdfast.role", role, str(home), document]
    os.execve(sys.executable, command, os.environ | SLIM)  # noqa: S606 - our own interpreter


KEPT_TERMS = 64
"""Of the validators' sets: a daemon reads the present, and is to stay small for years."""


@asynccontextmanager
async def _chain(home: Home, terms: Terms) -> AsyncIterator[ChainClient]:
    """The network's node, followed from the home's checkpoint, which moves on at the end."""
    genesis = home.genesis()
    trust = Trust(genesis, home.checkpoint(), most=KEPT_TERMS)
    async with ChainClient(terms.chain_url, genesis, patient=True, trust=trust) as chain:
        try:
            yield chain
        finally:
            with suppress(Unavailable):  # the next start follows the same steps again
                home.write_checkpoint(trust.checkpoint)


async def _host(home: Home, terms: Terms) -> None:
    from chain.client.found_store import FoundStore
    from feed.store import FeedStore
    from hoster.receipt_store import ReceiptStore
    from hoster.service import Hoster, HosterTerms

    with FeedStore(home.feeds) as store, ReceiptStore(home.receipts) as receipts:
        async with _chain(home, terms) as chain:
            role, found = HosterTerms(**terms.role), FoundStore(home.found)
            hoster = Hoster(chain, home.seed(), store, role, home.account(), receipts, found=found)
            await hoster.run()


async def _attest(home: Home, terms: Terms) -> None:
    from attestor.service import Attestor, AttestorTerms
    from attestor.store import AttestorStore
    from chain.client.found_store import FoundStore

    with AttestorStore(home.attestor) as store:
        async with _chain(home, terms) as chain:
            role, found = AttestorTerms(**terms.role), FoundStore(home.found)
            await Attestor(chain, home.seed(), store, role, home.account(), found=found).run()


ROLES: dict[str, Callable[[Home, Terms], Coroutine[Any, Any, None]]] = {
    "host": _host,
    "attest": _attest,
}


def main() -> int:
    """Run one role until it is told to stop; the exit code of the command."""
    role, home, document = sys.argv[1:]
    terms = Terms(**json.loads(document))
    set_up(terms.log_level, terms.log_format)

    async def run(_: asyncio.Event) -> None:
        await ROLES[role](Home(Path(home)), terms)

    try:
        run_daemon(run, fast=role == "host")
    except HoldfastError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 3 if isinstance(error, NotFound) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
