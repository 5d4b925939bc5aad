"""One member's view, step by step."""

import pytest

from coinflip.events import (
    Broadcast,
    Effect,
    Expired,
    Landed,
    Malicious,
    Offline,
    Phase,
    Received,
    Save,
    Sealed,
    Stalled,
    Start,
    SubmitSeal,
)
from coinflip.evidence import verify_evidence
from coinflip.exchange import OpenShare, agree, encrypt
from coinflip.flip import resume, step
from coinflip.messages import (
    Accuse,
    Body,
    Commit,
    Deal,
    Echo,
    Equivocation,
    FalseAccusation,
    FalseConfirmation,
    Ping,
    Pong,
    Reveal,
    Share,
    Signed,
)
from coinflip.opening import confirmation, open_coin, verify_reveals, verify_seal
from coinflip.seat import derive_seat
from coinflip.state import PASSED_ON, Flip
from tests.coinflip.builders import Table, other
from wire.codec import encode
from wire.errors import Malformed
from wire.keys import KeyPair, Use

SECRETS = (Reveal, Share, Ping, Pong)


def said(effects: tuple[Effect, ...]) -> list[Body]:
    return [effect.message.body for effect in effects if isinstance(effect, Broadcast)]


def kinds(effects: tuple[Effect, ...]) -> list[type]:
    return [type(body) for body in said(effects)]


def test_a_member_commits_once() -> None:
    table = Table(3)
    first = table.give(0, Start())
    assert isinstance(first[0], Save) and kinds(first) == [Commit]
    assert table.give(0, Start()) == ()


def test_a_seat_derives_the_same_messages_every_time_and_others_elsewhere() -> None:
    master = bytes(32)
    members = tuple(sorted([KeyPair.derive(master, Use.ACCOUNT).public, bytes(32)]))
    here, again, there = (
        derive_seat(master, bytes(32), topic, members) for topic in (b"a", b"a", b"b")
    )
    assert here.commit() == again.commit()
    assert not {here.secret, here.exchange_secret} & {there.secret, there.exchange_secret}
    assert repr(here.secret) not in repr(here)


def test_nobody_deals_before_all_have_committed() -> None:
    table = Table(3)
    table.give(0, Start())
    assert kinds(table.hear(0, table.seats[1].sign(table.commits[1]))) == []
    assert kinds(table.hear(0, table.seats[2].sign(table.commits[2]))) == [Deal]


def test_nobody_echoes_before_all_have_dealt_it_a_good_share() -> None:
    table = Table(3)
    table.commit_all()
    assert kinds(table.hear(0, table.seats[1].sign(table.deal(1)))) == []
    assert kinds(table.hear(0, table.seats[2].sign(table.deal(2)))) == [Echo]


def test_a_deal_made_for_other_commits_is_neither_good_nor_fraud() -> None:
    table = Table(2)
    table.commit_all()
    strayed = table.deal(1).model_copy(update={"digest": other(table.digest)})
    assert said(table.hear(0, table.seats[1].sign(strayed))) == []
    assert table.give(0, Expired(phase=Phase.DEAL))[-1] == Offline((table.members[1],))


def test_messages_ahead_of_their_phase_wait() -> None:
    table = Table(2)
    table.hear(0, table.seats[1].sign(table.deal(1)))
    table.hear(0, table.seats[1].sign(Echo(digest=table.digest)))
    table.hear(0, table.seats[1].sign(table.commits[1]))
    effects = table.give(0, Start())
    assert kinds(effects) == [Commit, Deal, Echo]
    assert [type(effect) for effect in effects][-1] is SubmitSeal


def test_an_echo_of_another_digest_makes_no_seal() -> None:
    table = Table(2)
    table.commit_all()
    table.hear(0, table.seats[1].sign(table.deal(1)))
    effects = table.hear(0, table.seats[1].sign(Echo(digest=other(table.digest))))
    assert not [effect for effect in effects if isinstance(effect, SubmitSeal)]
    assert table.flips[0].missing == (table.members[1],)


