"""Stake that is lost: for a proven fault, and for silence once a coin was sealed.

Coins that are on their way back are taken as well, after those that are not. An attestor's return
no sooner than any challenge can end for which it may have been lined up with them, a validator's
no sooner than a term after the last one that it may serve in.
"""

from collections.abc import Sequence

from chain import money, schedule
from chain.bodies.coins import Role
from chain.challenge_records import ChallengeRecord, ReportRecord
from chain.context import BlockContext
from chain.records import Desk, DueItem, StakeRecord, stake_key
from chain.rules import register
from chain.state import Draft

MILLION = 1_000_000


def take(draft: Draft, block: BlockContext, role: Role, account: bytes, amount_base: int) -> int:
    """Take so much of an account's stake, or all that no contract has locked.

    Returns what its taker must place.
    """
    key = stake_key(role, account)
    stake = draft.stakes.get(key) or StakeRecord()
    staked = min(amount_base, stake.amount_base - stake.locked_base)
    unbonding = min(amount_base - staked, stake.unbonding_base)
    fields = {
        "amount_base": stake.amount_base - staked,
        "unbonding_base": stake.unbonding_base - unbonding,
    }
    draft.stakes.put(key, stake.model_copy(update=fields))
    register.refresh_rosters(draft, block, account)
    return staked + unbonding


def fault(
    draft: Draft,
    block: BlockContext,
    role: Role,
    accused: bytes,
    slash_ppm: int,
    hearers: Sequence[bytes],
) -> None:
    """A proven fault: a share of what it costs for all who hear of such, and the rest is burnt.

    In equal parts, whoever reports it: nobody gains by sending first what others have found.
    """
    stake = draft.stakes.get(stake_key(role, accused)) or StakeRecord()
    due_base = (stake.amount_base + stake.unbonding_base) * slash_ppm // MILLION
    taken_base = take(draft, block, role, accused, due_base)
    share_base = taken_base * block.parameters.reporter_share_ppm // MILLION
    part_base = share_base // max(len(hearers), 1)
    for hearer in hearers:
        money.credit(draft, hearer, part_base)
    money.burn(draft, taken_base - part_base * len(hearers))


def receipts_false(
    draft: Draft, block: BlockContext, hoster: bytes, feed: bytes, reporter: bytes
) -> None:
    """A hoster that signed for what cannot be true loses the collateral of a contract on the feed.

    In the next block, as who takes its place must not be known to who reports it. If it serves
    the feed no more, as much is taken of the stake that it still has.
    """
    desk = draft.desks.get(hoster) or Desk()
    contracts = (draft.contracts.at(contract) for contract in desk.contracts)
    serving = (c for c in contracts if (c.feed, c.status) == (feed, "active"))
    contract = next(serving, None)
    if contract is not None:
        item = DueItem(kind="forfeit", id=contract.contract + reporter)
        schedule.soon(draft, block.height + 1, item)
        return
    collateral_worth(draft, block, hoster, reporter)


def collateral_worth(draft: Draft, block: BlockContext, hoster: bytes, reporter: bytes) -> None:
    """As much as a contract's collateral, of what no contract has locked."""
    due_base = block.parameters.contract_collateral_base
    taken_base = take(draft, block, "hoster", hoster, due_base)
    reward_base = taken_base * block.parameters.reporter_share_ppm // MILLION
    money.credit(draft, reporter, reward_base)
    money.burn(draft, taken_base - reward_base)


def report_forged(draft: Draft, block: BlockContext, report: ReportRecord, reporter: bytes) -> None:
    """What an attestor was paid for a report that it made up, and a penalty: a share reports it."""
    due_base = report.paid_base + block.parameters.forged_report_penalty_base
    taken_base = take(draft, block, "attestor", report.attestor, due_base)
    reward_base = taken_base * block.parameters.reporter_share_ppm // MILLION
    money.credit(draft, reporter, reward_base)
    money.burn(draft, taken_base - reward_base)


def coin_unopened(draft: Draft, block: BlockContext, challenge: ChallengeRecord) -> None:
    """Members that committed to a report knew the coin; that none opened it kept hosters unpaid."""
    for known in challenge.commitments:
        penalty = block.parameters.unopened_penalty_base
        money.burn(draft, take(draft, block, "attestor", known.member, penalty))


def reveals_withheld(draft: Draft, block: BlockContext, challenge_id: bytes) -> None:
    """Whose Reveal nobody has shown withheld it, though it changed nothing.

    Burnt: nobody gains by another's silence, so nobody gains by bringing it about.
    """
    for withheld in draft.challenges.at(challenge_id).unrevealed:
        penalty = block.parameters.unopened_penalty_base
        money.burn(draft, take(draft, block, "attestor", withheld.member, penalty))
