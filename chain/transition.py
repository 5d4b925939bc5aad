"""What a block does to the state: its transactions in order, then what its height brings.

This file is the whole list: one `case` for each kind of transaction, one for each kind of
deadline. A transaction that a rule rejects stays in the block with its reason, pays its fee
and uses its nonce, and changes nothing else; but a void report is remembered as void.
"""

from dataclasses import dataclass

from chain import assignment, fees, money, penalties, schedule, terms
from chain.blocks import TransactionOutcome
from chain.bodies.challenges import (
    CoinFault,
    CommitReport,
    OpenCoin,
    OpenReport,
    ReportAbsent,
    SealCoin,
    ShowReveals,
)
from chain.bodies.coins import Stake, Transfer, Unstake
from chain.bodies.data import AnswerData, AskData, Maintain
from chain.bodies.faults import Claim, DigestFault, ReceiptFault
from chain.bodies.feeds import PublishFeed, UpdateHead
from chain.bodies.hosting import Acknowledge, Drain, Register
from chain.bodies.keys import Rotate
from chain.bodies.plans import CancelPlan, CreatePlan, PausePlan, ResumePlan, TopUpPlan
from chain.bodies.validators import Delist, Enlist, ValidatorFault
from chain.challenges import closing, data_requests, lottery, settlement
from chain.context import BlockContext
from chain.genesis import Genesis
from chain.messages import WITH_EVIDENCE, SignedTransaction
from chain.reasons import Reason
from chain.records import (
    Account,
    Candidate,
    DueItem,
    RosterName,
    StakeRecord,
    SwarmKey,
    ValidatorKey,
    stake_key,
)
from chain.rules import (
    acknowledge,
    answer_data,
    ask_data,
    cancel_plan,
    claim,
    coin_fault,
    commit_report,
    create_plan,
    digest_fault,
    drain,
    enlist,
    maintain,
    open_coin,
    open_report,
    pause_plan,
    publish_feed,
    receipt_fault,
    register,
    report_absent,
    rotate,
    seal_coin,
    show_reveals,
    stake,
    top_up_plan,
    transfer,
    validator_fault,
)
from chain.state import Draft, State
from wire.errors import Rejected
from wire.primitives import tagged_hash


@dataclass(frozen=True, slots=True)
class Execution:
    """A block's effect, not yet part of the state."""

    draft: Draft
    transactions: tuple[SignedTransaction, ...]
    outcomes: tuple[TransactionOutcome, ...]


def genesis_state(genesis: Genesis) -> State:
    """The state before the first block."""
    state = State()
    draft = Draft(state)
    for balance in genesis.balances:
        money.credit(draft, balance.account, balance.balance_base)
    beacon = tagged_hash("beacon/genesis", genesis.network)
    draft.meta = draft.meta.model_copy(update={"beacon": beacon, "time_ms": genesis.time_ms})
    draft.validators = genesis.first_set
    for validator, member in zip(genesis.validators, genesis.first_set.members, strict=True):
        account = member.account
        staked = StakeRecord(amount_base=validator.stake_base)
        draft.stakes.put(stake_key("validator", account), staked)
        draft.candidates.put(account, Candidate(validator=member))
        draft.validator_keys.put(member.key, ValidatorKey(account=account))
        draft.swarm_keys.put(member.endpoint.swarm_key, SwarmKey(account=account))
        draft.set_listed(RosterName.CANDIDATES, account, True)
    state.commit(draft)
    return state


def execute(
    base: State | Draft,
    block: BlockContext,
    transactions: tuple[SignedTransaction, ...],
    *,
    leave_out: bool = False,
) -> Execution:
    """Run a block on a draft of a state, or of a block that is not yet final.

    A transaction that a block may not hold at all makes this raise `Rejected`; whoever writes
    the block has it left out instead. Each may have been fine when it came, and one before it
    has spent what would pay its fee.
    """
    draft = Draft(base)
    # What is drawn in this block must not depend on the coins that its writer lets in.
    beacon = draft.meta.beacon
    held, outcomes = [], []
    for signed in transactions:
        try:
            outcomes.append(_include(draft, block, signed))
        except Rejected:
            if not leave_out:
                raise
        else:
            held.append(signed)
    _end_block(draft, block, beacon)
    money.assert_conserved(draft)
    return Execution(draft, tuple(held), tuple(outcomes))


