"""Stake that attestors lose: for a fault in a coin flip, and for a coin that none of them opens.

Coins that are on their way back are taken as well, after those that are not. They return no
sooner than any challenge can end for which their owner may have been lined up with them.
"""

from chain import money
from chain.context import BlockContext
from chain.records import ChallengeRecord, stake_key
from chain.rules import register
from chain.state import Draft

MILLION = 1_000_000


def held_base(draft: Draft, attestor: bytes) -> int:
    """What there is to take."""
    stake = draft.stakes.at(stake_key("attestor", attestor))
    return stake.amount_base + stake.unbonding_base


def take(draft: Draft, block: BlockContext, attestor: bytes, amount_base: int) -> int:
    """Take so much of an attestor's stake, or all there is; returns what its taker must place."""
    key = stake_key("attestor", attestor)
    stake = draft.stakes.at(key)
    staked = min(amount_base, stake.amount_base)
    unbonding = min(amount_base - staked, stake.unbonding_base)
    draft.stakes.change(
        key,
        amount_base=stake.amount_base - staked,
        unbonding_base=stake.unbonding_base - unbonding,
    )
    register.refresh_rosters(draft, block, attestor)
    return staked + unbonding


def coin_fault(draft: Draft, block: BlockContext, accused: bytes, reporter: bytes) -> None:
    """A proven fault in a flip: a share for who reported it, and the rest is burnt."""
    parameters = block.parameters
    due_base = held_base(draft, accused) * parameters.coin_fault_slash_ppm // MILLION
    taken_base = take(draft, block, accused, due_base)
    reward_base = taken_base * parameters.reporter_share_ppm // MILLION
    money.credit(draft, reporter, reward_base)
    money.burn(draft, taken_base - reward_base)


def coin_unopened(draft: Draft, block: BlockContext, challenge: ChallengeRecord) -> None:
    """Members that committed to a report knew the coin; that none opened it kept hosters unpaid."""
    for known in challenge.commitments:
        penalty = block.parameters.unopened_penalty_base
        money.burn(draft, take(draft, block, known.member, penalty))
