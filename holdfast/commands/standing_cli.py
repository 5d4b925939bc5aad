"""`holdfast attest status` and `host score`: how one stands, before it costs anything."""

from typing import Annotated, Any

import typer

from chain.challenge_records import Availability, VerdictRecord
from chain.challenges import bands, verdicts
from chain.client.light_client import ChainClient
from chain.genesis import Parameters
from chain.records import (
    ContractRecord,
    Desk,
    PlanRecord,
    Registration,
    Roster,
    RosterName,
    StakeRecord,
    Table,
    stake_key,
)
from chain.standing import Standing
from holdfast.cli import JsonFlag, Session, session
from holdfast.following import with_chain
from holdfast.output import out, ppm_text, print_json, time_text
from holdfast.pages.verdict_page import COLOURS
from wire.errors import NotFound
from wire.keys import KeyPair, Use
from wire.zbase32 import encode, parse_key

AccountArgument = Annotated[
    str | None, typer.Argument(metavar="[ACCOUNT]", help="Default: this home's.")
]

STATES = {"good": "green", "warned": "yellow", "suspended": "red"}


def add_to(attest: typer.Typer, host: typer.Typer) -> None:
    """Hang these commands into `holdfast attest` and `holdfast host`."""
    attest.command(name="status")(attestor_status)
    host.command(name="score")(hoster_score)


def _account(current: Session, account: str | None) -> bytes:
    if account is not None:
        return parse_key(account)
    return KeyPair.derive(current.home.seed(), Use.ACCOUNT).public


def attestor_status(
    context: typer.Context, account: AccountArgument = None, json: JsonFlag = False
) -> None:
    """Show how an attestor stands with the chain: warnings, suspensions, and what led to them."""
    current = session(context)
    name = _account(current, account)
    parameters = current.home.genesis().parameters

    async def read(chain: ChainClient) -> dict[str, Any]:
        proof, (registration, stake, standing, roster) = await chain.prove(
            [
                (Table.REGISTRATION, name),
                (Table.STAKE, stake_key("attestor", name)),
                (Table.STANDING, name),
                (Table.ROSTER, RosterName.ATTESTORS.key),
            ]
        )
        if not isinstance(registration, Registration):
            raise NotFound("this account is not registered: `holdfast attest run` does that")
        stake = stake if isinstance(stake, StakeRecord) else StakeRecord()
        standing = standing if isinstance(standing, Standing) else Standing()
        height = proof.header.height
        return {
            "account": encode(name),
            "height": height,
            "listed": isinstance(roster, Roster) and name in roster.members,
            "stake_base": stake.amount_base,
            "state": standing.says(height),
            **standing.model_dump(mode="json"),
        }

    found = with_chain(current, read)
    if json:
        print_json(found)
        return
    out.print(f"account {found['account']}")
    out.print(
        f"{'listed' if found['listed'] else '[yellow]not listed[/]'} to be drawn, with a stake of "
        f"{found['stake_base']}"
    )
    out.print(f"[{STATES[found['state']]}]{found['state']}[/]: {_meaning(found, parameters)}")
    out.print(
        f"{found['rounds']} rounds: {found['missing']} reports missing, {found['late']} not "
        f"opened, {found['void']} void, {found['forged']} forged"
    )


def _meaning(found: dict[str, Any], parameters: Parameters) -> str:
    left = parameters.cooling_rounds - found["clean_rounds"]
    forgiven = f"{left} clean rounds more take one offence back"
    if found["state"] == "suspended":
        blocks = found["suspended_until"] - found["height"]
        return (
            f"not lined up for {blocks} blocks, until height {found['suspended_until']}; "
            f"{found['strikes']} offences stand, and the next one costs more; {forgiven}"
        )
    if found["state"] == "warned":
        epochs = min(1 << found["strikes"] - 1, parameters.suspension_epochs_maximum)
        return (
            f"{found['strikes']} offences stand; the next one keeps it out for {epochs} epochs; "
            f"{forgiven}"
        )
    return "no offence stands; the first one only warns"


