"""What changes the key that speaks for an account."""

from typing import Literal

from wire import signing
from wire.codec import Message
from wire.keys import KeyPair
from wire.primitives import PublicKey, Signature

ROTATE_DOMAIN = "rotate"


class Rotate(Message):
    """From now on another key signs for the account; the one before never does again."""

    kind: Literal["rotate"] = "rotate"
    key: PublicKey
    proof: Signature
    """By the new key over the account: nobody is handed a key that no one holds."""


def rotate_to(pair: KeyPair, network: bytes, account: bytes) -> Rotate:
    """What an account sends, signed by its present key, to be `pair`'s."""
    proof = signing.sign(pair, ROTATE_DOMAIN, network, account)
    return Rotate(key=pair.public, proof=proof)
