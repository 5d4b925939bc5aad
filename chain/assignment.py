"""Who hosts what: contracts are made, replaced and ended here, by the beacon and by rule."""

from chain import money, schedule
from chain.context import BlockContext
from chain.records import (
    ContractRecord,
    Desk,
    DueItem,
    PlanRecord,
    Registration,
    RosterName,
    stake_key,
)
from chain.state import Draft
from wire.prng import Stream
from wire.primitives import tagged_hash

OPEN = ("assigned", "active")
GIB = 1 << 30


def start_plan(draft: Draft, block: BlockContext, plan: bytes, beacon: bytes) -> None:
    """A plan's start height has come: look for its hosters."""
    draft.plans.change(plan, status="running")
    fill_plan(draft, block, plan, beacon)


def fill_plan(draft: Draft, block: BlockContext, plan_id: bytes, beacon: bytes) -> None:
    """Assign hosters until the plan has its replicas; try again later when offers are short."""
    plan = draft.plans.at(plan_id)
    if plan.status != "running":
        return
    contracts = [draft.contracts.at(contract) for contract in plan.contracts]
    finished = [c for c in contracts if c.status == "ended" and not c.epochs_left]
    open_now = [c for c in contracts if c.status in OPEN]
    wanted = plan.replicas - len(open_now) - len(finished)
    if wanted <= 0:
        return
    # A replacement serves the epochs that its predecessor did not.
    left = [c.epochs_left for c in contracts if c.status not in OPEN and c.epochs_left]
    seed = tagged_hash("assignment", beacon, plan_id, plan.assigned.to_bytes(8, "big"))
    hosters = _candidates(draft, plan, contracts)
    chosen = Stream(seed, b"hosters").shuffle(hosters)
    taken = {c.hoster for c in open_now}
    operators = {draft.registrations.at(hoster).operator for hoster in taken} - {""}
    for hoster in chosen:
        if wanted == 0:
            break
        operator = draft.registrations.at(hoster).operator
        if operator and operator in operators:
            continue
        operators.add(operator)
        _assign(draft, block, plan_id, hoster, left.pop() if left else plan.epochs)
        wanted -= 1
    if wanted:
        retry = block.height + block.parameters.acknowledge_blocks
        schedule.at(draft, retry, DueItem(kind="assign", id=plan_id))


def _candidates(
    draft: Draft, plan: PlanRecord, contracts: list[ContractRecord]
) -> list[bytes]:
    """Hosters with room and a price that fits, who never failed this plan, not its owner."""
    size = draft.feeds.at(plan.feed).head.byte_length
    known = {contract.hoster for contract in contracts}
    return [
        hoster
        for hoster in draft.roster(RosterName.HOSTERS)
        if hoster not in known
        and hoster != plan.owner
        and _fits(draft.registrations.at(hoster), size, plan.price_base)
    ]


def _fits(registration: Registration, size: int, price_base: int) -> bool:
    offer = registration.offer
    return (
        offer is not None
        and registration.hosted_bytes + size <= offer.capacity_bytes
        and offer.price_base_per_gib * size <= price_base * GIB
    )


def _assign(
    draft: Draft, block: BlockContext, plan_id: bytes, hoster: bytes, epochs: int
) -> None:
    plan = draft.plans.at(plan_id)
    contract = tagged_hash("contract", plan_id, plan.assigned.to_bytes(8, "big"))
    deadline = block.height + block.parameters.acknowledge_blocks
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
    draft.plans.change(
        plan_id, contracts=(*plan.contracts, contract), assigned=plan.assigned + 1
    )
    registration = draft.registrations.at(hoster)
    draft.registrations.change(hoster, hosted_bytes=registration.hosted_bytes + size)
    desk = draft.desks.get(hoster) or Desk()
    draft.desks.put(hoster, Desk(contracts=(*desk.contracts, contract)))
    schedule.at(draft, deadline, DueItem(kind="acknowledge", id=contract))


def acknowledgement_due(
    draft: Draft, block: BlockContext, contract_id: bytes, beacon: bytes
) -> None:
    """A hoster that has not fetched its feed in time loses the contract, without a penalty."""
    contract = draft.contracts.at(contract_id)
    if contract.status == "assigned":
        _close(draft, contract, "lapsed")
        fill_plan(draft, block, contract.plan, beacon)


def finish(draft: Draft, contract_id: bytes) -> None:
    """A contract has served its epochs: collateral returns; the last one ends the plan."""
    contract = draft.contracts.at(contract_id)
    _unlock(draft, contract, contract.collateral_base)
    _close(draft, contract, "ended")
    plan = draft.plans.at(contract.plan)
    ended = [draft.contracts.at(c) for c in plan.contracts]
    served = sum(1 for c in ended if c.status == "ended" and not c.epochs_left)
    if served == plan.replicas and all(c.status not in OPEN for c in ended):
        money.credit(draft, plan.owner, plan.escrow_base)
        draft.plans.change(contract.plan, status="ended", escrow_base=0)


def slash(
    draft: Draft, block: BlockContext, contract_id: bytes, provers: list[bytes], beacon: bytes
) -> None:
    """A proven fault: the collateral is forfeit, half to the provers and half burnt."""
    contract = draft.contracts.at(contract_id)
    collateral = contract.collateral_base
    key = stake_key("hoster", contract.hoster)
    stake = draft.stakes.at(key)
    _unlock(draft, contract, collateral)
    draft.stakes.change(
        key,
        amount_base=stake.amount_base - collateral,
        locked_base=stake.locked_base - collateral,
    )
    reward = collateral // 2 // len(provers)
    for prover in provers:
        money.credit(draft, prover, reward)
    money.burn(draft, collateral - reward * len(provers))
    _close(draft, contract, "ended")
    fill_plan(draft, block, contract.plan, beacon)


def _unlock(draft: Draft, contract: ContractRecord, amount_base: int) -> None:
    key = stake_key("hoster", contract.hoster)
    stake = draft.stakes.at(key)
    draft.stakes.change(key, locked_base=stake.locked_base - amount_base)
    draft.contracts.change(contract.contract, collateral_base=0)


def _close(draft: Draft, contract: ContractRecord, status: str) -> None:
    draft.contracts.change(contract.contract, status=status)
    draft.set_listed(RosterName.ACTIVE_CONTRACTS, contract.contract, False)
    registration = draft.registrations.at(contract.hoster)
    draft.registrations.change(
        contract.hoster, hosted_bytes=registration.hosted_bytes - contract.bytes
    )
    desk = draft.desks.at(contract.hoster)
    left = tuple(c for c in desk.contracts if c != contract.contract)
    draft.desks.put(contract.hoster, Desk(contracts=left))
