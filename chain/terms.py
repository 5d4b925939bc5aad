"""Terms: how each validator served in the present one, and who serves in the next.

The set of a term takes over after its predecessor's last block, and that block must be final
before another is built, so whoever follows the chain knows at every height whose votes count. It
is chosen some blocks earlier, when nobody can know its seed yet: else the writer of the last block
could have itself drawn more often by letting somebody in or out.
"""

from collections import Counter

from chain.context import BlockContext
from chain.genesis import Parameters
from chain.records import RosterName, Table, stake_key
from chain.state import Draft, View
from chain.validators import Validator, ValidatorSet, ends_term

COUNTED_VIEWS = 1_000
"""Failed views before one block that are counted; after a long halt nobody is worse for more."""

LEAST_TURNS = 10
"""Fewer in a term say nothing about a validator."""

NEXT = b"next"
"""The key of the set that is chosen and does not serve yet, beside the one that does."""


def end_block(draft: Draft, block: BlockContext) -> None:
    """Count the views that led to this block; choose the next set, or let it take over."""
    _count_views(draft, block)
    term_blocks = block.parameters.term_blocks
    if ends_term(block.height + choice_delay(block.parameters), term_blocks):
        _jail(draft, block)
        _choose(draft, block)
    elif ends_term(block.height, term_blocks):
        _begin_term(draft)


def choice_delay(parameters: Parameters) -> int:
    """How many blocks before the last of a term the next set is chosen."""
    return min(parameters.draw_delay_blocks, parameters.term_blocks - 1)


def _count_views(draft: Draft, block: BlockContext) -> None:
    """Each view was its committer's turn; those between the parent's and this one's failed.

    The leader of a failed view is not known here, so the committer answers for it as well: a
    leader that never proposes costs each of the others no more than its share of their turns.
    """
    validators = draft.validators
    skipped = range(block.parent_view + 1, block.view)[:COUNTED_VIEWS]
    failed = Counter(validators.committer(view).account for view in skipped)
    turns = failed + Counter([validators.committer(block.view).account])
    for account, count in turns.items():
        before = draft.candidates.at(account)
        draft.candidates.change(
            account,
            turns=before.turns + count,
            failed_views=before.failed_views + failed[account],
        )


def _jail(draft: Draft, block: BlockContext) -> None:
    """Keep out for a while who failed more than two thirds of its turns, the worst first.

    Never more than a third are out at once, of all that would serve: else a few that make the
    turns of others fail could, term by term, become most of those who are left.
    """
    members = draft.validators.members
    out = sum(
        draft.candidates.at(account).jailed_until > block.height
        for account in draft.roster(RosterName.CANDIDATES)
    )
    served = [draft.candidates.at(member.account) for member in members]
    failing = sorted(
        (
            one
            for one in served
            if one.turns >= LEAST_TURNS and 3 * one.failed_views > 2 * one.turns
        ),
        key=lambda one: (
            -(one.failed_views * 1_000_000 // one.turns),
            -one.failed_views,
            one.validator.account,
        ),
    )
    room = max((len(members) + out - 1) // 3 - out, 0)
    for one in failing[:room]:
        until = block.height + block.parameters.jail_blocks
        draft.candidates.change(one.validator.account, jailed_until=until)


def _choose(draft: Draft, block: BlockContext) -> None:
    """Write down the members of the next set. When nobody qualifies the present ones serve on.

    However few qualify, they are the set: all of them have coins at stake, and a quorum of fewer
    is never more votes than one of more, so who left or was jailed is not waited for.
    """
    present = draft.validators
    members = _chosen(draft, block) or present.members
    following = ValidatorSet(term=present.term + 1, seed=bytes(32), members=members)
    _sets(draft).put(NEXT, following)


def _begin_term(draft: Draft) -> None:
    """Let the chosen set take over, with a seed that was not known when it was chosen."""
    for member in draft.validators.members:
        draft.candidates.change(member.account, turns=0, failed_views=0)
    sets = _sets(draft)
    draft.validators = sets.at(NEXT).model_copy(update={"seed": draft.meta.beacon})
    sets.remove(NEXT)


def _sets(draft: Draft) -> View[ValidatorSet]:
    return View(draft, Table.VALIDATORS)


def _chosen(draft: Draft, block: BlockContext) -> tuple[Validator, ...]:
    """The best staked candidates that are free to serve, in the order of their accounts."""

    def stake_base(account: bytes) -> int:
        return draft.stakes.at(stake_key("validator", account)).amount_base

    free = [
        account
        for account in draft.roster(RosterName.CANDIDATES)
        if draft.candidates.at(account).jailed_until <= block.height
    ]
    best = sorted(free, key=lambda account: (-stake_base(account), account))
    chosen = sorted(best[: block.parameters.validators_maximum])
    return tuple(draft.candidates.at(account).validator for account in chosen)