def test_all_equal_echoes_make_a_seal_that_the_chain_accepts() -> None:
    table = Table(4)
    table.echo_all()
    for effects in table.effects:
        seals = [effect for effect in effects if isinstance(effect, SubmitSeal)]
        assert len(seals) == 1 and seals[0].digest == table.digest
        verify_seal(*table.claim, seals[0].digest, seals[0].signatures)


def test_nothing_secret_is_said_before_the_seal_whatever_others_say() -> None:
    table = Table(3)
    table.echo_all()
    for seat in table.seats[1:]:
        table.hear(0, seat.sign(Reveal(secret=seat.secret)))
    table.hear(0, table.seats[1].sign(_share(table, 1, 2)))
    for phase in Phase:
        if phase is not Phase.SEAL:
            table.give(0, Expired(phase=phase))
    table.give(0, Stalled(times=1))
    assert not any(isinstance(body, SECRETS) for body in said(tuple(table.effects[0])))
    assert Reveal in kinds(table.give(0, Sealed(digest=table.digest)))


def test_a_seal_of_something_else_reveals_nothing() -> None:
    table = Table(3)
    table.echo_all()
    assert table.give(0, Sealed(digest=other(table.digest)))[1:] == (Offline(()),)


def test_nobody_waits_for_the_secret_of_the_guilty_and_everybody_for_others() -> None:
    table = Table(4)
    table.seal()
    lie = Reveal(secret=other(table.seats[1].secret))
    assert Share not in kinds(table.hear(0, table.seats[1].sign(lie)))
    table.hear(0, table.seats[2].sign(Reveal(secret=table.seats[2].secret)))
    effects = table.hear(0, table.seats[3].sign(Reveal(secret=table.seats[3].secret)))
    assert [body.dealer for body in said(effects) if isinstance(body, Share)] == [table.members[1]]


def test_the_first_seal_is_final() -> None:
    table = Table(3)
    table.give(0, Sealed(digest=other(table.digest)))
    assert table.give(0, Sealed(digest=table.digest)) == ()
    table.echo_all()
    assert Offline(()) in table.effects[0]


def test_a_member_that_lost_its_log_still_reveals_under_its_own_seal() -> None:
    table = Table(3)
    table.give(0, Sealed(digest=table.digest))
    table.echo_all()
    assert Reveal in kinds(tuple(table.effects[0]))


def test_all_land_the_coin_that_the_chain_can_open() -> None:
    table = Table(5)
    table.seal()
    table.pump()
    outcomes = [flip.outcome for flip in table.flips]
    assert len({repr(outcome) for outcome in outcomes}) == 1
    assert isinstance(outcomes[0], Landed)
    coin = open_coin(table.topic, table.members, table.digest, outcomes[0].opening)
    assert outcomes[0].coin == coin.value
    assert outcomes[0].recovered == outcomes[0].excluded == ()


def _share(table: Table, holder: int, dealer: int) -> Share:
    sharing = table.seats[dealer].sharing()
    return Share(
        dealer=table.members[dealer], value=sharing.values[holder], salt=sharing.salts[holder]
    )


def test_the_secret_of_the_silent_is_rebuilt_from_t_plus_one_shares() -> None:
    table = Table(5)
    table.seal()
    for sender in (1, 2, 3):
        table.hear(0, table.seats[sender].sign(Reveal(secret=table.seats[sender].secret)))
    asked = table.give(0, Expired(phase=Phase.REVEAL))
    assert said(asked) == [_share(table, 0, 4)]
    assert table.hear(0, table.seats[1].sign(_share(table, 1, 4)))[1:] == ()
    # A forged share counts for nothing.
    forged = _share(table, 2, 4).model_copy(update={"value": bytes(32)})
    assert table.hear(0, table.seats[2].sign(forged))[1:] == ()
    assert kinds(table.hear(0, table.seats[3].sign(_share(table, 3, 4)))) == [Ping]
    landed = table.give(0, Expired(phase=Phase.CONFIRM))[-1]
    assert isinstance(landed, Landed)
    assert landed.recovered == (table.members[4],)
    straight = open_coin(table.topic, table.members, table.digest, table.opening())
    assert landed.coin == straight.value


