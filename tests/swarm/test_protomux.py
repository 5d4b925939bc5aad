"""Channels between two ends: pairing, crossing, limits."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.protomux import (
    BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    MAX_CHANNELS,
    MAX_PENDING_OPENS,
    Closed,
    Event,
    Messages,
    Opened,
    Protomux,
    Wanted,
)
from wire.compact import put_buffer
from wire.errors import Malformed, Unavailable
from wire.ports import ChannelMessage


def buffer(value: bytes) -> bytes:
    out = bytearray()
    put_buffer(out, value)
    return bytes(out)


def carry(sender: Protomux, receiver: Protomux) -> list[Event]:
    """Send all that is queued; the receiver's events."""
    events: list[Event] = []
    for frame in sender.flush():
        events += receiver.receive(frame)
    return events


def joined() -> tuple[Protomux, Protomux]:
    """Two ends with one channel up, number 1 at both."""
    one, other = Protomux(), Protomux()
    one.open("p", b"", b"")
    other.open("p", b"", b"")
    assert carry(one, other) == carry(other, one) == [Opened(1, b"")]
    return one, other


def open_frame(number: int, protocol: str = "p", id: bytes = b"", rest: bytes = b"") -> bytes:
    return bytes([0, 1, number]) + buffer(protocol.encode()) + buffer(id) + rest


def test_messages_before_the_other_open_wait_and_are_counted() -> None:
    one, other = Protomux(), Protomux()
    number, _ = one.open("p", b"i", b"hello")
    one.send(number, 7, b"early")
    assert carry(one, other) == [Wanted(1, "p", b"i")]
    assert other.backlog_bytes == 512 + 5
    _, events = other.open("p", b"i", b"")
    assert events == [Opened(1, b"hello"), Messages(1, [ChannelMessage(7, b"early")])]
    assert other.backlog_bytes == 0


def test_a_reject_drops_what_waited() -> None:
    one, other = Protomux(), Protomux()
    number, _ = one.open("p", b"", b"")
    one.send(number, 0, b"early")
    carry(one, other)
    other.reject(1)
    other.reject(1)
    assert other.backlog_bytes == 0
    assert carry(other, one) == [Closed(1, rejected=True)]
    assert carry(one, other) == []


def test_an_answered_ticket_can_no_longer_be_rejected() -> None:
    one, other = Protomux(), Protomux()
    one.open("p", b"", b"")
    carry(one, other)
    other.open("p", b"", b"")
    other.reject(1)
    assert carry(other, one) == [Opened(1, b"")]


def test_opens_of_the_same_name_pair_in_order() -> None:
    one, other = Protomux(), Protomux()
    one.open("p", b"", b"first")
    one.open("p", b"", b"second")
    carry(one, other)
    assert other.open("p", b"", b"") == (1, [Opened(1, b"first")])
    assert other.open("p", b"", b"") == (2, [Opened(2, b"second")])
    assert carry(other, one) == [Opened(1, b""), Opened(2, b"")]


def test_an_open_under_an_alias_is_answered_under_that_name() -> None:
    one, other = Protomux(), Protomux()
    one.open("old", b"i", b"hello")
    one.open("old", b"j", b"")
    carry(one, other)
    assert other.open("new", b"i", b"hi", ("older", "old")) == (1, [Opened(1, b"hello")])
    assert carry(other, one) == [Opened(1, b"hi")]
    assert other.open("new", b"other", b"", ("old",)) == (2, [])
    assert carry(other, one) == [Wanted(2, "new", b"other")], "else its own name is used"


def test_closing_ends_both_directions_and_frees_the_number() -> None:
    one, other = joined()
    one.close(1)
    one.close(1)
    one.send(1, 0, b"too late")
    other.send(1, 0, b"crossing")
    crossing = other.flush()
    assert carry(one, other) == [Closed(1, rejected=False)]
    assert one.receive(crossing[0]) == []
    assert other.flush() == []
    assert one.open("q", b"", b"")[0] == 1


