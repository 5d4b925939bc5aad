"""Who hosts what: contracts are made, replaced and ended here, by the beacon and by rule."""

from chain import money, penalties, schedule, sponsors
from chain.bodies.plans import MAX_EPOCHS
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import (
    ContractRecord,
    Desk,
    DueItem,
    PlanRecord,
    RosterName,
    stake_key,
)
from chain.rules import register
from chain.state import Draft
from wire.errors import Rejected
from wire.primitives import tagged_hash

OPEN = ("assigned", "active")

NOTICE_EPOCHS = 2
"""That a hoster serves when it leaves a contract: time for another to fetch the feed from it."""


def start_plan(draft: Draft, block: BlockContext, plan: bytes, beacon: bytes) -> None:
    """A plan's start height has come: look for its hosters."""
    if draft.plans.at(plan).status != "waiting":
        return
    draft.plans.change(plan, status="running")
    fill_vacancies(draft, block, plan, beacon)


def fill_vacancies(draft: Draft, block: BlockContext, plan_id: bytes, beacon: bytes) -> None:
    """Assign a hoster to each replica that has none; look again later when offers are short."""
    plan = draft.plans.at(plan_id)
    if plan.status != "running" or not plan.vacancies:
        return
    contracts = [draft.contracts.at(contract) for contract in plan.contracts]
    serving = [contract.hoster for contract in contracts if contract.status in OPEN]
    operators = {draft.registrations.at(hoster).operator for hoster in serving} - {""}
    seed = tagged_hash("assignment", beacon, plan_id, len(contracts).to_bytes(8, "big"))
    vacancies = list(plan.vacancies)
    for hoster in ranked(seed, _candidates(draft, block, plan, contracts)):
        if not vacancies:
            break
        operator = draft.registrations.at(hoster).operator
        if operator in operators:
            continue
        operators |= {operator} - {""}
        _assign(draft, block, plan_id, hoster, vacancies.pop(0))
    retry_at = plan.retry_at
    if vacancies and retry_at <= block.height:
        retry_at = block.height + block.parameters.acknowledge_blocks
        retry_at = schedule.soon(draft, retry_at, DueItem(kind="assign", id=plan_id))
    draft.plans.change(plan_id, vacancies=tuple(vacancies), retry_at=retry_at)


def ranked(seed: bytes, hosters: list[bytes]) -> list[bytes]:
    """Hosters in the order that the seed gives them.

    Each rank is its own hash, and no shuffle of the list: to leave when the seed is known moves
    the others up and changes nothing else among them.
    """
    return sorted(hosters, key=lambda hoster: tagged_hash("rank", seed, hoster))


def _candidates(
    draft: Draft, block: BlockContext, plan: PlanRecord, contracts: list[ContractRecord]
) -> list[bytes]:
    """Hosters with room and a price that fits, who never failed this plan, not its owner.

    Offer, operator and stake are older than the registration lag, hence than the seed.
    """
    size = draft.feeds.at(plan.feed).head.byte_length
    known = {contract.hoster for contract in contracts}
    candidates = []
    for hoster in draft.roster(RosterName.HOSTERS):
        registration = draft.registrations.at(hoster)
        staked = draft.stakes.at(stake_key("hoster", hoster)).since_height
        since = max(registration.since_height, staked)
        if (
            hoster not in known
            and hoster != plan.owner
            and since + block.parameters.registration_lag_blocks <= block.height
            and registration.takes(size, plan.price_base)
        ):
            candidates.append(hoster)
    return candidates


def _assign(draft: Draft, block: BlockContext, plan_id: bytes, hoster: bytes, epochs: int) -> None:
    plan = draft.plans.at(plan_id)
    contract = tagged_hash("contract", plan_id, len(plan.contracts).to_bytes(8, "big"))
    deadline = schedule.soon(
        draft,
        block.height + block.parameters.acknowledge_blocks,
        DueItem(kind="acknowledge", id=contract),
    )
    size = draft.feeds.at(plan.feed).head.byte_length
    draft.contracts.put(
        contract,
        ContractRecord(
            contract=contract,
            plan=plan_id,
            feed=plan.feed,
            owner=plan.owner,
            hoster=hoster,
            status="assigned",
            head=None,
            bytes=size,
            collateral_base=0,
            acknowledge_by=deadline,
            epochs_left=epochs,
            samples=plan.samples,
        ),
    )
    draft.plans.change(plan_id, contracts=(*plan.contracts, contract))
    registration = draft.registrations.at(hoster)
    draft.registrations.change(hoster, hosted_bytes=registration.hosted_bytes + size)
    desk = draft.desks.get(hoster) or Desk()
    draft.desks.put(hoster, Desk(contracts=(*desk.contracts, contract)))


