"""What an owner says of its feeds."""

from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

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

PUBLISH_DOMAIN = "publish"


class Root(Message):
    """A root of a feed's tree: what a tree hash and a byte length are computed from."""

    size: Natural
    hash: Hash


class SignedHead(Message):
    """A feed's head as its owner signed it for Hypercore, with the roots it covers."""

    fork: Natural
    length: Positive
    roots: Annotated[tuple[Root, ...], Field(min_length=1, max_length=53)]
    signature: Annotated[
        bytes,
        Field(min_length=64, max_length=4096),
        PlainSerializer(bytes.hex, return_type=str, when_used="json"),
    ]


class PublishFeed(Message):
    """Register a feed and its first head, and say where it can be fetched from."""

    kind: Literal["publish_feed"] = "publish_feed"
    feed: PublicKey
    manifest: Annotated[
        bytes,
        Field(max_length=4096),
        PlainSerializer(bytes.hex, return_type=str, when_used="json"),
    ]
    """Hypercore manifest, empty for a compat feed."""
    head: SignedHead
    source: Endpoint
    consent: Signature
    """By the feed's first signer, see `consent_to_publish`: a signed head alone is public."""


def consent_to_publish(pair: KeyPair, network: bytes, owner: bytes, feed: bytes) -> bytes:
    """The word of a feed's first signer that the account `owner` speaks for it on this network."""
    return signing.sign(pair, PUBLISH_DOMAIN, network, owner + feed)


class UpdateHead(Message):
    """Announce a newer head, or a new address, of a registered feed."""

    kind: Literal["update_head"] = "update_head"
    feed: PublicKey
    head: SignedHead
    source: Endpoint