def test_both_may_close_at_once() -> None:
    one, other = joined()
    one.close(1)
    other.close(1)
    frames = one.flush() + other.flush()
    assert other.receive(frames[0]) == one.receive(frames[1]) == []


def test_a_close_waits_for_the_answer_to_its_open() -> None:
    one, other = Protomux(), Protomux()
    one.open("p", b"", b"")
    one.close(1)
    assert one.open("q", b"", b"")[0] == 2
    assert carry(one, other) == [Wanted(1, "p", b""), Wanted(2, "q", b"")]
    other.open("p", b"", b"")
    other.reject(2)
    assert carry(other, one) == [Closed(2, rejected=True)]
    assert carry(one, other) == [Closed(1, rejected=False)]
    assert {one.open("r", b"", b"")[0], one.open("s", b"", b"")[0]} == {1, 2}


def test_an_open_taken_back_is_answered_so_that_its_number_is_free() -> None:
    mux = Protomux()
    assert mux.receive(open_frame(1)) == [Wanted(1, "p", b"")]
    assert mux.receive(b"\x00\x03\x01") == []
    assert mux.flush() == [b"\x00\x02\x01"]
    assert mux.receive(open_frame(1)) == [Wanted(2, "p", b"")]


def test_unknown_channels_kinds_and_controls_are_ignored() -> None:
    mux = Protomux()
    assert mux.receive(b"") == []
    assert mux.receive(b"\x05\x00hello") == []
    assert mux.receive(b"\x00\x09anything") == []
    assert mux.receive(b"\x00\x03\x05") == []


def test_longer_spellings_of_numbers_are_read() -> None:
    one, other = joined()
    assert other.receive(b"\xfd\x01\x00\xfe\x05\x00\x00\x00x") == [
        Messages(1, [ChannelMessage(5, b"x")])
    ]
    one.send(1, 70000, b"y")
    assert carry(one, other) == [Messages(1, [ChannelMessage(70000, b"y")])]


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00",
        b"\xfd\x01",
        b"\x00\x01",
        open_frame(2),
        open_frame(1, "p" * 129),
        open_frame(1, id=bytes(65)),
        open_frame(1, rest=bytes(4097)),
        b"\x00\x01\x01\x02\xff\xff\x00",
        b"\x00\x02\x00",
        b"\x00\x02\x01",
        b"\x00\x00",
        b"\x00\x00\x00\x05\x01",
        b"\x00\x00\x00\x02\x00\x00",
        b"\x00\x00\x01\xfd\x05",
    ],
)
def test_fatal_frames_are_malformed(frame: bytes) -> None:
    with pytest.raises(Malformed):
        Protomux().receive(frame)


def test_a_number_in_use_cannot_be_opened_again() -> None:
    _, other = joined()
    with pytest.raises(Malformed):
        other.receive(open_frame(1, "other"))
    mux = Protomux()
    mux.receive(open_frame(1))
    with pytest.raises(Malformed):
        mux.receive(open_frame(1))


def test_an_open_channel_cannot_be_rejected() -> None:
    one, _ = joined()
    with pytest.raises(Malformed):
        one.receive(b"\x00\x02\x01")


def test_an_open_of_the_control_channel_is_rejected() -> None:
    mux = Protomux()
    assert mux.receive(open_frame(0)) == []
    assert mux.flush() == [b"\x00\x02\x00"]


def test_too_many_pending_opens_are_rejected_not_held() -> None:
    mux = Protomux()
    for number in range(1, MAX_PENDING_OPENS + 1):
        assert len(mux.receive(open_frame(number))) == 1
    assert mux.receive(open_frame(MAX_PENDING_OPENS + 1)) == []
    assert mux.flush() == [bytes([0, 2, MAX_PENDING_OPENS + 1])]
    mux.reject(1)
    mux.flush()
    assert len(mux.receive(open_frame(1))) == 1


