"""`holdfast feed`: make feeds from files and folders, add to them, look at them, restore them.

What needs peers (serving, cloning) is in `feed_peers_cli.py`.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from feed import check as feed_check
from feed import raw_service, service
from feed.feed import Feed, signed_by
from feed.folder import Kind
from feed.manifest import default_manifest, manifest_key
from feed.store import FeedStore
from holdfast.cli import JsonFlag, Session, session
from holdfast.output import Exit, bytes_text, out, print_json
from wire import zbase32
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.keys import KeyPair, Use

feed = typer.Typer(no_args_is_help=True, help="Make, serve, clone and restore feeds.")

NameFlag = Annotated[
    str | None,
    typer.Option(help="What the feed is called here; another name makes another feed."),
]
NAME = "holdfast/name"
"""Beside each feed that this home made: the name that its key pair is derived from."""

SEEDS_NAME = "feed-seeds"
"""The folder of a home with the signing seeds of feeds that were made elsewhere."""

ChunkFlag = Annotated[int, typer.Option(min=1_024, max=1 << 22, help="Bytes in a chunk.")]


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    from holdfast.commands import feed_peers_cli

    feed_peers_cli.add_to(feed)
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


def create_raw(
    current: Session, store: FeedStore, path: Path, chunk_bytes: int, name: str | None = None
) -> Feed:
    """A feed of the bytes of a file with nothing added, so that more can be appended."""
    called = (name or str(path.resolve())).encode()
    pair = KeyPair.derive(current.home.seed(), Use.FEED, called)
    manifest = default_manifest(pair.public)
    key = manifest_key(manifest)
    made = store.create(key, manifest)
    if made.length:
        text = zbase32.encode(key)
        raise Unavailable(f"{text} is already here: add to it with `holdfast feed append {text}`")
    try:
        _append(made, str(path), chunk_bytes, pair)
    except HoldfastError:
        store.delete(key)
        raise
    made.set_metadata(NAME, called)
    return made


def _append(found: Feed, source: str, chunk_bytes: int, pair: KeyPair) -> None:
    from holdfast.progress import transfer

    sign = signed_by(pair, found.key, found.manifest)
    with ExitStack() as stack:
        try:
            file = sys.stdin.buffer if source == "-" else stack.enter_context(open(source, "rb"))
            size = None if source == "-" else Path(source).stat().st_size
        except OSError as error:
            raise Unavailable(f"{source}: {(error.strerror or str(error)).lower()}") from None
        tell = stack.enter_context(transfer(f"reading {Path(source).name}"))
        for done in raw_service.appending(found, file, chunk_bytes, sign):
            tell(done, size)


def pair_of(current: Session, found: Feed) -> KeyPair:
    """The key pair that signs a feed of this home; raises `Unavailable` where it is not here."""
    text = zbase32.encode(found.key)
    place = current.home.path / SEEDS_NAME / text
    if place.exists():
        return KeyPair(zbase32.parse_key(_read(place)))
    called = found.metadata(NAME)
    if called is not None:
        return KeyPair.derive(current.home.seed(), Use.FEED, called)
    raise Unavailable(
        f"this home did not make the feed {text}, so it cannot sign for it: do this in the home "
        "that did, or give its signing seed to `holdfast feed adopt`"
    )


def keep_own_pairs(current: Session, store: FeedStore) -> None:
    """The same for all feeds that the present seed signs, before another takes its place."""
    for known in store.feeds():
        found = store.open(known.key)
        if found.metadata(NAME) is not None:
            keep_pair(current, found, pair_of(current, found))


def keep_pair(current: Session, found: Feed, pair: KeyPair) -> None:
    """Write down what signs a feed, where the home's seed does not lead to it."""
    folder = current.home.path / SEEDS_NAME
    folder.mkdir(mode=0o700, exist_ok=True)
    place = folder / zbase32.encode(found.key)
    place.touch(mode=0o600)
    place.write_text(zbase32.encode(pair.seed) + "\n")


