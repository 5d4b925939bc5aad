"""`holdfast feed`: make feeds from files and folders, look at them, serve, clone, restore."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from feed import check as feed_check
from feed import service
from feed.feed import Feed
from feed.folder import Kind
from feed.manifest import discovery_key
from feed.messages import PROTOCOL, PROTOCOL_ALIAS
from feed.session import download, serve
from feed.store import FeedStore
from holdfast.chain_cli import endpoint
from holdfast.cli import JsonFlag, Session, session
from holdfast.output import Exit, bytes_text, err, out, print_json
from wire import zbase32
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.keys import KeyPair, Use
from wire.ports import Connection

feed = typer.Typer(no_args_is_help=True, help="Make, serve, clone and restore feeds.")

NameFlag = Annotated[
    str | None,
    typer.Option(help="What the feed is called here; another name makes another feed."),
]
NAME = "holdfast/name"
"""Beside each feed that this home made: the name that its key pair is derived from."""

ChunkFlag = Annotated[int, typer.Option(min=1_024, max=1 << 22, help="Bytes in a chunk.")]


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    app.add_typer(feed, name="feed")


def create_feed(
    current: Session, store: FeedStore, path: Path, chunk_bytes: int, name: str | None = None
) -> Feed:
    """The feed of a file or folder in this home, made or continued with a progress bar."""
    from holdfast.progress import transfer

    called = (name or str(path.resolve())).encode()
    pair = KeyPair.derive(current.home.seed(), Use.FEED, called)
    with transfer(f"reading {path.name}") as tell:
        made = service.ingest(
            store,
            path,
            pair,
            chunk_bytes=chunk_bytes,
            progress=lambda step: tell(step.bytes_done, step.bytes_total),
        )
    made.set_metadata(NAME, called)
    return made


def pair_of(current: Session, found: Feed) -> KeyPair:
    """The key pair that signs a feed of this home; raises `Unavailable` where it is not here."""
    called = found.metadata(NAME)
    if called is None:
        raise Unavailable(
            f"this home did not make the feed {zbase32.encode(found.key)}, so it cannot sign for "
            "it: order its hosting from the home that did"
        )
    return KeyPair.derive(current.home.seed(), Use.FEED, called)


@feed.command()
def create(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
    name: NameFlag = None,
    chunk_bytes: ChunkFlag = 65_536,
    json: JsonFlag = False,
) -> None:
    """Make a feed of a file or folder; interrupted, run it again and it goes on."""
    current = session(context)
    with FeedStore(current.home.feeds) as store:
        _show(create_feed(current, store, path, chunk_bytes, name), json)


@feed.command(name="list")
def list_feeds(context: typer.Context, json: JsonFlag = False) -> None:
    """Show the feeds of this home."""
    with FeedStore(_existing(session(context))) as store:
        found = store.feeds()
    if json:
        print_json(
            [
                {
                    "feed": zbase32.encode(each.key),
                    "chunks": each.length,
                    "bytes": each.byte_length,
                    "held_chunks": each.held_chunks,
                    "held_bytes": each.held_bytes,
                }
                for each in found
            ]
        )
        return
    for each in found:
        out.print(
            f"{zbase32.encode(each.key)}  {each.held_chunks}/{each.length} chunks, "
            f"{bytes_text(each.held_bytes)}"
        )


@feed.command()
def info(
    context: typer.Context,
    key: str,
    files: Annotated[bool, typer.Option(help="List what is in it.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show a feed of this home."""
    with FeedStore(_existing(session(context))) as store:
        found = store.open(zbase32.parse_key(key))
        _show(found, json)
        if files and not json:
            for entry in service.contents(found):
                sign = {Kind.FOLDER: "/", Kind.LINK: f" -> {entry.link}"}.get(entry.kind, "")
                out.print(f"{entry.size:>14,}  {entry.path}{sign}")


def _show(found: Feed, json: bool) -> None:
    document = {
        "feed": zbase32.encode(found.key),
        "fork": found.fork,
        "chunks": found.length,
        "bytes": found.byte_length,
        "missing": found.missing,
    }
    if json:
        print_json(document)
        return
    out.print(f"feed   {document['feed']}")
    out.print(f"chunks {found.length}, {bytes_text(found.byte_length)}")
    if found.missing:
        out.print(f"[yellow]{found.missing} chunks are missing[/]")


