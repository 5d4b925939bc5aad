"""`holdfast chain`: make a network, run a validator, look at the chain."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from holdfast.cli import JsonFlag, Session, session
from holdfast.commands import follow_cli, genesis_cli, proof_cli, validator_cli
from holdfast.output import Exit, out, print_json
from holdfast.reading import read_json
from wire.errors import Malformed, NotFound, Unavailable

chain = typer.Typer(no_args_is_help=True, help="Make a network, run a validator, look at it.")


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    for group in (genesis_cli, validator_cli, proof_cli, follow_cli):
        group.add_to(chain)
    app.add_typer(chain, name="chain")
    app.command()(status)


@chain.command(name="run")
def run_chain(
    context: typer.Context,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT of the HTTP API.", metavar="HOST:PORT")
    ] = None,
) -> None:
    """Run this home's validator until it is stopped."""
    from chain.node.server import bind, run_node
    from chain.node.validator_node import Node, Place
    from holdfast.daemon import run_daemon

    current = session(context)
    host, port = endpoint(listen, current.settings.chain.listen)
    home, gossip = current.home, current.settings.chain.gossip
    seed, agreed = home.seed(), home.genesis()
    place = Place(home.chain, home.votes, gossip.host, gossip.port)
    follow_cli.kept(current)

    async def main(_: asyncio.Event) -> None:
        listener = bind(host, port)
        with listener:
            node = await Node.open(agreed, seed, place, home.account())
            follow_cli.tend(node, current)
            await run_node(node, listener)

    run_daemon(main)


def endpoint(flag: str | None, section: Any) -> tuple[str, int]:
    """HOST:PORT from a flag, or from the settings."""
    if flag is None:
        return section.host, section.port
    host, separator, port = flag.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise Malformed(f"an address is HOST:PORT, not {flag!r}")
    return host.strip("[]"), int(port)


@chain.command()
def tip(context: typer.Context, json: JsonFlag = False) -> None:
    """Show the newest block."""
    current = session(context)
    height = read_json(current, "/status")["height"]
    _show_block(current, height, json)


@chain.command()
def block(context: typer.Context, height: int, json: JsonFlag = False) -> None:
    """Show one block."""
    _show_block(session(context), height, json)


def _show_block(current: Session, height: int, json: bool) -> None:
    found = read_json(current, f"/blocks/{height}")
    if json:
        print_json(found)
        return
    header = found["header"]
    out.print(f"height {header['height']}   id {found['id']}")
    out.print(f"parent {header['parent']}")
    out.print(f"state  {header['state_root']}")
    for transaction in found["transactions"]:
        verdict = transaction["reason"] or "ok"
        out.print(f"  {transaction['kind']:14} {transaction['id'][:16]}…  {verdict}")


@chain.command()
def replay(context: typer.Context, json: JsonFlag = False) -> None:
    """Execute this home's chain again from its genesis; compare every root and certificate.

    The node may go on running. Exit code 1 when anything is not as stored.
    """
    from chain.sync.replay_service import replay as replay_chain
    from holdfast.progress import steps

    home = session(context).home
    agreed = home.genesis()
    if not home.chain.exists():
        raise NotFound(f"{home.chain} is missing: this home has run no node yet")
    with steps() as tell:
        found = asyncio.run(
            replay_chain(agreed, home.chain, lambda done, of: tell("replaying", done, of))
        )
    if json:
        print_json({**asdict(found), "state_root": found.state_root.hex()})
        return
    out.print(
        f"replayed {found.height} blocks with {found.transactions} transactions in "
        f"{found.terms} terms, and {found.certificates} certificates: all is as stored"
    )
    out.print(f"state {found.state_root.hex()}, {found.records} records")


def status(context: typer.Context, json: JsonFlag = False) -> int:
    """Show the network at a glance; exit code 4 when no node answers."""
    current = session(context)
    try:
        found = read_json(current, "/status")
    except Unavailable as error:
        if json:
            print_json({"healthy": False, "reason": str(error)})
        else:
            out.print(f"[red]unhealthy[/]: {error}")
        return Exit.UNHEALTHY
    if json:
        print_json({"healthy": True, **found})
        return Exit.OK
    for name, value in _flat(found):
        out.print(f"{name.replace('_', ' '):22} {value}")
    return Exit.OK


def _flat(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of a document; those of documents in it stand beside them."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat({f"{name} {inner}": each for inner, each in value.items()})
        else:
            yield name, value
