"""Settle a challenge: write its verdicts, pay for them, slash what is proven.

What is concluded, and what it is worth, is in `chain.verdicts`; here it happens to the state.
"""

from chain import assignment, money, penalties
from chain.challenge_records import (
    Availability,
    ChallengeRecord,
    DrawnContract,
    ReportRecord,
    VerdictRecord,
)
from chain.challenges import closing, conduct, data_requests, verdicts
from chain.challenges.judging import drawn_of
from chain.challenges.verdicts import Visit
from chain.context import BlockContext
from chain.records import PlanRecord
from chain.state import Draft

AVAILABILITY_KEPT = 4096
"""Verdicts on a feed that are kept and listed: months of hourly audits of a few hosters."""


def settle(draft: Draft, block: BlockContext, challenge_id: bytes, beacon: bytes) -> None:
    """Conclude a challenge whose reports are in, or whose time is over."""
    challenge = draft.challenges.at(challenge_id)
    if challenge.status != "opening":
        return
    conduct.conclude(draft, block, challenge)
    if challenge.coin is None:
        # Nobody opened the coin: whom they visited stays unknown, and nobody is paid.
        penalties.coin_unopened(draft, block, challenge)
        closing.close(draft, block, challenge_id, "failed")
        return
    draw = draft.draws.at(challenge_id)
    reports = [draft.reports.at(challenge_id + member) for member in challenge.opened]
    for drawn in drawn_of(block.parameters, draw, challenge.coin):
        _conclude(draft, block, challenge, drawn, reports, beacon)
    closing.close(draft, block, challenge_id, "settled")


def _conclude(
    draft: Draft,
    block: BlockContext,
    challenge: ChallengeRecord,
    drawn: DrawnContract,
    reports: list[ReportRecord],
    beacon: bytes,
) -> None:
    contract = draft.contracts.at(drawn.contract)
    plan = draft.plans.at(contract.plan)
    visits = verdicts.visits_to(drawn.contract, reports)
    record = verdicts.conclude(challenge, drawn, plan, visits, block.height)
    # A contract can have ended since the draw; what was seen is still worth publishing.
    if contract.status == "active":
        expected = [each.judged for each in verdicts.expected_of(drawn.contract, reports)]
        data_requests.warn(draft, block, record, expected, len(challenge.members), beacon)
    if contract.status == "active" and record.verdict != "skipped":
        hoster_base = _pay(draft, block, plan, record, visits)
        record = record.model_copy(update={"epoch_used": True, "paid_base": hoster_base})
        contract = draft.contracts.change(
            contract.contract,
            epochs_left=contract.epochs_left - 1,
            earned_base=contract.earned_base + hoster_base,
        )
        if record.verdict == "fault":
            provers = [visit.attestor for visit in visits if visit.judged.fault]
            assignment.slash(draft, block, contract.contract, provers, beacon)
        elif not contract.epochs_left:
            assignment.finish(draft, block, contract.contract)
    _publish(draft, record)


def _pay(
    draft: Draft,
    block: BlockContext,
    plan: PlanRecord,
    record: VerdictRecord,
    visits: list[Visit],
) -> int:
    """Pay for one epoch of one contract out of the plan's escrow; the hoster's part returns."""
    parameters = block.parameters
    hoster_base = verdicts.hoster_pay_base(parameters, plan, record)
    money.credit(draft, record.hoster, hoster_base)
    paid = hoster_base
    for visit in visits:
        share = verdicts.attestor_pay_base(parameters, plan, record, visit.judged)
        money.credit(draft, visit.attestor, share)
        report = draft.reports.at(record.challenge + visit.attestor)
        draft.reports.change(record.challenge + visit.attestor, paid_base=report.paid_base + share)
        paid += share
    validator_base = verdicts.validator_pay_base(parameters, plan)
    money.credit(draft, block.proposer, validator_base)
    draft.plans.change(plan.plan, escrow_base=plan.escrow_base - paid - validator_base)
    return hoster_base


def _publish(draft: Draft, record: VerdictRecord) -> None:
    draft.verdicts.put(record.challenge + record.contract, record)
    listed = draft.availability.get(record.feed) or Availability()
    names = (*listed.verdicts, record.challenge, record.contract)
    left = names[: -2 * AVAILABILITY_KEPT]
    for challenge, contract in zip(left[::2], left[1::2], strict=True):
        draft.verdicts.remove(challenge + contract)
    draft.availability.put(record.feed, Availability(verdicts=names[len(left) :]))
