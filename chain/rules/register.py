"""Publish an account's keys, address and offer."""

from chain.bodies.hosting import RECEIPT_KEY_DOMAIN, SWARM_DOMAIN, Register
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import ReceiptKey, Registration, RosterName, SwarmKey, stake_key
from chain.state import Draft
from wire import signing
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: Register) -> None:
    """Write the registration; a Noise key belongs to one account for ever."""
    take_swarm_key(draft, block, sender, body.endpoint.swarm_key, body.swarm_proof)
    _take_receipt_key(draft, block, sender, body)
    before = draft.registrations.get(sender)
    draft.registrations.put(
        sender,
        Registration(
            account=sender,
            endpoint=body.endpoint,
            vrf_key=body.vrf_key,
            receipt_key=body.receipt_key,
            operator=body.operator,
            offer=body.offer,
            attests=body.attests,
            hosted_bytes=before.hosted_bytes if before else 0,
            since_height=_since(block, before, body),
            draining=before is not None and before.draining,
        ),
    )
    refresh_rosters(draft, block, sender)


def take_swarm_key(
    draft: Draft, block: BlockContext, sender: bytes, swarm_key: bytes, proof: bytes
) -> None:
    """Write down that a Noise key is the sender's; `Rejected` unless both agree to that."""
    if not signing.is_signed(swarm_key, SWARM_DOMAIN, block.network, sender, proof):
        raise Rejected(Reason.KEY_UNPROVEN, "the swarm key has not signed for this account")
    holder = draft.swarm_keys.get(swarm_key)
    if holder is not None and holder.account != sender:
        raise Rejected(Reason.KEY_TAKEN, "the swarm key is another account's")
    draft.swarm_keys.put(swarm_key, SwarmKey(account=sender))


def _take_receipt_key(draft: Draft, block: BlockContext, sender: bytes, body: Register) -> None:
    """Receipts of any age must lead to the account that answers for them."""
    key, proof = body.receipt_key, body.receipt_proof
    if not signing.is_signed(key, RECEIPT_KEY_DOMAIN, block.network, sender, proof):
        raise Rejected(Reason.KEY_UNPROVEN, "the receipt key has not signed for this account")
    holder = draft.receipt_keys.get(key)
    if holder is not None and holder.account != sender:
        raise Rejected(Reason.KEY_TAKEN, "the receipt key is another account's")
    draft.receipt_keys.put(key, ReceiptKey(account=sender))


def _since(block: BlockContext, before: Registration | None, body: Register) -> int:
    """Since when the offer is known: a new one is not drawn at once, a new address is nothing."""
    if before is not None and (before.offer, before.operator) == (body.offer, body.operator):
        return before.since_height
    return block.height


def refresh_rosters(draft: Draft, block: BlockContext, account: bytes) -> None:
    """List an account where its registration, its candidacy and its stake say it serves."""
    registration = draft.registrations.get(account)
    attestor = draft.stakes.get(stake_key("attestor", account))
    hoster = draft.stakes.get(stake_key("hoster", account))
    attests = (
        registration is not None
        and registration.attests
        and attestor is not None
        and attestor.amount_base >= block.parameters.attestor_stake_base
    )
    hosts = (
        registration is not None
        and registration.offer is not None
        and not registration.draining
        and hoster is not None
        and hoster.amount_base >= block.parameters.hoster_stake_base
    )
    candidate = draft.candidates.get(account)
    validator = draft.stakes.get(stake_key("validator", account))
    stands = (
        candidate is not None
        and candidate.listed
        and validator is not None
        and validator.amount_base >= block.parameters.validator_stake_base
    )
    for name, listed in (
        (RosterName.ATTESTORS, attests),
        (RosterName.HOSTERS, hosts),
        (RosterName.CANDIDATES, stands),
    ):
        if (account in draft.roster(name)) != listed:
            draft.set_listed(name, account, listed)