def test_a_late_reveal_makes_the_shares_needless() -> None:
    table = Table(3)
    table.seal()
    table.hear(0, table.seats[1].sign(Reveal(secret=table.seats[1].secret)))
    table.give(0, Expired(phase=Phase.REVEAL))
    late = table.hear(0, table.seats[2].sign(Reveal(secret=table.seats[2].secret)))
    assert kinds(late) == [Ping]
    landed = table.give(0, Expired(phase=Phase.CONFIRM))[-1]
    assert isinstance(landed, Landed) and landed.recovered == ()


def test_a_false_reveal_does_not_take_the_place_of_the_true_one() -> None:
    table = Table(3)
    table.seal()
    table.hear(0, table.seats[1].sign(Reveal(secret=table.seats[1].secret)))
    lie = table.hear(0, table.seats[2].sign(Reveal(secret=bytes(32))))
    assert kinds(lie) == [Accuse, Share]
    again = table.hear(0, table.seats[2].sign(Reveal(secret=bytes([1]) * 32)))
    assert again == ()
    truth = table.hear(0, table.seats[2].sign(Reveal(secret=table.seats[2].secret)))
    assert kinds(truth) == [Ping]


@pytest.mark.parametrize("phase", [Phase.COMMIT, Phase.DEAL])
def test_a_phase_that_expires_names_those_who_are_missing(phase: Phase) -> None:
    table = Table(3)
    table.give(0, Start())
    if phase is Phase.DEAL:
        table.commit_all()
    assert table.give(0, Expired(phase=phase))[1:] == (Offline(table.members[1:]),)
    assert table.give(0, Start()) == ()


def test_the_chains_deadline_ends_a_flip_in_any_phase_before_the_seal() -> None:
    for steps in (0, 1, 2):
        table = Table(2)
        if steps > 0:
            table.commit_all()
        if steps > 1:
            table.hear(0, table.seats[1].sign(table.deal(1)))
        table.give(0, Start())
        ended = table.give(0, Expired(phase=Phase.SEAL))
        assert ended[1:] == (Offline((table.members[1],)),)


def test_a_timer_of_a_phase_gone_by_does_nothing() -> None:
    table = Table(3)
    table.seal()
    for phase in (Phase.COMMIT, Phase.DEAL, Phase.SEAL, Phase.RECOVER, Phase.CONFIRM):
        assert table.give(0, Expired(phase=phase)) == ()


def test_strangers_forgers_and_other_flips_are_refused_and_change_nothing() -> None:
    table, elsewhere = Table(3), Table(4, seed=2)
    table.commit_all()
    before = table.flips[0]
    crook = table.seats[1]
    for message in (
        elsewhere.seats[3].sign(elsewhere.commits[3]),
        crook.sign(Echo(digest=bytes(32))).model_copy(update={"signature": bytes(64)}),
        crook.sign(Echo(digest=bytes(32))).model_copy(update={"sender": table.members[2]}),
        crook.sign(Share(dealer=bytes(32), value=bytes(32), salt=bytes(16))),
    ):
        with pytest.raises(Malformed):
            step(before, Received(message=message))
    assert table.flips[0] is before


def test_a_commit_with_an_exchange_key_of_low_order_is_refused() -> None:
    table = Table(2)
    weak = table.commits[1].model_copy(update={"exchange_key": bytes(32)})
    with pytest.raises(Malformed):
        table.hear(0, table.seats[1].sign(weak))


def test_a_repeated_message_changes_nothing_and_is_not_saved() -> None:
    table = Table(3)
    message = table.seats[1].sign(table.commits[1])
    assert table.hear(0, message) != ()
    assert table.hear(0, message) == ()


def test_two_commits_of_one_member_end_the_flip_with_evidence() -> None:
    table = Table(3)
    table.commit_all()
    twin = table.commits[1].model_copy(update={"leaves_hash": bytes(32)})
    effects = table.hear(0, table.seats[1].sign(twin))
    ends = [effect for effect in effects if isinstance(effect, Malicious)]
    assert len(ends) == 1 and isinstance(ends[0].evidence, Equivocation)
    assert ends[0].accused == table.members[1] and kinds(effects) == [Accuse]