@feed.command()
def verify(context: typer.Context, key: str, json: JsonFlag = False) -> int:
    """Check every stored byte of a feed, up to the owner's signature."""
    from holdfast.progress import transfer

    with FeedStore(_existing(session(context))) as store:
        found = store.open(zbase32.parse_key(key))
        last = None
        with transfer("checking") as tell:
            for last in feed_check.check(found):
                tell(last.bytes, found.held_bytes)
        assert last is not None
        document = {
            "feed": zbase32.encode(found.key),
            "chunks": last.total,
            "bytes": last.bytes,
            "damaged": list(last.damaged),
            "missing": found.missing,
        }
    if json:
        print_json(document)
    elif last.damaged:
        out.print(f"[red]{len(last.damaged)} of {last.total} chunks are damaged[/]")
    else:
        out.print(f"[green]good[/]: {last.total} chunks, {bytes_text(last.bytes)}")
    return Exit.FAILED if last.damaged else Exit.OK


@feed.command()
def restore(
    context: typer.Context,
    key: str,
    target: Path,
    overwrite: Annotated[bool, typer.Option(help="Replace what is there.")] = False,
) -> None:
    """Write a feed of this home out as the file or folder that it was."""
    with FeedStore(_existing(session(context))) as store:
        _restore(store.open(zbase32.parse_key(key)), target, overwrite)
    out.print(f"restored {target}")


def _restore(found: Feed, target: Path, overwrite: bool) -> None:
    from holdfast.progress import transfer

    with transfer(f"writing {target.name}") as tell:
        service.restore(
            found,
            target,
            overwrite=overwrite,
            progress=lambda step: tell(step.bytes_done, step.bytes_total),
        )


@feed.command(name="serve")
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
        with FeedStore(_existing(current)) as store:
            feeds = {discovery_key(each.key): store.open(each.key) for each in store.feeds()}

            async def serve_reader(connection: Connection, found: Feed) -> None:
                try:
                    await serve(connection, found)
                except HoldfastError as error:
                    err.print(f"reader dropped: {error}")

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
                await stop.wait()

    run_daemon(main)


@feed.command()
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
    json: JsonFlag = False,
) -> None:
    """Fetch a feed from peers, verified; interrupted, run it again and it goes on."""
    name = zbase32.parse_key(key)
    current = session(context)
    sources = [endpoint(each, None) for each in source]
    if not current.home.path.exists():
        # A reader needs no identity: with no home, the clone lives only as long as this.
        if target is None:
            raise Unavailable(f"{current.home.path} does not exist: run `holdfast init`, or --to")
        with tempfile.TemporaryDirectory(prefix="holdfast-clone-", dir=target.parent) as place:
            _clone(Path(place) / "feeds.db", name, sources, target, overwrite, json)
    else:
        _clone(current.home.feeds, name, sources, target, overwrite, json)


def _clone(
    database: Path,
    key: bytes,
    sources: list[tuple[str, int]],
    target: Path | None,
    overwrite: bool,
    json: bool,
) -> None:
    import uvloop

    with FeedStore(database) as store:
        found = store.create(key)
        uvloop.run(_fetch(found, sources))
        if target is not None:
            _restore(found, target, overwrite)
        _show(found, json)


async def _fetch(found: Feed, sources: list[tuple[str, int]]) -> None:
    """Download from all sources at once; one that fails does not stop the others."""
    from holdfast.progress import transfer

    claims: set[int] = set()
    reasons: list[str] = []
    with transfer("cloning") as tell:

        def show(_: list[tuple[int, int]]) -> None:
            tell(found.held_bytes, found.byte_length or None)

        stop_watching = found.watch(show)
        async with asyncio.TaskGroup() as tasks:
            for host, port in sources:
                tasks.create_task(_fetch_from(found, host, port, claims, reasons))
        stop_watching()
    if found.missing or not found.length:
        raise Unavailable("; ".join(reasons) or f"{found.missing} chunks could not be had")


async def _fetch_from(
    found: Feed, host: str, port: int, claims: set[int], reasons: list[str]
) -> None:
    from secrets import token_bytes

    from swarm.tcp import dial

    try:
        connection = await dial(host, port, KeyPair(token_bytes(32)))
        try:
            await download(connection, found, claims=claims)
        finally:
            await connection.close()
    except (Unavailable, Malformed) as error:
        reasons.append(f"{host}:{port}: {error}")


def _existing(current: Session) -> Path:
    if not current.home.feeds.exists():
        raise Unavailable(f"{current.home.path} has no feeds yet: run `holdfast feed create PATH`")
    return current.home.feeds
