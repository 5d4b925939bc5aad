"""The core, step by step: each rule of a view."""

from itertools import pairwise

import pytest

from chain.blocks import Block
from chain.consensus.gossip import (
    Announce,
    Certificates,
    Propose,
    Votes,
)
from chain.consensus.tally import vote_to_nullify
from chain.messages import SignedTransaction
from chain.votes import Certificate
from tests.chain.consensus.council import Council, Member
from tests.people import OWNER
from tests.simulation.consensus.history import payments, signed_by
from tests.simulation.consensus.world import DELAY_MS, INTERVAL_MS
from wire.errors import Malformed

TIMEOUT_MS = INTERVAL_MS + 4 * DELAY_MS


@pytest.fixture
def council() -> Council:
    return Council().start()


def pay(council: Council, number: int = 0) -> SignedTransaction:
    return signed_by(council.genesis, OWNER, number, payments(1)[0])


def hear_certificate(council: Council, place: int, *certificates: Certificate) -> None:
    council.hear(place, (place + 1) % 4, Certificates(certificates=certificates))


def bystander(council: Council, view: int) -> int:
    """Somebody who does not lead a view."""
    return next(place for place in range(4) if place != council.leader(view))


def heard(council: Council, view: int, block: Block) -> Member:
    """A validator that has heard a proposal and does not lead."""
    place = bystander(council, view)
    council.hear(place, council.leader(view), council.propose(view, block))
    return council.members[place]


# Rule 3: what is notarized


def test_a_good_proposal_is_notarized_and_its_block_is_kept_before(council: Council) -> None:
    block = council.block(1)
    member = heard(council, 1, block)
    assert [one for one in member.done.keep if not isinstance(one, Certificate)] == [
        block,
        *member.said("notarize", 1),
    ]


def test_of_two_proposals_one_is_notarized_and_their_leader_convicted(council: Council) -> None:
    member = heard(council, 1, council.block(1))
    other = council.propose(1, council.block(1, time_ms=7))
    council.hear(member.place, council.leader(1), other)
    assert len(member.said("notarize", 1)) == 1
    assert {signed.index for pair in member.done.faults for signed in pair} == {council.leader(1)}


def test_nobody_but_the_leader_proposes(council: Council) -> None:
    place = bystander(council, 1)
    thief = next(p for p in range(4) if p not in (place, council.leader(1)))
    block = council.block(1)
    signed = council.vote(thief, "propose", 1, block.header)
    stolen = Propose(signed=signed, proof=council.proof(1), block=block)
    with pytest.raises(Malformed, match="does not lead"):
        council.hear(place, thief, stolen)
    assert not council.members[place].said("notarize", 1)


def test_who_leads_is_proven(council: Council) -> None:
    for proof in (council.proof(2), bytes(80)):
        with pytest.raises(Malformed):
            council.hear(0, 1, Announce(term=0, view=1, proof=proof))
    place = next(p for p in range(4) if p not in (1, council.leader(1)))
    assert council.members[place].engine.core.known.view(1).leader is None
    council.hear(place, 1, Announce(term=0, view=1, proof=council.proof(1)))
    assert council.members[place].engine.core.known.view(1).leader == council.leader(1)


def test_a_leader_that_tells_each_another_block_is_convicted(council: Council) -> None:
    """Proposals come from their leader alone, so that nobody hears two of them by itself."""
    leader = council.leader(1)
    one, two = [place for place in range(4) if place != leader][:2]
    council.hear(one, leader, council.propose(1, council.block(1)))
    council.hear(two, leader, council.propose(1, council.block(1, time_ms=9)))
    council.flush(lambda sender, target, _: leader not in (sender, target))
    for place in (one, two):
        assert [pair[0].index for pair in council.members[place].done.faults] == [leader]
        assert {s.vote.kind for s in council.members[place].done.faults[0]} == {"propose"}


def test_whose_contradiction_it_was_is_known_when_its_term_is_over() -> None:
    council = Council(term_blocks=2).start()
    block, other = council.block(1), council.block(1, time_ms=9)
    for each in (block, other):
        council.hear(3, 0, Votes(votes=(council.vote(0, "notarize", 1, each.header),)))
    (pair,) = council.members[3].done.faults
    council.run(6 * TIMEOUT_MS)
    engine = council.members[3].engine
    assert engine.core.term > 1
    assert engine.key_of(pair[0]) == council.seat(0).key.public


def test_a_certificate_convicts_whose_other_vote_is_known(council: Council) -> None:
    block, other = council.block(1), council.block(1, time_ms=9)
    council.hear(3, 0, Votes(votes=(council.vote(0, "notarize", 1, other.header),)))
    hear_certificate(council, 3, council.certificate("notarize", 1, block.header))
    (pair,) = council.members[3].done.faults
    assert [signed.index for signed in pair] == [0, 0]


