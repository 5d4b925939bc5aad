"""Replication messages, against the encoders of npm hypercore."""

import pytest

from feed.codec import MAX_NODES, decode, decode_handshake, encode, encode_handshake
from feed.manifest import Manifest, Prologue, Signer
from feed.messages import (
    Bitfield,
    Cancel,
    ChunkPart,
    Data,
    Extension,
    Handshake,
    HashPart,
    Kind,
    NoData,
    PathRequest,
    Range,
    Request,
    SeekPart,
    SeekRequest,
    Sync,
    Unwant,
    UpgradePart,
    UpgradeRequest,
    Want,
)
from tests.feed.feeds import node_of
from wire.errors import Malformed


def test_every_message_is_encoded_and_decoded_as_by_node(vectors):
    for row in vectors("messages")["rows"]:
        payload = bytes.fromhex(row["hex"])
        message = MODELS[row["type"]](row["decoded"])
        if row["type"] == "handshake":
            assert decode_handshake(payload) == message
            assert encode_handshake(message) == payload
            continue
        assert message.kind == row["id"]
        assert decode(row["id"], payload) == message
        assert row.get("decodeOnly") or encode(message) == payload


def test_what_node_refuses_is_malformed(vectors):
    for row in vectors("messages")["errors"]:
        payload = bytes.fromhex(row["hex"])
        with pytest.raises(Malformed):
            decode_handshake(payload) if row["id"] is None else decode(row["id"], payload)


def test_every_prefix_of_a_message_is_malformed_or_a_shorter_message(vectors):
    for row in vectors("messages")["rows"]:
        payload = bytes.fromhex(row["hex"])
        for end in range(len(payload)):
            try:
                if row["id"] is None:
                    decode_handshake(payload[:end])
                else:
                    decode(row["id"], payload[:end])
            except Malformed:
                pass


def test_bytes_left_over_and_unknown_flags_are_ignored():
    message = Request(1, 0, chunk=PathRequest(3, 2))
    payload = bytearray(encode(message))
    payload[0] |= 64
    assert decode(Kind.REQUEST, bytes(payload) + b"more") == message


def test_a_type_that_the_protocol_lacks_is_none():
    assert decode(10, b"") is None


def test_a_count_of_nodes_above_the_limit_or_the_bytes_left_is_malformed():
    for count in (MAX_NODES + 1, 3):
        payload = bytes([2, 1, 0, 0]) + (bytes([count]) if count < 253 else b"\xfd\x01\x01")
        with pytest.raises(Malformed):
            decode(Kind.DATA, payload + bytes(34 * 2))
    with pytest.raises(Malformed):
        decode(Kind.BITFIELD, b"\x00\xfe\x01\x00\x01\x00")
    with pytest.raises(Malformed):
        decode(Kind.BITFIELD, b"\x01\x00")
    with pytest.raises(Malformed):
        decode(Kind.EXTENSION, b"\xfd\x01\x01" + b"x" * 257)


def test_a_range_beyond_all_numbers_is_malformed():
    with pytest.raises(Malformed):
        decode(Kind.RANGE, b"\x02" + b"\xff" + b"\xff" * 6 + b"\x1f\x00")


def _sync(row):
    return Sync(
        row["fork"],
        row["length"],
        row["remoteLength"],
        can_upgrade=row["canUpgrade"],
        uploading=row["uploading"],
        downloading=row["downloading"],
        has_manifest=row["hasManifest"],
        allow_push=row["allowPush"],
    )


def _part(model, row):
    return None if row is None else model(*row.values())


def _request(row):
    return Request(
        row["id"],
        row["fork"],
        _part(PathRequest, row["block"]),
        _part(PathRequest, row["hash"]),
        _part(SeekRequest, row["seek"]),
        _part(UpgradeRequest, row["upgrade"]),
        row["manifest"],
        row["priority"],
    )


def _nodes(rows):
    return tuple(node_of(row) for row in rows)


def manifest_of(row):
    if row is None:
        return None
    prologue, linked, user_data = row["prologue"], row["linked"], row["userData"]
    return Manifest(
        row["version"],
        row["quorum"],
        tuple(
            Signer(bytes.fromhex(signer["publicKey"]), bytes.fromhex(signer["namespace"]))
            for signer in row["signers"]
        ),
        row["allowPatch"],
        prologue and Prologue(bytes.fromhex(prologue["hash"]), prologue["length"]),
        None if linked is None else tuple(bytes.fromhex(key) for key in linked),
        None if user_data is None else bytes.fromhex(user_data),
    )


def _data(row):
    block, hash_, seek, upgrade = row["block"], row["hash"], row["seek"], row["upgrade"]
    return Data(
        row["request"],
        row["fork"],
        block and ChunkPart(block["index"], bytes.fromhex(block["value"]), _nodes(block["nodes"])),
        hash_ and HashPart(hash_["index"], _nodes(hash_["nodes"])),
        seek and SeekPart(seek["bytes"], _nodes(seek["nodes"])),
        upgrade
        and UpgradePart(
            upgrade["start"],
            upgrade["length"],
            _nodes(upgrade["nodes"]),
            _nodes(upgrade["additionalNodes"]),
            upgrade["signature"] and bytes.fromhex(upgrade["signature"]),
        ),
        manifest_of(row["manifest"]),
    )


def _bitfield(row):
    return Bitfield(row["start"], b"".join(word.to_bytes(4, "little") for word in row["bitfield"]))


MODELS = {
    "handshake": lambda row: Handshake(bytes.fromhex(row["capability"]), row["seeks"]),
    "sync": _sync,
    "request": _request,
    "cancel": lambda row: Cancel(row["request"]),
    "data": _data,
    "noData": lambda row: NoData(row["request"], row["reason"]),
    "want": lambda row: Want(row["start"], row["length"], row["any"]),
    "unwant": lambda row: Unwant(row["start"], row["length"], row["any"]),
    "bitfield": _bitfield,
    "range": lambda row: Range(row["start"], row["length"], row["drop"]),
    "extension": lambda row: Extension(row["name"], bytes.fromhex(row["message"])),
}
