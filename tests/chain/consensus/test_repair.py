"""What was lost, lied about or forgotten: each way in which consensus could be stopped."""

import pytest

from chain.blocks import Block, FinalBlock
from chain.consensus.engine import RANGE_DELAYS, Remembered
from chain.consensus.gossip import (
    Announce,
    Certificates,
    Status,
    Supply,
    Votes,
    WantBlocks,
    WantRange,
)
from chain.consensus.output import Say
from chain.consensus.tally import vote_to_nullify
from chain.messages import SignedTransaction
from chain.runs import STORED_AT_ONCE
from chain.votes import Certificate, SignedVote
from tests.chain.consensus.council import Council, Member
from tests.people import OWNER
from tests.simulation.consensus.bad_blocks import forged
from tests.simulation.consensus.history import payments, signed_by
from tests.simulation.consensus.node import in_range
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


# Repair


def test_a_lost_announcement_is_said_again(council: Council) -> None:
    lost = next(view for view in range(5, 99) if council.leader(view) != view % 4)
    for view in range(1, lost):  # timeouts have grown
        for place in range(4):
            hear_certificate(council, place, council.certificate("nullify", view, None))
    council.waiting.clear()
    council.run(3 * DELAY_MS)
    assert council.members[0].done.final[0].prepared.block.header.view == lost


def test_who_missed_a_decision_is_sent_it(council: Council) -> None:
    """Some know a view as notarized, some as given up: with a fourth silent, all are needed."""
    block = council.block(1)
    hear_certificate(council, 0, council.certificate("notarize", 1, block.header))
    council.members[0].engine.core.branches.keep(block)
    for place in (1, 2):
        council.tick(TIMEOUT_MS, (place,))
        hear_certificate(council, place, council.certificate("nullify", 1, None))
    council.waiting.clear()
    assert council.members[0].said("finalize", 1)
    assert council.members[1].said("nullify", 1) and council.members[2].said("nullify", 1)
    council.run(80 * TIMEOUT_MS, lambda sender, target, _: 3 not in (sender, target), step_ms=250)
    heights = [member.ledger.height for member in council.members[:3]]
    assert min(heights) > 2, heights
    assert council.members[1].done.final[0].prepared.block == block


def test_a_block_with_another_body_is_refused_and_asked_for_again(council: Council) -> None:
    block = council.block(1, transactions=(pay(council),))
    place = bystander(council, 2)
    member = council.members[place]
    hear_certificate(council, place, council.certificate("finalize", 1, block.header))
    for wrong in ((), (block.transactions[0].model_copy(update={"signature": bytes(64)}),)):
        with pytest.raises(Malformed, match="another body"):
            council.hear(place, 1, Supply(block=block.model_copy(update={"transactions": wrong})))
    asked: set[int] = set()
    for _ in range(6):
        council.waiting.clear()
        council.tick(DELAY_MS)
        asked |= {
            to for frm, to, m in council.waiting if frm == place and isinstance(m, WantBlocks)
        }
    assert len(asked) == 3, "it asks everybody in turn"
    council.hear(place, 1, Supply(block=block))
    assert member.ledger.height == 1


def test_a_leaders_own_wrong_body_is_replaced_once_the_block_is_notarized(council: Council) -> None:
    block = council.block(1, transactions=(pay(council),))
    hollow = block.model_copy(update={"transactions": ()})
    place = bystander(council, 1)
    council.hear(place, council.leader(1), council.propose(1, hollow))
    assert not council.members[place].said("notarize", 1)
    hear_certificate(council, place, council.certificate("finalize", 1, block.header))
    council.tick(DELAY_MS)
    assert any(isinstance(m, WantBlocks) for _, m in council.members[place].done.say)
    council.hear(place, council.leader(1), Supply(block=block))
    assert council.members[place].ledger.height == 1


