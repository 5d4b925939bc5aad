"""A hoster shows what it was asked for, and earns the bond; one that does not is replaced."""

import pytest

from chain.bodies.data import AnsweredChunk, AskData
from chain.bodies.hosting import Drain
from chain.bodies.plans import CancelPlan, PausePlan, ResumePlan, TopUpPlan
from chain.reasons import Reason
from chain.records import RosterName, stake_key
from tests.asking import answer, answered, ask, asked, shown
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, BY_ID, HOSTERS, OWNER, create_plan
from tests.stages import lined_up, play, published
from wire.codec import encode
from wire.primitives import blake2b_256


def ordered(epochs):
    """A plan with one replica, whose hoster is active."""
    world = published()
    world.must(OWNER, create_plan(world.library.key, epochs=epochs, replicas=1))
    world.pass_blocks()
    world.must(BY_ID[world.contracts[0].hoster], world.acknowledge(world.contracts[0]))
    return world


def hoster_of(request):
    return BY_ID[request.hoster]


def test_who_shows_all_earns_the_bond_and_keeps_the_contract():
    world = lined_up()
    request = asked(world, world.contracts[0], 3, 9)
    hoster = hoster_of(request)
    before = world.balance(hoster)
    answered(world, request)
    over = world.draft.data_requests.at(request.request)
    assert (over.status, over.bond_base, over.shown) == ("answered", 0, request.chunks)
    assert world.balance(hoster) == before - 10 + request.bond_base
    contract = world.contracts[0]
    assert (contract.status, contract.asked) == ("active", None)
    world.pass_until(request.deadline + 1)
    assert world.contracts[0].status == "active"


def test_chunks_may_come_one_by_one():
    world = lined_up()
    request = asked(world, world.contracts[0], 3, 9)
    for index in reversed(request.chunks):
        assert world.draft.data_requests.at(request.request).status == "open"
        world.must(hoster_of(request), *answer(request, shown(world, request, [index])))
    assert world.draft.data_requests.at(request.request).status == "answered"


def test_the_last_block_in_time_is_in_time():
    world = lined_up()
    request = asked(world, world.contracts[0], 3)
    world.pass_until(request.deadline - 1)
    late = world.fork()
    answered(world, request)
    assert world.contracts[0].status == "active"
    late.pass_blocks()
    assert late.contracts[0].status == "ended"


def test_who_does_not_answer_is_slashed_and_replaced():
    world = lined_up()
    request = asked(world, world.contracts[0], 3)
    hoster = hoster_of(request)
    asker, burnt = world.balance(OWNER), world.draft.meta.burnt_base
    world.pass_until(request.deadline)
    stake = world.draft.stakes.at(stake_key("hoster", hoster.id))
    assert (stake.amount_base, stake.locked_base) == (2_000 - 301, 0)
    share = 301 * 250_000 // 1_000_000
    assert world.balance(OWNER) == asker + request.bond_base + share
    assert world.draft.meta.burnt_base == burnt + 301 - share
    first, _, third = world.contracts
    assert (first.status, first.asked) == ("ended", None)
    assert (third.status, third.epochs_left) == ("assigned", 3)
    assert third.hoster not in (first.hoster, world.contracts[1].hoster)
    assert world.draft.data_requests.at(request.request).status == "unanswered"
    assert world.draft.meta.asked_bytes == 0


def test_half_an_answer_is_none():
    world = lined_up()
    request = asked(world, world.contracts[0], 3)
    world.must(hoster_of(request), *answer(request, shown(world, request, request.chunks[:1])))
    world.pass_until(request.deadline)
    assert world.contracts[0].status == "ended"


def test_bad_answers_are_refused():
    world = lined_up()
    undrawn = ask(world.fork(), world.contracts[0], 3, 9)
    request = asked(world, world.contracts[0], 3, 9)
    hoster = hoster_of(request)
    good = shown(world, request)
    other = next(index for index in range(40) if index not in request.chunks)
    unasked = shown(world, request, sorted((*request.chunks, other))[:3])
    third = good.chunks[2]
    bad = {
        "empty": b"",
        "junk": b"\xff",
        "another chunk": encode(unasked),
        "another's bytes": encode(
            good.model_copy(
                update={
                    "chunks": (*good.chunks[:2], AnsweredChunk(index=third.index, data=b"chunk"))
                }
            )
        ),
        "out of order": encode(good.model_copy(update={"chunks": good.chunks[::-1]})),
        "twice": encode(good.model_copy(update={"chunks": (good.chunks[0], *good.chunks)})),
        "no proof": encode(good.model_copy(update={"uncles": b""})),
        "half a node": encode(good.model_copy(update={"uncles": good.uncles[:-1]})),
        "a node too many": encode(good.model_copy(update={"uncles": good.uncles + bytes(40)})),
    }
    body, sidecar = answer(request, good)
    for sidecar_of in bad.values():
        wrong = body.model_copy(update={"evidence": blake2b_256(sidecar_of)})
        assert_refused(world, hoster, wrong, Reason.BAD_ANSWER, sidecar_of)
    stranger = next(person for person in HOSTERS if person is not hoster)
    assert_refused(world, stranger, body, Reason.NOT_THE_HOSTER, sidecar)
    unknown = body.model_copy(update={"request": b"r" * 32})
    assert_refused(world, hoster, unknown, Reason.UNKNOWN_REQUEST, sidecar)
    assert_refused_early(undrawn)
    part = answer(request, shown(world, request, request.chunks[:1]))
    world.must(hoster, *part)
    assert_refused(world, hoster, part[0], Reason.BAD_ANSWER, part[1])
    answered(world, world.draft.data_requests.at(request.request))
    assert_refused(world, hoster, body, Reason.REQUEST_CLOSED, sidecar)


