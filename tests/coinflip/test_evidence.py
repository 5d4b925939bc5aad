"""Evidence convicts who lied, and nothing convicts who did not."""

import pytest

from coinflip.evidence import verify_evidence
from coinflip.exchange import exchange_key
from coinflip.messages import (
    Accuse,
    Body,
    CoinOpening,
    Commit,
    Dealing,
    Echo,
    Equivocation,
    Evidence,
    FalseAccusation,
    FalseConfirmation,
    FalseDeal,
    FalseDealing,
    FalseReveal,
    HeldShare,
    Ping,
    Reveal,
    Secret,
    Share,
    Signed,
)
from coinflip.opening import confirmation, open_coin, seal_digest
from coinflip.shamir import leaves_hash
from tests.coinflip.builders import Table, other
from wire.codec import decode, encode
from wire.errors import Malformed

TABLE = Table(4)
HONEST, CROOK, THIRD = TABLE.seats[:3]
ACCUSED = CROOK.key.public


def convicts(evidence: Evidence, table: Table = TABLE) -> bytes:
    return verify_evidence(*table.claim, decode(Evidence, encode(evidence)))


def refuses(evidence: Evidence) -> None:
    with pytest.raises(Malformed):
        convicts(evidence)


def twin(body: Commit) -> Commit:
    return body.model_copy(update={"commitment": bytes(32)})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (CROOK.commit(), twin(CROOK.commit())),
        (Echo(digest=bytes(32)), Echo(digest=bytes([1]) * 32)),
        (Reveal(secret=bytes(32)), Reveal(secret=bytes([1]) * 32)),
        (TABLE.deal(1), TABLE.deal(1).model_copy(update={"leaves": ()})),
        (
            Share(dealer=TABLE.members[0], value=bytes(32), salt=bytes(16)),
            Share(dealer=TABLE.members[0], value=bytes(32), salt=bytes([1]) * 16),
        ),
    ],
)
def test_two_statements_where_one_is_due_convict_their_signer(first: Body, second: Body) -> None:
    assert convicts(Equivocation(first=CROOK.sign(first), second=CROOK.sign(second))) == ACCUSED


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (CROOK.sign(CROOK.commit()), CROOK.sign(CROOK.commit())),
        (CROOK.sign(CROOK.commit()), HONEST.sign(HONEST.commit())),
        (CROOK.sign(CROOK.commit()), CROOK.sign(Echo(digest=bytes(32)))),
        (
            CROOK.sign(Share(dealer=TABLE.members[0], value=bytes(32), salt=bytes(16))),
            CROOK.sign(Share(dealer=TABLE.members[2], value=bytes(32), salt=bytes(16))),
        ),
        (
            CROOK.sign(Accuse(accused=TABLE.members[0], evidence=b"")),
            CROOK.sign(Accuse(accused=TABLE.members[0], evidence=b"x")),
        ),
        (
            CROOK.sign(CROOK.commit()),
            CROOK.sign(twin(CROOK.commit())).model_copy(update={"signature": bytes(64)}),
        ),
        (
            CROOK.sign(CROOK.commit()),
            HONEST.sign(twin(CROOK.commit())).model_copy(update={"sender": ACCUSED}),
        ),
        (CROOK.sign(CROOK.commit()), Table(4, seed=2).seats[1].sign(twin(CROOK.commit()))),
    ],
)
def test_what_is_no_contradiction_convicts_nobody(first: Signed, second: Signed) -> None:
    refuses(Equivocation(first=first, second=second))


def test_statements_of_another_flip_convict_nobody_in_this_one() -> None:
    evidence = Equivocation(
        first=CROOK.sign(CROOK.commit()), second=CROOK.sign(twin(CROOK.commit()))
    )
    for claim in (
        (other(TABLE.network), TABLE.topic, TABLE.members),
        (TABLE.network, other(TABLE.topic), TABLE.members),
        (TABLE.network, TABLE.topic, TABLE.members[2:]),
    ):
        with pytest.raises(Malformed):
            verify_evidence(*claim, evidence)


def false_deal(victim: int | None = None, **changes: object) -> FalseDeal:
    """Evidence against the crook's Deal, spoiled by `changes`, shown by a victim or by leaves."""
    return FalseDeal(
        deal=CROOK.sign(TABLE.deal(1).model_copy(update=changes)),
        commits=TABLE.commits,
        victim=None if victim is None else TABLE.members[victim],
        exchange_secret=None if victim is None else TABLE.seats[victim].exchange_secret,
    )


def test_a_deal_of_other_leaves_or_too_few_ciphertexts_convicts_its_dealer() -> None:
    leaves, ciphertexts = TABLE.deal(1).leaves, TABLE.deal(1).ciphertexts
    assert convicts(false_deal(leaves=leaves[::-1])) == ACCUSED
    assert convicts(false_deal(leaves=leaves[:-1])) == ACCUSED
    assert convicts(false_deal(ciphertexts=ciphertexts[:-1])) == ACCUSED


def test_a_victim_shows_its_exchange_secret_to_prove_a_bad_ciphertext() -> None:
    ciphertexts = (*TABLE.deal(1).ciphertexts[:2], bytes(64), TABLE.deal(1).ciphertexts[3])
    assert convicts(false_deal(victim=2, ciphertexts=ciphertexts)) == ACCUSED
    refuses(false_deal(victim=3, ciphertexts=ciphertexts))
    refuses(false_deal(ciphertexts=ciphertexts))