def check_envelope(
    draft: Draft, block: BlockContext, signed: SignedTransaction, *, pending: int = 0
) -> None:
    """Whether a block at this height may hold the transaction, its signature aside.

    `pending` transactions of the same sender are taken to come before it.
    """
    parameters, transaction = block.parameters, signed.transaction
    if transaction.network != block.network:
        raise Rejected(Reason.WRONG_NETWORK)
    account = draft.accounts.get(transaction.sender)
    if account is None:
        raise Rejected(Reason.UNKNOWN_ACCOUNT, "nobody has sent it coins yet")
    expected = account.nonce + pending
    if transaction.nonce < expected:
        raise Rejected(Reason.NONCE_USED, f"the next nonce is {expected}")
    if transaction.nonce > expected:
        raise Rejected(Reason.NONCE_AHEAD, f"the next nonce is {expected}")
    signer = account.signer or transaction.sender
    if (transaction.signer or transaction.sender) != signer:
        raise Rejected(Reason.KEY_RETIRED, "another key signs for this account")
    least_base = fees.least_fee_base(parameters, transaction, signed.sidecar)
    if transaction.fee_base < least_base:
        raise Rejected(Reason.FEE_TOO_LOW, f"at its size the least fee is {least_base}")
    if transaction.valid_until < block.height:
        raise Rejected(Reason.EXPIRED, f"this is height {block.height}")
    if transaction.valid_until > block.height + parameters.transaction_lifetime_blocks:
        raise Rejected(
            Reason.VALID_TOO_LONG, f"at most {parameters.transaction_lifetime_blocks} blocks"
        )
    if account.balance_base < transaction.fee_base:
        raise Rejected(Reason.INSUFFICIENT_BALANCE, "it does not cover the fee")


def _include(draft: Draft, block: BlockContext, signed: SignedTransaction) -> TransactionOutcome:
    transaction = signed.transaction
    check_envelope(draft, block, signed)
    account = draft.accounts.get(transaction.sender) or Account()
    spent = {
        "balance_base": account.balance_base - transaction.fee_base,
        "nonce": account.nonce + 1,
    }
    draft.accounts.put(transaction.sender, account.model_copy(update=spent))
    money.credit(draft, block.proposer, transaction.fee_base)

    above = draft.draft()
    try:
        apply_body(above, block, signed)
    except Rejected as rejected:
        if isinstance(rejected, open_report.Void):
            assert isinstance(transaction.body, OpenReport)
            open_report.leave_trace(draft, block, transaction.sender, transaction.body)
        return TransactionOutcome(
            transaction=transaction.id,
            reason=rejected.reason.value,
            detail=rejected.detail[:200],
        )
    draft.merge(above)
    return TransactionOutcome(transaction=transaction.id, reason="", detail="")


