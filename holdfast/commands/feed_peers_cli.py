"""`holdfast feed serve`, `hosters` and `clone`: feeds to and from peers."""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from feed.feed import Change, Feed
from feed.manifest import discovery_key
from feed.messages import PROTOCOL, PROTOCOL_ALIAS
from feed.replication.manner import linger_ms
from feed.replication.session import download, serve
from feed.store import FeedStore
from holdfast.cli import JsonFlag, session
from holdfast.commands.chain_cli import endpoint
from holdfast.commands.feed_cli import existing, restore_to, show, stretch
from holdfast.output import err, out, print_json
from holdfast.plain import one_line
from wire import zbase32
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.keys import KeyPair, Use
from wire.ports import Connection

REFRESH_S = 1.0
"""How soon readers see what another command appended."""

Stretch = tuple[int, int]
"""The first and the last of some chunks."""


def add_to(feed: typer.Typer) -> None:
    """Hang these commands under `holdfast feed`."""
    feed.command(name="serve")(serve_feeds)
    feed.command()(hosters)
    feed.command()(clone)


def serve_feeds(
    context: typer.Context,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT")] = "127.0.0.1:4640",
) -> None:
    """Serve all feeds of this home to whoever knows their keys, until it is stopped."""
    from holdfast.daemon import run_daemon
    from swarm.server import listen as listen_for_peers

    current = session(context)
    host, port = endpoint(listen, None)
    pair = KeyPair.derive(current.home.seed(), Use.SWARM)

    async def main(stop: asyncio.Event) -> None:
        with FeedStore(existing(current)) as store:
            feeds = dict[bytes, Feed]()

            async def serve_reader(connection: Connection, found: Feed) -> None:
                try:
                    await serve(connection, found)
                except HoldfastError as error:
                    err.print(f"reader dropped: {error}")

            _take_in(store, feeds)
            async with listen_for_peers(
                host,
                port,
                pair,
                on_open=lambda protocol, name, connection: (
                    serve_reader(connection, feeds[name])
                    if protocol in (PROTOCOL, PROTOCOL_ALIAS) and name in feeds
                    else None
                ),
            ) as listener:
                out.print(f"serving {len(feeds)} feeds on {listener.host}:{listener.port}")
                while not stop.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(REFRESH_S):
                            await stop.wait()
                    if store.refresh():
                        _take_in(store, feeds)

    run_daemon(main)


def _take_in(store: FeedStore, feeds: dict[bytes, Feed]) -> None:
    """Serve what is in the store now."""
    feeds.clear()
    feeds.update((discovery_key(each.key), store.open(each.key)) for each in store.feeds())


def hosters(context: typer.Context, key: str, json: JsonFlag = False) -> None:
    """Show where a feed can be read: the address and the Noise key of each of its hosters."""
    from chain.client.directory_client import active_hosters
    from chain.client.light_client import ChainClient
    from chain.records import FeedRecord, Registration, Table
    from holdfast.following import with_chain

    name = zbase32.parse_key(key)

    async def find(chain: ChainClient) -> list[Registration]:
        return await active_hosters(chain, await chain.need(FeedRecord, Table.FEED, name))

    found = with_chain(session(context), find)
    if json:
        print_json(
            [
                {
                    "hoster": zbase32.encode(each.account),
                    "host": each.endpoint.host,
                    "port": each.endpoint.port,
                    "noise_key": zbase32.encode(each.endpoint.swarm_key),
                }
                for each in found
            ]
        )
        return
    for each in found:
        address = f"{one_line(each.endpoint.host)}:{each.endpoint.port}"
        out.print(f"{address}  Noise key {zbase32.encode(each.endpoint.swarm_key)}")
    if not found:
        out.print("no hoster has the feed yet: see `holdfast plan list`")


def clone(
    context: typer.Context,
    key: str,
    source: Annotated[
        list[str], typer.Option("--from", metavar="HOST:PORT", help="A peer; repeat for more.")
    ],
    target: Annotated[
        Path | None, typer.Option("--to", help="Restore the file or folder here.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace what is there.")] = False,
    chunks: Annotated[
        str | None, typer.Option(metavar="FIRST-LAST", help="Only these; counted from 0.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Fetch a feed from peers, verified; interrupted, run it again and it goes on."""
    name = zbase32.parse_key(key)
    current = session(context)
    wanted = None if chunks is None else stretch(chunks)
    if wanted is not None and target is not None:
        raise Unavailable("a few chunks cannot be restored: leave out --to or --chunks")
    sources = [endpoint(each, None) for each in source]
    if not current.home.path.exists():
        # A reader needs no identity: with no home, the clone lives only as long as this.
        if target is None:
            raise Unavailable(f"{current.home.path} does not exist: run `holdfast init`, or --to")
        with tempfile.TemporaryDirectory(prefix="holdfast-clone-", dir=target.parent) as place:
            _clone(Path(place) / "feeds.db", name, sources, wanted, target, overwrite, json)
    else:
        _clone(current.home.feeds, name, sources, wanted, target, overwrite, json)


def _clone(
    database: Path,
    key: bytes,
    sources: list[tuple[str, int]],
    wanted: Stretch | None,
    target: Path | None,
    overwrite: bool,
    json: bool,
) -> None:
    import uvloop

    with FeedStore(database) as store:
        found = store.create(key)
        uvloop.run(_fetch(found, sources, wanted))
        if target is not None:
            restore_to(found, target, overwrite)
        show(found, json)


async def _fetch(found: Feed, sources: list[tuple[str, int]], wanted: Stretch | None) -> None:
    """Download from all sources at once; one that fails does not stop the others."""
    from holdfast.progress import transfer

    claims: set[int] = set()
    reasons: list[str] = []
    with transfer("cloning") as tell:

        def show_bytes(_: Change) -> None:
            tell(found.held_bytes, found.byte_length or None if wanted is None else None)

        stop_watching = found.watch(show_bytes)
        async with asyncio.TaskGroup() as tasks:
            for host, port in sources:
                tasks.create_task(fetch_from(found, host, port, wanted, claims, reasons))
        stop_watching()
    first, last = wanted or (0, found.length - 1)
    missing = sum(stop - start for start, stop in found.held.gaps(first, last + 1))
    if missing or not found.length:
        raise Unavailable("; ".join(reasons) or f"{missing} chunks could not be had")


async def fetch_from(
    found: Feed,
    host: str,
    port: int,
    wanted: Stretch | None,
    claims: set[int],
    reasons: list[str],
) -> None:
    """Download from one source; what went wrong is added to `reasons`."""
    from secrets import randbelow, token_bytes

    from swarm.tcp import dial

    chunks = None if wanted is None else range(wanted[0], wanted[1] + 1)
    try:
        connection = await dial(host, port, KeyPair(token_bytes(32)))
        try:
            stay_s = linger_ms(randbelow) / 1_000
            await download(connection, found, claims=claims, chunks=chunks, linger_s=stay_s)
        finally:
            await connection.close()
    except (Unavailable, Malformed) as error:
        reasons.append(f"{host}:{port}: {error}")
