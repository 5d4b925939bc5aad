"""`holdfast chain`: make a network, run a validator, look at the chain."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from chain.endpoint import Endpoint
from chain.genesis import Genesis, GenesisBalance, GenesisValidator, Parameters
from holdfast.cli import JsonFlag, Session, session
from holdfast.output import Exit, out, print_json
from holdfast.reading import read_json
from wire.errors import Malformed, Unavailable
from wire.keys import KeyPair, Use
from wire.zbase32 import parse_key

chain = typer.Typer(no_args_is_help=True, help="Make a network, run a validator, look at it.")

DEFAULT_SUPPLY_BASE = 10**15


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    app.add_typer(chain, name="chain")
    app.command()(status)


@chain.command()
def genesis(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What the network is called.")] = "holdfast",
    balance: Annotated[
        list[str] | None,
        typer.Option(help="ACCOUNT=AMOUNT in base units; repeat. Default: all to this home."),
    ] = None,
    block_interval_ms: Annotated[int, typer.Option(min=50)] = 2_000,
    parameter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of any other parameter; repeat.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Make a network whose one validator is this home."""
    home = session(context).home
    seed = home.seed()
    account = KeyPair.derive(seed, Use.ACCOUNT).public
    balances = [_balance(text) for text in balance or []] or [
        GenesisBalance(account=account, balance_base=DEFAULT_SUPPLY_BASE)
    ]
    made = Genesis(
        name=name,
        time_ms=time.time_ns() // 1_000_000,
        parameters=_parameters({"block_interval_ms": block_interval_ms}, parameter or []),
        validators=(
            GenesisValidator(
                account=account,
                key=KeyPair.derive(seed, Use.VALIDATOR).public,
                vrf_key=KeyPair.derive(seed, Use.VRF).public,
                endpoint=Endpoint(
                    host=session(context).settings.chain.gossip.host,
                    port=session(context).settings.chain.gossip.port,
                    swarm_key=KeyPair.derive(seed, Use.SWARM).public,
                ),
                stake_base=1_000_000,
            ),
        ),
        balances=tuple(balances),
    )
    home.write_genesis(made)
    path = home.path / "genesis.cbor"
    if json:
        print_json({"network": made.network.hex(), "genesis": str(path)})
    else:
        out.print(f"network {made.network.hex()}")
        out.print(f"give others [bold]{path}[/]: they join with `holdfast init --genesis`")


def _balance(text: str) -> GenesisBalance:
    account, _, amount = text.partition("=")
    if not amount.isdigit() or not int(amount):
        raise Malformed(f"--balance takes ACCOUNT=AMOUNT, not {text!r}")
    return GenesisBalance(account=parse_key(account), balance_base=int(amount))


def _parameters(base: dict[str, int], texts: list[str]) -> Parameters:
    chosen = dict(base)
    for text in texts:
        name, _, value = text.partition("=")
        if name not in Parameters.model_fields or not value.isdigit():
            raise Malformed(
                f"--parameter takes NAME=NUMBER, not {text!r}; names: "
                + ", ".join(Parameters.model_fields)
            )
        chosen[name] = int(value)
    try:
        return Parameters(**chosen)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise Malformed(f"--parameter {name}: {first['msg']}".replace(" :", ":")) from None


@chain.command(name="run")
def run_chain(
    context: typer.Context,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT of the HTTP API.", metavar="HOST:PORT")
    ] = None,
) -> None:
    """Run this home's validator until it is stopped."""
    from chain.node import Node
    from chain.server import bind, run_node
    from holdfast.daemon import run_daemon

    current = session(context)
    seed, agreed = current.home.seed(), current.home.genesis()
    host, port = endpoint(listen, current.settings.chain.listen)
    path: Path = current.home.chain

    async def main(_: asyncio.Event) -> None:
        listener = bind(host, port)
        with listener:
            node = await Node.open(agreed, seed, path)
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
def account(context: typer.Context, key: str, json: JsonFlag = False) -> None:
    """Show an account's balance."""
    parse_key(key)
    found = read_json(session(context), f"/accounts/{key}")
    if json:
        print_json(found)
    else:
        out.print(f"balance {found['balance_base']} base units, next nonce {found['nonce']}")


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
    for name, value in found.items():
        out.print(f"{name.replace('_', ' '):22} {value}")
    return Exit.OK
