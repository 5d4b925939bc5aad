"""Another key signs for an account."""

from chain.bodies.keys import ROTATE_DOMAIN, Rotate
from chain.context import BlockContext
from chain.reasons import Reason
from chain.state import Draft
from wire import signing
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: Rotate) -> None:
    """The account stays what it is, with all that it has and owes; only who speaks for it changes.

    A key that has spoken as an account itself cannot speak for another as well. One that was sent
    coins can: else whoever sees which key it is to be could keep it from being.
    """
    if not signing.is_signed(body.key, ROTATE_DOMAIN, block.network, sender, body.proof):
        raise Rejected(Reason.KEY_UNPROVEN, "the new key has not signed for this account")
    account = draft.accounts.at(sender)
    other = draft.accounts.get(body.key)
    if body.key in (account.signer, sender) or (other is not None and other.nonce):
        raise Rejected(Reason.KEY_TAKEN, "use a key that has never signed here")
    draft.accounts.put(sender, account.model_copy(update={"signer": body.key}))
    registration = draft.registrations.get(sender)
    if registration is not None:
        # From the old seed: who stole it would have the account slashed for ever, and be paid.
        draft.receipt_keys.change(registration.receipt_key, retired=True)