def test_channels_are_limited_in_both_directions() -> None:
    one, other = Protomux(), Protomux()
    for _ in range(MAX_CHANNELS):
        one.open("p", b"", b"")
        carry(one, other)
        other.open("p", b"", b"")
        carry(other, one)
    with pytest.raises(Unavailable):
        one.open("p", b"", b"")
    number = (MAX_CHANNELS + 1).to_bytes(2, "little")
    assert other.receive(b"\x00\x01\xfd" + number + b"\x01p\x00") == []
    assert other.flush() == [b"\x00\x02\xfd" + number]


def test_a_batch_of_too_many_messages_is_malformed() -> None:
    _, other = joined()
    with pytest.raises(Malformed):
        other.receive(b"\x00\x00\x01" + b"\x01\x00" * (MAX_BATCH_MESSAGES + 1))


def test_our_batches_are_cut_and_keep_the_order() -> None:
    one, other = joined()
    sent = [ChannelMessage(n % 300, bytes([n % 256]) * (n * 7 % 3000)) for n in range(2000)]
    sent.insert(1000, ChannelMessage(1, bytes(BATCH_BYTES * 3)))
    sent += [ChannelMessage(2, b"")] * 40000
    for kind, payload in sent:
        one.send(1, kind, payload)
    frames = one.flush()
    assert 40 < len(frames) < 80
    assert max(map(len, frames)) < BATCH_BYTES * 3 + 100
    received: list[ChannelMessage] = []
    for frame in frames:
        (event,) = other.receive(frame)
        assert isinstance(event, Messages)
        received += event.messages
    assert received == sent


class Ends:
    """Two ends whose frames are held back until told; what each believes to be up."""

    def __init__(self) -> None:
        self.muxes = (Protomux(), Protomux())
        self.tickets: tuple[list[int], list[int]] = ([], [])
        self.up: tuple[set[int], set[int]] = (set(), set())

    def note(self, side: int, events: list[Event]) -> None:
        for event in events:
            match event:
                case Wanted(ticket):
                    self.tickets[side].append(ticket)
                case Opened(number):
                    self.up[side].add(number)
                case Closed(number):
                    self.up[side].discard(number)
                case Messages(number):
                    assert number in self.up[side]

    def act(self, action: str, side: int, argument: int) -> None:
        mux = self.muxes[side]
        if action == "open":
            self.note(side, mux.open("p", bytes([argument]), b"")[1])
        elif action == "send":
            mux.send(argument + 1, 0, b"message")
        elif action == "close":
            mux.close(argument + 1)
            self.up[side].discard(argument + 1)
        elif self.tickets[side]:
            mux.reject(self.tickets[side].pop())

    def deliver(self, side: int) -> None:
        for frame in self.muxes[side].flush():
            self.note(1 - side, self.muxes[1 - side].receive(frame))


ACTION = st.tuples(
    st.sampled_from(["open", "send", "close", "reject"]),
    st.integers(0, 1),
    st.integers(0, 3),
    st.booleans(),
)


@given(st.lists(ACTION, max_size=60))
def test_both_ends_agree_whatever_crosses_on_the_way(
    actions: list[tuple[str, int, int, bool]],
) -> None:
    ends = Ends()
    for action, side, argument, delivered in actions:
        ends.act(action, side, argument)
        if delivered:
            ends.deliver(side)
    for _ in range(4):
        ends.deliver(0)
        ends.deliver(1)
    assert len(ends.up[0]) == len(ends.up[1])
    assert ends.muxes[0].flush() == ends.muxes[1].flush() == []


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_random_frames_raise_only_malformed(frames: list[bytes]) -> None:
    _, mux = joined()
    with contextlib.suppress(Malformed):
        for frame in frames:
            mux.receive(frame)


@given(st.lists(st.binary(max_size=12), max_size=30))
def test_random_control_messages_raise_only_malformed(bodies: list[bytes]) -> None:
    mux = Protomux()
    with contextlib.suppress(Malformed):
        for body in bodies:
            mux.receive(b"\x00" + body)
