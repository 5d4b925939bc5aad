"""Who may sign a feed, and the 32-byte key that follows from it (WIRE.md section 2).

A feed's key is either the hash of its manifest (Hypercore 11) or, in a *compat* feed
(Hypercore 10), the one public key that signs it; then no manifest travels.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from wire.compact import Reader, put_buffer, put_uint
from wire.errors import Malformed
from wire.primitives import blake2b_256

MAX_SIGNERS = 256
"""More than any known feed has; bounds what one signature costs to verify."""

MAX_LINKED = 1024
"""Keys of other feeds a manifest may name; far above what applications link."""

_NEWEST = 3
_BLAKE2B = 0
_ED25519 = 0
_ALLOW_PATCH, _PROLOGUE, _LINKED, _USER_DATA = 1, 2, 4, 8
_STATIC, _SINGLE, _MULTI = 0, 1, 2


def namespaces(name: str, count: int) -> list[bytes]:
    """The first `count` 32-byte domain tags of a Hypercore package."""
    base = blake2b_256(name.encode())
    return [blake2b_256(base, bytes([index])) for index in range(count)]


(
    TREE,
    REPLICATE_INITIATOR,
    REPLICATE_RESPONDER,
    MANIFEST,
    DEFAULT_NAMESPACE,
    DEFAULT_ENCRYPTION,
) = namespaces("hypercore", 6)
(CORESTORE,) = namespaces("corestore", 1)


@dataclass(frozen=True, slots=True)
class Signer:
    """One Ed25519 key that may sign; `namespace` separates domains in version 0 only."""

    public_key: bytes
    namespace: bytes = DEFAULT_NAMESPACE


@dataclass(frozen=True, slots=True)
class Prologue:
    """The first `length` chunks, fixed by their tree hash for ever and needing no signature."""

    hash: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which keys sign a feed and how many of them must."""

    version: int
    quorum: int
    signers: tuple[Signer, ...]
    allow_patch: bool = False
    prologue: Prologue | None = None
    linked: tuple[bytes, ...] | None = None
    user_data: bytes | None = None


@lru_cache(maxsize=256)
def default_manifest(public_key: bytes) -> Manifest:
    """The manifest of a feed with one signer, as Hypercore 11 makes it."""
    return Manifest(version=1, quorum=1, signers=(Signer(public_key),))


@lru_cache(maxsize=256)
def manifest_key(manifest: Manifest) -> bytes:
    """The key of the feed that this manifest describes."""
    return blake2b_256(MANIFEST, encode_manifest(manifest))


def is_compat(key: bytes, manifest: Manifest | None) -> bool:
    """Whether the key is itself the signer's public key, so that no manifest is needed."""
    if manifest is None:
        return True
    return len(manifest.signers) == 1 and manifest.signers[0].public_key == key


def require_manifest(key: bytes, manifest: Manifest) -> None:
    """Raise `Malformed` unless the manifest is the one that the key stands for."""
    if not is_compat(key, manifest) and manifest_key(manifest) != key:
        raise Malformed("the manifest is another feed's")


def discovery_key(key: bytes) -> bytes:
    """The name under which peers find a feed; it does not reveal the key."""
    return blake2b(b"hypercore", digest_size=32, key=key).digest()


def capability(handshake_hash: bytes, key: bytes, initiator: bool) -> bytes:
    """Proof of knowing a feed's key, good on one connection for the side that sends it."""
    role = REPLICATE_INITIATOR if initiator else REPLICATE_RESPONDER
    return blake2b(role + key, digest_size=32, key=handshake_hash).digest()


def corestore_namespace(namespace: bytes, name: bytes) -> bytes:
    """The namespace below `namespace`; the outermost is 32 zero bytes."""
    return blake2b_256(namespace, name)


def corestore_seed(primary_key: bytes, name: str, namespace: bytes = bytes(32)) -> bytes:
    """The Ed25519 seed that Node's Corestore derives for a named feed."""
    return blake2b(CORESTORE + namespace + name.encode(), digest_size=32, key=primary_key).digest()