def test_a_good_deal_convicts_nobody_whatever_is_claimed_of_it() -> None:
    refuses(false_deal())
    for victim in range(4):
        refuses(false_deal(victim=victim))
    good = false_deal(victim=2)
    # An exchange secret that is not the victim's, a victim from elsewhere.
    refuses(good.model_copy(update={"exchange_secret": other(THIRD.exchange_secret)}))
    refuses(good.model_copy(update={"exchange_secret": HONEST.exchange_secret}))
    refuses(good.model_copy(update={"victim": bytes(32)}))
    # Commits that the Deal was not made for: a victim that equivocates frames nobody.
    known = other(THIRD.exchange_secret)
    twin_key = THIRD.commit().model_copy(update={"exchange_key": exchange_key(known)})
    forged = {"commits": (*TABLE.commits[:2], twin_key, TABLE.commits[3])}
    refuses(good.model_copy(update={**forged, "exchange_secret": known}))
    refuses(good.model_copy(update={"commits": TABLE.commits[:3]}))
    refuses(good.model_copy(update={"deal": CROOK.sign(CROOK.commit())}))


def test_a_reveal_that_fits_no_commit_convicts_its_sender() -> None:
    commit = CROOK.sign(CROOK.commit())
    wrong = CROOK.sign(Reveal(secret=bytes(32)))
    assert convicts(FalseReveal(commit=commit, reveal=wrong)) == ACCUSED
    refuses(FalseReveal(commit=commit, reveal=CROOK.sign(Reveal(secret=CROOK.secret))))
    refuses(FalseReveal(commit=HONEST.sign(HONEST.commit()), reveal=wrong))
    refuses(FalseReveal(commit=wrong, reveal=commit))


def test_a_secret_whose_shares_were_others_convicts_its_dealer() -> None:
    commit = CROOK.sign(CROOK.commit().model_copy(update={"leaves_hash": bytes(32)}))
    secret = Secret(value=CROOK.secret)
    assert convicts(FalseDealing(commit=commit, part=secret)) == ACCUSED
    refuses(FalseDealing(commit=commit, part=Secret(value=other(CROOK.secret))))
    refuses(FalseDealing(commit=CROOK.sign(CROOK.commit()), part=secret))
    refuses(FalseReveal(commit=commit, reveal=CROOK.sign(Reveal(secret=CROOK.secret))))


def test_opened_leaves_that_fit_no_secret_convict_their_dealer() -> None:
    sharing = CROOK.sharing()
    dealing = Dealing(
        leaves=sharing.leaves,
        shares=tuple(
            HeldShare(holder=h, value=sharing.values[h], salt=sharing.salts[h]) for h in (0, 2)
        ),
    )
    honest = CROOK.commit()
    crooked = honest.model_copy(update={"commitment": bytes(32)})
    assert convicts(FalseDealing(commit=CROOK.sign(crooked), part=dealing)) == ACCUSED
    refuses(FalseDealing(commit=CROOK.sign(honest), part=dealing))
    refuses(FalseDealing(commit=HONEST.sign(crooked), part=dealing))
    refuses(FalseDealing(commit=CROOK.sign(Reveal(secret=bytes(32))), part=dealing))


def test_a_dealing_with_too_few_leaves_is_no_such_proof() -> None:
    sharing = CROOK.sharing()
    short = sharing.leaves[:3]
    commit = CROOK.commit().model_copy(
        update={"leaves_hash": leaves_hash(TABLE.topic, ACCUSED, short)}
    )
    shares = tuple(
        HeldShare(holder=h, value=sharing.values[h], salt=sharing.salts[h]) for h in (0, 2)
    )
    dealing = Dealing(leaves=short, shares=shares)
    refuses(FalseDealing(commit=CROOK.sign(commit), part=dealing))


def test_a_ping_for_another_coin_convicts_its_sender() -> None:
    coin = open_coin(TABLE.topic, TABLE.members, TABLE.digest, TABLE.opening())
    right = Ping(digest=TABLE.digest, proof=confirmation("ping", TABLE.topic, coin.value))
    wrong = right.model_copy(update={"proof": bytes(32)})
    opening = TABLE.opening()
    assert convicts(FalseConfirmation(confirmation=CROOK.sign(wrong), opening=opening)) == ACCUSED
    refuses(FalseConfirmation(confirmation=CROOK.sign(right), opening=opening))
    refuses(FalseConfirmation(confirmation=CROOK.sign(CROOK.commit()), opening=opening))
    # Two who commit twice make a second coin; a Ping for the first is not wrong for that.
    commits = (twin(TABLE.commits[0]), *TABLE.commits[1:])
    parts = (Secret(value=bytes(32)), *opening.parts[1:])
    refuses(
        FalseConfirmation(
            confirmation=CROOK.sign(right), opening=CoinOpening(commits=commits, parts=parts)
        )
    )
    assert seal_digest(TABLE.topic, TABLE.members, commits) != TABLE.digest


def test_an_accusation_that_does_not_hold_convicts_the_accuser() -> None:
    real = encode(
        Equivocation(first=CROOK.sign(CROOK.commit()), second=CROOK.sign(twin(CROOK.commit())))
    )
    nothing = encode(
        Equivocation(first=HONEST.sign(HONEST.commit()), second=HONEST.sign(HONEST.commit()))
    )
    victim = HONEST.key.public
    for accused, evidence in ((victim, nothing), (victim, b"garbage"), (victim, real)):
        accusation = CROOK.sign(Accuse(accused=accused, evidence=evidence))
        assert convicts(FalseAccusation(accusation=accusation)) == ACCUSED
    fair = HONEST.sign(Accuse(accused=ACCUSED, evidence=real))
    refuses(FalseAccusation(accusation=fair))
    refuses(FalseAccusation(accusation=HONEST.sign(HONEST.commit())))
    # Whoever calls a fair accusation false gets nowhere, and the chain of accusations ends.
    unfair = CROOK.sign(Accuse(accused=victim, evidence=encode(FalseAccusation(accusation=fair))))
    refuses(FalseAccusation(accusation=unfair))
