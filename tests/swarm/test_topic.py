"""The decisions of a topic: who dials, what is replayed, how members are measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.topic import (
    FILLED_EVERY,
    FILLER_BYTES,
    FIRST_PINGS,
    LONGEST_RETRY_S,
    MAX_MESSAGE_BYTES,
    MAX_PING_BYTES,
    MESSAGE,
    PING,
    PING_INTERVAL_S,
    WINDOW,
    History,
    Measurement,
    Meter,
    check_size,
    dials,
    retry_delay,
)
from wire.errors import Malformed

ANNA, BEN = b"a" * 32, b"b" * 32


def test_of_two_members_exactly_one_dials() -> None:
    assert dials(ANNA, BEN)
    assert not dials(BEN, ANNA)


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_retries_are_spread_and_bounded(failures: int, jitter: float) -> None:
    delay_s = retry_delay(failures, jitter)
    assert 0.05 <= delay_s <= LONGEST_RETRY_S
    assert retry_delay(failures, 0) * 2 >= delay_s


def read(history: History, peer: bytes, cursor: int = 0) -> list[bytes]:
    found = []
    while True:
        payload, cursor = history.next_for(peer, cursor)
        if payload is None:
            return found
        found.append(payload)


def test_a_history_gives_each_member_what_is_meant_for_it_in_order() -> None:
    history = History()
    history.append(None, b"1")
    history.append(ANNA, b"2")
    history.append(BEN, b"3")
    history.append(None, b"4")
    assert read(history, ANNA) == [b"1", b"2", b"4"]
    assert read(history, BEN) == [b"1", b"3", b"4"]


def test_a_cursor_goes_on_where_it_stopped() -> None:
    history = History()
    history.append(BEN, b"1")
    assert history.next_for(ANNA, 0) == (None, 1)
    history.append(None, b"2")
    assert history.next_for(ANNA, 1) == (b"2", 2)


def test_the_oldest_is_forgotten_beyond_the_limits() -> None:
    history = History(limit_messages=3, limit_bytes=10)
    for number in range(5):
        history.append(None, bytes([number]))
    assert read(history, ANNA) == [b"\2", b"\3", b"\4"]
    history.append(None, bytes(9))
    assert read(history, ANNA) == [b"\4", bytes(9)]
    assert history.next_for(ANNA, 2) == (b"\4", 5)


def test_a_meter_takes_medians_of_round_trips_and_transfers() -> None:
    meter = Meter()
    assert meter.measurement is None
    for number in range(1, 2 * FILLED_EVERY + 1):
        filled = number % FILLED_EVERY == 0
        ping = meter.ping(number)
        assert len(ping) == 4 + FILLER_BYTES * filled
        assert meter.pong(ping, number + (0.012 if filled else 0.010))
    assert meter.measurement == Measurement(10_000, 2 * FILLER_BYTES * 500, 0)


def test_unanswered_pings_are_losses_and_late_answers_are_not_taken() -> None:
    meter = Meter()
    first = meter.ping(0)
    assert meter.pong(first, 0.001)
    assert not meter.pong(first, 0.002)
    lost = meter.ping(1)
    answered = meter.ping(2)
    assert not meter.pong(lost, 2.1)
    assert not meter.pong(answered + b"x", 2.1)
    assert not meter.pong(b"", 2.1)
    meter.give_up()
    meter.give_up()
    assert meter.measurement == Measurement(1000, 0, 666_666)


def test_a_meter_forgets_old_figures() -> None:
    meter = Meter()
    for number in range(4 * WINDOW):
        answered = meter.pong(meter.ping(number), number + 0.001)
        assert answered
    for number in range(WINDOW):
        meter.ping(1000 + number)
    assert meter.measurement is not None
    assert meter.measurement.loss_ppm > 900_000


def test_first_pings_follow_each_other_then_they_pause() -> None:
    meter = Meter()
    pauses = []
    for number in range(FIRST_PINGS + 1):
        meter.ping(number)
        pauses.append(meter.pause_s)
    assert pauses == [0.0] * (FIRST_PINGS - 1) + [PING_INTERVAL_S] * 2


def test_oversized_messages_are_malformed() -> None:
    check_size(MESSAGE, bytes(MAX_MESSAGE_BYTES))
    check_size(PING, bytes(MAX_PING_BYTES))
    with pytest.raises(Malformed):
        check_size(MESSAGE, bytes(MAX_MESSAGE_BYTES + 1))
    with pytest.raises(Malformed):
        check_size(PING, bytes(MAX_PING_BYTES + 1))
