"""What an operator says of itself, and a hoster of the feeds it holds."""

from typing import Annotated, Literal

from pydantic import Field

from chain.endpoint import Endpoint
from wire import signing
from wire.codec import Message
from wire.keys import KeyPair
from wire.primitives import (
    Hash,
    Natural,
    Positive,
    PublicKey,
    Signature,
)

SWARM_DOMAIN = "swarm"
RECEIPT_KEY_DOMAIN = "receipt_key"


class Offer(Message):
    """What a hoster has to sell."""

    capacity_bytes: Positive
    price_base_per_gib: Natural
    """Least price per epoch and GiB."""


class Register(Message):
    """Publish or change an account's keys, address and offer."""

    kind: Literal["register"] = "register"
    endpoint: Endpoint
    swarm_proof: Signature
    """By the endpoint's swarm key, see `claim_swarm_key`: nobody takes another's key."""
    vrf_key: PublicKey
    receipt_key: PublicKey
    receipt_proof: Signature
    """By the receipt key, see `claim_receipt_key`: what it signs is this account's for ever."""
    operator: Annotated[str, Field(max_length=64)] = ""
    """Accounts that name the same operator never serve the same plan twice."""
    offer: Offer | None = None
    attests: bool = False


def claim_swarm_key(pair: KeyPair, network: bytes, account: bytes) -> bytes:
    """The swarm key's own signature that it is `account`'s."""
    return signing.sign(pair, SWARM_DOMAIN, network, account)


def claim_receipt_key(pair: KeyPair, network: bytes, account: bytes) -> bytes:
    """The receipt key's own signature that it is `account`'s."""
    return signing.sign(pair, RECEIPT_KEY_DOMAIN, network, account)


class Drain(Message):
    """Whether a hoster takes contracts no more, and which of its own it hands over."""

    kind: Literal["drain"] = "drain"
    on: bool
    leave: Annotated[tuple[Hash, ...], Field(max_length=64)] = ()


class Acknowledge(Message):
    """A hoster's word that it holds an assigned feed up to this head."""

    kind: Literal["acknowledge"] = "acknowledge"
    contract: Hash
    fork: Natural
    length: Positive
    tree_hash: Hash
