"""Attestors bring the chain what convicts one of them, and what frees one of them.

Once, in turns, not before it may be known, and from their stores when they were killed between.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from attestor.court_service import Court
from attestor.identity import Identity
from attestor.messages import FaultKept
from attestor.store import AttestorStore
from chain.challenge_records import ChallengeRecord
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.node.validator_node import Node
from chain.records import Table
from coinflip.events import Received, Start
from coinflip.messages import Evidence, Reveal
from coinflip.seat import Seat, derive_seat
from tests.builders import World
from tests.chain.nodes import answering, following, node_at, write
from tests.faults import equivocation, false_confirmation
from tests.people import STRANGER, Person
from tests.stages import drawn, opening, sealed, settled
from wire.codec import encode
from wire.errors import Malformed


@asynccontextmanager
async def steadily(node: Node, chain: ChainClient) -> AsyncIterator[None]:
    """Blocks follow each other, with some time for those who have heard of them."""

    async def keep_writing() -> None:
        while True:
            await write(node)
            await chain.reach(node.ledger.height)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(keep_writing())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def store_of(path: Path, member: Person) -> AttestorStore:
    return AttestorStore(path / f"{member.name}.db")


class Session:
    """Members' courts on a running chain, until they have nothing more to do."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path = world, path
        self.record = world.challenge
        self.sent: list[tuple[int, Person]] = []

    async def hold(
        self,
        members: Sequence[Person],
        evidence: Evidence | None = None,
        until: int = 0,
    ) -> ChallengeRecord:
        """All sit down, with this evidence if there is some; the record at the end."""
        world, path = self.world, self.path
        async with (
            node_at(world, path / "chain.db") as node,
            answering(node) as url,
            ChainClient(url, world.genesis) as chain,
        ):
            await write(node)
            async with following(chain), steadily(node, chain):
                async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                    for member in members:
                        court = Court(
                            self.record.challenge,
                            chain,
                            Wallet(chain, member.account),
                            store_of(path, member),
                            Identity(member.master),
                            tasks,
                        )
                        court.sit()
                        if evidence is not None:
                            court.accuse(self.record, evidence)
                    tasks.create_task(chain.reach(until))
                found = await chain.need(ChallengeRecord, Table.CHALLENGE, self.record.challenge)
            by_id = {member.id: member for member in world.members}
            for height in range(world.height + 1, node.ledger.height + 1):
                block = (await node.store.block(height)).block
                self.sent += [
                    (height, by_id[signed.transaction.sender]) for signed in block.transactions
                ]
        return found


async def test_one_of_the_others_reports_and_the_next_attempt_begins(tmp_path: Path) -> None:
    world = drawn()
    accused, *others = world.members
    session = Session(world, tmp_path)
    found = await session.hold(world.members, equivocation(world, accused))
    assert found.convicted == (accused.id,)
    assert accused.id not in found.members
    # In turns: a slow one may cross the next, but not all of them pay for the same.
    assert 1 <= len(session.sent) < len(others)
    assert accused not in {reporter for _, reporter in session.sent}


async def test_what_would_tell_the_coin_is_reported_when_the_window_is_over(
    tmp_path: Path,
) -> None:
    world = sealed()
    accused, *_ = world.members
    session = Session(world, tmp_path)
    found = await session.hold(world.members, false_confirmation(world, accused))
    assert found.convicted == (accused.id,)
    assert session.sent
    assert all(height > world.challenge.window_end for height, _ in session.sent)


@pytest.mark.parametrize("stage", [sealed, settled])
async def test_evidence_that_was_found_before_a_restart_is_reported_after_it(
    stage, tmp_path: Path
) -> None:
    """Even when the challenge was over by then: the store alone brings it up."""
    world = stage()
    accused, finder, *_ = world.members
    kept = FaultKept(attempt=0, accused=accused.id, evidence=equivocation(world, accused))
    with store_of(tmp_path, finder) as store:
        assert store.keep_fault(world.challenge.challenge, kept)
    with store_of(tmp_path, finder) as store:
        assert store.unfinished() == [world.challenge.challenge]
    session = Session(world, tmp_path)
    found = await session.hold([finder])
    assert found.convicted == (accused.id,)
    assert [reporter for _, reporter in session.sent] == [finder]
    with store_of(tmp_path, finder) as store:
        assert store.unfinished() == [], "the chain has it"