def test_final_blocks_come_from_who_is_further_and_garbage_costs_nothing(council: Council) -> None:
    others = [0, 1, 2]
    council.run(8 * TIMEOUT_MS, lambda sender, target, _: 3 not in (sender, target))
    height = council.members[0].ledger.height
    assert height > 3 and not council.members[3].ledger.height
    blocks = tuple(
        FinalBlock(block=one.prepared.block, certificate=one.certificate)
        for one in council.members[0].done.final
    )
    while blocks[-1].certificate is None:
        blocks = blocks[:-1]
    council.hear(3, 1, Status(term=1 << 40, view=1, height=1 << 40))
    council.hear(3, 0, Status(term=0, view=1, height=len(blocks)))
    asked = set()
    for _ in range(3 * RANGE_DELAYS):
        council.waiting.clear()
        council.tick(DELAY_MS)
        asked |= {to for frm, to, m in council.waiting if frm == 3 and isinstance(m, WantRange)}
    assert asked == {0, 1}, "whoever lies is asked in its turn only"
    hollow = blocks[0].model_copy(update={"certificate": None})
    forged_ = blocks[0].block.header.model_copy(update={"state_root": bytes(32)})
    wrong = blocks[0].model_copy(update={"block": Block(header=forged_, transactions=())})
    proof = blocks[0].certificate
    assert proof is not None
    few = proof.model_copy(update={"signatures": proof.signatures[1:]})
    unproven = blocks[0].model_copy(update={"certificate": few})
    council.hear(3, 0, in_range(blocks[1:]))  # to a question before it lost the first: no lie
    assert not council.members[3].ledger.height
    for lie in ((wrong, *blocks[1:]), (hollow, wrong), (unproven,)):
        with pytest.raises(Malformed):
            council.hear(3, 1, in_range(lie))
        assert not council.members[3].ledger.height
    council.hear(3, others[0], in_range(blocks))
    assert council.members[3].ledger.height == len(blocks)
    core = council.members[3].engine.core
    assert core.view > core.known.floor == blocks[-1].block.header.view


def test_a_lie_after_a_good_part_of_a_message_leaves_nothing_undone() -> None:
    council = Council(term_blocks=2).start()
    council.run(3 * TIMEOUT_MS, lambda _, target, message: target != 3)
    finals = council.members[0].done.final[:2]
    blocks = [FinalBlock(block=d.prepared.block, certificate=d.certificate) for d in finals]
    last = blocks[1].certificate
    assert last is not None
    member = council.members[3]
    for final in blocks:
        member.engine.core.branches.keep(final.block)
    bad = last.model_copy(update={"vote": last.vote.model_copy(update={"view": 30})})
    with pytest.raises(Malformed):
        hear_certificate(council, 3, last, bad)
    assert member.ledger.height == 2
    assert member.engine.core.term == 1


# Transactions of blocks that lose


def test_transactions_of_a_block_that_loses_come_back_in_order(council: Council) -> None:
    lost_block = council.block(1, transactions=(pay(council, 0), pay(council, 1)))
    member = heard(council, 1, lost_block)
    hear_certificate(council, member.place, council.certificate("nullify", 1, None))
    winner = council.block(2, transactions=(pay(council, 0),))
    member.engine.core.branches.keep(winner)
    hear_certificate(council, member.place, council.certificate("finalize", 2, winner.header))
    assert member.done.returned == [pay(council, 1)]
    council.hear(member.place, 1, WantBlocks(blocks=(lost_block.header.id,)))
    assert any(m == Supply(block=lost_block) for _, m in member.done.say), "kept for some views"


def test_what_nobody_signed_does_not_come_back(council: Council) -> None:
    stolen = forged(council)  # type: ignore[arg-type]
    member = heard(council, 1, council.block(1, transactions=(stolen,)))
    assert not member.said("notarize", 1)
    hear_certificate(council, member.place, council.certificate("nullify", 1, None))
    winner = council.block(2)
    member.engine.core.branches.keep(winner)
    hear_certificate(council, member.place, council.certificate("finalize", 2, winner.header))
    assert member.ledger.height == 1 and member.done.returned == []