def hoster_score(
    context: typer.Context, account: AccountArgument = None, json: JsonFlag = False
) -> None:
    """Show the newest verdict on each of a hoster's contracts, and how far it is from less pay."""
    current = session(context)
    name = _account(current, account)
    parameters = current.home.genesis().parameters

    async def read(chain: ChainClient) -> list[dict[str, Any]]:
        desk = await chain.record(Desk, Table.DESK, name)
        if desk is None:
            raise NotFound("this account has had no contract yet")
        contracts = await chain.records(ContractRecord, Table.CONTRACT, desk.contracts)
        plans = await chain.records(PlanRecord, Table.PLAN, [each.plan for each in contracts])
        return [
            _score(parameters, contract, plan, await _newest(chain, contract))
            for contract, plan in zip(contracts, plans, strict=True)
        ]

    found = with_chain(current, read)
    if json:
        print_json(found)
        return
    if not found:
        out.print("no contract is open")
    for each in found:
        out.print(
            f"contract {each['contract']}  {each['status']}, {each['epochs_left']} epochs left"
        )
        verdict = each["verdict"]
        if verdict is None:
            out.print("  not audited yet")
            continue
        out.print(
            f"  epoch {verdict['epoch']}: [{COLOURS[verdict['verdict']]}]{verdict['verdict']}[/], "
            f"score {ppm_text(verdict['score_ppm'])} (agreed {ppm_text(each['agreed_ppm'])}), "
            f"{ppm_text(verdict['lower_bound_ppm'])} at least; p95 "
            f"{time_text(verdict['latency_p95_us'])} (agreed {time_text(each['agreed_us'])}); paid "
            f"{verdict['paid_base']}"
        )
        for warning in each["warnings"]:
            out.print(f"  [yellow]warning[/]: {warning}")


async def _newest(chain: ChainClient, contract: ContractRecord) -> VerdictRecord | None:
    listed = await chain.record(Availability, Table.AVAILABILITY, contract.feed)
    names = listed.verdicts if listed else ()
    for challenge, other in zip(names[-2::-2], names[::-2], strict=False):
        if other == contract.contract:
            return await chain.need(VerdictRecord, Table.VERDICT, challenge + other)
    return None


def _score(
    parameters: Parameters,
    contract: ContractRecord,
    plan: PlanRecord,
    verdict: VerdictRecord | None,
) -> dict[str, Any]:
    return {
        "contract": contract.contract.hex(),
        "feed": encode(contract.feed),
        "status": contract.status,
        "epochs_left": contract.epochs_left,
        "agreed_ppm": plan.sla.availability_ppm,
        "agreed_us": plan.sla.latency_us,
        "verdict": None if verdict is None else verdict.model_dump(mode="json"),
        "warnings": [] if verdict is None else warnings_of(parameters, plan, verdict),
    }


def warnings_of(parameters: Parameters, plan: PlanRecord, verdict: VerdictRecord) -> list[str]:
    """What is about to cost the hoster something, or does already; best known before it does."""
    if verdict.verdict == "unproven":
        return [
            "too few visits proved the agreed share: nothing was paid. See `holdfast explain "
            f"{verdict.challenge.hex()}`"
        ]
    if verdict.verdict != "served":
        return []
    speed = verdicts.speed_ppm(plan, verdict)
    found = []
    if bands.pay_ppm(parameters.score_bands, verdict.score_ppm) < bands.MILLION:
        found.append(f"chunks are missing: a score of {ppm_text(verdict.score_ppm)} is paid less")
    if speed < bands.MILLION:
        found.append(f"slow: {ppm_text(speed)} of the agreed speed is paid less")
    elif verdict.latency_p95_us * 10 > plan.sla.latency_us * 9:
        found.append("nearly slow: 95 % of chunks come within the last tenth of the agreed latency")
    if verdict.missing and verdict.score_ppm == bands.MILLION:
        found.append(
            f"{verdict.missing} of {verdict.samples} requests were not proven; half of the visits "
            "with a miss would lower the score"
        )
    return found