def assert_refused_early(request):
    """Before the last chunk is drawn."""
    world = lined_up()
    again = ask(world, world.contracts[0], 3, 9)
    assert again.request == request.request
    body, sidecar = answer(again, shown(world, again))
    assert_refused(world, hoster_of(again), body, Reason.REQUEST_CLOSED, sidecar)


def test_evidence_that_the_answer_does_not_name_is_not_let_in():
    world = lined_up()
    request = asked(world, world.contracts[0], 3)
    body, sidecar = answer(request, shown(world, request))
    assert world.sign(hoster_of(request), body, sidecar).is_signed()
    assert not world.sign(hoster_of(request), body, sidecar + b"0").is_signed()


def test_a_request_about_a_contract_that_ends_by_a_fault_is_void():
    world = lined_up()
    world.pass_until(world.line_up.draw_height)
    request = asked(world, world.contracts[0], 3)
    before = world.balance(OWNER)
    play(world, lambda attestor, plan: "fault")
    assert world.contracts[0].status == "ended" and world.height < request.deadline - 1
    body, sidecar = answer(request, shown(world, request))
    assert_refused(world, hoster_of(request), body, Reason.CONTRACT_CLOSED, sidecar)
    world.pass_until(request.deadline)
    assert world.draft.data_requests.at(request.request).status == "void"
    assert world.balance(OWNER) == before + request.bond_base
    stake = world.draft.stakes.at(stake_key("hoster", request.hoster))
    assert stake.amount_base == 2_000 - 301, "once is enough"


def owing(end):
    """A contract that has come to its end while its hoster owes an answer, and the request."""
    world = ordered(epochs=1)
    world.pass_until(world.line_up.draw_height)
    if end == "served":
        request = asked(world, world.contracts[0], 3)
        play(world)
    else:
        world.must(OWNER, CancelPlan(plan=world.plan.plan))
        world.pass_until(world.plan.ends_at - 5)
        request = asked(world, world.contracts[0], 3, person=ATTESTORS[0])
        world.pass_until(world.plan.ends_at)
    return world, request


@pytest.mark.parametrize("end", ["served", "cancelled"])
def test_collateral_is_not_free_before_the_answer(end):
    world, request = owing(end)
    contract = world.contracts[0]
    assert contract.is_over and contract.status == "active"
    assert world.draft.roster(RosterName.ACTIVE_CONTRACTS) == ()
    assert world.plan.status != "ended"
    key = stake_key("hoster", contract.hoster)
    assert world.draft.stakes.at(key).locked_base == 301
    again = AskData(contract=contract.contract, chunks=(1,))
    assert_refused(world, ATTESTORS[1], again, Reason.CONTRACT_CLOSED)
    gone = world.fork()
    answered(world, request)
    assert world.contracts[0].status == "ended"
    assert (world.plan.status, world.plan.escrow_base) == ("ended", 0)
    assert world.draft.stakes.at(key).locked_base == 0
    gone.pass_until(request.deadline)
    assert gone.draft.data_requests.at(request.request).status == "unanswered"
    assert (gone.plan.status, gone.plan.escrow_base) == ("ended", 0)
    assert gone.draft.stakes.at(key).amount_base == 2_000 - 301
    assert len(gone.contracts) == 1, "nothing is left to serve"


def test_a_plan_cancelled_between_audits_waits_for_the_answer():
    world = ordered(epochs=2)
    world.pass_until(world.line_up.draw_height)
    world.must(OWNER, PausePlan(plan=world.plan.plan))
    play(world)
    request = asked(world, world.contracts[0], 3, person=ATTESTORS[0])
    assert not world.draft.meta.open_challenges and world.draft.line_ups.get(b"") is None
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    assert (world.plan.status, world.contracts[0].is_over) == ("ending", True)
    assert request.deadline <= world.plan.ends_at
    answered(world, request)
    assert world.plan.status == "ended"


def test_what_was_served_can_be_prolonged_while_its_hoster_owes_an_answer():
    world, request = owing("served")
    world.must(OWNER, TopUpPlan(plan=world.plan.plan, epochs=4))
    world.pass_blocks()
    assert [(one.status, one.epochs_left) for one in world.contracts] == [
        ("active", 0),
        ("assigned", 4),
    ]
    answered(world, request)
    assert (world.contracts[0].status, world.plan.status) == ("ended", "running")


def test_a_pause_does_not_bring_back_what_is_over():
    world, _ = owing("served")
    world.must(OWNER, PausePlan(plan=world.plan.plan))
    world.must(OWNER, ResumePlan(plan=world.plan.plan))
    assert world.draft.roster(RosterName.ACTIVE_CONTRACTS) == ()


def test_to_leave_dodges_no_request():
    world = lined_up()
    contract = world.contracts[0]
    request = asked(world, contract, 3)
    world.must(hoster_of(request), Drain(on=True, leave=(contract.contract,)))
    again = world.fork()
    world.pass_until(request.deadline)
    assert world.contracts[0].status == "ended"
    stake = world.draft.stakes.at(stake_key("hoster", contract.hoster))
    assert stake.amount_base == 2_000 - 301
    answered(again, request)
    assert again.contracts[0].status == "active"