async def test_what_others_have_reported_meanwhile_is_dropped(tmp_path: Path) -> None:
    world = sealed()
    evidence = equivocation(world, world.members[0])
    await Session(world, tmp_path).hold(world.members, evidence)
    for member in world.members:
        with store_of(tmp_path, member) as store:
            assert store.unfinished() == []


async def test_what_convicts_nobody_is_not_kept(tmp_path: Path) -> None:
    world = sealed()
    accused, finder, *_ = world.members
    evidence = equivocation(world, accused)
    no_evidence = evidence.model_copy(update={"second": evidence.first})
    with pytest.raises(ExceptionGroup) as refused:
        await Session(world, tmp_path).hold([finder], no_evidence)
    assert refused.group_contains(Malformed)
    with store_of(tmp_path, finder) as store:
        assert store.unfinished() == []


# answers for members that seem to have withheld their secrets


def seat_of(world: World, member: Person) -> Seat:
    return derive_seat(member.master, world.network, world.topic(), world.challenge.members)


def remember(world: World, path: Path, member: Person, heard: Sequence[Person]) -> None:
    """The log of a member that heard all commit, and these reveal."""
    everyone = [seat_of(world, each) for each in world.members]
    said = [seat.sign(seat.commit()) for seat in everyone]
    said += [
        seat.sign(Reveal(secret=seat.secret))
        for seat in everyone
        if seat.key.public in {one.id for one in heard}
    ]
    with store_of(path, member) as store:
        for entry in (Start(), *(Received(message=message) for message in said)):
            store.add_flip_entry(world.challenge.challenge, world.topic(), encode(entry))


def asked(*silent: int) -> World:
    """The coin was opened by somebody who brought no Reveal of these."""
    world = opening()
    world.must(STRANGER, world.open_coin(silent=silent))
    return world


async def test_who_is_asked_answers_though_it_has_lost_everything_but_its_seed(
    tmp_path: Path,
) -> None:
    world = asked(2)
    session = Session(world, tmp_path)
    found = await session.hold([world.members[2]])
    assert found.unrevealed == ()
    assert [member for _, member in session.sent] == [world.members[2]]


async def test_each_answers_for_all_when_an_opener_names_everybody(tmp_path: Path) -> None:
    world = asked(0, 1, 2, 3)
    one = world.members[3]
    remember(world, tmp_path, one, world.members)
    session = Session(world, tmp_path)
    found = await session.hold([one])
    assert found.unrevealed == ()
    assert [member for _, member in session.sent] == [one]


async def test_others_answer_for_one_that_is_cut_off_from_the_chain(tmp_path: Path) -> None:
    world = asked(1)
    one, gone, other, _ = world.members
    for member in (one, other):
        remember(world, tmp_path, member, [gone])
    session = Session(world, tmp_path)
    found = await session.hold([one, other])
    assert found.unrevealed == ()
    assert gone not in [member for _, member in session.sent]


async def test_nobody_answers_for_one_that_nobody_heard(tmp_path: Path) -> None:
    world = asked(1)
    others = [member for place, member in enumerate(world.members) if place != 1]
    for member in others:
        remember(world, tmp_path, member, others)
    session = Session(world, tmp_path)
    found = await session.hold(others, until=world.challenge.reveal_deadline + 1)
    assert [one.member for one in found.unrevealed] == [world.members[1].id]
    assert session.sent == []


async def test_nothing_is_sent_when_nobody_is_asked(tmp_path: Path) -> None:
    world = asked()
    session = Session(world, tmp_path)
    await session.hold(world.members)
    assert session.sent == []
