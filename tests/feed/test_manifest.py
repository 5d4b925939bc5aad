"""Keys, manifests and what follows from them, against npm hypercore and corestore."""

import pytest

from feed import manifest
from feed.manifest import (
    Manifest,
    Signer,
    capability,
    corestore_namespace,
    corestore_seed,
    decode_manifest,
    default_manifest,
    discovery_key,
    encode_manifest,
    is_compat,
    manifest_key,
    namespaces,
    require_manifest,
)
from tests.feed.models import manifest_of
from wire import zbase32
from wire.errors import Malformed
from wire.keys import KeyPair


def test_namespaces_are_those_of_hypercore_crypto(vectors):
    file = vectors("keys")
    for row in file["namespaces"]:
        assert [tag.hex() for tag in namespaces(row["name"], row["count"])] == row["out"]
        if row["name"] == "hypercore":
            for role, index in file["namespaceRoles"].items():
                assert getattr(manifest, role).hex() == row["out"][index]


def test_a_key_pair_gives_the_keys_that_node_gives_it(vectors):
    for row in vectors("keys")["keyPairs"]:
        pair = KeyPair(bytes.fromhex(row["seed"]))
        assert pair.public.hex() == row["publicKey"]
        one = default_manifest(pair.public)
        assert encode_manifest(one).hex() == row["v1"]["manifest"]
        for key, expected in ((manifest_key(one), row["v1"]), (pair.public, row["compat"])):
            assert key.hex() == expected["key"]
            assert discovery_key(key).hex() == expected["discoveryKey"]
            assert zbase32.encode(key) == expected["z32"]
            require_manifest(key, one)
        assert is_compat(pair.public, one)
        assert not is_compat(manifest_key(one), one)


def test_manifests_are_those_of_node(vectors):
    for row in vectors("keys")["manifests"]:
        one = manifest_of(row["manifest"])
        assert encode_manifest(one).hex() == row["hex"]
        assert decode_manifest(bytes.fromhex(row["hex"])) == one
        assert manifest_key(one).hex() == row["hash"]


def test_every_cut_manifest_is_malformed(vectors):
    for row in vectors("keys")["manifests"]:
        data = bytes.fromhex(row["hex"])
        for end in range(len(data)):
            with pytest.raises(Malformed):
                decode_manifest(data[:end])


def test_capabilities_are_those_of_node(vectors):
    for row in vectors("keys")["capability"]:
        key, handshake_hash = bytes.fromhex(row["key"]), bytes.fromhex(row["handshakeHash"])
        assert capability(handshake_hash, key, initiator=True).hex() == row["initiator"]
        assert capability(handshake_hash, key, initiator=False).hex() == row["responder"]


def test_named_feeds_are_those_of_corestore(vectors):
    for row in vectors("keys")["corestore"]:
        namespace = bytes(32)
        if row["namespace"] is not None:
            namespace = corestore_namespace(namespace, row["namespace"].encode())
        assert namespace.hex() == row["nsHash"]
        seed = corestore_seed(bytes.fromhex(row["primaryKey"]), row["name"], namespace)
        public = KeyPair(seed).public
        assert public.hex() == row["publicKey"]
        assert manifest_key(default_manifest(public)).hex() == row["key"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\x00\x00\x01\x00",
        b"\x01\x04\x00\x01\x00\x00",
        b"\x01\x00\x01\x01\x00",
        b"\x00\x00\x03",
        b"\x01\x00\x00\x01\xfd\x01\x01" + bytes(300 * 65),
        b"\x01\x00\x00\x01\x01\x01" + bytes(64),
        b"\x02\x04\x00\x01\x00\xfd\x01\x04" + bytes(32 * 1025),
    ],
)
def test_what_no_node_makes_is_malformed(data):
    with pytest.raises(Malformed):
        decode_manifest(data)


def test_a_manifest_of_another_key_is_refused():
    one = Manifest(1, 1, (Signer(bytes(32)), Signer(bytes([1] * 32))))
    require_manifest(manifest_key(one), one)
    with pytest.raises(Malformed):
        require_manifest(bytes(32), one)
