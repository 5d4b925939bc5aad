"""Stand for validator, and step down."""

from chain.bodies.validators import VALIDATOR_DOMAIN, Enlist, vrf_claim
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import Candidate, ValidatorKey
from chain.rules import register
from chain.state import Draft
from chain.validators import Validator
from wire import signing, vrf
from wire.errors import Malformed, Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: Enlist) -> None:
    """List the sender with these keys; the set of the present term stays as it is.

    A signing key belongs to one account for ever, else a fault signed with it could be laid at
    another's door.
    """
    if not signing.is_signed(body.key, VALIDATOR_DOMAIN, block.network, sender, body.key_proof):
        raise Rejected(Reason.KEY_UNPROVEN, "the signing key has not signed for this account")
    try:
        vrf.verify(body.vrf_key, vrf_claim(block.network, sender), body.vrf_proof)
    except Malformed as error:
        raise Rejected(Reason.KEY_UNPROVEN, f"the VRF key has not: {error}") from None
    holder = draft.validator_keys.get(body.key)
    if holder is not None and holder.account != sender:
        raise Rejected(Reason.KEY_TAKEN, "the signing key is another account's")
    if holder is not None and holder.convicted:
        raise Rejected(Reason.ALREADY_CONVICTED, "this signing key has signed a contradiction")
    register.take_swarm_key(draft, block, sender, body.endpoint.swarm_key, body.swarm_proof)

    validator = Validator(
        account=sender, key=body.key, vrf_key=body.vrf_key, endpoint=body.endpoint
    )
    before = draft.candidates.get(sender) or Candidate(validator=validator)
    if before.validator.key != body.key:
        draft.validator_keys.change(before.validator.key, replaced_height=block.height)
    draft.validator_keys.put(body.key, ValidatorKey(account=sender))
    fields = {"validator": validator, "listed": True}
    draft.candidates.put(sender, before.model_copy(update=fields))
    register.refresh_rosters(draft, block, sender)


def apply_delist(draft: Draft, block: BlockContext, sender: bytes) -> None:
    """Take the sender out of the choice for the next term; until then it serves on."""
    candidate = draft.candidates.get(sender)
    if candidate is None or not candidate.listed:
        raise Rejected(Reason.NOT_LISTED)
    draft.candidates.change(sender, listed=False)
    register.refresh_rosters(draft, block, sender)
