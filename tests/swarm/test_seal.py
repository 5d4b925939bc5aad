"""Sealed frames against libsodium's secretstream, byte for byte, in both directions."""

from random import Random

import pytest
from cffi import FFI
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
)

from swarm.seal import SEAL_BYTES, SMALL_BYTES, Opener, Sealer
from wire.errors import Malformed

KEY, HEADER = b"k" * 32, b"h" * 24
TAGS = range(4)
"""Message, push, rekey, final: the last two renew the key."""

LARGE = SMALL_BYTES + 1
sizes = (
    st.integers(0, 130)
    | st.integers(SMALL_BYTES - 64, SMALL_BYTES + 130)
    | st.sampled_from([65_535, 65_536, 65_700, 300_001])
)
to_wrap = st.integers(0, 3)


class Libsodium:
    """The same state, and nobody else's code."""

    def __init__(self) -> None:
        self.state = crypto_secretstream_xchacha20poly1305_state()
        crypto_secretstream_xchacha20poly1305_init_pull(self.state, HEADER, KEY)

    def push(self, plaintext: bytes, tag: int = 0) -> bytes:
        return crypto_secretstream_xchacha20poly1305_push(self.state, plaintext, tag=tag)

    def pull(self, sealed: bytes) -> tuple[bytes, int]:
        return crypto_secretstream_xchacha20poly1305_pull(self.state, sealed)


def state_of(one: Libsodium | Sealer | Opener) -> memoryview:
    state = one.state if isinstance(one, Libsodium) else one._sodium
    return memoryview(FFI().buffer(state.statebuf))


def few_left(frames: int, *ends: Libsodium | Sealer | Opener) -> None:
    """As if so many frames were left until the counter comes round."""
    for end in ends:
        state_of(end)[32:36] = (2**32 - 1 - frames).to_bytes(4, "little")


def plaintext_of(size: int) -> bytes:
    return Random(size).randbytes(size)


@given(st.lists(sizes, max_size=6), to_wrap)
def test_what_is_sealed_is_what_libsodium_sends(lengths: list[int], frames_left: int) -> None:
    sealer, sender, receiver = Sealer(KEY, HEADER), Libsodium(), Libsodium()
    few_left(frames_left, sealer, sender, receiver)
    for size in lengths:
        plaintext = plaintext_of(size)
        sealed = sender.push(plaintext)
        assert sealer.seal(plaintext) == len(sealed).to_bytes(3, "little") + sealed
        assert receiver.pull(sealed) == (plaintext, 0)
        assert state_of(sealer) == state_of(sender) == state_of(receiver)


@given(st.lists(st.tuples(sizes, st.sampled_from(TAGS)), max_size=6), to_wrap)
def test_what_libsodium_sends_is_opened(frames: list[tuple[int, int]], frames_left: int) -> None:
    sender, opener = Libsodium(), Opener(KEY, HEADER)
    few_left(frames_left, sender, opener)
    for size, tag in frames:
        plaintext = plaintext_of(size)
        assert opener.open(memoryview(sender.push(plaintext, tag))) == plaintext
        assert state_of(opener) == state_of(sender)


@pytest.mark.parametrize("size", range(LARGE, LARGE + 64))
def test_every_remainder_of_a_block(size: int) -> None:
    sealer, sender, opener = Sealer(KEY, HEADER), Libsodium(), Opener(KEY, HEADER)
    for plaintext in (plaintext_of(size), bytes(size)):
        sealed = sender.push(plaintext)
        assert sealer.seal(plaintext)[3:] == sealed
        assert opener.open(memoryview(sealed)) == plaintext


@given(sizes, st.integers(min_value=0), st.integers(0, 7), st.booleans())
def test_a_changed_frame_is_refused_and_changes_nothing(
    size: int, position: int, bit: int, at_the_end: bool
) -> None:
    sender, opener = Libsodium(), Opener(KEY, HEADER)
    sealed = sender.push(plaintext_of(size))
    before = state_of(opener).tobytes()
    changed = bytearray(sealed)
    changed[-1 - position % SEAL_BYTES if at_the_end else position % len(sealed)] ^= 1 << bit
    for other in (changed, sealed[:-1], sealed + b"\0", sealed[1:] + b"\0"):
        if len(other) >= SEAL_BYTES:
            with pytest.raises(Malformed):
                opener.open(memoryview(other))
            assert state_of(opener) == before
    assert opener.open(memoryview(sealed)) == plaintext_of(size)


@pytest.mark.parametrize("size", [5, LARGE])
def test_a_frame_is_opened_once_and_in_its_turn(size: int) -> None:
    sealer, opener = Sealer(KEY, HEADER), Opener(KEY, HEADER)
    first, second = [memoryview(sealer.seal(plaintext_of(size)))[3:] for _ in range(2)]
    with pytest.raises(Malformed):
        opener.open(second)
    opener.open(first)
    with pytest.raises(Malformed):
        opener.open(first)
    opener.open(second)


@pytest.mark.parametrize("size", [5, LARGE])
def test_another_key_or_header_opens_nothing(size: int) -> None:
    sealed = memoryview(Sealer(KEY, HEADER).seal(plaintext_of(size)))[3:]
    for opener in (Opener(b"l" * 32, HEADER), Opener(KEY, b"i" * 24)):
        with pytest.raises(Malformed):
            opener.open(sealed)