# version >= 1:  uint version | uint flags | uint hash type | uint quorum | array of signers
#                | [fixed32 hash, uint length] | [array of fixed32] | [buffer]
#                flags: 1 allow patch, 2 prologue, 4 linked feeds, 8 user data
# version 0:     00 | uint hash type | uint kind
#                kind 0: fixed32 hash, 1: signer, 2: uint flags | uint quorum | array of signers
# signer:        uint type (0 is Ed25519) | fixed32 namespace | fixed32 public key


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes that are hashed into the key."""
    out = bytearray()
    put_manifest(out, manifest)
    return bytes(out)


def put_manifest(out: bytearray, manifest: Manifest) -> None:
    """Append a manifest to a message."""
    put_uint(out, manifest.version)
    if manifest.version == 0:
        _put_version_0(out, manifest)
        return
    prologue, linked, user_data = manifest.prologue, manifest.linked, manifest.user_data
    put_uint(
        out,
        (_ALLOW_PATCH if manifest.allow_patch else 0)
        | (_PROLOGUE if prologue is not None else 0)
        | (_LINKED if linked is not None else 0)
        | (_USER_DATA if user_data is not None else 0),
    )
    put_uint(out, _BLAKE2B)
    put_uint(out, manifest.quorum)
    _put_signers(out, manifest.signers)
    if prologue is not None:
        out += prologue.hash
        put_uint(out, prologue.length)
    if linked is not None:
        put_uint(out, len(linked))
        out += b"".join(linked)
    if user_data is not None:
        put_buffer(out, user_data)


def _put_version_0(out: bytearray, manifest: Manifest) -> None:
    put_uint(out, _BLAKE2B)
    if manifest.prologue is not None and not manifest.signers:
        put_uint(out, _STATIC)
        out += manifest.prologue.hash
    elif manifest.quorum == 1 and len(manifest.signers) == 1 and not manifest.allow_patch:
        put_uint(out, _SINGLE)
        _put_signer(out, manifest.signers[0])
    else:
        put_uint(out, _MULTI)
        put_uint(out, _ALLOW_PATCH if manifest.allow_patch else 0)
        put_uint(out, manifest.quorum)
        _put_signers(out, manifest.signers)


def _put_signers(out: bytearray, signers: tuple[Signer, ...]) -> None:
    put_uint(out, len(signers))
    for signer in signers:
        _put_signer(out, signer)


def _put_signer(out: bytearray, signer: Signer) -> None:
    put_uint(out, _ED25519)
    out += signer.namespace
    out += signer.public_key


def decode_manifest(data: bytes) -> Manifest:
    """The manifest that `data` starts with; raises `Malformed`."""
    return read_manifest(Reader(data))


def read_manifest(reader: Reader) -> Manifest:
    """Read a manifest off a message; raises `Malformed`."""
    version = reader.uint()
    if version > _NEWEST:
        raise Malformed(f"manifest version {version} is newer than {_NEWEST}")
    if version == 0:
        return _read_version_0(reader)
    flags = reader.uint()
    if version < 2 and flags & (_LINKED | _USER_DATA):
        raise Malformed("a version 1 manifest has no linked feeds or user data")
    _read_hash_type(reader)
    quorum = reader.uint()
    signers = _read_signers(reader)
    return Manifest(
        version=version,
        quorum=quorum,
        signers=signers,
        allow_patch=bool(flags & _ALLOW_PATCH),
        prologue=Prologue(reader.fixed(32), reader.uint()) if flags & _PROLOGUE else None,
        linked=_read_linked(reader) if flags & _LINKED else None,
        user_data=reader.buffer() if flags & _USER_DATA else None,
    )


def _read_version_0(reader: Reader) -> Manifest:
    _read_hash_type(reader)
    kind = reader.uint()
    if kind == _STATIC:
        return Manifest(version=0, quorum=0, signers=(), prologue=Prologue(reader.fixed(32), 0))
    if kind == _SINGLE:
        return Manifest(version=0, quorum=1, signers=(_read_signer(reader),))
    if kind != _MULTI:
        raise Malformed(f"unknown kind {kind} of manifest")
    allow_patch = bool(reader.uint() & _ALLOW_PATCH)
    quorum = reader.uint()
    return Manifest(
        version=0, quorum=quorum, signers=_read_signers(reader), allow_patch=allow_patch
    )


def _read_hash_type(reader: Reader) -> None:
    if reader.uint() != _BLAKE2B:
        raise Malformed("unknown hash type in a manifest")


def _read_signers(reader: Reader) -> tuple[Signer, ...]:
    count = reader.uint()
    if count > MAX_SIGNERS:
        raise Malformed(f"{count} signers are above the limit of {MAX_SIGNERS}")
    return tuple(_read_signer(reader) for _ in range(count))


def _read_signer(reader: Reader) -> Signer:
    if reader.uint() != _ED25519:
        raise Malformed("unknown signature type in a manifest")
    namespace = reader.fixed(32)
    return Signer(reader.fixed(32), namespace)


def _read_linked(reader: Reader) -> tuple[bytes, ...]:
    count = reader.uint()
    if count > MAX_LINKED:
        raise Malformed(f"{count} linked feeds are above the limit of {MAX_LINKED}")
    return tuple(reader.fixed(32) for _ in range(count))
