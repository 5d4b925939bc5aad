"""Validators are followed from term to term, and nobody else's word is taken."""

from functools import cache

import pytest

from chain.blocks import StateProof
from chain.bodies.validators import Delist
from chain.light import Forked
from chain.records import Account, Meta, Table
from chain.state import State
from chain.trust import MAX_STEPS, Checkpoint, TermStep, Trust, beginning, verify_state
from chain.validators import ValidatorSet
from tests.chain.final import proven
from tests.chain.history import History, certify
from tests.validators import MANY
from wire.codec import decode, encode
from wire.errors import Malformed

OLD, NEW = MANY[:4], (MANY[0], MANY[4], MANY[5], MANY[6])
"""The validators of the first term, and those of the third: only one is in both."""


@cache
def history() -> History:
    """Four terms. Three validators leave in the first and three others come."""
    made = History(4)
    made.join(*NEW[1:3])
    made.end_term()
    made.join(NEW[3])
    made.block(*((person, Delist()) for person in OLD[1:]))
    made.end_term()
    made.end_term()
    made.end_term()
    made.block()
    made.block()
    return made


@cache
def other() -> History:
    """A network of the same people with the same history so far."""
    made = History(4, "other")
    made.end_term()
    made.end_term()
    return made


def trust(steps: int = 0) -> Trust:
    """That has followed the first steps of the history."""
    made = Trust(history().genesis)
    for step in history().steps[:steps]:
        made.advance(step)
    return made


def accounts(validators: ValidatorSet) -> set[bytes]:
    return {member.account for member in validators.members}


def test_the_history_changes_its_validators():
    sets = [accounts(each) for each in history().sets]
    first, later = ({person.id for person in people} for people in (OLD, NEW))
    assert sets == [first, {*first, NEW[1].id, NEW[2].id}, later, later, later]
    assert [step.header.height for step in history().steps] == [5, 10, 15, 20]


def test_every_block_is_believed_once_its_term_is_reached():
    made = history()
    for steps in range(5):
        known = trust(steps)
        assert known.term == steps
        for header, certificate in zip(made.headers, made.certificates, strict=True):
            if header.term <= steps:
                assert known.missing(header) == 0
                known.require_final(header, certificate)
                continue
            assert known.missing(header) == header.term - steps
            with pytest.raises(Malformed, match="steps are missing"):
                known.require_final(header, certificate)


def test_a_later_block_makes_those_before_it_final_within_a_term():
    made, known = history(), trust(4)
    for start in range(20, 22):
        known.require_final(
            made.headers[start], made.certificates[21], tuple(made.headers[start + 1 : 22])
        )
    # Over a border there is no such way: the last block of a term has its own certificate.
    with pytest.raises(Malformed):
        known.require_final(made.headers[18], made.certificates[21], tuple(made.headers[19:22]))


def test_records_of_the_newest_state_are_proven_by_the_newest_set():
    made = history()
    names = [(Table.META, b""), (Table.ACCOUNT, MANY[0].id), (Table.ACCOUNT, b"n" * 32)]
    proof = StateProof(
        header=made.headers[-1],
        certificate=made.certificates[-1],
        records=tuple(proven(made.ledger.state, name) for name in names),
    )
    meta, account, nobody = verify_state(trust(4), proof)
    assert isinstance(meta, Meta)
    assert meta.height == 22
    assert isinstance(account, Account)
    assert nobody is None
    with pytest.raises(Malformed, match="steps are missing"):
        verify_state(trust(3), proof)
    tip = made.headers[-1]
    older = proof.model_copy(update={"header": made.headers[-2], "descendants": (tip,)})
    with pytest.raises(Malformed):
        verify_state(trust(4), older)


def test_a_step_that_was_followed_changes_nothing():
    known = trust(4)
    before = known.checkpoint
    for step in history().steps:
        known.advance(decode(TermStep, encode(step)))
    assert (known.term, known.checkpoint) == (4, before)


# steps that lead nowhere


