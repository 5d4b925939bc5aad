"""Replication messages, against the encoders of npm hypercore."""

import pytest

from feed.codec import MAX_NODES, decode, decode_handshake, encode, encode_handshake
from feed.messages import Kind, PathRequest, Request
from tests.feed.models import MODELS
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
