"""The Noise XX handshake over Ed25519 keys that opens every connection (WIRE.md section 6).

    initiator → e               32 bytes
    responder → e, ee, s, es    96 bytes
    initiator → s, se           64 bytes

`Noise_XX_Ed25519_ChaChaPoly_BLAKE2b` is standard Noise but for its Diffie-Hellman: keys are
Ed25519, and the shared secret is the compressed Edwards point scalar · point, where scalar is
the one Ed25519 signs with. libsodium refuses points of small order, off the curve and in
non-canonical form, and with them the handshake. Afterwards each side is sure of the other's
static key; what happens before that is secret from listeners but not from an active attacker,
who can learn the responder's static key (and the initiator's, if the initiator does not check
whom it dialled before its last message).

This is the only file that knows the noiseprotocol library.
"""

from dataclasses import dataclass, field
from hashlib import sha512
from typing import Any

from cryptography.exceptions import InvalidTag
from nacl.bindings import crypto_scalarmult_ed25519_noclamp
from nacl.exceptions import CryptoError
from noise.backends.default import DefaultNoiseBackend
from noise.connection import NoiseConnection
from noise.functions.dh import DH
from noise.functions.keypair import KeyPair as NoiseKeyPair

from wire.errors import Malformed
from wire.keys import KeyPair

PROTOCOL_NAME = b"Noise_XX_Ed25519_ChaChaPoly_BLAKE2b"
RECEIVED_SIZES = {True: (96,), False: (32, 64)}
"""The sizes of the messages that an initiator (True) and a responder (False) receive."""


@dataclass(frozen=True, slots=True)
class Established:
    """What a finished handshake yields; `handshake_hash` is the same 64 bytes on both sides."""

    remote_key: bytes
    handshake_hash: bytes
    send_key: bytes = field(repr=False)
    receive_key: bytes = field(repr=False)


def diffie_hellman(scalar: bytes, point: bytes) -> bytes:
    """The compressed point scalar · point; `Malformed` for a point libsodium refuses."""
    try:
        return crypto_scalarmult_ed25519_noclamp(scalar, point)
    except CryptoError as error:
        raise Malformed("a Noise key is not a usable curve point") from error


def signing_scalar(seed: bytes) -> bytes:
    """The clamped scalar that Ed25519 signs with under `seed`."""
    scalar = bytearray(sha512(seed).digest()[:32])
    scalar[0] &= 248
    scalar[31] &= 127
    scalar[31] |= 64
    return bytes(scalar)


class _Ed25519KeyPair(NoiseKeyPair):  # type: ignore[misc]  # the library is untyped
    @classmethod
    def from_private_bytes(cls, seed: bytes) -> "_Ed25519KeyPair":
        public = KeyPair(seed).public
        return cls(private=signing_scalar(seed), public=public, public_bytes=public)

    @classmethod
    def from_public_bytes(cls, public: bytes) -> "_Ed25519KeyPair":
        return cls(public=public, public_bytes=public)


class _Ed25519(DH):  # type: ignore[misc]  # the library is untyped
    @property
    def klass(self) -> type[_Ed25519KeyPair]:
        return _Ed25519KeyPair

    @property
    def dhlen(self) -> int:
        return 32

    def generate_keypair(self) -> _Ed25519KeyPair:
        raise AssertionError("the ephemeral key is an argument")

    def dh(self, private_key: bytes, public_key: bytes) -> bytes:
        return diffie_hellman(private_key, public_key)


_BACKEND = DefaultNoiseBackend()
_BACKEND.diffie_hellmans["Ed25519"] = _Ed25519
_BACKEND.keypairs["Ed25519"] = _Ed25519KeyPair


class Handshake:
    """One side of one handshake: messages in, messages out, `established` at its end.

    `ephemeral_seed` is 32 bytes of entropy that must never be used for a second handshake.
    """

    def __init__(self, key: KeyPair, *, initiator: bool, ephemeral_seed: bytes) -> None:
        self._noise = NoiseConnection.from_name(PROTOCOL_NAME, backend=_BACKEND)
        if initiator:
            self._noise.set_as_initiator()
        else:
            self._noise.set_as_responder()
        self._noise.noise_protocol.keypairs["s"] = _Ed25519KeyPair.from_private_bytes(key.seed)
        self._noise.start_handshake()
        # The library deletes its reference when the handshake ends, the remote key with it.
        self._state: Any = self._noise.noise_protocol.handshake_state
        self._state.e = _Ed25519KeyPair.from_private_bytes(ephemeral_seed)
        self._sizes = list(RECEIVED_SIZES[initiator])
        self._initiator = initiator
        self.established: Established | None = None

    def start(self) -> bytes:
        """The initiator's first message; empty for a responder, who waits."""
        return bytes(self._noise.write_message()) if self._initiator else b""

    def receive(self, message: bytes) -> bytes:
        """Take the other side's next message and return the answer, empty if there is none."""
        if not self._sizes or len(message) != self._sizes.pop(0):
            raise Malformed(f"no handshake message of {len(message)} bytes belongs here")
        try:
            self._noise.read_message(message)
            answer = b"" if self._noise.handshake_finished else bytes(self._noise.write_message())
        except InvalidTag as error:
            raise Malformed("a handshake message does not authenticate") from error
        if self._noise.handshake_finished:
            self._finish()
        return answer

    def _finish(self) -> None:
        protocol = self._noise.noise_protocol
        self.established = Established(
            remote_key=self._state.rs.public_bytes,
            handshake_hash=protocol.handshake_hash,
            send_key=protocol.cipher_state_encrypt.k,
            receive_key=protocol.cipher_state_decrypt.k,
        )