def changed(step: TermStep, **changes: object) -> TermStep:
    """With another header, certified by the validators of its own term."""
    header = step.header.model_copy(update=changes)
    certificate = certify(header, history().sets[step.header.term])
    return step.model_copy(update={"header": header, "certificate": certificate})


def leading_to(step: TermStep, table: Table, key: bytes, record: object) -> TermStep:
    """To a state with one record, that the validators of the term did sign."""
    state = State.of({(table, key): record})
    bent = changed(step, state_root=state.root)
    return bent.model_copy(update={"validators": proven(state, (table, key))})


def bent_steps() -> dict[str, TermStep]:
    made = history()
    first, second, third, _ = made.steps
    next_set, network = made.sets[1], made.genesis.network
    empty = State.of({(Table.META, b""): Meta()})
    absent = changed(first, state_root=empty.root).model_copy(
        update={"validators": proven(empty, (Table.VALIDATORS, b""))}
    )
    header = first.header
    weak = certify(header, made.sets[0], count=2)
    notarized = first.certificate.model_copy(
        update={"vote": first.certificate.vote.model_copy(update={"kind": "notarize"})}
    )
    forged_record = first.validators.model_copy(
        update={"record": encode(made.sets[0].model_copy(update={"term": 1}))}
    )
    return {
        "a term skipped": second,
        "two terms skipped": third,
        "of another network": other().steps[0],
        "of another network, signed for this one": first.model_copy(
            update={
                "header": other().steps[0].header,
                "certificate": certify(other().steps[0].header, made.sets[0], network=network),
            }
        ),
        "not the last block of its term": first.model_copy(
            update={"header": made.headers[3], "certificate": made.certificates[3]}
        ),
        "leading to the next set before the term is over": leading_to(
            first.model_copy(update={"header": made.headers[3]}), Table.VALIDATORS, b"", next_set
        ),
        "the last of another term": changed(first, height=10),
        "the first block of the next": first.model_copy(
            update={"header": made.headers[5], "certificate": made.certificates[5]}
        ),
        "no quorum": first.model_copy(update={"certificate": weak}),
        "notarized only": first.model_copy(update={"certificate": notarized}),
        "the certificate of another block": first.model_copy(
            update={"certificate": made.certificates[3]}
        ),
        "signed by those who come": first.model_copy(
            update={"certificate": certify(header, next_set, NEW[1:], count=3)}
        ),
        "another record": leading_to(first, Table.META, b"", Meta()),
        "validators under another key": leading_to(first, Table.VALIDATORS, b"x", next_set),
        "no validators": absent,
        "a forged set": first.model_copy(update={"validators": forged_record}),
        "the present set": leading_to(first, Table.VALIDATORS, b"", made.sets[0]),
        "the set of a later term": leading_to(first, Table.VALIDATORS, b"", made.sets[2]),
    }


@pytest.mark.parametrize("name", bent_steps())
def test_a_step_with_one_thing_wrong_is_refused(name):
    known = trust()
    with pytest.raises(Malformed):
        known.advance(bent_steps()[name])
    assert (known.term, known.checkpoint) == (0, beginning(history().genesis))
    known.advance(history().steps[0])


def test_after_a_border_the_certificate_of_the_old_set_is_worth_nothing():
    made, known = history(), trust(2)
    header = made.headers[10]
    known.require_final(header, made.certificates[10])
    old = made.sets[0]
    with pytest.raises(Malformed):
        known.require_final(header, certify(header, old))
    # Not even for a block that names the old set.
    bent = header.model_copy(update={"validators_hash": old.hash})
    with pytest.raises(Malformed, match="another validator set"):
        known.require_final(bent, certify(bent, old))


def test_a_block_in_another_term_than_its_height_is_refused():
    header = history().headers[0]
    for changes in ({"term": 1}, {"height": 6}, {"height": 0}):
        with pytest.raises(Malformed, match="is not of term"):
            trust().missing(header.model_copy(update=changes))


def test_a_block_of_another_network_is_refused():
    with pytest.raises(Malformed, match="another network"):
        trust().missing(other().headers[0])


