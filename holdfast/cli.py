"""The `holdfast` command: global flags, and the commands that belong to no role.

Each group of commands has a file in `commands/`. `run` turns every expected error into one line
and an exit code.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from holdfast import __version__
from holdfast.home import Home, read_genesis
from holdfast.logs import set_up
from holdfast.output import Exit, err, out, print_error, print_json
from holdfast.settings import Settings, default_home, load_settings
from wire.errors import HoldfastError, Unavailable
from wire.keys import KeyPair, Use
from wire.zbase32 import encode

app = typer.Typer(
    name="holdfast",
    help="Host data feeds, check that they are hosted, and see who really does.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(frozen=True, slots=True)
class Session:
    """What the global flags say."""

    home: Home
    json: bool
    settings: Settings
    again: bool = False
    """Whether to send once more what an interrupted command has sent."""
    when_told: list[Callable[[], None]] = field(default_factory=list)
    """To be done when the person has read what the command printed."""


JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


@app.callback()
def main(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="Seed, genesis, settings and databases.", envvar="HOLDFAST_HOME"),
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    fee_limit: Annotated[
        int | None,
        typer.Option(min=0, metavar="BASE", help="Most to offer for what is sent, if need be."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Send even what an interrupted command has sent.")
    ] = False,
) -> None:
    """Global flags come before the command."""
    place = Home(home or default_home())
    flags: dict[str, Any] = {} if log_level is None else {"log": {"level": log_level}}
    if fee_limit is not None:
        flags["chain"] = {"fee_limit_base": fee_limit}
    settings = load_settings(place.path, **flags)
    set_up(settings.log.level, settings.log.format)
    context.obj = Session(place, False, settings, again, [] if context.obj is None else context.obj)


def session(context: typer.Context) -> Session:
    """The global flags of this call."""
    found = context.find_root().obj
    assert isinstance(found, Session)
    return found


@app.command()
def init(
    context: typer.Context,
    genesis: Annotated[
        Path | None, typer.Option(help="Genesis file of the network to join.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Make a home: a new master seed, and the network it belongs to."""
    home = session(context).home
    agreed = None
    if genesis is not None:
        try:
            agreed = read_genesis(genesis.read_bytes(), genesis)
        except OSError as error:
            raise Unavailable(f"cannot read {genesis}: {error.strerror}") from None
    made = home.create()
    if agreed is not None:
        home.write_genesis(agreed)
    account = encode(home.account())
    if json:
        print_json({"home": str(home.path), "created": made, "account": account})
        return
    out.print(f"{'made' if made else 'kept'} [bold]{home.path}[/]")
    out.print(f"account {account}")
    if made:
        err.print(
            f"Back up {home.path / 'seed'}: whoever has it has your coins, and nobody can "
            "restore it."
        )


@app.command(name="id")
def show_id(context: typer.Context, json: JsonFlag = False) -> None:
    """Show this home's public keys."""
    home = session(context).home
    seed = home.seed()
    keys = {"account": encode(home.account())}
    signer = KeyPair.derive(seed, Use.ACCOUNT).public
    if signer != home.account():
        keys["signer"] = encode(signer)
    for use in (Use.SWARM, Use.RECEIPT, Use.VRF, Use.VALIDATOR):
        keys[use.value] = encode(KeyPair.derive(seed, use).public)
    if json:
        print_json(keys)
        return
    for name, key in keys.items():
        out.print(f"{name:10} {key}")


@app.command()
def version(json: JsonFlag = False) -> None:
    """Show the version."""
    if json:
        print_json({"version": __version__})
    else:
        out.print(f"holdfast {__version__}")


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; never a traceback for what a user or a peer can cause."""
    when_told: list[Callable[[], None]] = []
    try:
        result = app(arguments, standalone_mode=False, obj=when_told)
        sys.stdout.flush()
        for done in when_told:
            done()
    except HoldfastError as error:
        return print_error(error)
    except typer.TyperException as error:
        err.print(f"[bold red]usage:[/] {escape(error.format_message())} See --help.")
        return Exit.USAGE
    except typer.Exit as done:
        return done.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return Exit.OK
    return result if isinstance(result, int) else Exit.OK
