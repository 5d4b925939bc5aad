"""What strangers send, bent at random: only typed errors come of it, and memory stays bounded.

`FUZZ=100000` sends so many frames to each of the three layers; the default is a few seconds' worth.
A failure names its seed in the test's id: the same seed sends the same frames.
"""

import os
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from feed.codec import decode, encode
from feed.feed import Feed
from feed.messages import (
    Bitfield,
    Cancel,
    Extension,
    Message,
    NoData,
    PathRequest,
    Range,
    Request,
    SeekRequest,
    Sync,
    Unwant,
    UpgradeRequest,
    Want,
)
from feed.replication.core import Replication
from feed.replication.events import Drop, Event, GiveUp
from feed.store import FeedStore
from swarm.protomux import MAX_CHANNELS, MAX_PENDING_OPENS, Messages, Opened, Protomux, Wanted
from swarm.session import BACKLOG_BYTES
from tests.feed.owner import KEY, MANIFEST, SIGN, chunk, owned
from tests.swarm.streams import alice, bob
from wire.errors import Malformed, Unavailable

FRAMES = int(os.environ.get("FUZZ", "3000"))
SEEDS = 5
PER_SEED = max(1, FRAMES // SEEDS)
HANDSHAKE_SHARE = 20
"""A handshake costs as much as many frames, and has few bytes to bend."""

MOST_KEPT_BYTES = 16 << 20
"""Above all that a peer may make us keep: its ranges, its bitfields, its wants and requests."""

EDGES = (0, 1, 0x7F, 0x80, 0xFC, 0xFD, 0xFE, 0xFF)
seeds = pytest.mark.parametrize("seed", range(SEEDS))


def bend(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One to three small damages, of the kinds that parsers fall for."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(found) + 1)
        match rng.randrange(8):
            case 0 if found:
                found[place % len(found)] ^= 1 << rng.randrange(8)
            case 1 if found:
                found[place % len(found)] = rng.choice(EDGES)
            case 2:
                del found[place:]
            case 3:
                found[place:place] = rng.randbytes(rng.randrange(1, 12))
            case 4:
                del found[place : place + rng.randrange(1, 9)]
            case 5:
                found[place:place] = found[place : place + rng.randrange(40)]
            case 6:
                found[place:] = rng.choice(others)[place:]
            case _:
                found[place : place + 8] = b"\xff" + rng.choice(
                    (b"\xff" * 8, b"\xff" * 6 + b"\0\0")
                )
    return bytes(found)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Assert that little is kept of what happens inside."""
    tracemalloc.start()
    try:
        yield
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < MOST_KEPT_BYTES, f"{kept >> 10} KiB are kept"


def _handshake() -> tuple[list[bytes], list[bytes]]:
    """What an initiator and a responder send up to the first plaintexts."""
    one, other = alice(), bob()
    ours, theirs = [one.start()], list[bytes]()
    other.receive(ours[0])
    theirs += other.take_answers()
    one.receive(b"".join(theirs))
    ours += one.take_answers()
    other.receive(b"".join(ours[1:]))
    theirs += other.take_answers()
    one.receive(theirs[-1])
    for end, sent in ((one, ours), (other, theirs)):
        sent += [end.seal(bytes([n]) * n * 50) for n in range(6)]
    return ours, theirs


@seeds
def test_handshakes_and_streams_end_with_a_typed_error(seed: int) -> None:
    rng = random.Random(seed)
    ours, theirs = _handshake()
    with bounded_memory():
        for _ in range(max(1, PER_SEED // HANDSHAKE_SHARE)):
            is_responder = rng.random() < 0.5
            end, pieces = (bob(), ours) if is_responder else (alice(), theirs)
            end.start()
            spoilt = rng.randrange(len(pieces))
            sent = [*pieces[:spoilt], bend(rng, pieces[spoilt], pieces), *pieces[spoilt + 1 :]]
            data, got = b"".join(sent), list[bytes]()
            try:
                while data:
                    count = rng.randrange(1, 400)
                    got += end.receive(data[:count])
                    data = data[count:]
            except (Malformed, Unavailable):
                pass
            assert len(end.writable()) > 0
            honest = [bytes([n]) * n * 50 for n in range(6)]
            assert got == honest[: len(got)], "what arrives is what was sent, up to the damage"


def _frames() -> list[bytes]:
    """What an honest peer's mux sends."""
    mux, found = Protomux(), list[bytes]()
    for number in range(4):
        channel, _ = mux.open("hypercore/alpha", bytes([number]) * 32, b"\x01" + bytes(32))
        found += mux.flush()
        for kind in range(10):
            mux.send(channel, kind, bytes([kind]) * kind * 7)
            if kind % 3 == 0:
                found += mux.flush(batch=True)
    for channel in (2, 1):
        mux.close(channel)
    found += mux.flush()
    return [*found, b"\x00\x03\x01", b"\x00\x02\x01", b"\x01\x00", b""]


@seeds
def test_a_mux_takes_any_frame_or_says_that_it_is_malformed(seed: int) -> None:
    rng, honest = random.Random(seed), _frames()
    sent = 0
    with bounded_memory():
        while sent < PER_SEED:
            mux, ours = Protomux(), dict[int, bool]()
            for number in range(rng.randrange(4)):
                channel, _ = mux.open("hypercore/alpha", bytes([number]) * 32, b"")
                ours[channel] = False
            try:
                for frame in honest * rng.randrange(1, 4):
                    sent += 1
                    _take(rng, mux, ours, bend(rng, frame, honest) if sent % 3 else frame)
                    if mux.backlog_bytes > BACKLOG_BYTES:
                        break  # the shell reads no more
            except Malformed:
                continue
            assert len(mux._remotes) <= MAX_CHANNELS and len(mux._tickets) <= MAX_PENDING_OPENS


def _take(rng: random.Random, mux: Protomux, ours: dict[int, bool], frame: bytes) -> None:
    for event in mux.receive(frame):
        match event:
            case Wanted(ticket, protocol, id) if rng.random() < 0.5:
                channel, _ = mux.open(protocol, id, b"")
                ours[channel] = False
                mux.reject(ticket)
            case Wanted(ticket):
                mux.reject(ticket)
            case Opened(channel):
                assert channel in ours
                mux.send(channel, 3, b"hello")
            case Messages(channel, messages):
                assert channel in ours and messages
    for sent in mux.flush():
        assert sent


def _questions(length: int) -> list[Message]:
    """What an honest reader may send, and the rarer things."""
    return [
        *(Sync(0, n, n) for n in (0, 1, length, length + 5)),
        *(Request(n, 0, PathRequest(n, n % 5)) for n in range(0, length, 7)),
        Request(1, 0, upgrade=UpgradeRequest(0, length), manifest=True),
        Request(2, 0, PathRequest(3, 0), upgrade=UpgradeRequest(0, length)),
        Request(3, 0, hash=PathRequest(6, 1), seek=SeekRequest(99)),
        Request(4, 0, upgrade=UpgradeRequest(4, 9), seek=SeekRequest(50, 2), priority=1),
        Request(0, 1, upgrade=UpgradeRequest(0, 2)),
        Cancel(3),
        NoData(1, 2),
        Want(0, 1 << 21),
        Want(0, 64, any=True),
        Unwant(0, 1 << 21),
        Bitfield(32, b"\xf0" * 32),
        Range(0, length),
        Range(5, 1, drop=True),
        Extension("x" * 20, b"y" * 50),
        Extension("", b"z"),
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedStore]:
    with FeedStore(tmp_path / "feeds.db") as store:
        yield store


def _play(core: Replication, kind: int, payload: bytes) -> tuple[list[Message], bool]:
    """Send one message to a core; what it sends, and whether it ended."""
    try:
        message = decode(kind, payload)
    except Malformed:
        return [], True
    effects = core.receive([] if message is None else [message], 1_000)
    effects += core.answer(1 << 16)
    effects += core.settle(30_000_000)
    sent = [effect for effect in effects if not isinstance(effect, Event)]
    assert len(sent) < 400, "a message causes no flood"
    return sent, any(isinstance(effect, (Drop, GiveUp)) for effect in effects)


@seeds
def test_a_hoster_survives_what_readers_send(seed: int, store: FeedStore) -> None:
    rng, feed = random.Random(seed), owned(store, 60)
    feed.forget([7, 8, 30])
    questions = [(message.kind, encode(message)) for message in _questions(60)]
    payloads = [payload for _, payload in questions]
    before = feed.roots, list(feed.held)
    core, ended = Replication(feed), True
    with bounded_memory():
        for number in range(PER_SEED):
            if ended:
                core.close()
                core = Replication(feed)
                core.start()
                if rng.random() < 0.3:
                    core.want_all(0)
            kind, payload = rng.choice(questions)
            if number % 4:
                payload = bend(rng, payload, payloads)
            if number % 16 == 0:
                kind = rng.randrange(12)
            _, ended = _play(core, kind, payload)
            if number % 50 == 0:
                core.tick(number * 1_000_000)
    assert (feed.roots, list(feed.held), feed.conflict) == (*before, None)


@seeds
def test_a_reader_believes_nothing_that_is_bent(
    seed: int, store: FeedStore, tmp_path: Path
) -> None:
    """An honest hoster answers, and the line bends half of it."""
    rng = random.Random(seed)
    with FeedStore(tmp_path / "reader.db") as place, bounded_memory():
        source = owned(store, 40)
        sent = rounds = 0
        while sent < PER_SEED:
            rounds += 1
            if rounds % 8 == 1 and rounds > 1:
                place.delete(KEY)
            sent += _read_once(rng, source, place.create(KEY))
        copy = place.create(KEY)
        assert copy.conflict is None
        for index in range(copy.length):
            if copy.has(index):
                assert copy.chunk(index).value == chunk(index)
        assert copy.manifest in (None, MANIFEST)


def _read_once(rng: random.Random, source: Feed, copy: Feed) -> int:
    """One connection, until one side ends it or nothing is left to say; the messages carried."""
    hoster, reader = Replication(source), Replication(copy)
    to_reader = [e for e in hoster.start() if not isinstance(e, Event)]
    to_hoster = [e for e in (*reader.start(), *reader.want_all(0)) if not isinstance(e, Event)]
    sent, damage = 0, rng.choice((0.02, 0.2, 0.6))
    try:
        for _ in range(60):
            answers = list[Message]()
            for message in to_hoster:
                answers += _play(hoster, message.kind, encode(message))[0]
            payloads = [encode(message) for message in to_reader] or [b""]
            to_hoster = []
            for message in to_reader:
                sent += 1
                payload = encode(message)
                if rng.random() < damage:
                    payload = bend(rng, payload, payloads)
                replies, ended = _play(reader, message.kind, payload)
                to_hoster += replies
                if ended:
                    return sent
            to_reader = answers
            if not to_reader and not to_hoster:
                break
    finally:
        reader.close()
    return max(1, sent)


@seeds
def test_a_feed_that_others_rewrite_stays_sound(
    seed: int, store: FeedStore, tmp_path: Path
) -> None:
    """Truncations on one side, bent messages between: the copy is always one signed history."""
    rng = random.Random(seed)
    with FeedStore(tmp_path / "reader.db") as place:
        source, sent = owned(store, 20), 0
        histories = {(0, 20): source.roots}
        while sent < PER_SEED // 4:
            source.truncate(rng.randrange(source.length + 1), SIGN)
            added = [rng.randbytes(9) for _ in range(rng.randrange(1, 20))]
            source.append(added, SIGN)
            histories[source.fork, source.length] = source.roots
            copy = place.create(KEY)
            sent += _read_once(rng, source, copy)
            if copy.length:
                assert histories[copy.fork, copy.length] == copy.roots
