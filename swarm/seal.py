"""The encryption of a secret stream's frames: libsodium's secretstream, faster for large frames.

    frame   u24 length · sealed (length bytes, n + 17 for a plaintext of n), little-endian
    sealed  tag byte (sent as 0; 2 renews the key), encrypted · ciphertext · MAC (16 bytes)

    keystream   ChaCha20 (RFC 8439) under key k with the nonce c · i, from block 0 on
    tag block   (tag byte · 63 zeros) XOR block 1; its first byte is sent
    ciphertext  plaintext XOR blocks 2 and on
    MAC         Poly1305 under the first 32 bytes of block 0, of
                tag block · ciphertext · n mod 16 zeros · u64 0 · u64 64 + n

The state is k (32 bytes), c (u32, 1 at first) and i (8 bytes). After each frame i is XORed with the
MAC's first 8 bytes, and c grows by one; when c is 0 then, or the tag says so, k and i are XORed
with ChaCha20 under k with the nonce c · i, and c is 1 again. (As many zeros as n mod 16 are an
oddity of libsodium's, and the format.) Source: libsodium, `crypto_secretstream_xchacha20poly1305`.

libsodium begins the state, renews the key, and takes small frames in one call. Large ones go to
OpenSSL, which takes half the time for them and needs no copies of them. Both work on one state.
"""

from struct import Struct

from cffi import FFI
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305
from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_rekey,
    crypto_secretstream_xchacha20poly1305_state,
)
from nacl.exceptions import CryptoError

from wire.errors import Malformed

HEADER_BYTES = 24
"""What the sender of a stream draws and sends first, for both to begin with the same state."""

SEAL_BYTES = 17
"""How much longer than its plaintext a frame is, behind its length."""

SMALL_BYTES = 8 * 1024
"""Up to here one call of libsodium is faster than eight of OpenSSL."""

_MAC_BYTES = 16
_START = Struct("<I")
"""The length and the tag byte of a frame."""

_STATE = Struct("<32sIQ")
_SIZES = Struct("<QQ")
_TWO_BLOCKS = bytes(128)
_RENEWS_KEY = 2


class _Half:
    """One direction of a stream; mutable, with one owner."""

    def __init__(self, key: bytes, header: bytes) -> None:
        self._sodium = crypto_secretstream_xchacha20poly1305_state()
        # A sender begins as a receiver does too, so that the header is an argument, not entropy.
        crypto_secretstream_xchacha20poly1305_init_pull(self._sodium, header, key)
        self._state = memoryview(FFI().buffer(self._sodium.statebuf))
        self._key = b""
        self._cipher: CipherContext

    def _begin(self) -> bytes:
        """Bring the cipher to where the plaintext begins; the two blocks of keystream before."""
        key = self._state[:32].tobytes()
        if key != self._key:
            self._cipher = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
            self._key = key
        self._cipher.reset_nonce(bytes(4) + self._state[32:44])
        return self._cipher.update(_TWO_BLOCKS)

    def _go_on(self, mac: bytes, *, renew: bool = False) -> None:
        """The state behind a frame with this MAC."""
        key, counter, nonce = _STATE.unpack_from(self._state)
        counter = (counter + 1) & 0xFFFFFFFF
        nonce ^= int.from_bytes(mac[:8], "little")
        _STATE.pack_into(self._state, 0, key, counter, nonce)
        if renew or not counter:
            crypto_secretstream_xchacha20poly1305_rekey(self._sodium)


class Sealer(_Half):
    """The sender's half."""

    def seal(self, plaintext: bytes) -> bytes | bytearray:
        """The frame of a plaintext."""
        size = len(plaintext)
        if size <= SMALL_BYTES:
            sealed = crypto_secretstream_xchacha20poly1305_push(self._sodium, plaintext)
            return len(sealed).to_bytes(3, "little") + sealed
        keystream = self._begin()
        frame = bytearray(_START.size + size + _MAC_BYTES)
        _START.pack_into(frame, 0, size + SEAL_BYTES | keystream[64] << 24)
        ciphertext = memoryview(frame)[_START.size : -_MAC_BYTES]
        self._cipher.update_into(plaintext, ciphertext)
        mac = _mac(keystream, keystream[64:], ciphertext).finalize()
        frame[-_MAC_BYTES:] = mac
        self._go_on(mac)
        return frame


class Opener(_Half):
    """The receiver's half."""

    def open(self, sealed: memoryview) -> bytes:
        """The plaintext of a frame, of which `sealed` is what stands behind its length.

        Raises `Malformed` when the MAC is not right; then nothing is decrypted, and the state
        stays as it was.
        """
        assert len(sealed) >= SEAL_BYTES
        if len(sealed) <= SMALL_BYTES:
            return self._open_small(sealed.tobytes())
        keystream = self._begin()
        ciphertext, mac = sealed[1:-_MAC_BYTES], sealed[-_MAC_BYTES:].tobytes()
        try:
            _mac(keystream, sealed[:1].tobytes() + keystream[65:], ciphertext).verify(mac)
        except InvalidSignature as error:
            raise _forged() from error
        plaintext = self._cipher.update(ciphertext)
        self._go_on(mac, renew=bool((sealed[0] ^ keystream[64]) & _RENEWS_KEY))
        return plaintext

    def _open_small(self, sealed: bytes) -> bytes:
        try:
            plaintext, _ = crypto_secretstream_xchacha20poly1305_pull(self._sodium, sealed)
        except CryptoError as error:
            raise _forged() from error
        return plaintext


def _mac(keystream: bytes, tag_block: bytes, ciphertext: memoryview) -> Poly1305:
    """The authenticator, when it has taken in a frame."""
    size = len(ciphertext)
    mac = Poly1305(keystream[:32])
    mac.update(tag_block)
    mac.update(ciphertext)
    mac.update(bytes(size & 15) + _SIZES.pack(0, len(tag_block) + size))
    return mac


def _forged() -> Malformed:
    return Malformed("a frame does not authenticate")
