"""Sessions over a hub in memory: the shell around the core, and its limits."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import pytest

from coinflip.events import Landed, Malicious, Offline
from coinflip.messages import MAX_SIGNED_BYTES, Commit, Evidence, Signed
from coinflip.opening import verify_seal
from coinflip.seat import Seat
from coinflip.session import MAX_GARBAGE, MAX_PEERS, Gate, Patience, Session
from holdfast.simulation.table import seats
from wire.codec import decode, encode
from wire.errors import Unavailable

QUICK = Patience(
    commit_s=5, deal_s=5, reveal_s=0.1, recover_s=5, confirm_s=0.2, stall_s=0.02, linger_s=0.2
)


class Hub:
    """Every message to everyone else; what is said to a closed line is lost."""

    def __init__(self) -> None:
        self.lines: dict[bytes, asyncio.Queue[tuple[bytes, bytes]]] = {}


class Line:
    def __init__(self, hub: Hub, name: bytes) -> None:
        self.hub, self.name = hub, name
        hub.lines[name] = asyncio.Queue()

    async def broadcast(self, data: bytes) -> None:
        for name, line in self.hub.lines.items():
            if name != self.name:
                line.put_nowait((self.name, data))

    async def receive(self) -> tuple[bytes, bytes]:
        return await self.hub.lines[self.name].get()


class MuteLine(Line):
    """Keeps all but the first few messages to itself."""

    async def broadcast(self, data: bytes) -> None:
        if decode(Signed, data).body.kind in ("commit", "deal", "echo"):
            await super().broadcast(data)


class Ledger:
    """Seals what it is given, unless it is told that the deadline has passed."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.decided = asyncio.Event()
        self.digest: bytes | None = None
        self.evidence: list[Evidence] = []
        self.refusals = 0

    async def submit_seal(self, digest: bytes, signatures: tuple[bytes, ...]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("not now")
        seat = self.seat
        verify_seal(seat.network, seat.topic, seat.members, digest, signatures)
        self.digest = digest
        self.decided.set()

    async def submit_evidence(self, evidence: Evidence) -> None:
        self.evidence.append(evidence)

    async def wait_sealed(self) -> bytes | None:
        await self.decided.wait()
        return self.digest


class Shelf:
    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.room: int | None = None

    async def append(self, entry: bytes) -> None:
        if self.room is not None:
            if self.room == 0:
                raise OSError("killed while saving")
            self.room -= 1
        self.entries.append(entry)

    async def load(self) -> list[bytes]:
        return list(self.entries)


async def finish(sessions: Iterable[Session]) -> list[object]:
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        for session in sessions:
            tasks.create_task(session.run())
        return [await session.outcome() for session in sessions]


async def test_three_sessions_land_one_coin() -> None:
    hub, members = Hub(), seats(1, 3)
    ledger = Ledger(members[0])
    outcomes = await finish(
        [Session(seat, Line(hub, seat.key.public), ledger, Shelf(), QUICK) for seat in members]
    )
    assert all(isinstance(outcome, Landed) for outcome in outcomes)
    assert len({outcome.coin for outcome in outcomes if isinstance(outcome, Landed)}) == 1


async def test_a_seal_that_the_chain_could_not_take_is_submitted_again() -> None:
    hub, members = Hub(), seats(1, 2)
    ledger = Ledger(members[0])
    ledger.refusals = 3
    outcomes = await finish(
        [Session(seat, Line(hub, seat.key.public), ledger, Shelf(), QUICK) for seat in members]
    )
    assert all(isinstance(outcome, Landed) for outcome in outcomes)


async def test_a_member_silent_after_the_seal_is_recovered() -> None:
    hub, members = Hub(), seats(2, 3)
    ledger = Ledger(members[0])
    lines = [Line(hub, b"a"), Line(hub, b"b"), MuteLine(hub, b"c")]
    sessions = [
        Session(seat, line, ledger, Shelf(), QUICK)
        for seat, line in zip(members, lines, strict=True)
    ]
    outcomes = await finish(sessions)
    assert isinstance(outcomes[0], Landed)
    assert outcomes[0].recovered == (members[2].key.public,)


async def test_a_deadline_that_passes_unsealed_names_who_did_not_commit() -> None:
    hub, members = Hub(), seats(3, 2)
    ledger = Ledger(members[0])
    ledger.decided.set()
    session = Session(members[0], Line(hub, b"a"), ledger, Shelf(), QUICK)
    assert await finish([session]) == [Offline((members[1].key.public,))]


async def test_evidence_reaches_the_chain_once() -> None:
    hub, members = Hub(), seats(4, 2)
    ledger = Ledger(members[0])
    guilty = members[1]
    other = guilty.commit().model_copy(update={"leaves_hash": bytes(32)})
    session = Session(members[0], Line(hub, b"a"), ledger, Shelf(), QUICK)
    for body in (guilty.commit(), other):
        hub.lines[b"a"].put_nowait((b"b", encode(guilty.sign(body))))
    outcome = (await finish([session]))[0]
    assert isinstance(outcome, Malicious)
    assert ledger.evidence == [outcome.evidence]


async def live_twice(seat: Seat, line: Line, ledger: Ledger, shelf: Shelf) -> Landed:
    """Run until a save fails, then again over what was saved."""
    with suppress(ExceptionGroup, OSError):
        await Session(seat, line, ledger, shelf, QUICK).run()
    shelf.room = None
    session = Session(seat, line, ledger, shelf, QUICK)
    outcome = (await finish([session]))[0]
    assert isinstance(outcome, Landed)
    return outcome


async def test_a_session_killed_at_any_save_goes_on_from_its_store() -> None:
    for room in range(14):
        hub, members = Hub(), seats(5, 3)
        ledger, shelf = Ledger(members[0]), Shelf()
        shelf.room = room
        others = [
            Session(seat, Line(hub, seat.key.public), ledger, Shelf(), QUICK)
            for seat in members[1:]
        ]

        async with asyncio.TaskGroup() as tasks:
            victim = tasks.create_task(live_twice(members[0], Line(hub, b"victim"), ledger, shelf))
            outcomes = await tasks.create_task(finish(others))
        coins = {outcome.coin for outcome in outcomes if isinstance(outcome, Landed)}
        assert coins == {victim.result().coin}


async def test_a_session_run_again_knows_its_end_with_nobody_there_to_tell() -> None:
    hub, members = Hub(), seats(8, 2)
    ledger, shelf = Ledger(members[0]), Shelf()
    lines = [Line(hub, seat.key.public) for seat in members]
    first, _ = await finish(
        [
            Session(members[0], lines[0], ledger, shelf, QUICK),
            Session(members[1], lines[1], ledger, Shelf(), QUICK),
        ]
    )
    alone = Ledger(members[0])
    again = await finish([Session(members[0], Line(Hub(), b"alone"), alone, shelf, QUICK)])
    assert again == [first] and isinstance(first, Landed)


def test_garbage_from_many_peers_is_not_forgotten_and_takes_no_more_room() -> None:
    seat = seats(9, 2)[0]
    gate = Gate(2)
    for number in range(MAX_PEERS):
        gate.admit(number.to_bytes(2, "big"), b"garbage")
    gate.refill()
    assert gate.admit(b"one more", encode(seat.sign(seat.commit()))) is None
    assert gate.admit(bytes(2), encode(seat.sign(seat.commit()))) is not None


def test_the_gate_drops_repetitions_garbage_and_floods() -> None:
    seat = seats(6, 2)[0]
    data = encode(seat.sign(seat.commit()))
    gate = Gate(2)
    message = gate.admit(b"peer", data)
    assert message is not None and isinstance(message.body, Commit)
    assert gate.admit(b"peer", data) is None
    gate.refill()
    assert gate.admit(b"peer", data) is not None
    for _ in range(MAX_GARBAGE):
        assert gate.admit(b"rude", b"garbage") is None
    gate.refill()
    assert gate.admit(b"rude", encode(seat.sign(seat.commit()))) is None
    for _ in range(1000):
        gate.admit(b"loud", data)
    assert gate.admit(b"loud", encode(seats(7, 2)[0].sign(seat.commit()))) is None


@pytest.mark.parametrize("data", [b"", b"\x80", bytes(100), bytes(MAX_SIGNED_BYTES + 1)])
def test_the_gate_admits_no_malformed_bytes(data: bytes) -> None:
    assert Gate(2).admit(b"peer", data) is None