@feed.command()
def create(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
    name: NameFlag = None,
    chunk_bytes: ChunkFlag = 65_536,
    raw: Annotated[
        bool, typer.Option(help="Only the bytes of one file, so that more can be appended.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Make a feed of a file or folder; interrupted, run it again and it goes on."""
    current = session(context)
    make = create_raw if raw else create_feed
    with FeedStore(current.home.feeds) as store:
        show(make(current, store, path, chunk_bytes, name), json)


@feed.command()
def append(
    context: typer.Context,
    key: str,
    source: Annotated[str, typer.Argument(metavar="FILE", help="A file; - is standard input.")],
    chunk_bytes: ChunkFlag = 65_536,
    json: JsonFlag = False,
) -> None:
    """Add the bytes of a file to the end of a feed made with `create --raw`, and sign it."""
    current = session(context)
    with FeedStore(existing(current)) as store:
        found = store.open(zbase32.parse_key(key))
        _append(found, source, chunk_bytes, pair_of(current, found))
        show(found, json)


@feed.command()
def adopt(
    context: typer.Context,
    key: str,
    seed: Annotated[
        Path, typer.Argument(help="A file with the signing seed, or Node's secretKey, in hex.")
    ],
) -> None:
    """Let this home sign for a feed that was made elsewhere, such as with Node.

    Never append in both places: two histories under one key freeze the feed everywhere.
    """
    current = session(context)
    with FeedStore(existing(current)) as store:
        found = store.open(zbase32.parse_key(key))
    try:
        secret = bytes.fromhex(_read(seed).strip())
    except ValueError:
        raise Malformed(f"{seed} does not hold a seed in hexadecimal") from None
    pair = KeyPair(secret[:32]) if len(secret) in (32, 64) else None
    signers = [found.key] if found.manifest is None else []
    signers += [signer.public_key for signer in found.manifest.signers] if found.manifest else []
    if pair is None or pair.public not in signers:
        raise Malformed(f"{seed} does not hold the seed that signs this feed")
    keep_pair(current, found, pair)
    out.print(f"this home can sign for {zbase32.encode(found.key)}")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"cannot read {path}: {error}") from None


@feed.command()
def cat(
    context: typer.Context,
    key: str,
    chunks: Annotated[
        str | None, typer.Option(metavar="FIRST-LAST", help="Only these; counted from 0.")
    ] = None,
) -> None:
    """Write the bytes of a feed's chunks to standard output, verified."""
    with FeedStore(existing(session(context))) as store:
        found = store.open(zbase32.parse_key(key))
        first, last = stretch(chunks) if chunks is not None else (0, found.length - 1)
        for value in raw_service.reading(found, first, last):
            sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()


def stretch(text: str) -> tuple[int, int]:
    """`3-7` or `3` as the first and the last of some chunks."""
    first, _, last = text.partition("-")
    try:
        found = int(first), int(last or first)
    except ValueError:
        found = -1, -1
    if not 0 <= found[0] <= found[1]:
        raise Malformed(f"{text} are no chunks: write FIRST-LAST, as in 0-99")
    return found


@feed.command(name="list")
def list_feeds(context: typer.Context, json: JsonFlag = False) -> None:
    """Show the feeds of this home."""
    with FeedStore(existing(session(context))) as store:
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
    with FeedStore(existing(session(context))) as store:
        found = store.open(zbase32.parse_key(key))
        show(found, json)
        if files and not json:
            for entry in service.contents(found):
                sign = {Kind.FOLDER: "/", Kind.LINK: f" -> {entry.link}"}.get(entry.kind, "")
                out.print(f"{entry.size:>14,}  {entry.path}{sign}")


def show(found: Feed, json: bool) -> None:
    """Print what a feed is."""
    document = {
        "feed": zbase32.encode(found.key),
        "fork": found.fork,
        "chunks": found.length,
        "bytes": found.byte_length,
        "missing": found.missing,
        "conflict": found.conflict is not None,
    }
    if json:
        print_json(document)
        return
    out.print(f"feed   {document['feed']}")
    out.print(f"chunks {found.length}, {bytes_text(found.byte_length)}")
    if found.missing:
        out.print(f"[yellow]{found.missing} chunks are missing[/]")
    if found.conflict is not None:
        out.print("[red]its owner has signed two histories: it grows no more[/]")


@feed.command()
def verify(context: typer.Context, key: str, json: JsonFlag = False) -> int:
    """Check every stored byte of a feed, up to the owner's signature."""
    from holdfast.progress import transfer

    with FeedStore(existing(session(context))) as store:
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
    with FeedStore(existing(session(context))) as store:
        restore_to(store.open(zbase32.parse_key(key)), target, overwrite)
    out.print(f"restored {target}")


def restore_to(found: Feed, target: Path, overwrite: bool) -> None:
    """Write a feed out, with a progress bar."""
    from holdfast.progress import transfer

    with transfer(f"writing {target.name}") as tell:
        service.restore(
            found,
            target,
            overwrite=overwrite,
            progress=lambda step: tell(step.bytes_done, step.bytes_total),
        )


def existing(current: Session) -> Path:
    """This home's feed store; raises `Unavailable` when there is none yet."""
    if not current.home.feeds.exists():
        raise Unavailable(f"{current.home.path} has no feeds yet: run `holdfast feed create PATH`")
    return current.home.feeds