def acknowledgement_due(
    draft: Draft, block: BlockContext, contract_id: bytes, beacon: bytes
) -> None:
    """A hoster that has not fetched its feed in time loses the contract, without a penalty."""
    contract = draft.contracts.at(contract_id)
    if contract.status == "assigned":
        _close(draft, contract, "lapsed")
        _vacate(draft, block, contract, beacon)


def finish(draft: Draft, block: BlockContext, contract_id: bytes) -> None:
    """A contract has served its epochs: collateral returns; the last one ends the plan."""
    contract = draft.contracts.at(contract_id)
    plan = draft.plans.at(contract.plan)
    _end(draft, contract)
    if contract.handed_on and plan.status != "ending":
        draft.plans.change(contract.plan, vacancies=(*plan.vacancies, contract.handed_on))
        seek(draft, block, contract.plan)
    else:
        _end_if_served(draft, contract.plan)


def prolong(draft: Draft, block: BlockContext, plan_id: bytes, epochs: int) -> None:
    """Add epochs to each replica; one that has been served is vacant again.

    No hoster is held to a price that it does not offer any more: after it somebody else serves.
    """
    plan = draft.plans.at(plan_id)
    vacancies = [left + epochs for left in plan.vacancies]
    most, serving = max(vacancies, default=epochs), 0
    for contract_id in plan.contracts:
        contract = draft.contracts.at(contract_id)
        if contract.status not in OPEN or contract.leaving:
            continue
        serving += 1
        most = max(most, contract.epochs_left + contract.handed_on + epochs)
        size, hoster = contract.bytes, draft.registrations.at(contract.hoster)
        if hoster.takes(size, plan.price_base, instead_of=size):
            draft.contracts.change(contract_id, epochs_left=contract.epochs_left + epochs)
        else:
            draft.contracts.change(contract_id, handed_on=contract.handed_on + epochs)
    if most > MAX_EPOCHS:
        raise Rejected(Reason.TOO_MANY_EPOCHS, f"at most {MAX_EPOCHS} lie ahead of a replica")
    vacancies += [epochs] * (plan.replicas - serving - len(vacancies))
    draft.plans.change(plan_id, vacancies=tuple(vacancies))
    seek(draft, block, plan_id)


def leave(draft: Draft, block: BlockContext, contract_id: bytes) -> None:
    """Hand a contract over: somebody else is sought at once, while its hoster serves on.

    It serves a few epochs more, so that the next can fetch from it, and is paid for them; then
    the contract ends like any other. One that was not acknowledged yet lapses.
    """
    contract = draft.contracts.at(contract_id)
    plan = draft.plans.at(contract.plan)
    keeps = min(contract.epochs_left, NOTICE_EPOCHS) if contract.status == "active" else 0
    rest = contract.epochs_left + contract.handed_on - keeps
    if not keeps:
        _close(draft, contract, "lapsed")
    else:
        draft.contracts.change(contract_id, leaving=True, epochs_left=keeps, handed_on=0)
    if rest:
        draft.plans.change(contract.plan, vacancies=(*plan.vacancies, rest))
        seek(draft, block, contract.plan)


def seek(draft: Draft, block: BlockContext, plan_id: bytes) -> None:
    """Look for hosters soon, by a seed that nobody knows yet, if nobody is about to."""
    plan = draft.plans.at(plan_id)
    if plan.status == "running" and plan.vacancies and plan.retry_at <= block.height:
        item = DueItem(kind="assign", id=plan_id)
        draft.plans.change(plan_id, retry_at=schedule.soon(draft, block.height + 1, item))


def cancel(draft: Draft, block: BlockContext, plan_id: bytes) -> None:
    """Seek no hosters and draw no contract of this plan any more; end it when none is drawn.

    What is in a line-up or a challenge is visited and paid as agreed, so running contracts end
    once every challenge that can hold them is over; at once, when there is none.
    """
    plan = draft.plans.change(plan_id, status="ending", vacancies=())
    running = False
    for contract_id in plan.contracts:
        contract = draft.contracts.at(contract_id)
        if contract.status == "assigned":
            _close(draft, contract, "ended")
        elif contract.status == "active":
            draft.set_listed(RosterName.ACTIVE_CONTRACTS, contract_id, False)
            running = True
    if running and (draft.meta.open_challenges or draft.line_ups.get(b"")):
        due = block.height + block.parameters.challenge_blocks
        due = schedule.soon(draft, due, DueItem(kind="end_plan", id=plan_id))
        draft.plans.change(plan_id, ends_at=due)
    else:
        answered = block.parameters.answer_blocks + block.parameters.maintenance_blocks
        draft.plans.change(plan_id, ends_at=block.height + 1 + answered)
        end_plan(draft, plan_id)


def expire(draft: Draft, block: BlockContext, plan_id: bytes) -> None:
    """The plan's time is over: as if its owner cancelled it now."""
    if draft.plans.at(plan_id).status not in ("ending", "ended"):
        cancel(draft, block, plan_id)