def apply_body(  # noqa: C901, PLR0912, PLR0915 - one case per kind is the point
    draft: Draft, block: BlockContext, signed: SignedTransaction
) -> None:
    """Apply one transaction's body to a draft that is dropped when a rule raises."""
    sender, body = signed.transaction.sender, signed.transaction.body
    if signed.sidecar and not isinstance(body, WITH_EVIDENCE):
        raise Rejected(Reason.UNEXPECTED_SIDECAR)
    match body:
        case Transfer():
            transfer.apply(draft, sender, body)
        case Stake():
            stake.apply(draft, block, sender, body)
        case Unstake():
            stake.apply_unstake(draft, block, sender, body)
        case Register():
            register.apply(draft, block, sender, body)
        case PublishFeed():
            publish_feed.apply(draft, block, sender, body)
        case UpdateHead():
            publish_feed.apply_update(draft, sender, body)
        case CreatePlan():
            create_plan.apply(draft, block, sender, signed.transaction.id, body)
        case TopUpPlan():
            top_up_plan.apply(draft, block, sender, body)
        case PausePlan():
            pause_plan.apply(draft, block, sender, body)
        case ResumePlan():
            pause_plan.apply_resume(draft, block, sender, body)
        case CancelPlan():
            cancel_plan.apply(draft, block, sender, body)
        case Rotate():
            rotate.apply(draft, block, sender, body)
        case Drain():
            drain.apply(draft, block, sender, body)
        case Acknowledge():
            acknowledge.apply(draft, block, sender, body)
        case AskData():
            ask_data.apply(draft, block, sender, signed.transaction.id, body)
        case AnswerData():
            answer_data.apply(draft, block, sender, body, signed.sidecar)
        case Maintain():
            maintain.apply(draft, block, sender, body)
        case SealCoin():
            seal_coin.apply(draft, block, body)
        case ReportAbsent():
            report_absent.apply(draft, sender, body)
        case CoinFault():
            coin_fault.apply(draft, block, sender, body)
        case Enlist():
            enlist.apply(draft, block, sender, body)
        case Delist():
            enlist.apply_delist(draft, block, sender)
        case ValidatorFault():
            validator_fault.apply(draft, block, sender, body)
        case OpenCoin():
            open_coin.apply(draft, block, body)
        case ShowReveals():
            show_reveals.apply(draft, block, body)
        case CommitReport():
            commit_report.apply(draft, sender, body)
        case OpenReport():
            open_report.apply(draft, block, sender, body, signed.sidecar)
        case Claim():
            claim.apply(draft, block, sender, body)
        case ReceiptFault():
            receipt_fault.apply(draft, block, sender, body)
        case DigestFault():
            digest_fault.apply(draft, block, sender, body, signed.sidecar)


def _end_block(draft: Draft, block: BlockContext, before: bytes) -> None:
    """What happens with no transaction: the beacon moves, deadlines fall, epochs open.

    `before` is the beacon of the block before this one.
    """
    beacon = lottery.next_beacon(draft.meta.beacon, block.vrf_output)
    draft.meta = draft.meta.model_copy(
        update={"height": block.height, "time_ms": block.time_ms, "beacon": beacon}
    )
    # Settling may put the next thing on this very height: take until nothing is left.
    while items := schedule.take(draft, block.height):
        for item in items:
            _fall_due(draft, block, item, before)
    lottery.line_up(draft, block)
    terms.end_block(draft, block)


def _fall_due(  # noqa: C901, PLR0912 - one case per kind is the point
    draft: Draft, block: BlockContext, item: DueItem, beacon: bytes
) -> None:
    match item.kind:
        case "start_plan":
            assignment.start_plan(draft, block, item.id, beacon)
        case "assign":
            assignment.fill_vacancies(draft, block, item.id, beacon)
        case "acknowledge":
            assignment.acknowledgement_due(draft, block, item.id, beacon)
        case "seal":
            lottery.seal_due(draft, block, item.id)
        case "window_end":
            draft.challenges.change(item.id, status="opening", window_closed_ms=block.time_ms)
            deadline = draft.challenges.at(item.id).opening_deadline
            schedule.at(draft, deadline, DueItem(kind="opening_deadline", id=item.id))
        case "opening_deadline":
            settlement.settle(draft, block, item.id, beacon)
        case "reveals":
            penalties.reveals_withheld(draft, block, item.id)
        case "unbond":
            stake.release(draft, item)
        case "end_plan":
            assignment.end_plan(draft, item.id)
        case "forfeit":
            assignment.forfeit(draft, block, item.id, beacon)
        case "expire_plan":
            assignment.expire(draft, block, item.id)
        case "pause_over":
            pause_plan.over(draft, block, item.id)
        case "draw_chunk":
            data_requests.draw_chunk(draft, block, item.id, beacon)
        case "answer_due":
            data_requests.answer_due(draft, block, item.id, beacon)
        case "forget_challenge":
            closing.forget(draft, block, item.id)
        case "forget_claim":
            draft.claims.remove(item.id)
        case "forget_session":
            receipt_fault.forget(draft, block, item.id)
        case "draw":
            lottery.draw_challenges(draft, block, beacon)
