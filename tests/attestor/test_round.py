"""Rounds of whole members on a running chain: from the draw to the end, killed or cheated."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from attestor.court_service import Court
from attestor.identity import Identity
from attestor.round_service import Round
from attestor.store import AttestorStore
from audit.messages import Evidence, Outcome
from chain import schedule
from chain.challenge_records import ChallengeRecord
from chain.client.claim_client import Claimant
from chain.client.found_store import FoundStore
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.endpoint import Endpoint
from chain.messages import Transaction
from chain.node.validator_node import Node
from chain.records import DueItem, StakeRecord, Table, stake_key
from coinflip.messages import Ping, Pong, Reveal, Share, Signed
from coinflip.service import Members
from swarm.service import Swarm, open_swarm
from tests.builders import World
from tests.chain.nodes import answering, following, node_at, write
from tests.people import Person, register
from tests.stages import drawn
from wire.codec import decode
from wire.keys import Use

HOST = "127.0.0.1"
PENALTY = 70


@dataclass
class Seat:
    """One member: its keys, its listener, and a store that outlives its process."""

    person: Person
    swarm: Swarm
    store: AttestorStore
    found: FoundStore


class Hall:
    """The members of a drawn challenge on one chain."""

    def __init__(self, world: World, node: Node, chain: ChainClient, seats: list[Seat]) -> None:
        self.world, self.node, self.chain, self.seats = world, node, chain, seats
        self.challenge = world.challenge.challenge

    def round(self, seat: Seat, master: bytes | None = None) -> Round:
        """A member's round, as its daemon makes it at every start."""
        wallet = Wallet(self.chain, seat.person.account)
        identity = Identity(master or seat.person.master)
        claimant = Claimant(self.chain, wallet, seat.found)
        return Round(self.challenge, self.chain, wallet, seat.store, seat.swarm, identity, claimant)

    async def wait(self, ready: Callable[[ChallengeRecord], bool]) -> ChallengeRecord:
        return await self.chain.wait(ChallengeRecord, Table.CHALLENGE, self.challenge, ready)

    async def stakes(self) -> list[int]:
        keys = [stake_key("attestor", seat.person.id) for seat in self.seats]
        records = await self.chain.records(StakeRecord, Table.STAKE, keys)
        return [record.amount_base for record in records]

    async def transactions(self, kind: str) -> list[bytes]:
        """Who has sent transactions of this kind."""
        return [each.sender for each in await self._included() if each.body.kind == kind]

    async def deadlines(self) -> dict[str, set[int]]:
        """Up to which block transactions of each kind could be included."""
        found: dict[str, set[int]] = {}
        for each in await self._included():
            found.setdefault(each.body.kind, set()).add(each.valid_until)
        return found

    async def _included(self) -> list[Transaction]:
        heights = range(self.world.height + 1, self.node.ledger.height + 1)
        blocks = [(await self.node.store.block(height)).block for height in heights]
        return [signed.transaction for block in blocks for signed in block.transactions]


@asynccontextmanager
async def assembled(path: Path) -> AsyncIterator[Hall]:
    """All members listen where the chain says, and blocks are written."""
    world = with_time_to_flip(drawn())
    async with AsyncExitStack() as stack:
        seats = []
        for person in world.members:
            swarm = await stack.enter_async_context(open_swarm(person.key(Use.SWARM), HOST, 0))
            store = stack.enter_context(AttestorStore(path / f"{person.name}.db"))
            seats.append(Seat(person, swarm, store, FoundStore(path / f"{person.name} found")))
        world.block(*(world.sign(seat.person, registered(seat)) for seat in seats))
        node = await stack.enter_async_context(node_at(world, path / "chain.db"))
        url = await stack.enter_async_context(answering(node))
        chain = await stack.enter_async_context(ChainClient(url, world.genesis))
        await write(node)
        await stack.enter_async_context(following(chain))
        writer = asyncio.create_task(keep_writing(node))
        try:
            async with asyncio.timeout(60):
                yield Hall(world, node, chain, seats)
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer


def with_time_to_flip(world: World) -> World:
    """Three blocks are enough for rules, and too few for members that must find each other."""
    draft, record = world.draft, world.challenge
    deadline = world.height + 12
    draft.challenges.change(record.challenge, seal_deadline=deadline)
    schedule.at(draft, deadline, DueItem(kind="seal", id=record.challenge))
    world.state.commit(draft)
    return world


def registered(seat: Seat):
    swarm_key = seat.person.key(Use.SWARM).public
    port = seat.swarm.listener.port
    return register(seat.person, endpoint=Endpoint(host=HOST, port=port, swarm_key=swarm_key))


async def keep_writing(node: Node) -> None:
    while True:
        await write(node)


async def test_a_round_goes_from_the_draw_to_its_end_and_is_forgotten(tmp_path: Path) -> None:
    async with assembled(tmp_path) as hall:
        deadline = (await hall.wait(lambda now: True)).seal_deadline
        async with asyncio.TaskGroup() as tasks:
            for seat in hall.seats:
                tasks.create_task(hall.round(seat).play())
        record = await hall.wait(lambda now: now.status == "settled")
        assert record.coin is not None and record.unrevealed == ()
        assert set(record.opened) == {seat.person.id for seat in hall.seats}
        assert len(await hall.transactions("open_coin")) == 1
        assert await hall.transactions("show_reveals") == []
        assert await hall.deadlines() == {
            "seal_coin": {deadline},
            "commit_report": {record.window_end},
            "open_coin": {record.opening_deadline},
            "open_report": {record.opening_deadline},
        }
        for seat in hall.seats:
            assert seat.store.unfinished() == []
            report = seat.store.report(hall.challenge)
            assert report is not None
            # No hoster listens where the chain says: of more than one, the line is our own.
            told: Evidence = decode(Evidence, report.evidence)
            outcomes = [visit.summary.outcome for visit in told.visits]
            alone = len(outcomes) == 1
            assert set(outcomes) == {Outcome.CONNECT_REFUSED if alone else Outcome.SKIPPED}


