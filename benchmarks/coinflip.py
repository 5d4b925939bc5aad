"""The coin flip: ten over loopback Noise connections, a hundred as pure cores, one recovery.

`flip_n10` is the time from the first Commit to the last Pong, less what the stand-in for the chain
takes to finalize the seal; all ten peers share this process, and so one core. `flip_n100` is what
one member of a hundred computes in a whole session: decoding, every step, encoding.
"""

import statistics
from collections.abc import Sequence
from time import process_time

import uvloop

from benchmarks.figure import Figure, Wanted
from coinflip.events import Broadcast, Input, Landed, Received, Sealed, Start
from coinflip.flip import step
from coinflip.messages import (
    Body,
    CoinOpening,
    Echo,
    HeldShare,
    Ping,
    Pong,
    Reveal,
    Secret,
    read_signed,
)
from coinflip.opening import confirmation, open_coin, recover, seal_digest
from coinflip.seat import Seat
from coinflip.state import Flip
from holdfast.flip import flip, make_peers
from holdfast.simulation.table import seats
from wire.codec import encode

REPEATS = 9
"""A figure of time is the median of so many runs, in turns: no busy moment spoils all of one."""

PER_DELIVERY = 1.5
"""The confirmation of the source, Ping and Pong, adds two messages to the four of the protocol."""

BYTES_OVERHEAD = 1.25
"""Signatures, keys and frames beside the 96 bytes that each pair of members must exchange."""


def run(wanted: Wanted) -> list[Figure]:
    """The figures that are wanted, of all that are measured."""
    ten, hundred = Transcript(10), Transcript(100)
    rounds = [(_loopback_s(10), _cpu_s(hundred), _recovery_s(hundred)) for _ in range(REPEATS)]
    times_s = zip(*rounds, strict=True)
    loopback_ms, cpu_ms, recovery_ms = (1_000 * statistics.median(each) for each in times_s)
    figures = [
        _at_most("flip_n10_ms_vs_150", loopback_ms, "ms", "limit", 150),
        _at_most("flip_n100_cpu_ms_vs_150", cpu_ms, "ms", "limit", 150),
        _at_most("recover_n100_ms_vs_5", recovery_ms, "ms", "limit", 5),
        _at_most(
            "flip_n10_deliveries", ten.deliveries, "", "4n(n-1)", 4 * 10 * 9, bar=PER_DELIVERY
        ),
        _at_most(
            "flip_n100_bytes", hundred.bytes, "bytes", "96n^2", 96 * 100**2, bar=BYTES_OVERHEAD
        ),
    ]
    return [figure for figure in figures if wanted(figure.name)]


def _at_most(
    name: str, figure: float, unit: str, against: str, limit: float, bar: float = 1.0
) -> Figure:
    return Figure(name, figure, unit, against, limit, bar, at_most=True)


def _loopback_s(count: int) -> float:
    (attempt,) = uvloop.run(flip(make_peers(bytes(32), count)))
    assert attempt.coin is not None
    return attempt.flip_s - attempt.finality_s


class Transcript:
    """All that the first of `count` honest members hears, as bytes, in the protocol's order."""

    def __init__(self, count: int) -> None:
        self.seats = seats(1, count)
        self.first, *others = self.seats
        topic, members = self.first.topic, self.first.members
        self.commits = tuple(seat.commit() for seat in self.seats)
        self.digest = seal_digest(topic, members, self.commits)
        self.deals = [seat.deal(self.digest, self.commits) for seat in self.seats]
        parts = tuple(Secret(value=seat.secret) for seat in self.seats)
        opening = CoinOpening(commits=self.commits, parts=parts)
        coin = open_coin(topic, members, self.digest, opening).value
        echo = Echo(digest=self.digest)
        ping = Ping(digest=self.digest, proof=confirmation("ping", topic, coin))
        pong = Pong(digest=self.digest, proof=confirmation("pong", topic, coin))
        self.before_seal = [
            *_said(others, self.commits[1:]),
            *_said(others, self.deals[1:]),
            *_said(others, [echo] * (count - 1)),
        ]
        self.after_seal = [
            *_said(others, [Reveal(secret=seat.secret) for seat in others]),
            *_said(others, [ping] * (count - 1)),
            *_said(others, [pong] * (count - 1)),
        ]

    @property
    def deliveries(self) -> int:
        """To all members, when nothing is lost or said again."""
        return len(self.seats) * (len(self.before_seal) + len(self.after_seal))

    @property
    def bytes(self) -> int:
        """What one member hears."""
        return sum(map(len, self.before_seal)) + sum(map(len, self.after_seal))


def _said(speakers: Sequence[Seat], bodies: Sequence[Body]) -> list[bytes]:
    return [encode(seat.sign(body)) for seat, body in zip(speakers, bodies, strict=True)]


def _cpu_s(transcript: Transcript) -> float:
    """What one member computes, and nobody else."""
    seat = seats(1, len(transcript.seats))[0]
    began_s = process_time()
    flip_ = _give(Flip(seat), Start())
    for data in transcript.before_seal:
        flip_ = _give(flip_, Received(message=read_signed(data)))
    flip_ = _give(flip_, Sealed(digest=transcript.digest))
    for data in transcript.after_seal:
        flip_ = _give(flip_, Received(message=read_signed(data)))
    assert isinstance(flip_.outcome, Landed)
    return process_time() - began_s


def _give(member: Flip, given: Input) -> Flip:
    member, effects = step(member, given)
    for effect in effects:
        if isinstance(effect, Broadcast):
            assert effect.message.encoded
    return member


def _recovery_s(transcript: Transcript) -> float:
    """Check t + 1 shares of one withheld x, rebuild it, and deal it again to compare."""
    dealer, deal = transcript.seats[0], transcript.deals[0]
    sharing, commit = dealer.sharing(), transcript.commits[0]
    shares = [
        HeldShare(holder=holder, value=sharing.values[holder], salt=sharing.salts[holder])
        for holder in range(1, 1 + dealer.quorum)
    ]

    began_s = process_time()
    part = recover(dealer.topic, dealer.key.public, commit, deal.leaves, shares)
    spent_s = process_time() - began_s
    assert part == Secret(value=dealer.secret)
    return spent_s
