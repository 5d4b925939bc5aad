"""A validator is proven to have signed two things that contradict each other."""

from chain import penalties
from chain.bodies.validators import ValidatorFault
from chain.context import BlockContext
from chain.faults import contradiction
from chain.reasons import Reason
from chain.state import Draft
from wire.errors import Malformed, Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: ValidatorFault) -> None:
    """Slash the accused and end its service, once a key, however old the votes are, but not with
    a key that was replaced longer ago than coins take to return.

    It keeps its place until the term is over: a set that shrank within a term would need fewer
    votes than others count.
    """
    key = draft.validator_keys.require(body.key, Reason.UNKNOWN_VALIDATOR)
    if key.convicted:
        raise Rejected(Reason.ALREADY_CONVICTED)
    if key.is_past(block.height, block.parameters.validator_unbonding_blocks):
        raise Rejected(Reason.KEY_RETIRED, f"another took its place at {key.replaced_height}")
    if key.account == sender:
        raise Rejected(Reason.BAD_EVIDENCE, "nobody is rewarded for its own fault")
    try:
        contradiction(block.network, body.key, body.first, body.second)
    except Malformed as error:
        raise Rejected(Reason.BAD_EVIDENCE, str(error)) from None

    draft.validator_keys.change(body.key, convicted=True)
    candidate = draft.candidates.at(key.account)
    draft.candidates.change(key.account, listed=False, faults=candidate.faults + 1)
    others = [
        member.account
        for member in draft.validators.members
        if member.account != key.account and not draft.validator_keys.at(member.key).convicted
    ]
    slash_ppm = block.parameters.vote_fault_slash_ppm
    penalties.fault(draft, block, "validator", key.account, slash_ppm, others)
