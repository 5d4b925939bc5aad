"""`holdfast chain follow` and `prune`: a copy of the chain without a vote, and how much is kept."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import JsonFlag, Session, session
from holdfast.output import out, print_json
from wire.errors import Malformed, NotFound

if TYPE_CHECKING:
    from chain.node.reading_node import Reader


def add_to(chain: typer.Typer) -> None:
    """Hang these commands into `holdfast chain`."""
    chain.command()(follow)
    chain.command()(prune)


def follow(
    context: typer.Context,
    peers: Annotated[
        list[str] | None,
        typer.Option("--from", help="A node to follow; repeat. Default: chain.url.", metavar="URL"),
    ] = None,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Begin with their newest state, not at genesis.")
    ] = False,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT of the HTTP API.", metavar="HOST:PORT")
    ] = None,
) -> None:
    """Keep a copy of the chain, every block checked, and serve it until stopped."""
    from chain.node.follower_node import Follower
    from chain.node.server import bind, run_node
    from chain.sync.snapshot_service import load_snapshot
    from chain.trust import Trust
    from holdfast.commands.chain_cli import endpoint
    from holdfast.daemon import run_daemon

    current = session(context)
    agreed, home = current.home.genesis(), current.home
    urls = peers or [current.settings.chain.url]
    host, port = endpoint(listen, current.settings.chain.listen)
    trust = Trust(agreed, home.checkpoint())
    kept(current)

    async def main(_: asyncio.Event) -> None:
        with bind(host, port) as listener:
            if snapshot:
                await load_snapshot(agreed, home.chain, urls, trust)
            node = await Follower.open(agreed, home.chain, urls)
            tend(node, current)
            await run_node(node, listener)

    run_daemon(main)


def kept(current: Session) -> int | None:
    """How many of the last blocks this home's settings have a node keep; None: all."""
    return _enough(current, current.settings.chain.keep_blocks, "chain.keep_blocks")


def _enough(current: Session, count: int | None, name: str) -> int | None:
    from chain.store import least_kept

    least = least_kept(current.home.genesis().parameters)
    if count is not None and count < least:
        raise Malformed(
            f"{name}: this network needs the last {least} blocks, for proofs of what is under way"
        )
    return count


def tend(node: "Reader", current: Session) -> None:
    """Have a node keep and offer what this home's settings say."""
    from chain.sync.snapshot_store import SnapshotStore

    node.keep_blocks = kept(current)
    if current.settings.chain.snapshots:
        node.snapshots = SnapshotStore(current.home.snapshots, node.genesis.network)


def prune(
    context: typer.Context,
    keep: Annotated[int, typer.Option(help="How many of the last blocks to keep.", min=1)],
    json: JsonFlag = False,
) -> None:
    """Drop what old blocks held, and give the room back. The node may go on running."""
    from chain.store import ChainStore

    current = session(context)
    path, agreed = current.home.chain, current.home.genesis()
    _enough(current, keep, "--keep")
    if not path.exists():
        raise NotFound(f"{path} is missing: this home has run no node yet")

    async def main() -> tuple[int, int, int | None]:
        store = await ChainStore.open(path, agreed)
        try:
            height = await store.height() or 0
            return await store.prune(height - keep + 1), height, await store.lowest()
        finally:
            await store.close()

    before = path.stat().st_size
    taken, height, lowest = asyncio.run(main())
    freed = max(before - path.stat().st_size, 0)
    if json:
        found = {"pruned_blocks": taken, "height": height, "lowest": lowest, "freed_bytes": freed}
        print_json(found)
    elif lowest is None:
        out.print("there is no block here yet")
    else:
        out.print(f"dropped {taken} blocks and freed {freed} bytes; {lowest} to {height} are kept")