def end_plan(draft: Draft, plan_id: bytes) -> None:
    """A cancelled plan ends: collateral returns, and what is unspent."""
    for contract_id in draft.plans.at(plan_id).contracts:
        contract = draft.contracts.at(contract_id)
        if contract.status in OPEN:
            _end(draft, contract)
    if draft.plans.at(plan_id).status != "ended":
        _end_if_served(draft, plan_id)


def _end(draft: Draft, contract: ContractRecord) -> None:
    """Free the collateral; not before its hoster has answered, if it was asked for chunks."""
    if contract.asked or contract.warned:
        over = {"leaving": True, "epochs_left": 0, "handed_on": 0}
        draft.contracts.change(contract.contract, **over)
        draft.set_listed(RosterName.ACTIVE_CONTRACTS, contract.contract, False)
    else:
        _unlock(draft, contract)
        _close(draft, contract, "ended")


def end_if_over(draft: Draft, contract_id: bytes) -> None:
    """A hoster has answered: a contract that was kept for that alone ends."""
    contract = draft.contracts.at(contract_id)
    if contract.is_over:
        _end(draft, contract)
        _end_if_served(draft, contract.plan)


def _end_if_served(draft: Draft, plan_id: bytes) -> None:
    """When nobody serves a plan any more and nobody is sought, sponsors get what is unspent."""
    plan = draft.plans.at(plan_id)
    serving = any(draft.contracts.at(other).status in OPEN for other in plan.contracts)
    if not plan.vacancies and not serving:
        unspent = sponsors.parts(plan.escrow_base, plan.sponsors)
        for sponsor, part in zip(plan.sponsors, unspent, strict=True):
            money.credit(draft, sponsor.account, part)
        draft.plans.change(plan_id, status="ended", escrow_base=0)


def slash(
    draft: Draft,
    block: BlockContext,
    contract_id: bytes,
    provers: list[bytes],
    beacon: bytes,
    share_ppm: int = 500_000,
) -> None:
    """A fault, or no answer: the collateral is forfeit, a share to the provers, the rest burnt."""
    contract = draft.contracts.at(contract_id)
    collateral = contract.collateral_base
    _unlock(draft, contract)
    key = stake_key("hoster", contract.hoster)
    stake = draft.stakes.at(key)
    draft.stakes.change(key, amount_base=stake.amount_base - collateral)
    register.refresh_rosters(draft, block, contract.hoster)
    reward = collateral * share_ppm // 1_000_000 // max(len(provers), 1)
    for prover in provers:
        money.credit(draft, prover, reward)
    money.burn(draft, collateral - reward * len(provers))
    _close(draft, contract, "ended")
    if contract.epochs_left + contract.handed_on and not contract.leaving:
        _vacate(draft, block, contract, beacon)
    else:
        _end_if_served(draft, contract.plan)


def forfeit(draft: Draft, block: BlockContext, id: bytes, beacon: bytes) -> None:
    """What was reported in the block before: contract || reporter.

    A contract that has ended since has set its collateral free, and its hoster pays all the same.
    The share is that of who asks in time for chunks that are gone: whoever owes them saves nothing
    by having a friend report a lie first.
    """
    contract, reporter = draft.contracts.at(id[:32]), id[32:]
    if contract.status == "active":
        share_ppm = block.parameters.reporter_share_ppm
        slash(draft, block, contract.contract, [reporter], beacon, share_ppm)
    else:
        penalties.collateral_worth(draft, block, contract.hoster, reporter)


def _vacate(draft: Draft, block: BlockContext, contract: ContractRecord, beacon: bytes) -> None:
    """Somebody else shall serve the epochs that are left."""
    plan = draft.plans.at(contract.plan)
    if plan.status == "ending":
        _end_if_served(draft, contract.plan)
        return
    epochs = contract.epochs_left + contract.handed_on
    draft.plans.change(contract.plan, vacancies=(*plan.vacancies, epochs))
    fill_vacancies(draft, block, contract.plan, beacon)


def _unlock(draft: Draft, contract: ContractRecord) -> None:
    key = stake_key("hoster", contract.hoster)
    stake = draft.stakes.at(key)
    draft.stakes.change(key, locked_base=stake.locked_base - contract.collateral_base)


def _close(draft: Draft, contract: ContractRecord, status: str) -> None:
    draft.contracts.change(contract.contract, status=status, collateral_base=0)
    draft.set_listed(RosterName.ACTIVE_CONTRACTS, contract.contract, False)
    registration = draft.registrations.at(contract.hoster)
    draft.registrations.change(
        contract.hoster, hosted_bytes=registration.hosted_bytes - contract.bytes
    )
    desk = draft.desks.at(contract.hoster)
    left = tuple(other for other in desk.contracts if other != contract.contract)
    draft.desks.put(contract.hoster, Desk(contracts=left))