def test_a_proposal_must_be_of_its_own_block_and_signed(council: Council) -> None:
    place, leader = bystander(council, 1), council.leader(1)
    good = council.propose(1, council.block(1))
    other = good.model_copy(update={"block": council.block(1, time_ms=9)})
    unsigned = good.model_copy(
        update={"signed": good.signed.model_copy(update={"signature": bytes(64)})}
    )
    for bad in (other, unsigned):
        with pytest.raises(Malformed):
            council.hear(place, leader, bad)
    assert not council.members[place].said("notarize", 1)


def test_who_passes_a_proposal_on_cannot_put_another_body_to_it(council: Council) -> None:
    place, leader = bystander(council, 1), council.leader(1)
    good = council.propose(1, council.block(1, transactions=(pay(council),)))
    hollow = good.model_copy(update={"block": good.block.model_copy(update={"transactions": ()})})
    other = next(p for p in range(4) if p not in (place, leader))
    with pytest.raises(Malformed, match="did not send"):
        council.hear(place, other, hollow)
    council.hear(place, leader, good)
    assert council.members[place].said("notarize", 1)


@pytest.mark.parametrize("apart_ms", [-10_001, 10_001])
def test_a_block_whose_time_is_far_from_the_clock_is_not_notarized(apart_ms: int) -> None:
    council = Council()
    council.ms = 60_000
    council.start()
    member = heard(council, 1, council.block(1, time_ms=60_000 + apart_ms))
    assert not member.said("notarize", 1)


@pytest.mark.parametrize("apart_ms", [-10_000, 10_000])
def test_clocks_may_be_apart_as_far_as_the_parameter_says(apart_ms: int) -> None:
    council = Council()
    council.ms = 60_000
    council.start()
    assert heard(council, 1, council.block(1, time_ms=60_000 + apart_ms)).said("notarize", 1)


def test_nothing_is_notarized_below_a_notarized_view(council: Council) -> None:
    place = bystander(council, 2)
    hear_certificate(council, place, council.certificate("notarize", 1, council.block(1).header))
    council.hear(place, council.leader(2), council.propose(2, council.block(2)))
    assert not council.members[place].said("notarize", 2)


def test_a_view_between_must_be_known_as_given_up(council: Council) -> None:
    place, other = bystander(council, 3), council.block(3)
    hear_certificate(council, place, council.certificate("nullify", 1, None))
    hear_certificate(council, place, council.certificate("notarize", 2, council.block(2).header))
    council.hear(place, council.leader(3), council.propose(3, other))
    assert not council.members[place].said("notarize", 3)
    hear_certificate(council, place, council.certificate("nullify", 2, None))
    assert council.members[place].said("notarize", 3)


def test_what_was_given_up_is_not_notarized_after(council: Council) -> None:
    council.tick(TIMEOUT_MS)
    member = heard(council, 1, council.block(1))
    assert member.said("nullify", 1) and not member.said("notarize", 1)


def test_only_the_last_block_of_a_term_is_proposed_again() -> None:
    council = Council(term_blocks=2).start()
    first = council.block(1)
    member = heard(council, 1, first)
    hear_certificate(council, member.place, council.certificate("notarize", 1, first.header))
    again = council.propose(2, first)
    council.hear(member.place, council.leader(2), again)
    assert not member.said("notarize", 2)
    assert "again" in member.engine.core.known.view(2).refused or council.leader(2) == member.place


# Rules 4 and 5: finality and giving up


def test_a_notarized_block_is_finalized_once_and_never_after_giving_up(council: Council) -> None:
    block = council.block(1)
    certificate = council.certificate("notarize", 1, block.header)
    member = heard(council, 1, block)
    hear_certificate(council, member.place, certificate)
    hear_certificate(council, member.place, certificate)
    council.tick(TIMEOUT_MS)
    assert len(member.said("finalize", 1)) == 1 and not member.said("nullify", 1)

    late = Council().start()
    late.tick(TIMEOUT_MS)
    hear_certificate(late, 0, certificate)
    assert late.members[0].said("nullify", 1) and not late.members[0].said("finalize", 1)


def test_a_quorum_is_needed_for_a_decision(council: Council) -> None:
    good = council.certificate("nullify", 1, None)
    few = good.model_copy(update={"signatures": good.signatures[1:]})
    twice = good.model_copy(update={"signatures": (good.signatures[0], *good.signatures[:2])})
    for bad in (few, twice):
        with pytest.raises(Malformed):
            hear_certificate(council, 3, bad)
    wrong = good.signatures[0].model_copy(update={"signature": bytes(64)})
    with pytest.raises(Malformed):
        hear_certificate(
            council, 3, good.model_copy(update={"signatures": (wrong, *good.signatures[1:])})
        )
    assert council.members[3].engine.core.view == 1
    hear_certificate(council, 3, good)
    assert council.members[3].engine.core.view == 2


