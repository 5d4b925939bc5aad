"""One master seed per operator, and a separate key for every use.

The seed is 32 bytes in a 0600 file. A key for one use is derived from it by label; no key
is ever used for two purposes, and none can be computed from another.
"""

from enum import StrEnum
from hashlib import blake2b

from nacl.signing import SigningKey


class Use(StrEnum):
    """What a derived key is for. Members are appended, never renamed: names make keys."""

    ACCOUNT = "account"
    SWARM = "swarm"
    RECEIPT = "receipt"
    VRF = "vrf"
    VALIDATOR = "validator"
    COSIGNER = "cosigner"
    COIN = "coin"
    VISIT = "visit"
    FEED = "feed"


def derive(master: bytes, use: Use, *context: bytes) -> bytes:
    """The 32-byte seed for one use, and one context within it (a visit, a feed name)."""
    assert len(master) == 32
    state = blake2b(digest_size=32, key=master, person=b"holdfast/key")
    for part in (use.value.encode(), *context):
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


class KeyPair:
    """An Ed25519 key pair. Its secret half shows in no log: `repr` has the public key only."""

    __slots__ = ("_signing", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self._signing = SigningKey(seed)
        self.public = bytes(self._signing.verify_key)

    @classmethod
    def derive(cls, master: bytes, use: Use, *context: bytes) -> "KeyPair":
        """The key pair of one use under a master seed."""
        return cls(derive(master, use, *context))

    def sign_raw(self, message: bytes) -> bytes:
        """64-byte Ed25519 signature over exactly these bytes.

        Only Hypercore's formats use this; all else signs through `wire.signing`.
        """
        return self._signing.sign(message).signature

    def __repr__(self) -> str:
        return f"KeyPair({self.public.hex()[:16]}…)"