def test_after_the_echo_evidence_ends_nothing_until_the_chain_has_spoken() -> None:
    for sealed in (True, False):
        table = Table(3)
        table.echo_all()
        twin = table.commits[1].model_copy(update={"leaves_hash": bytes(32)})
        table.hear(0, table.seats[1].sign(twin))
        assert table.flips[0].outcome is None
        if sealed:
            assert Reveal in kinds(table.give(0, Sealed(digest=table.digest)))
        else:
            ended = table.give(0, Expired(phase=Phase.SEAL))[-1]
            assert isinstance(ended, Malicious) and ended.accused == table.members[1]


def test_a_false_accuser_is_convicted_and_the_accused_is_not() -> None:
    table = Table(3)
    table.commit_all()
    accuse = Accuse(accused=table.members[2], evidence=b"nothing at all")
    effects = table.hear(0, table.seats[1].sign(accuse))
    verdicts = [effect for effect in effects if isinstance(effect, Malicious)]
    assert [verdict.accused for verdict in verdicts] == [table.members[1]]
    assert isinstance(verdicts[0].evidence, FalseAccusation)


def test_the_guilty_are_not_listened_to_when_they_accuse() -> None:
    table = Table(4)
    table.echo_all()
    guilty, accused = table.seats[1], table.seats[2]
    twin = table.commits[2].model_copy(update={"leaves_hash": bytes(32)})
    evidence = Equivocation(first=accused.sign(table.commits[2]), second=accused.sign(twin))
    accuse = Accuse(accused=table.members[2], evidence=encode(evidence))
    table.hear(0, guilty.sign(Echo(digest=bytes(32))))
    assert table.hear(0, guilty.sign(accuse)) == ()
    assert Malicious(table.members[2], evidence) in table.hear(0, table.seats[3].sign(accuse))


def test_ones_own_words_from_a_life_forgotten_change_nothing() -> None:
    table = Table(3)
    table.commit_all()
    before = table.flips[0]
    forgotten = table.deal(0).model_copy(update={"digest": other(table.digest)})
    assert table.hear(0, table.seats[0].sign(forgotten)) == ()
    assert table.flips[0] is before


def test_a_flip_that_has_failed_hears_nothing_more() -> None:
    table = Table(3)
    table.give(0, Start())
    table.give(0, Expired(phase=Phase.COMMIT))
    for sender in (1, 2):
        assert table.hear(0, table.seats[sender].sign(table.commits[sender])) == ()
    assert table.give(0, Sealed(digest=table.digest)) == ()


def test_reveals_are_passed_on_while_others_may_lack_them() -> None:
    table = Table(4)
    table.seal()
    reveal = table.seats[1].sign(Reveal(secret=table.seats[1].secret))
    table.hear(0, reveal)
    table.give(0, Expired(phase=Phase.REVEAL))
    assert Broadcast(reveal) in step(table.flips[0], Stalled(times=1))[1]


def test_nobody_waits_for_the_confirmation_of_the_silent_or_the_guilty() -> None:
    table = Table(5)
    table.seal()
    for sender in (1, 2, 3):
        table.hear(0, table.seats[sender].sign(Reveal(secret=table.seats[sender].secret)))
    table.give(0, Expired(phase=Phase.REVEAL))
    for sender in (1, 2):
        table.hear(0, table.seats[sender].sign(_share(table, sender, 4)))
    assert table.flips[0].missing == (table.members[0], *table.members[1:4])
    table.hear(0, table.seats[3].sign(Ping(digest=table.digest, proof=bytes(32))))
    assert list(table.flips[0].convicted) == [table.members[3]]
    coin = table.flips[0].coin
    assert coin is not None
    for kind, body in (("ping", Ping), ("pong", Pong)):
        proof = confirmation(kind, table.topic, coin.value)
        for sender in (1, 2):
            table.hear(0, table.seats[sender].sign(body(digest=table.digest, proof=proof)))
    assert isinstance(table.flips[0].outcome, Landed)


