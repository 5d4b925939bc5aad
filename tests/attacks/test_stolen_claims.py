"""Somebody watches the pool for proofs of faults, and sends them as its own for a higher fee."""

import pytest

from chain.bodies.challenges import CoinFault
from chain.bodies.faults import CLAIM_BLOCKS, DigestFault, ReceiptFault, claim_of
from chain.bodies.validators import ValidatorFault
from chain.reasons import Reason
from chain.records import Table
from tests.builders import World
from tests.chain.refusals import assert_refused
from tests.chain.rules.test_coin_fault import report
from tests.chain.rules.test_digest_fault import opened
from tests.chain.rules.test_receipt_fault import lie
from tests.people import OWNER, STRANGER, Person
from tests.stages import drawn, sealed
from tests.validators import MANY, fault, world_of

FINDER, THIEF = STRANGER, OWNER


def digest_lie() -> tuple[World, DigestFault, bytes]:
    case = opened()
    return case.world, case.body, case.sidecar


def receipt_lie() -> tuple[World, ReceiptFault, bytes]:
    world = sealed()
    return world, lie(world), b""


LIES = pytest.mark.parametrize("found", [digest_lie, receipt_lie])


def claim(world: World, person: Person, body: DigestFault | ReceiptFault) -> None:
    world.must(person, claim_of(world.network, person.id, body))


@LIES
def test_who_copies_a_proof_from_the_pool_gets_nothing(found):
    world, body, sidecar = found()
    claim(world, FINDER, body)
    world.pass_blocks(CLAIM_BLOCKS - 1)
    finder, thief = world.balance(FINDER), world.balance(THIEF)
    first = world.sign(THIEF, body, sidecar, fee_base=90)
    outcomes = world.block(first, world.sign(FINDER, body, sidecar))
    assert [outcome.reason for outcome in outcomes] == [Reason.NOT_COMMITTED, ""]
    world.block()
    assert world.balance(FINDER) > finder
    assert world.balance(THIEF) == thief - 90


@LIES
def test_who_claims_what_it_sees_comes_ten_blocks_later(found):
    world, body, sidecar = found()
    claim(world, THIEF, body)
    world.pass_blocks(CLAIM_BLOCKS - 2)
    assert_refused(world, THIEF, body, Reason.NOT_COMMITTED, sidecar)
    world.block()
    assert world.execute(world.sign(THIEF, body, sidecar)).outcomes[0].reason == ""


@LIES
def test_a_claim_is_of_use_to_nobody_else_and_after_a_while(found):
    world, body, sidecar = found()
    world.must(THIEF, claim_of(world.network, FINDER.id, body))
    claim(world, FINDER, body)
    claimed = world.height
    assert_refused(
        world, FINDER, claim_of(world.network, FINDER.id, body), Reason.ALREADY_COMMITTED
    )
    world.pass_blocks(CLAIM_BLOCKS)
    assert_refused(world, THIEF, body, Reason.NOT_COMMITTED, sidecar)
    world.pass_until(claimed + CLAIM_BLOCKS + world.parameters.transaction_lifetime_blocks)
    assert_refused(world, FINDER, body, Reason.NOT_COMMITTED, sidecar)
    assert not [key for table, key in world.state.records if table is Table.CLAIM]


def cheating_member() -> tuple[World, CoinFault, Person, Person]:
    world = drawn()
    accused, finder, thief, _ = world.members
    return world, report(world, accused), finder, thief


def cheating_validator() -> tuple[World, ValidatorFault, Person, Person]:
    world = world_of(4)
    return world, fault(world, MANY[1]), MANY[2], MANY[3]


@pytest.mark.parametrize("found", [cheating_member, cheating_validator])
def test_what_all_hear_is_worth_the_same_to_who_is_faster(found):
    """Evidence from a flip, or of votes, is known to all: to send it first earns nothing."""
    gains = []
    for is_copied in (False, True):
        world, body, finder, thief = found()
        before = [world.balance(person) for person in (finder, thief)]
        honest = world.sign(finder, body)
        copied = [world.sign(thief, body, fee_base=90)] if is_copied else []
        assert [outcome.reason for outcome in world.block(*copied, honest)][-1] == (
            Reason.ALREADY_CONVICTED if is_copied else ""
        )
        after = [world.balance(person) for person in (finder, thief)]
        gains.append([now - then for now, then in zip(after, before, strict=True)])
    (finder_alone, thief_idle), (finder_copied, thief_first) = gains
    assert finder_copied == finder_alone > 0
    assert thief_first == thief_idle - 90
