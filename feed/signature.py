"""The owner's signature over a head, as it travels (WIRE.md section 4).

What is signed:  v1      TREE || key || tree hash || u64 length || u64 fork      (112 bytes)
                 v0      TREE || signer's namespace || tree hash || ...          (112 bytes)
                 compat  TREE || tree hash || u64 length || u64 fork             (80 bytes)

What travels:    compat and v0   64 bytes
                 v1 to v3        array of {uint signer, fixed64 signature, uint patch},
                                 array of nodes (for patches only, so always empty here)

Not supported, and refused: patches (a signature on a shorter tree with nodes to grow it), and
version 0 with several signers.
"""

from feed.manifest import (
    MAX_SIGNERS,
    TREE,
    Manifest,
    is_compat,
    require_manifest,
)
from wire.compact import Reader, put_uint
from wire.errors import Malformed
from wire.keys import KeyPair
from wire.signing import is_signed_raw


def signable(context: bytes, fork: int, length: int, tree_hash: bytes) -> bytes:
    """The bytes a signature covers; `context` is the key (v1), a namespace (v0), empty (compat)."""
    return TREE + context + tree_hash + length.to_bytes(8, "little") + fork.to_bytes(8, "little")


def sign_head(
    pair: KeyPair,
    key: bytes,
    manifest: Manifest | None,
    *,
    fork: int,
    length: int,
    tree_hash: bytes,
) -> bytes:
    """A whole signature by one owner, as it travels; the manifest's quorum must be 1."""
    if manifest is None or is_compat(key, manifest):
        assert pair.public == key
        return pair.sign_raw(signable(b"", fork, length, tree_hash))
    assert manifest.quorum == 1
    index, part = sign_part(pair, key, manifest, fork=fork, length=length, tree_hash=tree_hash)
    return assemble(manifest, {index: part})


def sign_part(
    pair: KeyPair,
    key: bytes,
    manifest: Manifest,
    *,
    fork: int,
    length: int,
    tree_hash: bytes,
) -> tuple[int, bytes]:
    """One signer's index and 64 bytes; `assemble` makes a signature of a quorum of them."""
    for index, signer in enumerate(manifest.signers):
        if signer.public_key == pair.public:
            context = signer.namespace if manifest.version == 0 else key
            return index, pair.sign_raw(signable(context, fork, length, tree_hash))
    raise AssertionError("the key pair is none of the feed's signers")


def assemble(manifest: Manifest, parts: dict[int, bytes]) -> bytes:
    """The signature as it travels, from 64-byte parts by signer index."""
    if manifest.version == 0:
        (part,) = parts.values()
        return part
    out = bytearray()
    put_uint(out, len(parts))
    for index, part in parts.items():
        put_uint(out, index)
        out += part
        put_uint(out, 0)
    put_uint(out, 0)
    return bytes(out)


def verify_head(
    key: bytes,
    manifest: Manifest | None,
    signature: bytes | None,
    *,
    fork: int,
    length: int,
    tree_hash: bytes,
) -> None:
    """Raise `Malformed` unless the feed's owner signed (or the manifest fixes) this head."""
    if manifest is None or is_compat(key, manifest):
        _require(key, signable(b"", fork, length, tree_hash), signature)
        return
    require_manifest(key, manifest)
    if manifest.version == 0:
        _verify_version_0(manifest, fork, length, tree_hash, signature)
        return
    prologue = manifest.prologue
    if prologue is not None and length <= prologue.length:
        if length != prologue.length or tree_hash != prologue.hash:
            raise Malformed("the feed's beginning is not the one in its manifest")
        return
    _verify_quorum(manifest, signable(key, fork, length, tree_hash), signature)


def _verify_version_0(
    manifest: Manifest, fork: int, length: int, tree_hash: bytes, signature: bytes | None
) -> None:
    if len(manifest.signers) != 1 or manifest.allow_patch:
        raise Malformed("version 0 feeds of several signers are not supported")
    signer = manifest.signers[0]
    _require(signer.public_key, signable(signer.namespace, fork, length, tree_hash), signature)


def _verify_quorum(manifest: Manifest, message: bytes, signature: bytes | None) -> None:
    if signature is None or manifest.quorum == 0:
        raise Malformed("a head without a signature")
    parts = _read_parts(signature)
    if len(parts) < manifest.quorum:
        raise Malformed(f"{len(parts)} signatures, not the quorum of {manifest.quorum}")
    seen = set()
    for index, part in parts[: manifest.quorum]:
        if index in seen or index >= len(manifest.signers):
            raise Malformed(f"signer {index} signs twice or does not exist")
        seen.add(index)
        _require(manifest.signers[index].public_key, message, part)


def _read_parts(signature: bytes) -> list[tuple[int, bytes]]:
    reader = Reader(signature)
    count = reader.uint()
    if count > MAX_SIGNERS:
        raise Malformed(f"{count} signatures are above the limit of {MAX_SIGNERS}")
    parts = []
    patched = 0
    for _ in range(count):
        parts.append((reader.uint(), reader.fixed(64)))
        patched |= reader.uint()
    if patched or reader.uint():
        raise Malformed("patched signatures are not supported")
    return parts


def _require(public_key: bytes, message: bytes, signature: bytes | None) -> None:
    if signature is None or not is_signed_raw(public_key, message, signature):
        raise Malformed("bad signature on a feed's head")