# Restarts


def remembered(member: Member, votes_from_term: int = 0) -> Remembered:
    kept = member.done.keep
    return Remembered(
        spoken=tuple(one for one in kept if isinstance(one, SignedVote)),
        blocks=tuple(one for one in kept if isinstance(one, Block)),
        certificates=tuple(one for one in kept if isinstance(one, Certificate)),
        votes_from_term=votes_from_term,
    )


def test_after_a_restart_nothing_that_was_said_is_contradicted(council: Council) -> None:
    council.run(TIMEOUT_MS, lambda _, __, message: not isinstance(message, Votes))
    before = council.members[0]
    said = {(s.vote.view, s.vote.kind): s for s in before.done.keep if isinstance(s, SignedVote)}
    assert said
    after = council.restart(0, remembered(before))
    council.run(3 * TIMEOUT_MS)
    for signed in after.done.keep:
        if isinstance(signed, SignedVote):
            known = said.get((signed.vote.view, signed.vote.kind))
            assert known is None or known.vote == signed.vote
    assert not any(member.done.faults for member in council.members)


def test_what_was_decided_is_known_after_all_have_restarted(council: Council) -> None:
    """Else views that some finalized and some gave up could never be decided again."""
    for view in range(1, 15):
        for place in range(4):
            hear_certificate(council, place, council.certificate("nullify", view, None))
    old = list(council.members)
    council.waiting.clear()
    for member in old:
        council.restart(member.place, remembered(member))
    assert all(member.engine.core.known.gaps(15, 64) == () for member in council.members)
    council.run(60 * TIMEOUT_MS, lambda sender, target, _: 3 not in (sender, target), step_ms=250)
    assert all(member.ledger.height for member in council.members[:3])


def test_votes_of_a_later_term_than_the_last_final_block_are_remembered() -> None:
    council = Council(term_blocks=2).start()
    council.run(3 * TIMEOUT_MS)
    before = council.members[0]
    assert before.engine.core.term > 0
    final = before.done.final[:2]
    after = council.restart(0, remembered(before))
    assert after.engine.core.term == 0
    council.waiting.clear()
    blocks = tuple(FinalBlock(block=d.prepared.block, certificate=d.certificate) for d in final)
    council.hear(0, 1, in_range(blocks))
    assert after.engine.core.term == 1
    said = [s for s in before.done.keep if isinstance(s, SignedVote) and s.vote.term == 1]
    assert set(said) <= set(after.engine.core.own_votes())


def test_a_validator_whose_log_is_damaged_says_nothing_until_the_next_term() -> None:
    council = Council(term_blocks=4).start()
    council.restart(2, Remembered(votes_from_term=1))
    assert "votes again from term 1" in council.members[2].engine.abstains
    council.run(6 * TIMEOUT_MS)
    votes = [s.vote for s in council.members[2].done.keep if isinstance(s, SignedVote)]
    assert votes and all(vote.term >= 1 for vote in votes)


def test_one_that_lies_about_its_height_cannot_keep_a_new_validator_from_voting() -> None:
    council = Council()
    council.restart(0, Remembered(fresh=True))
    for height in (1 << 40, 1):
        council.hear(0, 1, Status(term=1 << 40, view=9, height=height))
    assert not council.members[0].engine.seated
    for place in (2, 3):
        council.hear(0, place, Status(term=0, view=1, height=0))
    assert council.members[0].engine.seated


def test_who_hears_from_two_that_all_is_new_is_not_misled_by_one() -> None:
    council = Council()
    council.restart(0, Remembered(fresh=True))
    council.hear(0, 1, Status(term=0, view=1, height=0))
    council.hear(0, 1, Status(term=0, view=1, height=0))
    assert not council.members[0].engine.seated, "one voice is no quorum"


# Bounds


