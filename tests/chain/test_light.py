"""What is believed of a node that nobody trusts, and what is not."""

import pytest

from chain.blocks import Header, MetLeaf, TransactionProof
from chain.bodies.coins import Transfer
from chain.light import (
    proven_record,
    verify_certificate,
    verify_final,
)
from chain.reasons import Reason
from chain.records import Account, Meta, Table
from chain.trust import Trust, verify_state, verify_transaction
from chain.validators import quorum
from chain.votes import Certificate, ValidatorSignature
from tests.chain.final import (
    certificate,
    genesis_of,
    header,
    proven,
    signature,
    state_proof,
    validators,
    vote,
)
from tests.chain.test_ledger import ledger, proposal
from tests.people import OWNER, STRANGER, genesis
from tests.stages import funded, staffed
from wire import merkle
from wire.codec import encode
from wire.errors import Malformed
from wire.keys import Use

QUORUMS = [
    (1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (8, 6), (9, 7), (10, 7), (100, 67),
    (128, 86),
]  # fmt: skip


@pytest.mark.parametrize(("count", "needed"), QUORUMS)
def test_a_quorum_is_all_but_less_than_a_third(count, needed):
    assert quorum(count) == needed
    faulty = count - needed
    assert 3 * faulty < count, "as many as may fail leave a quorum"
    assert 2 * needed - count > faulty, "two quorums share an honest validator"


@pytest.mark.parametrize(("count", "needed"), QUORUMS[:10])
def test_a_certificate_takes_a_quorum_and_no_less(count, needed):
    agreed = genesis_of(count)
    final = header(agreed)
    for signers in (range(needed), range(count), range(count - needed, count)):
        verify_certificate(agreed.network, agreed.first_set, final, certificate(final, signers))
    for signers in (range(needed - 1), range(1, needed), ()):
        with pytest.raises(Malformed, match="no quorum"):
            verify_certificate(agreed.network, agreed.first_set, final, certificate(final, signers))


AGREED = genesis_of(4)
FINAL = header(AGREED, 7)
GOOD = certificate(FINAL, (0, 2, 3))


def with_signatures(*signatures: ValidatorSignature) -> Certificate:
    return Certificate(vote=vote(FINAL), signatures=signatures)


ZERO, ONE, TWO, THREE = (signature(FINAL, index) for index in range(4))
FORGED = ValidatorSignature(index=3, signature=bytes(64))
BENT = ValidatorSignature(
    index=3,
    signature=THREE.signature[:10] + bytes([THREE.signature[10] ^ 1]) + THREE.signature[11:],
)
BAD_CERTIFICATES = {
    "a signature twice": with_signatures(ZERO, ONE, ONE),
    "a signature thrice": with_signatures(ZERO, ZERO, ZERO),
    "one again under another place": with_signatures(
        ZERO, ONE, ValidatorSignature(index=2, signature=ONE.signature)
    ),
    "signatures not in order": with_signatures(ZERO, TWO, ONE),
    "a quorum and one twice": with_signatures(ZERO, ONE, TWO, TWO),
    "a forged one": with_signatures(ZERO, ONE, FORGED),
    "a quorum and a forged one": with_signatures(ZERO, ONE, TWO, FORGED),
    "a signature with one bit changed": with_signatures(ZERO, ONE, BENT),
    "a place that there is not": with_signatures(ZERO, ONE, signature(FINAL, 4)),
    "a place far away": with_signatures(
        ZERO, ONE, ValidatorSignature(index=2**63 - 1, signature=bytes(64))
    ),
    "a stranger's": with_signatures(ZERO, ONE, signature(FINAL, 2, STRANGER.key(Use.VALIDATOR))),
    "one by another key of the validator": with_signatures(
        ZERO, ONE, signature(FINAL, 2, validators(4)[2].account)
    ),
    "one for another network": with_signatures(
        ZERO, ONE, signature(FINAL, 2, network=genesis().network)
    ),
    "one for another block": with_signatures(ZERO, ONE, signature(header(AGREED, 8), 2)),
    "nobody's": with_signatures(),
    "another height": Certificate(
        vote=vote(FINAL).model_copy(update={"height": 8}), signatures=GOOD.signatures
    ),
    "another view": Certificate(
        vote=vote(FINAL).model_copy(update={"view": 6}), signatures=GOOD.signatures
    ),
    "another block": certificate(header(AGREED, 7, state_root=b"x" * 32), (0, 1, 2)),
}


def test_a_good_certificate_is_believed():
    verify_certificate(AGREED.network, AGREED.first_set, FINAL, GOOD)


@pytest.mark.parametrize("bad", BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES)
def test_a_certificate_with_one_thing_wrong_is_not(bad):
    with pytest.raises(Malformed):
        verify_certificate(AGREED.network, AGREED.first_set, FINAL, bad)


HEADER_CHANGES = {
    "network": b"x" * 32,
    "validators_hash": b"x" * 32,
    "height": 8,
    "view": 8,
    "parent": b"x" * 32,
    "proposer": b"x" * 32,
    "time_ms": 1,
    "transactions_root": b"x" * 32,
    "outcomes_root": b"x" * 32,
    "state_root": b"x" * 32,
}


@pytest.mark.parametrize("field", HEADER_CHANGES)
def test_a_certificate_covers_every_field_of_the_header(field):
    changed = FINAL.model_copy(update={field: HEADER_CHANGES[field]})
    with pytest.raises(Malformed):
        verify_certificate(AGREED.network, AGREED.first_set, changed, GOOD)


@pytest.mark.parametrize("change", [{"network": b"x" * 32}, {"validators_hash": b"x" * 32}])
def test_validators_cannot_sign_for_another_network_or_set(change):
    foreign = header(AGREED, 7, **change)
    with pytest.raises(Malformed, match="another"):
        verify_certificate(
            AGREED.network, AGREED.first_set, foreign, certificate(foreign, (0, 1, 2))
        )


def test_the_blocks_of_another_network_are_not_believed():
    other = genesis_of(3)
    final = header(other)
    verify_certificate(other.network, other.first_set, final, certificate(final, (0, 1, 2)))
    with pytest.raises(Malformed, match="another network"):
        verify_certificate(AGREED.network, AGREED.first_set, final, certificate(final, (0, 1, 2)))


# records

WORLD = staffed()
STATE = WORLD.state
OWNERS, NOBODYS = (Table.ACCOUNT, OWNER.id), (Table.ACCOUNT, b"n" * 32)
PRESENT, ABSENT = proven(STATE, OWNERS), proven(STATE, NOBODYS)
ELSE = proven(STATE, (Table.ACCOUNT, STRANGER.id))


def test_records_and_their_absence_are_believed():
    names = [OWNERS, NOBODYS, (Table.META, b"")]
    proof = state_proof(WORLD.genesis, STATE, WORLD.height, names)
    owner, nobody, meta = verify_state(Trust(WORLD.genesis), proof)
    assert owner == STATE.get(OWNERS)
    assert nobody is None
    assert isinstance(meta, Meta)
    assert meta.height == WORLD.height


def richer() -> bytes:
    account = STATE.get(OWNERS)
    assert isinstance(account, Account)
    return encode(account.model_copy(update={"balance_base": 10**12}))


FORGED_RECORDS = {
    "more coins": PRESENT.model_copy(update={"record": richer()}),
    "another account's record": PRESENT.model_copy(update={"record": ELSE.record}),
    "another account's proof": ELSE.model_copy(update={"key": OWNER.id}),
    "another table": PRESENT.model_copy(update={"table": int(Table.STAKE)}),
    "a table that there is not": PRESENT.model_copy(update={"table": 99}),
    "a record withheld": PRESENT.model_copy(update={"record": None}),
    "absence by an empty place": PRESENT.model_copy(update={"record": None, "met": None}),
    "absence by another's leaf": ELSE.model_copy(update={"key": OWNER.id, "record": None}),
    "presence of what is absent": ABSENT.model_copy(update={"record": richer()}),
    "a made-up leaf": ABSENT.model_copy(
        update={"record": richer(), "met": MetLeaf(key=b"n" * 32, value=b"v" * 32)}
    ),
    "a truncated path": PRESENT.model_copy(update={"siblings": PRESENT.siblings[:-1]}),
    "a path without its first step": PRESENT.model_copy(update={"siblings": PRESENT.siblings[1:]}),
    "a longer path": PRESENT.model_copy(update={"siblings": (*PRESENT.siblings, bytes(32))}),
    "no path": PRESENT.model_copy(update={"siblings": ()}),
    "a path with one step changed": PRESENT.model_copy(
        update={"siblings": (bytes(32), *PRESENT.siblings[1:])}
    ),
    "no leaf": PRESENT.model_copy(update={"met": None}),
    "a record that is none": PRESENT.model_copy(update={"record": b"\xff"}),
    "an empty record": PRESENT.model_copy(update={"record": b""}),
}


@pytest.mark.parametrize("forged", FORGED_RECORDS.values(), ids=FORGED_RECORDS)
def test_a_forged_record_is_not_believed(forged):
    assert proven_record(STATE.root, PRESENT) is not None
    assert proven_record(STATE.root, ABSENT) is None
    with pytest.raises(Malformed):
        proven_record(STATE.root, forged)


def test_a_record_of_another_state_is_not_believed():
    with pytest.raises(Malformed):
        proven_record(funded().state.root, PRESENT)


def test_one_forged_record_spoils_the_whole_answer():
    proof = state_proof(WORLD.genesis, STATE, WORLD.height, [OWNERS, NOBODYS])
    forged = proof.model_copy(
        update={"records": (proof.records[0], FORGED_RECORDS["presence of what is absent"])}
    )
    with pytest.raises(Malformed):
        verify_state(Trust(WORLD.genesis), forged)


# transactions


def included(position: int = 1) -> tuple[bytes, TransactionProof]:
    """The place of one of three transactions, the last of which was rejected."""
    one = ledger()
    signed = tuple(
        funded().sign(OWNER, Transfer(to=STRANGER.id, amount_base=amount), nonce=nonce)
        for nonce, amount in enumerate((1, 2, 10**12))
    )
    prepared = one.propose(one.root, proposal(1), signed)
    final = prepared.block.header
    ids = [each.transaction.id for each in signed]
    leaves = [encode((each.transaction, each.reason)) for each in prepared.outcomes]
    return ids[position], TransactionProof(
        header=final,
        certificate=certificate(final),
        position=position,
        count=3,
        reason=prepared.outcomes[position].reason,
        detail="",
        transaction_path=merkle.inclusion_proof(ids, position),
        outcome_path=merkle.inclusion_proof(leaves, position),
    )


@pytest.mark.parametrize(
    ("position", "reason"), [(0, ""), (1, ""), (2, Reason.INSUFFICIENT_BALANCE.value)]
)
def test_what_became_of_a_transaction_is_believed(position, reason):
    transaction, proof = included(position)
    assert verify_transaction(Trust(genesis()), transaction, proof) == reason


FORGED_OUTCOMES = {
    "rejected instead of applied": {"reason": Reason.EXPIRED.value},
    "another place": {"position": 2},
    "a place beyond the end": {"position": 3},
    "fewer transactions": {"count": 2},
    "far more transactions": {"count": 2**62},
    "no transactions": {"count": 0},
    "no path": {"transaction_path": ()},
    "no outcome's path": {"outcome_path": ()},
    "a longer path": {"transaction_path": (bytes(32),) * 3},
    "another block": {"header": header(genesis(), 1)},
    "another certificate": {"certificate": certificate(header(genesis(), 2))},
}


@pytest.mark.parametrize("changes", FORGED_OUTCOMES.values(), ids=FORGED_OUTCOMES)
def test_a_forged_outcome_is_not_believed(changes):
    transaction, proof = included()
    with pytest.raises(Malformed):
        verify_transaction(Trust(genesis()), transaction, proof.model_copy(update=changes))


def test_a_rejected_transaction_cannot_be_shown_as_applied():
    transaction, proof = included(2)
    with pytest.raises(Malformed, match="outcome"):
        verify_transaction(Trust(genesis()), transaction, proof.model_copy(update={"reason": ""}))


def test_another_transaction_is_not_the_one_that_was_included():
    _, proof = included()
    with pytest.raises(Malformed, match="not in the block"):
        verify_transaction(Trust(genesis()), b"x" * 32, proof)


# final because a later block is


def following(before: Header, /, **changes: object) -> Header:
    fields = {"height": before.height + 1, "view": before.view + 1, "parent": before.id}
    return before.model_copy(update={**fields, **changes})


def test_a_certificate_counts_for_the_blocks_before_its_own():
    child = following(FINAL)
    grandchild = following(child)
    seal = certificate(grandchild, (0, 1, 2))
    verify_final(AGREED.network, AGREED.first_set, FINAL, seal, (child, grandchild))
    verify_final(AGREED.network, AGREED.first_set, grandchild, seal)


WRONG_DESCENT = {
    "another parent": {"parent": b"x" * 32},
    "a height left out": {"height": 9},
    "another term": {"term": 1},
}


@pytest.mark.parametrize("changes", WRONG_DESCENT.values(), ids=WRONG_DESCENT)
def test_a_certificate_counts_for_nothing_else(changes):
    child = following(FINAL, **changes)
    with pytest.raises(Malformed):
        verify_final(
            AGREED.network, AGREED.first_set, FINAL, certificate(child, (0, 1, 2)), (child,)
        )


def test_a_certificate_of_a_later_block_needs_the_way_to_it():
    with pytest.raises(Malformed):
        verify_final(
            AGREED.network, AGREED.first_set, FINAL, certificate(following(FINAL), (0, 1, 2))
        )
