"""What becomes of how members behaved in a challenge, and who therefore is not lined up."""

from chain.challenge_records import ChallengeRecord
from chain.context import BlockContext
from chain.standing import Offence, Standing, after_clean_round, after_offence
from chain.state import Draft


def offend(draft: Draft, block: BlockContext, account: bytes, offence: Offence) -> None:
    """Write an offence into an attestor's standing."""
    before = draft.standings.get(account) or Standing()
    after = after_offence(before, offence, block.parameters, block.height)
    draft.standings.put(account, after)


def conclude(draft: Draft, block: BlockContext, challenge: ChallengeRecord) -> None:
    """A sealed challenge is over: each member had a report to make.

    Who was convicted in the flip has paid for it, and had no report to make any more; who made
    its report up has paid for that.
    """
    committed = {known.member for known in challenge.commitments}
    for member in challenge.members:
        report = draft.reports.get(challenge.challenge + member)
        if member in challenge.convicted or (report is not None and report.forged):
            continue
        before = draft.standings.get(member) or Standing()
        draft.standings.put(member, before.model_copy(update={"rounds": before.rounds + 1}))
        if member not in committed:
            offend(draft, block, member, "missing")
        elif member in challenge.voided:
            offend(draft, block, member, "void")
        elif member not in challenge.opened:
            offend(draft, block, member, "late")
        else:
            counted = draft.standings.at(member)
            draft.standings.put(member, after_clean_round(counted, block.parameters))


def resting(draft: Draft, block: BlockContext, candidates: list[bytes]) -> set[bytes]:
    """Which of these are suspended and must sit out the next line-up.

    Never more than a third of them, and a committee is always left: else whoever can keep others
    from reporting would soon be alone with its own.
    """

    def until(account: bytes) -> int:
        standing = draft.standings.get(account)
        return standing.suspended_until if standing else 0

    room = min(len(candidates) // 3, len(candidates) - block.parameters.committee_minimum)
    suspended = [account for account in candidates if until(account) > block.height]
    suspended.sort(key=lambda account: (-until(account), account))
    return set(suspended[: max(room, 0)])