def test_a_lie_about_the_coin_is_proven_even_after_landing() -> None:
    table = Table(3)
    table.seal()
    for sender in (1, 2):
        table.hear(0, table.seats[sender].sign(Reveal(secret=table.seats[sender].secret)))
    table.give(0, Expired(phase=Phase.CONFIRM))
    landed = table.flips[0].outcome
    assert isinstance(landed, Landed)
    lie = table.seats[1].sign(Ping(digest=table.digest, proof=bytes(32)))
    assert kinds(table.hear(0, lie)) == [Accuse]
    assert table.flips[0].outcome == landed and list(table.flips[0].convicted) == [table.members[1]]


def test_a_ping_under_another_digest_says_nothing() -> None:
    table = Table(3)
    table.seal()
    for sender in (1, 2):
        table.hear(0, table.seats[sender].sign(Reveal(secret=table.seats[sender].secret)))
    astray = Ping(digest=other(table.digest), proof=bytes(32))
    table.hear(0, table.seats[1].sign(astray))
    assert table.flips[0].coin is not None and not table.flips[0].convicted


def test_a_reveal_that_comes_before_its_commit_is_left_for_later() -> None:
    table = Table(2)
    reveal = table.seats[1].sign(Reveal(secret=table.seats[1].secret))
    assert table.hear(0, reveal) == ()
    table.commit_all()
    assert table.hear(0, reveal) != ()


def test_a_share_that_decrypts_and_does_not_open_its_leaf_is_fraud() -> None:
    table = Table(3)
    table.commit_all()
    deal, dealer = table.deal(1), table.seats[1]
    agreed = agree(dealer.exchange_secret, table.commits[0].exchange_key)
    wrong = encrypt(agreed, table.topic, 1, 0, OpenShare(bytes(32), bytes(16)))
    ciphertexts = (wrong, *deal.ciphertexts[1:])
    effects = table.hear(0, dealer.sign(deal.model_copy(update={"ciphertexts": ciphertexts})))
    verdict = next(effect for effect in effects if isinstance(effect, Malicious))
    assert verify_evidence(*table.claim, verdict.evidence) == table.members[1]


def test_an_accusation_about_accusing_is_refused() -> None:
    table = Table(3)
    inner = table.seats[2].sign(Accuse(accused=table.members[0], evidence=b""))
    evidence = encode(FalseAccusation(accusation=inner))
    wrong = Accuse(accused=table.members[0], evidence=evidence)
    with pytest.raises(Malformed):
        table.hear(1, table.seats[0].sign(wrong))


def test_one_conviction_a_member_however_much_it_lies() -> None:
    table = Table(3)
    table.echo_all()
    for number in range(1, 20):
        digest = bytes([number]) * 32
        table.hear(0, table.seats[1].sign(Echo(digest=digest)))
        table.hear(0, table.seats[1].sign(Accuse(accused=table.members[2], evidence=digest)))
    assert list(table.flips[0].convicted) == [table.members[1]]
    saves = [effect for effect in table.effects[0] if isinstance(effect, Save)]
    assert len(saves) < 12


def test_the_log_alone_rebuilds_the_flip_at_every_step() -> None:
    table = Table(3)
    table.seal()
    table.pump()
    for flip, effects in zip(table.flips, table.effects, strict=True):
        log = [effect.entry for effect in effects if isinstance(effect, Save)]
        assert resume(flip.seat, log) == flip
        mine = set(said(tuple(effects)))
        for length in range(len(log)):
            again = resume(flip.seat, log[:length])
            _, repeated = step(again, Stalled(times=1))
            own = set(said(tuple(effect for effect in repeated if _is_own(flip, effect))))
            assert own <= mine


def _is_own(flip: Flip, effect: Effect) -> bool:
    return isinstance(effect, Broadcast) and effect.message.sender == flip.seat.key.public


def test_a_damaged_log_is_refused() -> None:
    with pytest.raises(Malformed):
        resume(Table(2).seats[0], [b"not an input"])


def test_a_stall_passes_on_what_laggards_may_lack_a_part_at_a_time() -> None:
    table = Table(20)
    for sender in range(19):
        table.hear(19, table.seats[sender].sign(table.commits[sender]))
    table.give(19, Start())
    passed_on: set[bytes] = set()
    for times in (1, 2):
        _, effects = step(table.flips[19], Stalled(times=times))
        senders = {e.message.sender for e in effects if isinstance(e, Broadcast)}
        assert len(senders - {table.members[19]}) <= PASSED_ON
        passed_on |= senders
    assert passed_on == set(table.members)


