"""Whole visits over loopback: what each kind of hoster is found to be, and no report is void."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from attestor.disguise import WHOLE_CHUNKS, Disguise, Habit
from attestor.session import Patience
from audit.messages import Outcome, SignedReceipt
from chain.endpoint import Endpoint
from feed.messages import Data, Extension, Message, NoData, Reason
from feed.store import FeedStore
from swarm.peers import Limits
from swarm.server import listen
from tests.attestor.hosters import (
    HOST,
    HOSTER,
    HURRIED,
    LENGTH,
    NETWORK,
    OTHER,
    PLANNED,
    QUICK,
    bare,
    falsified,
    grown,
    hosting,
    on_chunk,
    on_receipt,
    signed_anew,
    stored,
    target_of,
    visit,
)
from tests.feed.owner import KEY, SIGN
from wire.codec import encode
from wire.keys import KeyPair, Use
from wire.ports import Connection


async def test_an_honest_hoster_is_served():
    async with hosting(stored()) as hoster:
        result, judged = await visit(hoster.endpoint)
    assert result.summary.outcome is Outcome.SERVED
    assert (judged.served, judged.planned, judged.fault) == (6, 6, False)
    assert result.summary.bytes == sum(len(stored().chunk(index).value) for index in PLANNED)
    assert result.summary.latency_p95_us >= result.summary.latency_p50_us > 0


async def test_more_chunks_than_one_receipt_covers():
    planned = tuple(range(LENGTH - 1, -1, -1))
    async with hosting(stored()) as hoster:
        result, judged = await visit(hoster.endpoint, planned=planned)
    assert (result.summary.outcome, judged.served) == (Outcome.SERVED, LENGTH)


async def test_a_hoster_that_lost_chunks_misses_just_these():
    feed = stored()
    feed.forget([31, 32, 12])
    async with hosting(feed) as hoster:
        result, judged = await visit(hoster.endpoint)
    assert (result.summary.outcome, judged.served) == (Outcome.CHUNKS_MISSING, 4)
    assert result.evidence is not None


@pytest.mark.parametrize("habit", Habit)
async def test_whatever_an_attestor_looks_like_a_hoster_misses_just_what_it_lost(habit):
    lost = (0, 5, 17, 33)
    for seed in range(4):
        feed = stored()
        feed.forget(lost)
        disguise = Disguise(
            habit, bytes([seed]) * 32, tuple(range(LENGTH)), at_once=4, think_ms=0, linger_ms=0
        )
        async with hosting(feed) as hoster:
            result, judged = await visit(
                hoster.endpoint, planned=tuple(range(0, LENGTH, 2)), disguise=disguise
            )
        assert (result.summary.outcome, judged.served) == (Outcome.CHUNKS_MISSING, LENGTH // 2 - 1)
        assert judged.unproven == (0,)


async def test_a_hoster_that_announces_what_it_lost_misses_it():
    def refuse(data: Data) -> Sequence[Message]:
        assert data.chunk is not None
        lost = data.chunk.index == 31
        return [NoData(data.request, Reason.NOT_AVAILABLE)] if lost else [data]

    async with hosting(stored(), on_chunk(refuse)) as hoster:
        result, judged = await visit(hoster.endpoint, patience=HURRIED)
    # The hoster signed for a chunk that never left, so its receipts are over another account.
    assert result.summary.outcome is Outcome.CHUNKS_MISSING
    assert not judged.fault


async def test_a_hoster_that_lost_everything_serves_nothing():
    feed = stored()
    feed.forget(range(LENGTH))
    async with hosting(feed) as hoster:
        result, judged = await visit(hoster.endpoint, patience=HURRIED)
    assert (result.summary.outcome, judged.served) == (Outcome.CHUNKS_MISSING, 0)
    assert result.evidence is None


async def test_false_chunks_that_are_signed_for_are_a_fault_once_the_truth_is_known():
    async with (
        hosting(falsified(stored(), 31, 5)) as liar,
        hosting(stored(), hoster=OTHER) as other,
    ):
        result, judged = await visit(liar.endpoint, other.endpoint)
    assert result.summary.outcome is Outcome.FAULT
    assert (judged.fault, judged.served) == (True, 5)


async def test_the_truth_is_asked_of_one_peer_after_another():
    gone = Endpoint(host=HOST, port=1, swarm_key=OTHER.key(Use.SWARM).public)
    empty = stored()
    empty.forget(range(LENGTH))
    async with (
        hosting(falsified(stored(), 31)) as liar,
        hosting(falsified(stored(), 31), hoster=OTHER) as accomplice,
        hosting(empty, hoster=OTHER) as poor,
        hosting(stored(), hoster=OTHER) as honest,
    ):
        peers = gone, accomplice.endpoint, poor.endpoint, honest.endpoint
        patience = replace(QUICK, truth_s=0.4)
        result, _ = await visit(liar.endpoint, *peers, patience=patience)
    assert result.summary.outcome is Outcome.FAULT


@pytest.mark.parametrize("accomplices", [0, 1])
async def test_a_liar_is_not_at_fault_while_nobody_shows_the_truth(accomplices):
    async with (
        hosting(falsified(stored(), 31)) as liar,
        hosting(falsified(stored(), 31), hoster=OTHER) as accomplice,
    ):
        elsewhere = [accomplice.endpoint] * accomplices
        result, judged = await visit(liar.endpoint, *elsewhere)
    assert (result.summary.outcome, judged.fault) == (Outcome.BAD_DATA, False)


async def test_right_hashes_signed_for_wrong_bytes_prove_nothing():
    def spoil(data: Data) -> Sequence[Message]:
        assert data.chunk is not None
        return [data._replace(chunk=data.chunk._replace(value=b"spoilt"))]

    async with hosting(stored(), on_chunk(spoil)) as liar, hosting(stored(), hoster=OTHER) as other:
        result, judged = await visit(liar.endpoint, other.endpoint)
    assert (result.summary.outcome, judged.served, judged.fault) == (Outcome.BAD_DATA, 0, False)
    assert result.evidence is None


BENT_RECEIPTS = {
    "of another fork": signed_anew(fork=1),
    "from before the window": signed_anew(time_ms=1_000),
    "from far ahead": signed_anew(time_ms=3_900_000_000_000),
    "of another hoster": signed_anew(hoster=OTHER.id),
    "of another session": signed_anew(handshake_hash=b"x" * 64),
    "of another reader": signed_anew(peer=b"x" * 32),
    "of another feed": signed_anew(feed=b"x" * 32),
    "over other chunks": signed_anew(root=b"x" * 32),
    "over more chunks": signed_anew(count=50),
    "signed by another": signed_anew(OTHER.key(Use.RECEIPT)),
    "signed by the account": signed_anew(HOSTER.account),
    "not signed": on_receipt(lambda signed: encode(signed)[:-64] + bytes(64)),
    "cut off": on_receipt(lambda signed: encode(signed)[:-1]),
    "empty": on_receipt(lambda _: b""),
    "of a megabyte": on_receipt(lambda _: bytes(1 << 20)),
}


@pytest.mark.parametrize("bend", BENT_RECEIPTS.values(), ids=BENT_RECEIPTS)
async def test_a_wrong_receipt_proves_nothing_and_voids_nothing(bend):
    async with hosting(stored(), bend) as hoster:
        result, judged = await visit(hoster.endpoint, patience=HURRIED)
    assert (result.summary.outcome, judged.served) == (Outcome.RECEIPT_WRONG, 0)
    assert result.evidence is None


async def test_no_receipt_at_all():
    async with hosting(stored(), on_receipt(lambda _: None)) as hoster:
        result, judged = await visit(hoster.endpoint, patience=HURRIED)
    assert (result.summary.outcome, judged.served) == (Outcome.RECEIPT_MISSING, 0)


async def test_a_receipt_over_the_first_chunks_proves_these():
    def first_only(signed: SignedReceipt) -> bytes | None:
        return encode(signed) if signed.receipt.sequence == 1 else None

    planned = tuple(range(20))
    async with hosting(stored(), on_receipt(first_only)) as hoster:
        result, judged = await visit(hoster.endpoint, planned=planned, patience=HURRIED)
    assert result.summary.outcome is Outcome.CHUNKS_MISSING
    assert 0 < judged.served < 20


async def test_an_old_receipt_said_again_takes_nothing_back():
    first: list[Extension] = []

    def again(message: Message) -> Sequence[Message]:
        if not isinstance(message, Extension):
            return [message]
        first.append(message)
        return [message, first[0]]

    async with hosting(stored(), again) as hoster:
        result, judged = await visit(hoster.endpoint, planned=tuple(range(20)))
    assert (result.summary.outcome, judged.served) == (Outcome.SERVED, 20)


async def test_a_hoster_that_drips_is_too_slow():
    loop = asyncio.get_running_loop()
    dripped = 0

    async with hosting(stored()) as hoster:

        def drip(data: Data) -> Sequence[Message]:
            nonlocal dripped
            dripped += 1
            channel = hoster.channels[-1]
            loop.call_later(0.1 * dripped, channel.send_plain, data)
            return []

        hoster.bend = on_chunk(drip)
        result, judged = await visit(hoster.endpoint, deadline_s=0.35)
    assert result.summary.outcome is Outcome.TOO_SLOW
    assert judged.served < len(PLANNED)


async def test_a_hoster_that_falls_silent_over_what_it_announced_is_too_slow():
    def withhold(data: Data) -> Sequence[Message]:
        assert data.chunk is not None
        return [] if data.chunk.index == 0 else [data]

    async with hosting(stored(), on_chunk(withhold)) as hoster:
        result, _ = await visit(hoster.endpoint, patience=HURRIED)
    assert result.summary.outcome is Outcome.TOO_SLOW


async def test_a_hoster_that_hangs_up_midway_disconnected():
    async with hosting(stored()) as hoster:
        came: list[int] = []

        def hang_up(data: Data) -> Sequence[Message]:
            assert data.chunk is not None
            came.append(data.chunk.index)
            if len(came) == 3:
                hoster.channels[-1].close()
                return []
            return [data]

        hoster.bend = on_chunk(hang_up)
        result, judged = await visit(hoster.endpoint)
    assert result.summary.outcome is Outcome.DISCONNECTED
    assert judged.served == 0, "nothing was signed for"


async def test_a_hoster_of_another_fork_proves_nothing():
    feed = grown(stored(), LENGTH + 1)
    feed.truncate(LENGTH, SIGN)
    assert feed.fork == 1
    async with hosting(feed) as hoster:
        result, judged = await visit(hoster.endpoint)
    assert judged.served == 0
    assert result.evidence is None


async def test_a_hoster_that_is_behind_misses_what_it_has_not_fetched():
    async with hosting(stored(30)) as hoster:
        result, judged = await visit(hoster.endpoint, patience=HURRIED)
    assert result.summary.outcome in (Outcome.CHUNKS_MISSING, Outcome.HEAD_UNPROVEN)
    assert judged.served == 0


@pytest.mark.parametrize("length", [LENGTH + 1, LENGTH + 7, LENGTH + 24, 64, 65, 200])
async def test_a_hoster_whose_feed_has_grown_since_is_served(length):
    planned = (7, 31, 0, 12, 20)
    async with hosting(grown(stored(), length)) as hoster:
        result, judged = await visit(hoster.endpoint, planned=planned, target=target_of(stored()))
    assert (result.summary.outcome, judged.served) == (Outcome.SERVED, 5)


async def test_what_an_owner_appends_by_the_thousand_is_not_fetched():
    """Else it could have its hosters found too slow, and unpaid, by a flood of tiny chunks."""
    feed = stored()
    feed.append([b"."] * WHOLE_CHUNKS, SIGN)
    disguise = replace(bare(PLANNED), habit=Habit.CLONE)
    async with hosting(feed) as hoster:
        result, judged = await visit(hoster.endpoint, disguise=disguise)
    assert (result.summary.outcome, judged.served) == (Outcome.SERVED, len(PLANNED))
    assert result.summary.bytes == sum(len(feed.chunk(index).value) for index in PLANNED)


# those that are not even reached


async def test_nobody_listens():
    gone = Endpoint(host=HOST, port=1, swarm_key=HOSTER.key(Use.SWARM).public)
    result, _ = await visit(gone)
    assert result.summary.outcome is Outcome.CONNECT_REFUSED
    assert result.evidence is None


@pytest.mark.parametrize("host", ["a" * 253, "a..b", "\0", "é" * 200, "..", "[", "host:1"])
async def test_a_host_that_cannot_be_a_name_is_one_that_does_not_answer(host):
    nowhere = Endpoint(host=host, port=1, swarm_key=HOSTER.key(Use.SWARM).public)
    result, _ = await visit(nowhere)
    assert result.summary.outcome is Outcome.CONNECT_REFUSED


async def test_somebody_else_answers():
    async with hosting(stored(), key=KeyPair(b"x" * 32)) as hoster:
        result, _ = await visit(hoster.endpoint)
    assert result.summary.outcome is Outcome.WRONG_KEY


async def test_a_socket_that_says_nothing_times_out():
    async with RawServer(b"") as endpoint:
        result, _ = await visit(endpoint)
    assert result.summary.outcome is Outcome.CONNECT_TIMEOUT


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 200 OK\r\n\r\n", bytes(500), b"\xff" * 500])
async def test_a_socket_that_speaks_something_else_fails_the_handshake(garbage):
    async with RawServer(garbage) as endpoint:
        result, _ = await visit(endpoint)
    assert result.summary.outcome is Outcome.HANDSHAKE_FAILED


class RawServer:
    """Says its one thing and then nothing."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._over = asyncio.Event()

    async def __aenter__(self) -> Endpoint:
        self._server = await asyncio.start_server(self._answer, HOST, 0)
        port = self._server.sockets[0].getsockname()[1]
        return Endpoint(host=HOST, port=port, swarm_key=HOSTER.key(Use.SWARM).public)

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._words)
        await self._over.wait()
        writer.close()


