"""ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381, suite 0x03), on libsodium's curve operations.

    proof (80 bytes) = Gamma (32) || c (16) || s (32)
    output (64 bytes) = SHA-512(03 || 03 || 8·Gamma || 00)

For one key and one input there is exactly one output: whoever proves cannot choose among
several, only stay silent. `verify` is stricter than the RFC in one harmless way: a Gamma
with a small-order part is refused, though its output would be the same.
"""

from functools import lru_cache
from hashlib import sha512

from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_core_ed25519_sub,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)

from wire.errors import Malformed
from wire.keys import KeyPair

PROOF_BYTES = 80
_SUITE = b"\x03"
_ORDER = 2**252 + 27742317777372353535851937790883648493


def prove(key: KeyPair, alpha: bytes) -> bytes:
    """The 80-byte proof of `key`'s output for the input `alpha` (RFC 9381 section 5.1)."""
    expanded = sha512(key.seed).digest()
    clamped = bytearray(expanded[:32])
    clamped[0] &= 248
    clamped[31] = clamped[31] & 127 | 64
    x = crypto_core_ed25519_scalar_reduce(bytes(clamped) + bytes(32))
    h = _encode_to_curve(key.public, alpha)
    gamma = crypto_scalarmult_ed25519_noclamp(x, h)
    k = crypto_core_ed25519_scalar_reduce(sha512(expanded[32:] + h).digest())
    u = crypto_scalarmult_ed25519_base_noclamp(k)
    v = crypto_scalarmult_ed25519_noclamp(k, h)
    c = _challenge(key.public, h, gamma, u, v)
    s = crypto_core_ed25519_scalar_add(k, crypto_core_ed25519_scalar_mul(c + bytes(16), x))
    return gamma + c + s


def verify(public: bytes, alpha: bytes, proof: bytes) -> bytes:
    """The 64-byte output that `proof` shows for `public` and `alpha`; raises `Malformed`.

    Source: RFC 9381 section 5.3, with validation of the public key.
    """
    if len(proof) != PROOF_BYTES or len(public) != 32:
        raise Malformed("a VRF proof has 80 bytes and its key 32")
    gamma, c, s = proof[:32], proof[32:48], proof[48:]
    if int.from_bytes(s, "little") >= _ORDER:
        raise Malformed("VRF proof: s is not reduced")
    h = _encode_to_curve(public, alpha)
    c_scalar = c + bytes(16)
    try:
        # libsodium raises for points outside the prime-order group, and for a zero scalar or an
        # identity as the result: no honest proof has one.
        u = crypto_core_ed25519_sub(
            crypto_scalarmult_ed25519_base_noclamp(s),
            crypto_scalarmult_ed25519_noclamp(c_scalar, public),
        )
        v = crypto_core_ed25519_sub(
            crypto_scalarmult_ed25519_noclamp(s, h),
            crypto_scalarmult_ed25519_noclamp(c_scalar, gamma),
        )
    except RuntimeError:
        raise Malformed("VRF proof: not points of the prime-order group") from None
    if _challenge(public, h, gamma, u, v) != c:
        raise Malformed("VRF proof does not match its key and input")
    return output(proof)


@lru_cache(maxsize=1024)
def output(proof: bytes) -> bytes:
    """The 64-byte output of a proof known to be good (RFC 9381 section 5.2)."""
    return sha512(_SUITE + b"\x03" + _times_eight(proof[:32]) + b"\x00").digest()


def _encode_to_curve(public: bytes, alpha: bytes) -> bytes:
    """Try-and-increment (RFC 9381 section 5.4.1.1) with the public key as the salt."""
    for counter in range(256):
        candidate = sha512(_SUITE + b"\x01" + public + alpha + bytes([counter, 0])).digest()[:32]
        try:
            return _times_eight(candidate)
        except RuntimeError:
            continue
    raise Malformed("VRF input cannot be hashed to the curve")


def _times_eight(point: bytes) -> bytes:
    for _ in range(3):
        point = crypto_core_ed25519_add(point, point)
    return point


def _challenge(*points: bytes) -> bytes:
    return sha512(_SUITE + b"\x02" + b"".join(points) + b"\x00").digest()[:16]
