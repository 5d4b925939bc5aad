"""What becomes of a plan once it is ordered: show it, add to it, pause, resume and end it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.records import ContractRecord, PlanRecord, Table
from chain.sponsors import parts
from holdfast.cli import JsonFlag, session
from holdfast.following import with_chain, with_wallet
from holdfast.output import out, print_json
from wire import zbase32
from wire.errors import Malformed

plan = typer.Typer(no_args_is_help=True, help="Order the hosting of feeds.")

PlanId = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id.")]


@plan.command(name="list")
def list_plans(context: typer.Context, feed: str, json: JsonFlag = False) -> None:
    """Show a feed's plans and who serves them."""
    from holdfast.reading import read_json

    zbase32.parse_key(feed)
    found = read_json(session(context), f"/feeds/{feed}")["plans"]
    if json:
        print_json(found)
        return
    for each in found:
        out.print(
            f"plan {each['plan']}  {each['status']}, {each['replicas']} replicas, "
            f"{each['escrow_base']} base units left"
        )
        for contract in each["contracts"]:
            _print_contract(contract)


@plan.command(name="show")
def show_plan(context: typer.Context, plan_id: PlanId, json: JsonFlag = False) -> None:
    """Show a plan, proven by the chain: its status, who serves it, and who paid for it."""
    name = parse_plan(plan_id)

    async def read(chain: ChainClient) -> tuple[PlanRecord, list[ContractRecord]]:
        found = await chain.need(PlanRecord, Table.PLAN, name)
        return found, await chain.records(ContractRecord, Table.CONTRACT, found.contracts)

    found, contracts = with_chain(session(context), read)
    unspent = parts(found.escrow_base, found.sponsors)
    document = found.model_dump(mode="json") | {
        "contracts": [contract.model_dump(mode="json") for contract in contracts],
        "sponsors": [
            {"account": zbase32.encode(sponsor.account), "unspent_base": part}
            for sponsor, part in zip(found.sponsors, unspent, strict=True)
        ],
    }
    if json:
        print_json(document)
        return
    out.print(f"plan {found.plan.hex()}  {status_text(found)}")
    out.print(f"  for feed {document['feed']}")
    out.print(f"  {found.replicas} replicas at {found.price_base} base units an epoch each")
    for sponsor in document["sponsors"]:
        role = "owner" if sponsor["account"] == document["owner"] else "sponsor"
        out.print(f"  {role:9} {sponsor['account']}  {sponsor['unspent_base']} base units unspent")
    for contract in document["contracts"]:
        _print_contract(contract)


@plan.command(name="topup")
def top_up_plan(
    context: typer.Context,
    plan_id: PlanId,
    epochs: Annotated[int, typer.Option(min=1, max=1_000_000, help="More, for each replica.")],
    json: JsonFlag = False,
) -> None:
    """Pay for more epochs of a plan, your own or another's; what is unspent returns in the end."""
    found = _change(context, plan_id, lambda owner, name: owner.top_up(name, epochs))
    paid = found.price_base * found.replicas * epochs
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        out.print(
            f"paid {paid} base units for {epochs} more epochs of {found.replicas} replicas; "
            f"{found.escrow_base} are in the plan"
        )


@plan.command(name="pause")
def pause_plan(context: typer.Context, plan_id: PlanId, json: JsonFlag = False) -> None:
    """Have a plan rest: from the next line-up on its hosters are neither audited nor paid."""
    found = _change(context, plan_id, lambda owner, name: owner.pause(name))
    print_json(found.model_dump(mode="json")) if json else out.print(status_text(found))


@plan.command(name="resume")
def resume_plan(context: typer.Context, plan_id: PlanId, json: JsonFlag = False) -> None:
    """Have a paused plan go on."""
    found = _change(context, plan_id, lambda owner, name: owner.resume(name))
    print_json(found.model_dump(mode="json")) if json else out.print(status_text(found))


@plan.command(name="cancel")
def cancel_plan(context: typer.Context, plan_id: PlanId, json: JsonFlag = False) -> None:
    """End a plan early: running contracts after the present audit; what is unspent returns."""
    found = _change(context, plan_id, lambda owner, name: owner.cancel(name))
    if json:
        print_json(found.model_dump(mode="json"))
    elif found.status == "ended":
        out.print("the plan has ended, and what was unspent has returned")
    else:
        out.print(
            f"no hoster is sought any more; the plan ends at height {found.ends_at} at the latest, "
            f"and what is left of {found.escrow_base} base units returns then"
        )


def parse_plan(text: str) -> bytes:
    """A plan's id as it is typed, or `Malformed`."""
    try:
        name = bytes.fromhex(text)
    except ValueError:
        name = b""
    if len(name) != 32:
        raise Malformed(f"a plan's id has 64 hexadecimal digits, not {text!r}")
    return name


def status_text(found: PlanRecord) -> str:
    """A plan's status for people, with what follows from it."""
    if found.status == "waiting":
        return f"waiting: it begins at height {found.start_height}"
    if found.status == "paused":
        return f"paused: it ends at height {found.ends_at} unless it is resumed before"
    if found.status == "ending":
        return f"ending: at height {found.ends_at} at the latest"
    return found.status


def _change(
    context: typer.Context, plan_id: str, change: Callable[[Any, bytes], Awaitable[PlanRecord]]
) -> PlanRecord:
    """Have this home's owner do something to a plan; the plan afterwards."""
    from owner.service import Owner

    name, current = parse_plan(plan_id), session(context)
    seed = current.home.seed()

    async def apply(chain: ChainClient, wallet: Wallet) -> PlanRecord:
        return await change(Owner(chain, seed, wallet), name)

    return with_wallet(current, apply)


def _print_contract(contract: dict[str, Any]) -> None:
    leaving = contract["status"] == "active" and contract["leaving"]
    owes = contract["warned"] or contract["asked"]
    out.print(
        f"  {'leaving' if leaving else contract['status']:9} {contract['hoster']}  "
        f"{contract['epochs_left']} epochs left, earned {contract['earned_base']}"
        + (", asked for chunks on the chain" if owes else "")
    )