async def _never(connection: Connection) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("silent", [True, False])
async def test_a_hoster_that_does_not_open_the_feed_refuses_it(silent):
    def on_open(protocol, id, connection):
        return _never(connection) if silent else None

    async with listen(HOST, 0, HOSTER.key(Use.SWARM), on_open=on_open) as listener:
        key = HOSTER.key(Use.SWARM).public
        endpoint = Endpoint(host=HOST, port=listener.port, swarm_key=key)
        result, _ = await visit(endpoint)
    assert result.summary.outcome is Outcome.FEED_REFUSED


async def test_a_hoster_of_other_feeds_refuses_this_one():
    with FeedStore(":memory:") as store:
        other = store.create(HOSTER.key(Use.FEED).public)
        async with hosting(other) as hoster:
            result, _ = await visit(hoster.endpoint)
    assert result.summary.outcome is Outcome.FEED_REFUSED


async def test_a_silent_hoster_costs_no_more_than_the_deadline():
    def on_open(protocol, id, connection):
        return _never(connection)

    patient = Patience(limits=Limits(open_timeout_s=60))
    async with listen(HOST, 0, HOSTER.key(Use.SWARM), on_open=on_open) as listener:
        key = HOSTER.key(Use.SWARM).public
        endpoint = Endpoint(host=HOST, port=listener.port, swarm_key=key)
        result, _ = await visit(endpoint, patience=patient, deadline_s=0.2)
    assert result.summary.outcome is Outcome.TOO_SLOW


def test_the_builder_is_of_the_feed_it_claims():
    assert stored().key == KEY
    assert len(NETWORK) == 32