def test_endless_terms_are_not_followed():
    header = history().headers[0]
    far = {"term": MAX_STEPS, "height": MAX_STEPS * 5 + 1}
    assert trust().missing(header.model_copy(update=far)) == MAX_STEPS
    further = {"term": MAX_STEPS + 1, "height": MAX_STEPS * 5 + 6}
    with pytest.raises(Malformed, match="begin with a checkpoint"):
        trust().missing(header.model_copy(update=further))


# a quorum that breaks its word


def test_two_ends_of_one_term_are_a_fork():
    known = trust(2)
    twin = changed(history().steps[0], time_ms=1)
    with pytest.raises(Forked, match="cannot be trusted"):
        known.advance(twin)
    assert known.term == 2


def test_who_left_long_ago_cannot_write_history_anew():
    """The validators of the first term, who have nothing to lose any more, sign another set."""
    made = history()
    mine = made.sets[0].model_copy(update={"term": 1})
    twin = leading_to(made.steps[0], Table.VALIDATORS, b"", mine)
    with pytest.raises(Forked):
        trust(1).advance(twin)
    later = Trust(made.genesis, trust(2).checkpoint)
    with pytest.raises(Malformed, match="begins with term 2"):
        later.advance(twin)
    # Who trusts nothing but the genesis cannot tell: that is what checkpoints are for.
    trust().advance(twin)


def test_a_block_on_another_end_of_the_term_is_a_fork():
    made = history()
    header = made.headers[5].model_copy(update={"parent": b"x" * 32})
    with pytest.raises(Forked):
        trust(1).require_final(header, certify(header, made.sets[1]))


# checkpoints


def test_trust_goes_on_from_a_checkpoint():
    made = history()
    for steps in range(5):
        kept = decode(Checkpoint, encode(trust(steps).checkpoint))
        assert kept.height == 5 * steps
        known = Trust(made.genesis, kept)
        for step in made.steps[steps:]:
            known.advance(step)
        assert known.checkpoint == trust(4).checkpoint
        known.require_final(made.headers[-1], made.certificates[-1])
        if steps:
            with pytest.raises(Malformed, match=f"trust begins with term {steps}"):
                known.require_final(made.headers[0], made.certificates[0])


def test_a_history_that_passes_by_a_checkpoint_is_the_same():
    made = history()
    for steps in range(5):
        trust(4).require_passes(trust(steps).checkpoint)
        trust(1).require_passes(trust(steps).checkpoint)  # what is ahead is not known
    mine = made.sets[0].model_copy(update={"term": 1})
    other = trust()
    other.advance(leading_to(made.steps[0], Table.VALIDATORS, b"", mine))
    trust().require_passes(other.checkpoint)
    with pytest.raises(Forked, match="not the one of the checkpoint at height 5"):
        trust(4).require_passes(other.checkpoint)
    with pytest.raises(Forked):
        other.require_passes(trust(1).checkpoint)


def test_who_remembers_few_terms_follows_all_the_same():
    made = history()
    known = Trust(made.genesis, most=2)
    for step in made.steps:
        known.advance(step)
        assert known.checkpoint == trust(known.term).checkpoint
    assert (known.first_term, known.term) == (3, 4)
    for place in (15, 19, 20, 21):
        known.require_final(made.headers[place], made.certificates[place])
    with pytest.raises(Malformed, match="trust begins with term 3"):
        known.require_final(made.headers[14], made.certificates[14])
    with pytest.raises(Malformed, match="trust begins with term 3"):
        known.advance(made.steps[0])


def test_the_beginning_is_a_checkpoint():
    made = history()
    assert trust().checkpoint == beginning(made.genesis)
    assert Trust(made.genesis, beginning(made.genesis)).term == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"network": b"x" * 32},
        {"height": 9},
        {"height": 11},
        {"height": 15},
        {"height": 2**63 - 1},
    ],
)
def test_a_checkpoint_that_cannot_be_is_refused(changes):
    kept = trust(2).checkpoint.model_copy(update=changes)
    with pytest.raises(Malformed):
        Trust(history().genesis, kept)