def test_news_of_views_far_ahead_or_long_past_is_not_kept(council: Council) -> None:
    core = council.members[0].engine.core
    for view in (1_000, 1 << 50):
        council.hear(0, 1, Votes(votes=(council.sign(1, vote_to_nullify(0, view)),)))
        hear_certificate(council, 0, council.certificate("nullify", view, None))
        council.hear(0, 1, Announce(term=0, view=view, proof=bytes(80)))
    assert max(core.known.views) <= 2
    council.run(3 * TIMEOUT_MS)
    floor = core.known.floor
    assert floor
    council.hear(0, 1, Votes(votes=(council.sign(1, vote_to_nullify(0, floor)),)))
    assert min(core.known.views) > floor


def test_messages_of_other_terms_change_nothing_and_are_no_lies(council: Council) -> None:
    proposal = council.propose(1, council.block(1))
    vote = proposal.signed.vote.model_copy(update={"term": 7})
    messages: tuple[Say, ...] = (
        Votes(votes=(council.sign(1, vote_to_nullify(7, 1)),)),
        Announce(term=7, view=1, proof=bytes(80)),
        Status(term=7, view=1, height=0),
        proposal.model_copy(update={"signed": council.sign(1, vote)}),
    )
    for message in messages:
        council.hear(0, 1, message)
    assert council.members[0].engine.core.view == 1
    assert not council.members[0].said("notarize", 1)


def test_final_blocks_that_make_others_final_at_once_are_no_lies() -> None:
    """What comes after the end of a run may be final here before the answer is read to its end."""
    council = Council(term_blocks=1_000).start()
    council.run(200 * INTERVAL_MS, lambda sender, target, _: 3 not in (sender, target))
    finals = council.members[0].done.final
    blocks = [FinalBlock(block=d.prepared.block, certificate=d.certificate) for d in finals]
    assert len(blocks) > STORED_AT_ONCE + 4
    member = council.members[3]
    last = next(number for number in range(len(blocks) - 1, 0, -1) if blocks[number].certificate)
    proof = blocks[last].certificate
    assert proof is not None
    for final in blocks[STORED_AT_ONCE : last + 1]:
        member.engine.core.branches.keep(final.block)
    hear_certificate(council, 3, proof)
    council.hear(3, 0, in_range(blocks[: last + 1]))
    assert member.ledger.height == last + 1


def test_who_has_dropped_votes_on_blocks_that_it_lacks_catches_up_first() -> None:
    council = Council().start()
    council.run(4 * TIMEOUT_MS)
    final = council.members[0].done.final[:2]
    blocks = tuple(FinalBlock(block=d.prepared.block, certificate=d.certificate) for d in final)
    assert blocks[-1].certificate is not None
    after = council.restart(0, Remembered(votes_from_height=2))
    council.tick(DELAY_MS)
    assert not after.engine.seated and "up to block 2" in after.engine.abstains
    assert not after.done.keep
    council.hear(0, 1, in_range(blocks))
    assert after.engine.seated and not after.engine.abstains


def test_a_wiped_validator_votes_after_a_term_that_it_saw_go_on() -> None:
    council = Council(term_blocks=5).start()
    council.run(4 * TIMEOUT_MS)

    def catch_up() -> None:
        """What the validators' stores would answer, and where they stand."""
        final = council.members[1].done.final
        blocks = [FinalBlock(block=d.prepared.block, certificate=d.certificate) for d in final]
        while blocks[-1].certificate is None:
            blocks.pop()
        council.hear(0, 1, in_range(tuple(blocks)))
        for other in (1, 2, 3):
            council.hear(0, other, Status(term=0, view=1, height=len(blocks)))

    after = council.restart(0, Remembered(fresh=True))
    catch_up()
    assert after.ledger.height and "how far the chain is" in after.engine.abstains, "all is old"
    council.run(2 * council.genesis.parameters.clock_tolerance_ms)
    catch_up()
    council.run(20 * TIMEOUT_MS)
    assert after.engine.seated and after.engine.core.term > 0
    assert not any(member.done.faults for member in council.members)
