"""Encrypted frames against recorded traffic of npm secret-stream, and against damage."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.secret_stream import MAX_PLAINTEXT_BYTES, SecretStream, stream_id
from tests.swarm.streams import ALICE, BOB, alice, bob, connected
from wire.errors import Malformed, Unavailable
from wire.keys import KeyPair

Vectors = Callable[[str], Any]
ROLES = ("initiator", "responder")


def wire_of(case: dict[str, Any], role: str) -> list[bytes]:
    return [bytes.fromhex(step["hex"]) for step in case["wire"] if step["from"] == role]


def stream_of(case: dict[str, Any], role: str) -> SecretStream:
    """The stream of one role in a recorded session, with the header it then drew."""
    own = wire_of(case, role)
    header = own[2 if role == "initiator" else 1][3 + 32 :]
    keys = case[role]
    return SecretStream(
        KeyPair(bytes.fromhex(keys["staticSeed"])),
        initiator=role == "initiator",
        ephemeral_seed=bytes.fromhex(keys["ephemeralSeed"]),
        header=header,
    )


def test_recorded_sessions_are_reproduced_byte_for_byte(vectors: Vectors) -> None:
    for case in vectors("secret-stream")["transcripts"]:
        for role, other in (ROLES, ROLES[::-1]):
            stream = stream_of(case, role)
            sent = [stream.start()] if role == "initiator" else []
            received: list[bytes] = []
            for message in wire_of(case, other):
                received += stream.receive(message)
                sent += stream.take_answers()
            plain = [p["hex"] for p in case["plaintext"] if p["from"] == role]
            keepalives = len(wire_of(case, role)) - len(sent) - len(plain)
            for text in plain + [""] * keepalives:
                sent.append(stream.seal(bytes.fromhex(text)))
            assert sent == wire_of(case, role)
            expected = case["receivedByInitiator" if role == "initiator" else "receivedByResponder"]
            assert [f.hex() for f in received if f] == [text for text in expected if text]
            assert stream.established is not None
            hash_ = stream.established.handshake_hash
            for name in ROLES:
                assert (
                    stream_id(hash_, initiator=name == "initiator").hex() == case[f"{name}StreamId"]
                )


def test_recorded_damage_is_refused_by_the_same_side(vectors: Vectors) -> None:
    data = vectors("secret-stream")
    for case in data["refused"]:
        # In the recorder only one side is fed damage; the other saw nothing wrong.
        victim = "initiator" if case["initiatorError"] else "responder"
        other = ROLES[1] if victim == ROLES[0] else ROLES[0]
        stream = stream_of(data["transcripts"][0], victim)
        stream.start()
        with pytest.raises(Malformed):  # noqa: PT012  # which message it is differs
            for message in wire_of(case, other):
                assert stream.receive(message) == []


def test_both_ends_know_each_other_and_talk() -> None:
    one, other = connected()
    assert one.established is not None
    assert other.established is not None
    assert one.established.remote_key == BOB.public
    assert other.established.remote_key == ALICE.public
    assert one.ready
    assert other.ready
    assert other.receive(one.seal(b"ping") + one.seal(b"")) == [b"ping", b""]
    assert one.receive(other.seal(b"pong")) == [b"pong"]


def test_the_initiator_stays_unknown_to_a_peer_it_did_not_mean() -> None:
    one = SecretStream(
        ALICE, initiator=True, ephemeral_seed=b"e" * 32, header=bytes(24), admit=lambda key: False
    )
    other = bob()
    other.receive(one.start())
    with pytest.raises(Unavailable):
        one.receive(b"".join(other.take_answers()))
    assert one.take_answers() == []


def test_a_responder_refuses_a_key_that_is_not_admitted() -> None:
    other = SecretStream(
        BOB, initiator=False, ephemeral_seed=b"e" * 32, header=bytes(24), admit=lambda key: False
    )
    one = alice()
    other.receive(one.start())
    one.receive(b"".join(other.take_answers()))
    with pytest.raises(Unavailable):
        other.receive(b"".join(one.take_answers()))
    assert other.take_answers() == []


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 64, 100])
def test_frames_arrive_whole_however_they_are_cut(step: int) -> None:
    one, other = connected()
    payloads = [bytes([n]) * (n * 37) for n in range(40)]
    wire = b"".join(one.seal(payload) for payload in payloads)
    received: list[bytes] = []
    for start in range(0, len(wire), step):
        received += other.receive(wire[start : start + step])
    assert received == payloads


def test_the_longest_frame_passes_and_its_memory_is_given_back() -> None:
    one, other = connected()
    payload = bytes(MAX_PLAINTEXT_BYTES)
    assert other.receive(one.seal(payload)) == [payload]
    assert other.receive(one.seal(b"x")) == [b"x"]
    assert len(other.writable()) <= 256 * 1024


def test_announcing_a_long_frame_takes_no_memory() -> None:
    _, other = connected()
    other.receive(b"\xff\xff\xff")
    assert len(other.writable()) <= 256 * 1024


@pytest.mark.parametrize("size", [0, 1, 16, 1001])
def test_frames_outside_the_limits_are_refused(size: int) -> None:
    one = alice()
    other = SecretStream(
        BOB, initiator=False, ephemeral_seed=b"f" * 32, header=bytes(24), frame_bytes=1000
    )
    other.receive(one.start())
    one.receive(b"".join(other.take_answers()))
    other.receive(b"".join(one.take_answers()))
    with pytest.raises(Malformed):
        other.receive(size.to_bytes(3, "little"))


@pytest.mark.parametrize("size", [0, 31, 33, 64, 2**24 - 1])
def test_before_the_handshake_only_its_sizes_are_read(size: int) -> None:
    with pytest.raises(Malformed):
        bob().receive(size.to_bytes(3, "little"))


def test_a_repeated_or_lost_frame_is_noticed() -> None:
    one, other = connected()
    first, second = one.seal(b"1"), one.seal(b"2")
    other.receive(first)
    with pytest.raises(Malformed):
        other.receive(first)
    _, another = connected()
    with pytest.raises(Malformed):
        another.receive(second)


@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_before_the_handshake_raise_only_malformed(data: bytes, first: bool) -> None:
    stream = alice() if first else bob()
    stream.start()
    with contextlib.suppress(Malformed):
        assert stream.receive(data) == []
    assert stream.established is None


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_random_bytes_after_the_handshake_yield_nothing(chunks: list[bytes]) -> None:
    _, other = connected()
    with contextlib.suppress(Malformed):
        for chunk in chunks:
            assert other.receive(chunk) == []
    assert len(other.writable()) <= 256 * 1024


@given(st.integers(min_value=3), st.integers(0, 7))
def test_a_flipped_bit_in_a_frame_is_noticed(position: int, bit: int) -> None:
    one, other = connected()
    wire = bytearray(one.seal(b"some plaintext"))
    wire[3 + position % (len(wire) - 3)] ^= 1 << bit
    with pytest.raises(Malformed):
        other.receive(bytes(wire))
