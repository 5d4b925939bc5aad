"""What validators say outside of consensus, and what is said of them."""

from typing import Literal

from chain.bodies.hosting import claim_swarm_key
from chain.endpoint import Endpoint
from chain.votes import SignedVote, VrfProof
from wire import signing, vrf
from wire.codec import Message
from wire.keys import KeyPair
from wire.primitives import (
    PublicKey,
    Signature,
    tagged_hash,
)

VALIDATOR_DOMAIN = "validator"


class Enlist(Message):
    """Offer to be a validator from the next term on, or change one's keys or address.

    Each key says itself that it is the account's: nobody can take another's.
    """

    kind: Literal["enlist"] = "enlist"
    key: PublicKey
    key_proof: Signature
    """By the signing key over the account."""
    vrf_key: PublicKey
    vrf_proof: VrfProof
    """Of the VRF key for `vrf_claim`."""
    endpoint: Endpoint
    swarm_proof: Signature
    """As in `Register`."""


def enlist(
    network: bytes, account: bytes, key: KeyPair, vrf_key: KeyPair, swarm: KeyPair, at: Endpoint
) -> Enlist:
    """What a validator sends from `account`: its public keys, and each one's word."""
    assert at.swarm_key == swarm.public
    return Enlist(
        key=key.public,
        key_proof=signing.sign(key, VALIDATOR_DOMAIN, network, account),
        vrf_key=vrf_key.public,
        vrf_proof=vrf.prove(vrf_key, vrf_claim(network, account)),
        endpoint=at,
        swarm_proof=claim_swarm_key(swarm, network, account),
    )


def vrf_claim(network: bytes, account: bytes) -> bytes:
    """The VRF input by which a VRF key says that it is `account`'s: no view ever has it."""
    return tagged_hash("enlist", network, account)


class Delist(Message):
    """Serve as a validator no longer than the present term."""

    kind: Literal["delist"] = "delist"


class ValidatorFault(Message):
    """Two votes that contradict each other, by the validator that signs with `key`."""

    kind: Literal["validator_fault"] = "validator_fault"
    key: PublicKey
    first: SignedVote
    second: SignedVote