def test_a_finished_flip_passes_nothing_on_when_all_have_confirmed() -> None:
    table = Table(3)
    table.seal()
    table.pump()
    _, effects = step(table.flips[0], Stalled(times=1))
    assert {e.message.sender for e in effects if isinstance(e, Broadcast)} == {table.members[0]}


def test_a_new_flip_has_said_nothing() -> None:
    assert step(Flip(Table(2).seats[0]), Stalled(times=1))[1] == ()


def test_a_member_can_show_the_reveals_that_it_heard_and_its_own() -> None:
    table = Table(4)
    table.echo_all()
    assert table.flips[0].reveals == ()
    table.seal()
    secrets = {place: seat.secret for place, seat in enumerate(table.seats)}
    assert [proof.member for proof in table.flips[0].reveals] == [0]
    lie = table.seats[1].sign(Reveal(secret=bytes(32)))
    table.hear(0, lie)
    assert [proof.member for proof in table.flips[0].reveals] == [0], "a lie is no reveal"
    for place in (3, 2):
        table.hear(0, table.seats[place].sign(Reveal(secret=secrets[place])))
    shown = table.flips[0].reveals
    assert [proof.member for proof in shown] == [0, 2, 3]
    assert verify_reveals(*table.claim, secrets, shown) == {0, 2, 3}


def unsigned(table: Table, place: int, body: Body) -> Signed:
    """What a member might say, with somebody else's signature."""
    return table.seats[0].sign(body).model_copy(update={"sender": table.members[place]})


def test_what_can_only_be_true_needs_no_signature_but_is_shown_to_nobody_without() -> None:
    table = Table(3)
    table.seal()
    for place in (1, 2):
        table.hear(0, unsigned(table, place, Reveal(secret=table.seats[place].secret)))
    assert table.flips[0].phase is Phase.CONFIRM
    assert [proof.member for proof in table.flips[0].reveals] == [0]
    again = (say.message for say in table.give(0, Stalled(times=1)) if isinstance(say, Broadcast))
    assert {message.sender for message in again} == {table.members[0]}
    table.hear(0, table.seats[1].sign(Reveal(secret=table.seats[1].secret)))
    assert [proof.member for proof in table.flips[0].reveals] == [0, 1]
    with pytest.raises(Malformed):
        table.hear(0, unsigned(table, 1, Reveal(secret=table.seats[1].secret)))


@pytest.mark.parametrize("kind", ["ping", "pong"])
def test_a_truth_by_another_hand_does_not_hide_its_senders_lie(kind: str) -> None:
    table = Table(3)
    table.seal()
    for place in (1, 2):
        table.hear(0, table.seats[place].sign(Reveal(secret=table.seats[place].secret)))
    coin = table.flips[0].coin
    assert coin
    body = {"ping": Ping, "pong": Pong}[kind]
    right = body(digest=table.digest, proof=confirmation(kind, table.topic, coin.value))
    wrong = right.model_copy(update={"proof": bytes(32)})
    assert table.hear(0, unsigned(table, 1, right))
    with pytest.raises(Malformed):
        table.hear(0, unsigned(table, 1, wrong))
    with pytest.raises(Malformed):
        table.hear(0, unsigned(table, 2, wrong))
    with pytest.raises(Malformed):
        table.hear(0, table.seats[0].sign(right).model_copy(update={"sender": bytes(32)}))
    table.hear(0, table.seats[1].sign(wrong))
    convicted = table.flips[0].convicted[table.members[1]]
    assert isinstance(convicted, FalseConfirmation)
    assert verify_evidence(*table.claim, convicted) == table.members[1]


def test_a_lie_that_nobody_signed_is_refused() -> None:
    table = Table(3)
    table.seal()
    with pytest.raises(Malformed):
        table.hear(0, unsigned(table, 1, Reveal(secret=bytes(32))))
