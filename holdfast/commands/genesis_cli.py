"""`holdfast chain offer` and `chain genesis`: validators say who they are, and a network begins."""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table as Grid

from chain.challenges.bands import Band
from chain.endpoint import Endpoint
from chain.genesis import Genesis, GenesisBalance, GenesisValidator, Parameters
from holdfast.cli import JsonFlag, Session, session
from holdfast.home import GENESIS_NAME
from holdfast.output import err, out, print_json
from holdfast.plain import one_line
from wire.codec import decode, encode
from wire.errors import Malformed, Unavailable
from wire.keys import KeyPair, Use
from wire.zbase32 import encode as key_text
from wire.zbase32 import parse_key

DEFAULT_SUPPLY_BASE = 10**15
DEFAULT_NAME = "holdfast"
MIN_INTERVAL_MS = 50
LOOPBACK = ("127.0.0.1", "::1", "localhost")
OFFER_NAME = "validator.offer"
MAX_OFFER_BYTES = 4_096

Stake = Annotated[
    int | None,
    typer.Option(min=1, help="Base units at stake from the beginning. Default: the least."),
]

T = TypeVar("T")


def add_to(chain: typer.Typer) -> None:
    """Hang these commands into `holdfast chain`."""
    chain.command()(offer)
    chain.command()(genesis)


def offer(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(OFFER_NAME),
    stake: Stake = None,
    json: JsonFlag = False,
) -> None:
    """Write what others need to make a network with this home as a validator: nothing secret.

    Others reach it at `chain.gossip` of its settings, so set that first.
    """
    made = own_offer(session(context), stake)
    try:
        file.write_bytes(encode(made))
    except OSError as error:
        raise Unavailable(f"cannot write {file}: {error.strerror}") from None
    if json:
        print_json({"file": str(file), **made.model_dump(mode="json")})
        return
    out.print(validator_table([made]))
    if made.endpoint.host in LOOPBACK:
        err.print(
            f"validators on other machines cannot reach {made.endpoint.host}: for those set "
            f"chain.gossip.host and chain.gossip.public_host in {session(context).home.path}"
            "/holdfast.toml first"
        )
    out.print(f"give [bold]{file}[/] to whoever runs `holdfast chain genesis --validator {file}`")


