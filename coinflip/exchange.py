"""Encrypting each member's share so that it can travel in the open.

    key         H("coin/key", X25519(dealer, holder), topic, dealer position, holder position)
    ciphertext  ChaCha20-Poly1305(key, nonce 0, share (32) || salt (16)) || tag (16)

A key encrypts one message ever, so the nonce may be constant. Both exchange keys live for
one flip only, and a victim may therefore show its own to prove that a ciphertext was bad.
"""

from typing import NamedTuple

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

from wire.errors import Malformed
from wire.primitives import tagged_hash

_NONCE = bytes(12)


class OpenShare(NamedTuple):
    """A decrypted share and the salt of its leaf."""

    value: bytes
    salt: bytes


def exchange_key(secret: bytes) -> bytes:
    """The X25519 public key that belongs to an exchange secret."""
    return crypto_scalarmult_base(secret)


def agree(secret: bytes, other_key: bytes) -> bytes:
    """The X25519 secret shared with the holder of `other_key`.

    Raises `Malformed` for keys of low order, with which the "secret" would be zero.
    """
    try:
        return crypto_scalarmult(secret, other_key)
    except CryptoError as error:
        raise Malformed("exchange key of low order") from error


def encrypt(agreed: bytes, topic: bytes, dealer: int, holder: int, share: OpenShare) -> bytes:
    """The ciphertext of the share that member `dealer` deals to member `holder`."""
    return crypto_aead_chacha20poly1305_ietf_encrypt(
        share.value + share.salt, None, _NONCE, _key(agreed, topic, dealer, holder)
    )


def decrypt(agreed: bytes, topic: bytes, dealer: int, holder: int, data: bytes) -> OpenShare:
    """The share inside a ciphertext; raises `Malformed` when it was not made for this pair."""
    try:
        plain = crypto_aead_chacha20poly1305_ietf_decrypt(
            data, None, _NONCE, _key(agreed, topic, dealer, holder)
        )
    except CryptoError as error:
        raise Malformed("a share does not decrypt") from error
    return OpenShare(plain[:32], plain[32:])


def _key(agreed: bytes, topic: bytes, dealer: int, holder: int) -> bytes:
    pair = dealer.to_bytes(2, "big") + holder.to_bytes(2, "big")
    return tagged_hash("coin/key", agreed, topic, pair)
