"""Anybody asks a hoster for chunks on the chain, at a price that keeps it from being a nuisance."""

import pytest

from chain.bodies.data import AskData
from chain.bodies.feeds import UpdateHead
from chain.challenges import data_bonds, data_requests
from chain.hosting_records import Asker
from chain.reasons import Reason
from tests.asking import answered, ask, asked
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, OWNER, STRANGER
from tests.stages import lined_up, planned, play

ASKER = ATTESTORS[0]
BOND = 100 + 2 * 10
"""In the test network bytes cost nothing: the price, and two answers' least fees."""


def body(world, *chunks, contract=None):
    return AskData(contract=contract or world.contracts[0].contract, chunks=chunks)


def test_a_request_holds_the_bond_and_draws_one_chunk_more():
    world = lined_up()
    before = world.balance(ASKER)
    request = ask(world, world.contracts[0], 7, person=ASKER)
    assert (request.status, request.chunks, request.bond_base) == ("asked", (7,), BOND)
    assert world.balance(ASKER) == before - 10 - BOND
    assert world.contracts[0].asked == request.request
    world.pass_blocks()
    request = world.draft.data_requests.at(request.request)
    assert request.status == "open" and len(request.chunks) == 2 and 7 in request.chunks
    assert request.chunks == tuple(sorted(request.chunks))
    assert request.deadline == world.height + world.parameters.answer_blocks
    assert request.head == world.contracts[0].head


def test_what_is_drawn_is_no_chunk_that_was_named_and_differs_with_the_beacon():
    drawn = set()
    world = lined_up()
    for _ in range(12):
        named = (3, 4, 5, 38)
        request = asked(world.fork(), world.contracts[0], *named)
        (extra,) = set(request.chunks) - {*named}
        drawn.add(extra)
        assert 0 <= extra < 40
        world.pass_blocks()
    assert len(drawn) > 6


def test_the_bond_grows_with_what_may_have_to_be_answered():
    world = lined_up()
    head = world.contracts[0].head
    parameters = world.parameters.model_copy(update={"fee_base_per_kib": 10})
    few = data_bonds.bond_base(parameters, head, 1, 0)
    assert few == 100 + 2 * 10 + 10 * -(-(head.byte_length + 2 * 4_096) // 1_024)
    large = head.model_copy(update={"byte_length": 1 << 40})
    assert data_bonds.largest_bytes(large, 4) == 5 << 20
    assert data_bonds.bond_base(parameters, large, 4, 0) == 100 + 5 * 10 + 10 * 5 * 1_024


def test_who_asks_in_vain_pays_twice_as_much_for_the_next_until_it_is_forgotten():
    world = lined_up()
    for times in (1, 2, 4):
        request = asked(world, world.contracts[0], 1)
        assert request.bond_base == times * BOND
        answered(world, request)
        world.pass_blocks(world.parameters.ask_rest_blocks - 1)
    assert ask(world.fork(), world.contracts[0], 1, person=ASKER).bond_base == BOND
    world.pass_until(world.draft.askers.at(OWNER.id).until_height + 1)
    assert ask(world, world.contracts[0], 1).bond_base == BOND


def test_bad_requests_are_refused():
    world = lined_up()
    first = world.contracts[0].contract
    for chunks in ((40,), (2, 2), (3, 2), (0, 40)):
        assert_refused(world, ASKER, body(world, *chunks), Reason.NO_SUCH_CHUNK)
    assert_refused(world, ASKER, body(world, 1, contract=b"c" * 32), Reason.UNKNOWN_CONTRACT)
    assert_refused(world, STRANGER, body(world, 1), Reason.INSUFFICIENT_BALANCE)
    request = asked(world, world.contracts[0], 1)
    assert_refused(world, ASKER, body(world, 2), Reason.ALREADY_ASKED)
    answered(world, request)
    rests = world.contracts[0].rests_until
    assert rests == world.height + world.parameters.ask_rest_blocks
    world.pass_until(rests - 2)
    assert_refused(world, ASKER, body(world, 2), Reason.ASKED_TOO_SOON)
    world.pass_blocks()
    world.must(ASKER, body(world, 2, contract=first))


def test_a_contract_without_collateral_is_not_asked():
    world = planned()
    assert_refused(world, ASKER, body(world, 1), Reason.CONTRACT_CLOSED)
    world = lined_up()
    over = world.contracts[1].contract
    play(world, lambda attestor, plan: "fault" if plan.contract == over else "served")
    assert world.contracts[1].status == "ended"
    assert_refused(world, ASKER, body(world, 1, contract=over), Reason.CONTRACT_CLOSED)


def test_of_a_fork_that_the_owner_has_left_nothing_is_asked():
    world = lined_up()
    head = world.library.head(fork=1)
    update = UpdateHead(feed=world.library.key, head=head, source=OWNER.endpoint)
    world.must(OWNER, update)
    assert_refused(world, ASKER, body(world, 1), Reason.STALE_HEAD)


def test_all_that_is_waited_for_fits_into_a_third_of_the_blocks(monkeypatch):
    world = lined_up()
    first, second = world.contracts
    size = data_bonds.largest_bytes(first.head, 1)
    room = -(-2 * size // world.parameters.answer_blocks)
    monkeypatch.setattr(data_requests, "ASKED_BYTES_A_BLOCK", room)
    request = asked(world, first, 1)
    assert world.draft.meta.asked_bytes == size
    assert_refused(world, ASKER, body(world, 1, 2, contract=second.contract), Reason.TOO_MUCH_ASKED)
    world.must(ASKER, body(world, 1, contract=second.contract))
    answered(world, request)
    assert world.draft.meta.asked_bytes == size


@pytest.mark.parametrize("height", [10, 11])
def test_in_vain_counts_until_it_is_forgotten(height):
    asker = Asker(answered=3, until_height=10)
    assert data_bonds.asked_in_vain(asker, height) == (3 if height <= 10 else 0)
    assert data_bonds.asked_in_vain(None, height) == 0