def genesis(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Option(help=f"What the network is called. Default: {DEFAULT_NAME}.")
    ] = None,
    validator: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A validator's file from `chain offer`; repeat. Default: this home alone.",
        ),
    ] = None,
    stake: Stake = None,
    balance: Annotated[
        list[str] | None,
        typer.Option(help="ACCOUNT=AMOUNT in base units; repeat. Default: all to this home."),
    ] = None,
    block_interval_ms: Annotated[
        int | None, typer.Option(min=MIN_INTERVAL_MS, help="Time between blocks. Default: 2000.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of any other parameter; repeat.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Make a network. On a terminal and with no flags it asks."""
    current = session(context)
    current.home.seed()
    if (current.home.path / GENESIS_NAME).exists():
        raise Unavailable(f"{current.home.path} belongs to a network: use another --home")
    flags = (name, validator, stake, balance, block_interval_ms, parameter)
    if all(flag is None for flag in flags) and not json and sys.stdin.isatty():
        made = _ask(current)
    else:
        chosen = {} if block_interval_ms is None else {"block_interval_ms": block_interval_ms}
        if stake is not None and validator:
            raise Malformed("--stake is for a network of this home alone: offers have their own")
        parameters = parameters_of(chosen, parameter or [])
        made = _made(
            current,
            DEFAULT_NAME if name is None else name,
            parameters,
            [read_offer(path) for path in validator or []]
            or [own_offer(current, stake, parameters)],
            [_balance(text) for text in balance or []],
        )
    current.home.write_genesis(made)
    path = current.home.path / GENESIS_NAME
    if json:
        print_json(
            {
                "network": made.network.hex(),
                "genesis": str(path),
                "validators": [each.model_dump(mode="json") for each in made.validators],
            }
        )
        return
    _show(current, made)
    out.print(f"network {made.network.hex()}")
    out.print(f"give others [bold]{path}[/]: they join with `holdfast init --genesis`")


def own_offer(
    current: Session, stake_base: int | None, parameters: Parameters | None = None
) -> GenesisValidator:
    """This home as a validator of a network that is being made."""
    seed = current.home.seed()
    parameters = parameters or Parameters()
    return _valid(
        "chain.gossip",
        lambda: GenesisValidator(
            account=current.home.account(),
            key=KeyPair.derive(seed, Use.VALIDATOR).public,
            vrf_key=KeyPair.derive(seed, Use.VRF).public,
            endpoint=own_endpoint(current),
            stake_base=stake_base or parameters.validator_stake_base,
        ),
    )


def own_endpoint(current: Session) -> Endpoint:
    """Where other validators find this home's; raises `Malformed` where they could not."""
    gossip = current.settings.chain.gossip
    host = gossip.public_host or gossip.host
    if not gossip.port or host in ("0.0.0.0", "::"):  # noqa: S104 - what nobody can connect to
        raise Malformed(
            "others must know where to find this validator: set chain.gossip.port, and "
            f"chain.gossip.public_host, in {current.home.path / 'holdfast.toml'}"
        )
    swarm_key = KeyPair.derive(current.home.seed(), Use.SWARM).public
    return _valid(
        "chain.gossip", lambda: Endpoint(host=host, port=gossip.port, swarm_key=swarm_key)
    )


def read_offer(path: Path) -> GenesisValidator:
    """A validator from its file; raises `Malformed` naming the file."""
    try:
        with path.open("rb") as file:
            found: GenesisValidator = decode(GenesisValidator, file.read(MAX_OFFER_BYTES))
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from None
    except Malformed as error:
        raise Malformed(
            f"{path} is no validator's offer ({error}): it is made with `holdfast chain offer`"
        ) from None
    return found


def _made(
    current: Session,
    name: str,
    parameters: Parameters,
    validators: list[GenesisValidator],
    balances: list[GenesisBalance],
) -> Genesis:
    account = current.home.account()
    everything = [GenesisBalance(account=account, balance_base=DEFAULT_SUPPLY_BASE)]
    return _valid(
        "the network",
        lambda: Genesis(
            name=name,
            time_ms=time.time_ns() // 1_000_000,
            parameters=parameters,
            validators=tuple(validators),
            balances=tuple(balances or everything),
        ),
    )


def _valid(what: str, make: Callable[[], T]) -> T:
    """What `make` makes; pydantic's complaint as one line."""
    try:
        return make()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"{what} {'.'.join(str(part) for part in first['loc'])}".strip()
        raise Malformed(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def _balance(text: str) -> GenesisBalance:
    account, _, amount = text.partition("=")
    if not amount.isdigit() or not int(amount):
        raise Malformed(f"--balance takes ACCOUNT=AMOUNT, not {text!r}")
    return GenesisBalance(account=parse_key(account), balance_base=int(amount))


def parameters_of(base: dict[str, int], texts: list[str]) -> Parameters:
    """The parameters of a new network, from NAME=VALUE."""
    chosen: dict[str, Any] = dict(base)
    for text in texts:
        name, _, value = text.partition("=")
        if name in BANDS:
            chosen[name] = _bands(text, value)
        elif name in Parameters.model_fields and value.isdigit():
            chosen[name] = int(value)
        else:
            raise Malformed(
                f"--parameter takes NAME=NUMBER, not {text!r}; names: "
                + ", ".join(Parameters.model_fields)
            )
    return _valid("--parameter", lambda: Parameters(**chosen))


BANDS = ("score_bands", "speed_bands")
"""Parameters that are a list: `LEAST:PAY,LEAST:PAY`, in ppm."""


def _bands(text: str, value: str) -> tuple[Band, ...]:
    edges = [edge.split(":") for edge in value.split(",")]
    if not all(len(edge) == 2 and all(part.isdigit() for part in edge) for edge in edges):
        raise Malformed(
            f"--parameter takes bands as LEAST:PAY,LEAST:PAY in ppm, best first, not {text!r}"
        )
    return _valid(
        "--parameter",
        lambda: tuple(Band(least_ppm=int(least), pay_ppm=int(pay)) for least, pay in edges),
    )


# the wizard


def _ask(current: Session) -> Genesis:
    """The same by questions; nothing is written before the last one is answered."""
    err.print("A new network. Empty answers take what is in brackets.")
    name: str = typer.prompt("Name", default=DEFAULT_NAME, err=True)
    err.print(
        "Each validator makes a file with `holdfast chain offer`. Name them one by one; none: "
        "this home is the one validator."
    )
    validators: list[GenesisValidator] = []
    while path := typer.prompt("Validator's file", default="", show_default=False, err=True):
        if (found := _again(partial(read_offer, Path(path)))) is not None:
            validators.append(found)
    parameters = None
    while parameters is None:
        interval = typer.prompt("Milliseconds between blocks", default=2_000, type=int, err=True)
        parameters = _again(partial(_with_interval, interval))
    coins = typer.prompt(
        "Coins of this home's account, in base units",
        default=DEFAULT_SUPPLY_BASE,
        type=int,
        err=True,
    )
    account = current.home.account()
    made = _made(
        current,
        name,
        parameters,
        validators or [own_offer(current, None, parameters)],
        [_balance(f"{key_text(account)}={coins}")],
    )
    err.print(validator_table(list(made.validators)))
    if not typer.confirm("Make this network?", default=True, err=True):
        raise typer.Abort
    return made


def _with_interval(interval_ms: int) -> Parameters:
    if interval_ms < MIN_INTERVAL_MS:
        raise Malformed(f"at least {MIN_INTERVAL_MS} ms")
    return parameters_of({"block_interval_ms": interval_ms}, [])


def _again(work: Callable[[], T]) -> T | None:
    """What `work` gives, or None after telling why it cannot: the question is asked again."""
    try:
        return work()
    except (Malformed, Unavailable) as error:
        err.print(f"[red]{escape(one_line(str(error)))}[/]")
        return None


# for people


def _show(current: Session, made: Genesis) -> None:
    count = len(made.validators)
    out.print(validator_table(list(made.validators)))
    quorum = made.first_set.quorum
    out.print(
        f"{count} validators; {quorum} votes make a block final, so {count - quorum} may fail"
        if count > 1
        else "one validator: while it is down, nothing is written"
    )
    account = current.home.account()
    if account not in {each.account for each in made.validators}:
        out.print("this home is not among them")


def validator_table(validators: list[GenesisValidator]) -> Grid:
    """Validators of a genesis, one a line."""
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    grid.add_column("account")
    grid.add_column("stake", justify="right")
    grid.add_column("address")
    for each in validators:
        at = each.endpoint
        grid.add_row(
            key_text(each.account), str(each.stake_base), escape(one_line(f"{at.host}:{at.port}"))
        )
    return grid
