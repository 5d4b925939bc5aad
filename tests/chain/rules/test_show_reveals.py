"""Who seems to have withheld its secret is asked for its Reveal; silence costs, the coin stands."""

import pytest

from chain.bodies.challenges import ShowReveals
from chain.reasons import Reason
from chain.records import stake_key
from tests.chain.refusals import assert_refused
from tests.people import STRANGER
from tests.reports import account_of
from tests.stages import committed, opening
from wire.codec import decode, encode

PENALTY = 70


def stake_of(world, person):
    return world.draft.stakes.at(stake_key("attestor", person.id)).amount_base


def asked(*silent):
    """The coin is open, by one that heard all reveal but these."""
    world = opening()
    world.focus = world.challenge.challenge
    world.must(STRANGER, world.open_coin(silent=silent))
    return world


def show(world, *places, **changes):
    body = ShowReveals(challenge=world.challenge.challenge, reveals=world.reveals(*places))
    return body.model_copy(update=changes)


def names(world):
    members = world.challenge.members
    return [members.index(asked.member) for asked in world.challenge.unrevealed]


def to_the_deadline(world):
    world.pass_until(world.challenge.reveal_deadline)
    return [stake_of(world, member) for member in world.members]


def test_nobody_is_asked_when_all_were_heard():
    world = asked()
    assert world.challenge.unrevealed == ()
    before = world.draft.meta.burnt_base
    assert to_the_deadline(world) == [2_000] * 4
    assert world.draft.meta.burnt_base == before


def test_who_never_shows_its_reveal_pays_and_the_coin_is_the_same():
    heard, withheld = asked(), asked(2)
    assert withheld.challenge.coin == heard.challenge.coin
    assert names(withheld) == [2]
    parameters = withheld.parameters
    assert withheld.challenge.reveal_deadline == withheld.height + parameters.opening_blocks
    withheld.pass_until(withheld.challenge.reveal_deadline - 1)
    assert stake_of(withheld, withheld.members[2]) == 2_000
    burnt = withheld.draft.meta.burnt_base
    assert to_the_deadline(withheld) == [2_000, 2_000, 2_000 - PENALTY, 2_000]
    assert withheld.draft.meta.burnt_base == burnt + PENALTY
    withheld.pass_blocks(20)
    assert stake_of(withheld, withheld.members[2]) == 2_000 - PENALTY, "once"
    assert names(withheld) == [2], "the record says who has paid"


@pytest.mark.parametrize("speaker", [0, 1, 3])
def test_its_own_signature_frees_a_member_whoever_brings_it(speaker):
    world = asked(1)
    world.must(world.members[speaker], show(world, 1))
    assert world.challenge.unrevealed == ()
    assert to_the_deadline(world) == [2_000] * 4


def test_one_transaction_answers_for_all():
    world = asked(0, 1, 2, 3)
    assert names(world) == [0, 1, 2, 3]
    world.must(STRANGER, show(world, 0, 1, 3))
    assert names(world) == [2]
    assert to_the_deadline(world) == [2_000, 2_000, 2_000 - PENALTY, 2_000]


def test_who_answers_at_the_last_height_is_in_time():
    world = asked(1)
    world.pass_until(world.challenge.reveal_deadline - 1)
    world.must(world.members[1], show(world, 1))
    assert stake_of(world, world.members[1]) == 2_000


def test_after_the_last_height_it_is_too_late():
    world = asked(1)
    to_the_deadline(world)
    assert_refused(world, world.members[1], show(world, 1), Reason.WRONG_PHASE)


def test_what_others_have_shown_meanwhile_is_passed_over():
    world = asked(0, 1)
    world.must(STRANGER, show(world, 0))
    world.must(STRANGER, show(world, 0, 1, 2))
    assert world.challenge.unrevealed == ()
    assert_refused(world, STRANGER, show(world, 0, 1), Reason.ALREADY_REVEALED)


@pytest.mark.parametrize("answers", [True, False])
def test_the_end_of_the_challenge_shortens_nobodys_time(answers):
    world = committed()
    world.pass_until(world.challenge.window_end)
    world.focus = world.challenge.challenge
    world.must(STRANGER, world.open_coin(silent=[1]))
    for member in world.members:
        parts = account_of(world, member)
        world.must(member, parts.open(), parts.sidecar)
    assert world.challenge.status == "settled"
    assert world.height < world.challenge.reveal_deadline
    assert stake_of(world, world.members[1]) == 2_000
    if answers:
        world.must(world.members[1], show(world, 1))
    paid = 0 if answers else PENALTY
    assert to_the_deadline(world) == [2_000, 2_000 - paid, 2_000, 2_000]


def signed_by(world, place, other):
    """The Reveal of one, with the signature of another."""
    (proof,) = world.reveals(other)
    return (proof.model_copy(update={"member": place}),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: {"challenge": b"c" * 32}, Reason.UNKNOWN_CHALLENGE),
        (lambda w: {"reveals": signed_by(w, 1, 2)}, Reason.BAD_REVEAL),
        (lambda w: {"reveals": ()}, Reason.ALREADY_REVEALED),
        (lambda w: {"reveals": w.reveals(0, 2, 3)}, Reason.ALREADY_REVEALED),
        (lambda w: {"reveals": signed_by(w, 99, 1)}, Reason.ALREADY_REVEALED),
    ],
)
def test_an_answer_with_one_thing_wrong_is_refused(change, reason):
    world = asked(1)
    assert_refused(world, STRANGER, show(world, 1, **change(world)), reason)


def test_before_the_coin_is_open_nobody_is_asked():
    world = opening()
    assert_refused(world, STRANGER, show(world, 1), Reason.COIN_NOT_OPEN)


def test_an_opening_with_anothers_signature_is_refused():
    world = opening()
    body = world.open_coin().model_copy(update={"reveals": signed_by(world, 1, 2)})
    assert_refused(world, STRANGER, body, Reason.BAD_REVEAL)


def test_coins_on_their_way_back_pay_too_and_nobody_pays_what_it_has_not():
    world = asked(1, 2)
    for place, left, returning in ((1, 30, 1_970), (2, 20, 5)):
        key = stake_key("attestor", world.members[place].id)
        draft = world.draft
        draft.stakes.change(key, amount_base=left, unbonding_base=returning)
        missing = 2_000 - left - returning
        account = draft.accounts.at(STRANGER.id)
        draft.accounts.put(
            STRANGER.id, account.model_copy(update={"balance_base": account.balance_base + missing})
        )
        world.state.commit(draft)
    to_the_deadline(world)
    stakes = [world.draft.stakes.at(stake_key("attestor", world.members[p].id)) for p in (1, 2)]
    assert [(s.amount_base, s.unbonding_base) for s in stakes] == [(0, 1_930), (0, 0)]


def test_both_travel_in_blocks():
    world = opening()
    for body in (world.open_coin(silent=[0]), show(world, 0, 1)):
        assert decode(type(body), encode(body)) == body
