"""Signed heads, against those that a real hypercore stored."""

from dataclasses import replace

import pytest

from feed.manifest import Manifest, Prologue, Signer, decode_manifest, manifest_key
from feed.signature import assemble, sign_head, sign_part, signable, verify_head
from wire.errors import Malformed
from wire.keys import KeyPair

PAIRS = [KeyPair(bytes([index]) * 32) for index in range(3)]
HEAD = {"fork": 2, "length": 9, "tree_hash": bytes(range(32))}


def keys_of(vectors):
    """Key, manifest (None when compat) and perhaps the key pair of each feed in the vectors."""
    feeds = {}
    for row in vectors("tree")["feeds"]:
        one = None if row["compat"] else decode_manifest(bytes.fromhex(row["manifest"]))
        feeds[row["feed"]] = bytes.fromhex(row["key"]), one, KeyPair(bytes.fromhex(row["seed"]))
    return feeds


def test_signatures_are_those_that_node_stored(vectors):
    feeds = keys_of(vectors)
    for row in vectors("signatures")["rows"]:
        tree_hash, wire = bytes.fromhex(row["treeHash"]), bytes.fromhex(row["wire"])
        head = {"fork": row["fork"], "length": row["length"], "tree_hash": tree_hash}
        message = bytes.fromhex(row["signable"])
        context = b"" if row["compat"] else message[32:64]
        assert signable(context, row["fork"], row["length"], tree_hash) == message
        assert row["ed25519"] in row["wire"]
        if row["feed"] in feeds:
            key, one, pair = feeds[row["feed"]]
            assert sign_head(pair, key, one, **head) == wire
            verify_head(key, one, wire, **head)
            for change in ({"fork": 7}, {"length": 99}, {"tree_hash": bytes(32)}):
                with pytest.raises(Malformed):
                    verify_head(key, one, wire, **(head | change))


def two_of_three(**changes):
    signers = tuple(Signer(pair.public) for pair in PAIRS)
    one = replace(Manifest(1, 2, signers), **changes)
    return one, manifest_key(one)


def parts_of(one, key, *signers):
    return dict(sign_part(PAIRS[signer], key, one, **HEAD) for signer in signers)


def test_any_two_of_three_signers_make_a_quorum():
    one, key = two_of_three()
    for signers in ((0, 1), (2, 0), (1, 2), (2, 1, 0)):
        verify_head(key, one, assemble(one, parts_of(one, key, *signers)), **HEAD)


def test_fewer_signers_or_the_same_twice_are_no_quorum():
    one, key = two_of_three()
    single = assemble(one, parts_of(one, key, 1))
    entry = single[1:-1]
    for signature in (
        None,
        single,
        b"\x02" + entry + entry + b"\x00",
        b"\x02" + entry + b"\x03" + entry[1:] + b"\x00",
        b"\x02" + entry + b"\x00" + entry[1:] + b"\x00",
        assemble(one, parts_of(one, key, 0, 1))[:-1],
    ):
        with pytest.raises(Malformed):
            verify_head(key, one, signature, **HEAD)


def test_only_the_first_entries_up_to_the_quorum_count():
    one, key = two_of_three()
    good = parts_of(one, key, 0, 1)
    verify_head(key, one, assemble(one, good | {2: bytes(64)}), **HEAD)
    with pytest.raises(Malformed):
        verify_head(key, one, assemble(one, {2: bytes(64)} | good), **HEAD)


def test_patched_signatures_are_refused():
    one, key = two_of_three(allow_patch=True)
    signature = bytearray(assemble(one, parts_of(one, key, 0, 1)))
    verify_head(key, one, bytes(signature), **HEAD)
    for position in (-1, -2):
        patched = bytearray(signature)
        patched[position] = 1
        with pytest.raises(Malformed):
            verify_head(key, one, bytes(patched), **HEAD)


def test_a_quorum_of_nobody_signs_nothing():
    one, key = two_of_three(quorum=0)
    with pytest.raises(Malformed):
        verify_head(key, one, assemble(one, {}), **HEAD)


def test_a_version_0_signature_is_bound_to_the_signers_namespace():
    one = Manifest(0, 1, (Signer(PAIRS[0].public, b"n" * 32),))
    signature = sign_head(PAIRS[0], manifest_key(one), one, **HEAD)
    assert len(signature) == 64
    verify_head(manifest_key(one), one, signature, **HEAD)
    other = Manifest(0, 1, (Signer(PAIRS[0].public, b"m" * 32),))
    with pytest.raises(Malformed):
        verify_head(manifest_key(other), other, signature, **HEAD)


def test_version_0_feeds_of_several_signers_are_refused():
    one = Manifest(0, 1, tuple(Signer(pair.public) for pair in PAIRS))
    with pytest.raises(Malformed):
        verify_head(manifest_key(one), one, bytes(64), **HEAD)


def test_a_prologue_is_its_own_proof():
    one = Manifest(1, 0, (), prologue=Prologue(HEAD["tree_hash"], HEAD["length"]))
    key = manifest_key(one)
    verify_head(key, one, None, **HEAD)
    for change in ({"length": 8}, {"tree_hash": bytes(32)}, {"length": 10}):
        with pytest.raises(Malformed):
            verify_head(key, one, None, **(HEAD | change))


def test_a_foreign_manifest_is_refused():
    one, _ = two_of_three()
    other, key = two_of_three(quorum=1)
    with pytest.raises(Malformed):
        verify_head(key, one, assemble(other, parts_of(other, key, 0)), **HEAD)


def test_a_compat_feed_ignores_the_wrapping():
    signature = sign_head(PAIRS[0], PAIRS[0].public, None, **HEAD)
    one = Manifest(1, 1, (Signer(PAIRS[0].public),))
    verify_head(PAIRS[0].public, None, signature, **HEAD)
    verify_head(PAIRS[0].public, one, signature, **HEAD)
    with pytest.raises(Malformed):
        verify_head(manifest_key(one), one, signature, **HEAD)
