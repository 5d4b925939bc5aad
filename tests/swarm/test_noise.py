"""The Noise handshake against the values npm noise-handshake and noise-curve-ed produced."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.noise import Handshake, diffie_hellman, signing_scalar
from wire.errors import Malformed
from wire.keys import KeyPair

Vectors = Callable[[str], Any]
SEEDS = [bytes([number]) * 32 for number in range(4)]


def pair(seeds: list[bytes]) -> tuple[Handshake, Handshake]:
    """An initiator and a responder from (static, ephemeral) seeds of one and the other."""
    return (
        Handshake(KeyPair(seeds[0]), initiator=True, ephemeral_seed=seeds[1]),
        Handshake(KeyPair(seeds[2]), initiator=False, ephemeral_seed=seeds[3]),
    )


def test_shared_points_are_those_of_node(vectors: Vectors) -> None:
    for case in vectors("secret-stream")["dh"]:
        seed = bytes.fromhex(case["seedA"])
        assert KeyPair(seed).public.hex() == case["publicA"]
        shared = diffie_hellman(signing_scalar(seed), bytes.fromhex(case["publicB"]))
        assert shared.hex() == case["shared"]


def test_unusable_points_are_refused(vectors: Vectors) -> None:
    for case in vectors("secret-stream")["dhBad"]:
        scalar = signing_scalar(bytes.fromhex(case["seedA"]))
        point = bytes.fromhex(case["publicB"])
        _, responder = pair(SEEDS)
        with pytest.raises(Malformed):
            diffie_hellman(scalar, point)
        with pytest.raises(Malformed):
            responder.receive(point)


def test_handshakes_are_byte_for_byte_those_of_node(vectors: Vectors) -> None:
    for case in vectors("secret-stream")["transcripts"]:
        roles = (case["initiator"], case["responder"])
        seeds = [role[name] for role in roles for name in ("staticSeed", "ephemeralSeed")]
        initiator, responder = pair([bytes.fromhex(seed) for seed in seeds])
        first = initiator.start()
        second = responder.receive(first)
        third = initiator.receive(second)
        assert responder.receive(third) == b""
        wire = [bytes.fromhex(step["hex"])[3:] for step in case["wire"][:3]]
        assert [first, second, third] == wire
        ours, theirs = initiator.established, responder.established
        assert ours is not None
        assert theirs is not None
        assert ours.handshake_hash.hex() == theirs.handshake_hash.hex() == case["handshakeHash"]
        assert ours.send_key.hex() == theirs.receive_key.hex() == case["initiatorTx"]
        assert ours.receive_key.hex() == theirs.send_key.hex() == case["initiatorRx"]
        assert ours.remote_key.hex() == case["responder"]["staticPublic"]
        assert theirs.remote_key.hex() == case["initiator"]["staticPublic"]


def test_keys_do_not_show_in_logs() -> None:
    initiator, responder = pair(SEEDS)
    initiator.receive(responder.receive(initiator.start()))
    assert initiator.established is not None
    shown = repr(initiator.established)
    assert repr(initiator.established.send_key) not in shown
    assert repr(initiator.established.receive_key) not in shown


@pytest.mark.parametrize("size", [0, 1, 31, 32, 95, 97])
def test_messages_of_another_size_are_refused(size: int) -> None:
    initiator, responder = pair(SEEDS)
    second = responder.receive(initiator.start())
    with pytest.raises(Malformed):
        initiator.receive((second + bytes(8))[:size])


def test_a_message_after_the_last_is_refused() -> None:
    initiator, responder = pair(SEEDS)
    third = initiator.receive(responder.receive(initiator.start()))
    responder.receive(third)
    with pytest.raises(Malformed):
        responder.receive(third)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_random_messages_raise_only_malformed(first: bytes, third: bytes) -> None:
    _, responder = pair(SEEDS)
    with pytest.raises(Malformed):  # noqa: PT012  # the first may be a usable point
        responder.receive(first)
        responder.receive(third)


@given(st.integers(0, 95), st.integers(1, 255))
def test_any_changed_byte_of_an_answer_is_noticed(position: int, change: int) -> None:
    initiator, responder = pair(SEEDS)
    second = bytearray(responder.receive(initiator.start()))
    second[position] ^= change
    with pytest.raises(Malformed):
        initiator.receive(bytes(second))
