"""Readers that go about it as other programs do, and what an auditor is told beside chunks."""

from collections.abc import Iterator

import pytest

from feed.codec import decode, encode
from feed.feed import Feed
from feed.messages import Data, Message, NoData, Reason, Request
from feed.replication.core import Replication
from feed.replication.events import Arrived, Event, Stray
from feed.replication.manner import LINGER_MS, Manner, Work, linger_ms
from feed.store import FeedStore
from tests.feed.owner import KEY, chunk, owned
from wire.prng import Stream

LENGTH = 100
OPEN_US, WAKE_US, LOOK_UP_US, VERIFY_US, STORE_US = 400, 40, 20, 60, 200
IN_FLIGHT = 48


@pytest.fixture
def hoster() -> Iterator[Feed]:
    with FeedStore(":memory:") as store:
        yield owned(store, LENGTH)


@pytest.fixture
def copy() -> Iterator[Feed]:
    with FeedStore(":memory:") as store:
        yield store.create(KEY)


class Talk:
    """A hoster and a reader on a line of 5 ms, told of by what the reader asks for and hears."""

    def __init__(self, source: Feed, reader: Feed, manner: Manner, lost: int | None = None) -> None:
        self.hoster, self.reader = Replication(source), Replication(reader, manner=manner)
        reader.watch(self.reader.note)
        self.asked: list[tuple[int, Request]] = []
        self.events: list[Event] = []
        self.most = 0
        self._lost = lost
        self._open = 0
        self._now_us = 0

    def run(self) -> None:
        """Until nothing more is said."""
        to_hoster = self._sort([*self.reader.start(), *self.reader.want_all(0)])
        to_reader = [m for m in self.hoster.start() if not isinstance(m, tuple(EVENTS))]
        for _ in range(1_000):
            answers = [*self.hoster.receive(to_hoster, self._now_us)]
            while self.hoster.has_requests:
                answers += self.hoster.answer(1 << 20)
            self._now_us += 5_000
            heard, to_reader = to_reader, self._bent(answers)
            self._open -= sum(isinstance(m, Data) and m.chunk is not None for m in heard)
            to_hoster = self._sort(self.reader.receive(heard, self._now_us))
            to_hoster += self._sort(self.reader.settle(self._now_us))
            while (due_us := self.reader.ask_due_us) is not None and due_us < self._now_us + 5_000:
                to_hoster += self._sort(self.reader.ask(due_us), due_us)
            if not to_hoster and not to_reader and self.reader.ask_due_us is None:
                return
        raise AssertionError("the two never stop talking")

    def _sort(self, effects: list[object], at_us: int | None = None) -> list[Message]:
        said = []
        for effect in effects:
            if isinstance(effect, tuple(EVENTS)):
                self.events.append(effect)
                continue
            said.append(decode(effect.kind, encode(effect)))
            if isinstance(effect, Request) and effect.chunk is not None:
                self.asked.append((at_us or self._now_us, effect))
                self._open += 1
                self.most = max(self.most, self._open)
        return said

    def _bent(self, effects: list[object]) -> list[Message]:
        """The hoster refuses the lost chunk the first time."""
        said = []
        for effect in effects:
            if isinstance(effect, tuple(EVENTS)):
                continue
            is_lost = isinstance(effect, Data) and effect.chunk is not None
            if is_lost and effect.chunk.index == self._lost:
                self._lost = None
                said.append(NoData(effect.request, Reason.NOT_AVAILABLE))
            else:
                said.append(decode(effect.kind, encode(effect)))
        return said


EVENTS = Event.__args__


def node_like(seed: bytes) -> Manner:
    return Manner(
        in_flight=IN_FLIGHT,
        scatter=Stream(seed, b"order").below,
        work=Work(
            open_us=lambda: OPEN_US,
            wake_us=lambda: WAKE_US,
            look_up_us=lambda: LOOK_UP_US,
            lag=lambda: 0,
            verify_us=lambda: VERIFY_US,
            store_us=lambda nodes: STORE_US,
            write_lag=lambda begun: 0,
        ),
    )


def test_all_chunks_come_in_the_order_of_npm_hypercore(hoster: Feed, copy: Feed) -> None:
    talk = Talk(hoster, copy, node_like(b"s" * 32))
    talk.run()
    assert [copy.chunk(index).value for index in range(LENGTH)] == [*map(chunk, range(LENGTH))]
    order = [request.chunk.index for _, request in talk.asked if request.chunk]
    assert sorted(order) == list(range(LENGTH)), "each once"
    assert order != sorted(order)
    assert talk.most == IN_FLIGHT
    assert {request.priority for _, request in talk.asked} == {0}


def test_the_first_is_asked_for_alone_and_the_next_by_levels(hoster: Feed, copy: Feed) -> None:
    talk = Talk(hoster, copy, node_like(b"s" * 32))
    talk.run()
    times = [at_us for at_us, _ in talk.asked]
    assert times[1] - times[0] >= 5_000
    levels = [request.chunk.nodes for _, request in talk.asked[1 : 1 + IN_FLIGHT] if request.chunk]
    assert levels == sorted(levels)
    assert levels[0] < levels[-1]


def test_another_seed_is_another_order(hoster: Feed) -> None:
    orders = []
    for seed in (b"a" * 32, b"a" * 32, b"b" * 32):
        with FeedStore(":memory:") as store:
            talk = Talk(hoster, store.create(KEY), node_like(seed))
            talk.run()
            orders.append([request.chunk.index for _, request in talk.asked if request.chunk])
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("keep_wrong", [True, False])
def test_chunks_that_came_without_their_path_are_told_of_to_auditors(
    hoster: Feed, copy: Feed, keep_wrong: bool
) -> None:
    """Others were to build on the nodes of a chunk that was refused."""
    talk = Talk(hoster, copy, Manner(keep_wrong=keep_wrong), lost=0)
    talk.run()
    strays = [event.chunk for event in talk.events if isinstance(event, Stray)]
    assert bool(strays) == keep_wrong
    arrived = [event.chunk for event in talk.events if isinstance(event, Arrived)]
    assert set(strays) < set(arrived), "each came once more"
    assert set(arrived) == set(range(1, LENGTH))


def test_readers_stay_for_a_while_and_not_all_for_the_same() -> None:
    stream = Stream(b"s" * 32, b"stay")
    stays = [linger_ms(stream.below) for _ in range(300)]
    assert LINGER_MS[0] <= min(stays) < max(stays) <= LINGER_MS[1]
    assert len(set(stays)) > 200