async def test_who_withholds_its_secret_pays_and_the_others_find_the_same_coin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with assembled(tmp_path) as hall:
        crook, *others = hall.seats
        speak, answer = Members.broadcast, Court._answer

        async def hold_back(self: Members, data: bytes) -> None:
            message = decode(Signed, data)
            secret = isinstance(message.body, Reveal | Share | Ping | Pong)
            if not (secret and message.sender == crook.person.id):
                await speak(self, data)

        async def do_not_answer(self: Court) -> None:
            if self._wallet.account != crook.person.id:
                await answer(self)

        monkeypatch.setattr(Members, "broadcast", hold_back)
        monkeypatch.setattr(Court, "_answer", do_not_answer)
        # Nor does it open the coin: that would show its Reveal.
        opens = Round._open_coin

        async def leave_it_closed(self: Round, record: ChallengeRecord) -> ChallengeRecord:
            if self._wallet.account == crook.person.id:
                return await self._news(record)
            return await opens(self, record)

        monkeypatch.setattr(Round, "_open_coin", leave_it_closed)
        async with asyncio.TaskGroup() as tasks:
            for seat in hall.seats:
                tasks.create_task(hall.round(seat).play())
        record = await hall.wait(lambda now: now.reveal_deadline > 0)
        await hall.chain.reach(record.reveal_deadline)
        record = await hall.wait(lambda _: True)
        assert [one.member for one in record.unrevealed] == [crook.person.id]
        assert await hall.stakes() == [2_000 - PENALTY, 2_000, 2_000, 2_000]
        coins = {kept.coin for seat in others if (kept := seat.store.coin(hall.challenge))}
        assert coins == {record.coin}


async def test_a_coin_that_nobody_opens_ends_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And costs each that committed: the same as a secret withheld."""

    async def wait_in_vain(self: Round, record: ChallengeRecord) -> ChallengeRecord:
        return await self._news(record)

    monkeypatch.setattr(Round, "_open_coin", wait_in_vain)
    async with assembled(tmp_path) as hall:
        async with asyncio.TaskGroup() as tasks:
            for seat in hall.seats:
                tasks.create_task(hall.round(seat).play())
        record = await hall.wait(lambda _: True)
        assert (record.status, record.coin) == ("failed", None)
        assert await hall.stakes() == [2_000 - PENALTY] * 4
        assert all(seat.store.unfinished() == [] for seat in hall.seats)


async def test_a_member_killed_in_every_phase_says_the_same_again(tmp_path: Path) -> None:
    async with assembled(tmp_path) as hall:
        victim, *others = hall.seats

        async def die_and_rise() -> None:
            for phase in ("flipping", "visiting", "opening"):
                playing = asyncio.create_task(hall.round(victim).play())
                await hall.wait(lambda now, phase=phase: now.status == phase)
                await asyncio.sleep(0.3)
                playing.cancel()
                with suppress(asyncio.CancelledError):
                    await playing
            await hall.round(victim).play()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(die_and_rise())
            for seat in others:
                tasks.create_task(hall.round(seat).play())
        record = await hall.wait(lambda now: now.status == "settled")
        assert victim.person.id in record.opened
        assert record.convicted == () and record.excluded == ()
        sent = await hall.transactions("commit_report")
        assert sorted(sent) == sorted(seat.person.id for seat in hall.seats), "once each"


async def test_who_is_excluded_ends_its_round_and_the_others_try_again(tmp_path: Path) -> None:
    async with assembled(tmp_path) as hall:
        late, *others = hall.seats

        async def come_late() -> None:
            await hall.wait(lambda now: now.attempt == 1)
            await hall.round(late).play()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(come_late())
            for seat in others:
                tasks.create_task(hall.round(seat).play())
        record = await hall.wait(lambda now: now.status in ("settled", "failed"))
        assert (record.status, record.excluded) == ("settled", (late.person.id,))
        assert late.store.unfinished() == []
        assert await hall.stakes() == [2_000] * 4


async def test_who_got_another_key_since_the_draw_sits_out_and_opens_no_void_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan would be proven with a key that is not the one in the draw."""
    async with assembled(tmp_path) as hall:
        changed, *others = hall.seats
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(hall.round(changed).play())
            for seat in others:
                tasks.create_task(hall.round(seat).play())
            keep = changed.store.keep_coin

            def keep_and_stop(*kept: Any) -> None:
                keep(*kept)
                playing.cancel()

            monkeypatch.setattr(changed.store, "keep_coin", keep_and_stop)
            await asyncio.wait([playing])  # and started again with another seed
            tasks.create_task(hall.round(changed, b"n" * 32).play())
        record = await hall.wait(lambda now: now.status == "settled")
        assert changed.store.report(hall.challenge) is None
        assert set(record.opened) == {seat.person.id for seat in others}
