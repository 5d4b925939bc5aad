"""`holdfast chain follow`: a node without a vote, for readers and for those who verify."""

import asyncio
from typing import Annotated

import typer

from holdfast.cli import session


def add_to(chain: typer.Typer) -> None:
    """Hang these commands into `holdfast chain`."""
    chain.command()(follow)


def follow(
    context: typer.Context,
    peers: Annotated[
        list[str] | None,
        typer.Option(
            "--from", help="URL of a node to follow; repeat. Default: chain.url.", metavar="URL"
        ),
    ] = None,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT of the HTTP API.", metavar="HOST:PORT")
    ] = None,
) -> None:
    """Keep a copy of the chain, checked block by block, and serve it until stopped."""
    from chain.follower_node import Follower
    from chain.server import bind, run_node
    from holdfast.chain_cli import endpoint
    from holdfast.daemon import run_daemon

    current = session(context)
    agreed = current.home.genesis()
    urls = peers or [current.settings.chain.url]
    host, port = endpoint(listen, current.settings.chain.listen)

    async def main(_: asyncio.Event) -> None:
        with bind(host, port) as listener:
            node = await Follower.open(agreed, current.home.chain, urls)
            await run_node(node, listener)

    run_daemon(main)
