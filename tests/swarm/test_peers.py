"""Limits on arrivals, bans, and signs of life, with a clock that is an argument."""

from swarm.health import Health
from swarm.peers import (
    BAN_FIRST_S,
    BAN_LONGEST_S,
    MAX_REMEMBERED,
    Arrival,
    Bucket,
    Drop,
    Limits,
    PeerBook,
    origin_of,
)

KEY = bytes(32)


def test_a_bucket_allows_a_burst_and_then_its_rate() -> None:
    bucket = Bucket(per_s=10, burst=5, now_s=0)
    assert [bucket.try_spend(1, 0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.try_spend(1, 0.1)
    assert not bucket.try_spend(1, 0.1)
    assert [bucket.try_spend(1, 100) for _ in range(6)] == [True] * 5 + [False]


def test_a_debt_is_waited_out() -> None:
    bucket = Bucket(per_s=10, burst=5, now_s=0)
    assert bucket.spend(5, 0) == 0
    assert bucket.spend(10, 0) == 1
    assert bucket.spend(0, 0.5) == 0.5


def test_arrivals_are_counted_and_leave_again() -> None:
    book = PeerBook(Limits(connections=3, connections_per_address=2))
    for connection in (1, 2):
        assert book.arrive(connection, "192.0.2.1", 0) == Arrival()
        book.prove(connection)
    assert book.arrive(3, "192.0.2.1", 0) == Arrival(refused=Drop.CROWDED_ADDRESS)
    assert book.arrive(3, "192.0.2.2", 0) == Arrival()
    book.prove(3)
    assert book.arrive(4, "192.0.2.3", 0) == Arrival(refused=Drop.CROWDED)
    book.leave(1)
    book.leave(1)
    assert book.arrive(4, "192.0.2.3", 0) == Arrival()


def test_the_oldest_unproven_connection_gives_way() -> None:
    book = PeerBook(Limits(handshaking=2))
    assert book.arrive(1, "192.0.2.1", 0) == Arrival()
    assert book.arrive(2, "192.0.2.2", 0) == Arrival()
    assert book.arrive(3, "192.0.2.3", 0) == Arrival(evict=1)
    book.prove(2)
    assert book.arrive(4, "192.0.2.4", 0) == Arrival()
    assert book.arrive(5, "192.0.2.5", 0) == Arrival(evict=3)


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert origin_of("2001:db8::1") == origin_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert origin_of("fe80::1%eth0") == "fe80::/64"
    assert origin_of("::ffff:192.0.2.1") == origin_of("192.0.2.1") == "192.0.2.1"
    assert origin_of("?") == "?"


def test_bans_end_and_grow() -> None:
    book = PeerBook(Limits())
    assert not book.banned(KEY, 0)
    book.offend(KEY, 0)
    assert book.banned(KEY, BAN_FIRST_S - 1)
    assert not book.banned(KEY, BAN_FIRST_S)
    book.offend(KEY, 100)
    assert book.banned(KEY, 100 + 2 * BAN_FIRST_S - 1)
    for _ in range(20):
        book.offend(KEY, 0)
    assert not book.banned(KEY, BAN_LONGEST_S)


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    book = PeerBook(Limits())
    for number in range(MAX_REMEMBERED + 10):
        book.arrive(number, f"10.0.{number // 256}.{number % 256}", 0)
        book.offend(number.to_bytes(32, "big"), 0)
        book.leave(number)
    assert len(book._arrivals) == len(book._bans) == MAX_REMEMBERED
    assert not book.banned((0).to_bytes(32, "big"), 1)
    assert not book._origin
    assert not book._per_origin


def test_a_keepalive_is_due_after_silence_of_our_own() -> None:
    health = Health(Limits(keepalive_s=5, idle_timeout_s=20), 0)
    health.heard(100, 1, 4)
    health.sent(3)
    assert health.check(reading=True, now_s=5) == (None, False, 3)
    assert health.check(reading=True, now_s=8) == (None, True, 5)


def test_silence_is_held_against_a_peer_only_while_we_listen() -> None:
    limits = Limits(idle_timeout_s=20)
    health = Health(limits, 0)
    assert health.check(reading=True, now_s=19).drop is None
    assert health.check(reading=True, now_s=20).drop is Drop.IDLE
    assert health.check(reading=False, now_s=20).drop is None
    health.resumed(30)
    assert health.check(reading=True, now_s=49).drop is None


def test_a_long_frame_in_transit_is_a_sign_of_life_and_a_trickle_is_not() -> None:
    health = Health(Limits(idle_timeout_s=20), 0)
    for now_s in range(19):
        health.heard(1, 0, now_s)
    assert health.check(reading=True, now_s=20).drop is Drop.IDLE
    health.heard(4096, 0, 20)
    assert health.check(reading=True, now_s=21).drop is None


def test_a_peer_that_does_not_read_is_dropped_and_not_written_to() -> None:
    health = Health(Limits(stall_timeout_s=60, keepalive_s=5, idle_timeout_s=1000), 0)
    health.stalled(10)
    assert health.check(reading=True, now_s=69) == (None, False, 5)
    assert health.check(reading=True, now_s=70).drop is Drop.STALLED
    health.flowing()
    assert health.check(reading=True, now_s=71).drop is None


def test_floods_are_waited_out() -> None:
    health = Health(Limits(messages_per_s=100, opens_per_s=1, opens_burst=2), 0)
    assert health.spend(100, 2, 0) == 0
    assert health.spend(50, 0, 0) == 0.5
    assert health.spend(0, 1, 1) == 0
    assert health.spend(0, 2, 1) == 2