def test_votes_count_when_they_are_signed_and_say_the_same(council: Council) -> None:
    block, other = council.block(1), council.block(1, time_ms=3)
    core = council.members[3].engine.core
    votes = [council.vote(place, "notarize", 1, block.header) for place in range(2)]
    council.hear(3, 0, Votes(votes=tuple(votes)))
    council.hear(3, 2, Votes(votes=(council.vote(2, "notarize", 1, other.header),)))
    bad = council.vote(3, "notarize", 1, block.header)
    with pytest.raises(Malformed):
        council.hear(3, 2, Votes(votes=(bad.model_copy(update={"signature": bytes(64)}),)))
    assert core.view == 1


@pytest.mark.parametrize(("first", "second"), [("nullify", "finalize"), ("finalize", "nullify")])
def test_who_finalizes_and_gives_up_is_convicted(council: Council, first: str, second: str) -> None:
    block = council.block(1)
    for kind in (first, second):
        nullify = vote_to_nullify(0, 1)
        vote = council.vote(2, "finalize", 1, block.header)
        signed = council.sign(2, nullify) if kind == "nullify" else vote
        council.hear(0, 1, Votes(votes=(signed,)))
    (pair,) = council.members[0].done.faults
    assert {signed.vote.kind for signed in pair} == {first, second}


def test_to_notarize_and_then_to_give_up_is_no_fault(council: Council) -> None:
    block = council.block(1)
    votes = (council.vote(2, "notarize", 1, block.header), council.sign(2, vote_to_nullify(0, 1)))
    council.hear(0, 2, Votes(votes=votes))
    assert not council.members[0].done.faults


# Time


def test_a_view_without_a_leader_is_given_up_after_one_delay(council: Council) -> None:
    council.tick(DELAY_MS - 1)
    silent = [member for member in council.members if member.place != 1]
    assert not any(member.said("nullify", 1) for member in silent)
    council.tick(1)
    assert all(member.said("nullify", 1) for member in silent)
    assert all(member.engine.core.missed[1] == 1 for member in silent)


def test_timeouts_grow_while_views_fail_and_shrink_when_one_is_final(council: Council) -> None:
    core = council.members[0].engine.core
    for failed in (0, 1, 2):
        while core.view < failed + 2:
            council.run(DELAY_MS, lambda *what: not isinstance(what[2], Announce | Propose))
        assert core.delay_ms == DELAY_MS * 3**failed // 2**failed
    council.run(20 * TIMEOUT_MS)
    assert council.members[0].ledger.height > 3
    assert core.delay_ms == DELAY_MS


def test_timeouts_grow_to_a_limit(council: Council) -> None:
    for view in range(1, 30):
        hear_certificate(council, 0, council.certificate("nullify", view, None))
    assert council.members[0].engine.core.delay_ms == DELAY_MS * 3**8 // 2**8


def test_the_clearing_period_is_silent_and_costs_no_view() -> None:
    council = Council(clearing_ms=10 * TIMEOUT_MS).start()
    for place in range(4):
        hear_certificate(council, place, council.certificate("nullify", 1, None))
    council.run(9 * TIMEOUT_MS)
    assert not any(member.said("notarize", 2) for member in council.members)
    council.run(2 * TIMEOUT_MS)
    assert council.members[0].done.final[0].prepared.block.header.view == 2


def test_a_leader_does_not_wait_for_a_clock_that_was_fast(council: Council) -> None:
    ahead_ms = 9_000
    first = council.block(1, time_ms=ahead_ms)
    leader = council.leader(2)
    member = council.members[leader]
    if council.leader(1) != leader:
        council.hear(leader, council.leader(1), council.propose(1, first))
    member.engine.core.branches.keep(first)
    hear_certificate(council, leader, council.certificate("notarize", 1, first.header))
    council.hear(leader, 2, Announce(term=0, view=2, proof=council.proof(2)))
    council.tick(INTERVAL_MS)
    (proposed,) = [
        m for _, m in member.done.say if isinstance(m, Propose) and m.signed.vote.view == 2
    ]
    assert proposed.block.header.time_ms == first.header.time_ms + 1


def test_the_next_block_waits_for_the_interval(council: Council) -> None:
    council.run(TIMEOUT_MS)
    times = [decided.prepared.block.header.time_ms for decided in council.members[0].done.final]
    assert len(times) > 2
    assert all(b - a >= INTERVAL_MS for a, b in pairwise(times))


def test_it_is_not_woken_for_nothing(council: Council) -> None:
    for _ in range(40):
        for member in council.members:
            assert member.engine.wake_at(council.now) > council.ms
        council.tick(100)
