"""Signatures that mean one thing on one network.

What is signed is `"holdfast/v1" || u8(len domain) || domain || network id || body`. The
domain names the statement ("transaction", "receipt", …), so a signature made for one can
never be read as another; the network id keeps it from being replayed elsewhere.

Verification is libsodium's and no other library's: of the known Ed25519 edge cases
libraries accept different sets, and nodes that disagree on one signature fork the chain.
"""

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from wire.errors import Malformed
from wire.keys import KeyPair


def signable(domain: str, network: bytes, body: bytes) -> bytes:
    """The exact bytes that a signature in `domain` on `network` covers."""
    name = domain.encode()
    assert 0 < len(name) < 256 and len(network) == 32
    return b"holdfast/v1" + bytes([len(name)]) + name + network + body


def sign(key: KeyPair, domain: str, network: bytes, body: bytes) -> bytes:
    """The 64-byte signature of `key` over `body` in `domain` on `network`."""
    return key.sign_raw(signable(domain, network, body))


def is_signed(public: bytes, domain: str, network: bytes, body: bytes, signature: bytes) -> bool:
    """Whether `signature` is `public`'s over `body` in `domain` on `network`."""
    return is_signed_raw(public, signable(domain, network, body), signature)


def require_signed(
    public: bytes, domain: str, network: bytes, body: bytes, signature: bytes
) -> None:
    """Raise `Malformed` unless the signature is good."""
    if not is_signed(public, domain, network, body, signature):
        raise Malformed(f"bad {domain} signature")


def is_signed_raw(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is `public`'s Ed25519 signature over exactly `message`."""
    if len(signature) != 64 or len(public) != 32:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True
