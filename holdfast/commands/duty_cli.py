"""`holdfast ask`, and what a hoster owes: `holdfast host status` and `maintenance`."""

from typing import Annotated, Any

import typer

from chain.genesis import Parameters
from chain.hosting_records import Absence, DataRequest
from holdfast.cli import JsonFlag, session
from holdfast.following import with_chain, with_wallet
from holdfast.output import Exit, out, print_json
from wire import zbase32
from wire.errors import Malformed


def add_to(app: typer.Typer, host: typer.Typer) -> None:
    """Hang these commands into the application, and into `holdfast host`."""
    app.command()(ask)
    host.command(name="status")(status)
    host.command(name="maintenance")(maintenance)


def parse_contract(text: str) -> bytes:
    """A contract's or request's id as it is typed, or `Malformed`."""
    try:
        name = bytes.fromhex(text)
    except ValueError:
        name = b""
    if len(name) != 32:
        raise Malformed(f"an id has 64 hexadecimal digits, not {text!r}")
    return name


def ask(
    context: typer.Context,
    contract: Annotated[str, typer.Argument(help="A contract's id, as `plan show --json` has it.")],
    chunk: Annotated[
        list[int] | None, typer.Option(min=0, help="Which chunk, up to four times; or any.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is answered or over.")] = False,
    json: JsonFlag = False,
) -> int:
    """Have a hoster show chunks on the chain, or lose the contract; the bond is its, if it does.

    With --wait the exit code is 1 when the hoster has not shown them.
    """
    from chain.bodies.data import MAX_ASKED
    from chain.client.light_client import ChainClient
    from chain.client.wallet_client import Wallet
    from owner.ask_service import ask as send
    from owner.ask_service import until_over

    name, chunks = parse_contract(contract), chunk or []
    if len({*chunks}) > MAX_ASKED:
        raise Malformed(f"{len({*chunks})} chunks: one request names {MAX_ASKED} at most")
    current = session(context)

    async def work(chain: ChainClient, wallet: Wallet) -> tuple[DataRequest, int]:
        request, bond = await send(chain, wallet, name, chunks)
        if not json:
            out.print(f"request {request.request.hex()}, bond {bond} base units")
            out.print(f"  {_chunks(request)} are to be shown by height {request.deadline}")
        if wait:
            request = await until_over(chain, request.request)
        return request, bond

    request, bond = with_wallet(current, work)
    if json:
        print_json(request.model_dump(mode="json") | {"bond_left_base": bond})
    elif wait:
        out.print(f"  {OVER[request.status]}")
    return Exit.FAILED if wait and request.status == "unanswered" else Exit.OK


OVER = {
    "answered": "shown; the bond is the hoster's",
    "unanswered": "not shown: the hoster has lost its collateral and the contract",
    "void": "the contract ended meanwhile; the bond has returned",
}


def status(context: typer.Context, json: JsonFlag = False) -> None:
    """Show this home's contracts, what it must show on the chain, and when it will be away."""
    from hoster.duty_service import duties_of

    current = session(context)
    account, parameters = current.home.account(), current.home.genesis().parameters
    found = with_chain(current, lambda chain: duties_of(chain, account))
    if json:
        print_json(
            {
                "height": found.height,
                "contracts": [each.model_dump(mode="json") for each in found.contracts],
                "requests": [each.model_dump(mode="json") for each in found.requests],
                "absences": [each.model_dump(mode="json") for each in found.absences],
                "balance_base": found.balance_base,
                "largest_answer_fees_base": found.fees_base,
            }
        )
        return
    out.print(f"height {found.height}, {len(found.contracts)} contracts open")
    for one in found.contracts:
        state = "leaving" if one.leaving else one.status
        out.print(f"  {one.contract.hex()}  {state}, {one.epochs_left} epochs left")
        out.print(f"    feed {zbase32.encode(one.feed)}")
    for request in found.requests:
        left_s = (request.deadline - found.height) * parameters.block_interval_ms // 1_000
        by = (
            f"by height {request.deadline} (about {left_s} s)"
            if request.status == "open"
            else "soon"
        )
        who = "somebody asks" if request.asker else "[red]warning[/]: an audit found too little"
        out.print(f"{who}: {_chunks(request)} of {request.contract.hex()[:16]}… are due {by};")
        out.print(f"  not shown, {parameters.contract_collateral_base} base units are lost")
    for absence in found.absences:
        _print_absence(absence, found.height, parameters)
    if found.balance_base < found.fees_base:
        out.print(
            f"[red]too few coins[/]: to show chunks on the chain can cost {found.fees_base} base "
            f"units, and there are {found.balance_base}"
        )


def maintenance(
    context: typer.Context,
    duration: Annotated[
        str | None,
        typer.Argument(metavar="[20m]", help="How long; none: show what is announced."),
    ] = None,
    from_height: Annotated[
        int, typer.Option(min=0, help="When it begins; 0: as soon as it may.")
    ] = 0,
    json: JsonFlag = False,
) -> None:
    """Announce that this hoster will be away: what fails meanwhile is not held against it."""
    from chain.client.light_client import ChainClient
    from chain.client.wallet_client import Wallet
    from hoster.duty_service import announce, duties_of

    current = session(context)
    account = current.home.account()
    parameters = current.home.genesis().parameters
    blocks = None if duration is None else blocks_of(duration, parameters.block_interval_ms)

    async def read(chain: ChainClient) -> tuple[int, tuple[Absence, ...]]:
        found = await duties_of(chain, account)
        return found.height, found.absences

    async def work(chain: ChainClient, wallet: Wallet) -> tuple[int, tuple[Absence, ...]]:
        assert blocks is not None
        await announce(chain, wallet, blocks, from_height)
        return await read(chain)

    height, absences = with_chain(current, read) if blocks is None else with_wallet(current, work)
    if json:
        print_json([each.model_dump(mode="json") for each in absences])
    elif not absences:
        out.print("no absence is announced")
    for absence in () if json else absences:
        _print_absence(absence, height, parameters)


def blocks_of(text: str, interval_ms: int) -> int:
    """A duration such as `90s`, `20m` or `1h` in blocks, rounded up, or `Malformed`."""
    number, unit = text[:-1], {"s": 1_000, "m": 60_000, "h": 3_600_000}.get(text[-1:])
    if unit is None or not number.isdecimal() or len(number) > 6 or not int(number):
        raise Malformed(f"a duration is a number and s, m or h, such as 20m, not {text!r}")
    return -(-int(number) * unit // interval_ms)


def _print_absence(absence: Absence, height: int, parameters: Parameters) -> None:
    if absence.from_height <= height:
        begins = "now"
    else:
        seconds = (absence.from_height - height) * parameters.block_interval_ms // 1_000
        begins = f"in about {seconds // 60} min" if seconds >= 120 else f"in about {seconds} s"
    blocks = absence.until_height - absence.from_height
    out.print(
        f"away {begins}: from height {absence.from_height} to {absence.until_height}, "
        f"{blocks * parameters.block_interval_ms // 1_000} s"
    )


def _chunks(request: DataRequest) -> str:
    left: tuple[Any, ...] = request.left
    return f"chunk{'s' if len(left) > 1 else ''} {', '.join(map(str, left))}"
