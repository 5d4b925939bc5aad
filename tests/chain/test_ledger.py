"""Blocks on top of blocks: what is proposed is what others find valid, and nothing else is."""

from hashlib import sha512

import pytest
from nacl.bindings import (
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_scalarmult_ed25519_base_noclamp,
)

from chain.bodies.coins import Transfer
from chain.consensus.port import Proposal
from chain.ledger import Ledger
from chain.messages import TRANSACTION_DOMAIN, SignedTransaction
from chain.reasons import Reason
from chain.transition import genesis_state
from chain.validators import view_input
from tests.people import BALANCE, OWNER, START_MS, STRANGER, VALIDATOR, genesis
from tests.stages import funded
from wire import vrf
from wire.codec import encode
from wire.errors import Malformed, Rejected
from wire.keys import Use
from wire.primitives import blake2b_256
from wire.signing import signable

GENESIS = genesis()


def pay(nonce: int = 0, **changes: object) -> SignedTransaction:
    return funded().sign(OWNER, Transfer(to=STRANGER.id, amount_base=5), nonce=nonce, **changes)


def ledger(*blocks: tuple[SignedTransaction, ...]) -> Ledger:
    """A ledger on which these blocks have been committed."""
    made = Ledger(GENESIS, genesis_state(GENESIS), None)
    for number, transactions in enumerate(blocks, start=1):
        made.commit(made.propose(made.root, proposal(number), transactions))
    return made


def alpha(view: int) -> bytes:
    return view_input(GENESIS.network, GENESIS.first_set.seed, 0, view)


def proposal(view: int, **changes: object) -> Proposal:
    proof = vrf.prove(
        VALIDATOR.key(Use.VRF), view_input(GENESIS.network, GENESIS.first_set.seed, 0, view)
    )
    fields = {
        "view": view,
        "time_ms": START_MS + view,
        "proposer": VALIDATOR.id,
        "vrf_proof": proof,
        "vrf_output": vrf.output(proof),
    }
    return Proposal(**{**fields, **changes})


def test_a_proposed_block_is_valid_to_others_and_leads_to_the_same_state():
    proposer, other = ledger((pay(),)), ledger((pay(),))
    block = proposer.propose(proposer.root, proposal(7), (pay(1), pay(2))).block
    assert block.header.height == 2
    assert block.header.parent == proposer.tip.id
    for one in (proposer, other):
        one.commit(one.validate(block))
    assert proposer.state.root == other.state.root == block.header.state_root
    assert proposer.tip == other.tip == block.header


def test_validating_changes_nothing():
    one = ledger()
    before = one.state.root
    one.validate(one.propose(one.root, proposal(1), (pay(),)).block)
    assert (one.state.root, one.height, one.tip) == (before, 0, None)


def test_the_first_block_follows_the_network_itself():
    one = ledger()
    assert one.propose(one.root, proposal(1), ()).block.header.parent == GENESIS.network


def other_proof(alpha: bytes) -> bytes:
    return vrf.prove(VALIDATOR.key(Use.VRF), alpha)


WRONG_HEADERS = {
    "another network": {"network": b"x" * 32},
    "a height further on": {"height": 3},
    "the height again": {"height": 1},
    "another parent": {"parent": b"x" * 32},
    "the view again": {"view": 1},
    "another view": {"view": 3},
    "the time again": {"time_ms": START_MS + 1},
    "a proposer that is no validator": {"proposer": OWNER.id},
    "a proof for another view": {"vrf_proof": other_proof(alpha(3))},
    "no proof": {"vrf_proof": bytes(80)},
    "other transactions": {"transactions_root": b"x" * 32},
    "other outcomes": {"outcomes_root": b"x" * 32},
    "another state": {"state_root": b"x" * 32},
    "other validators": {"validators_hash": b"x" * 32},
}


@pytest.mark.parametrize("changes", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_a_header_with_one_thing_wrong_is_refused(changes):
    one = ledger((pay(),))
    block = one.propose(one.root, proposal(2), (pay(1),)).block
    one.validate(block)
    header = block.header.model_copy(update=changes)
    with pytest.raises(Malformed):
        one.validate(block.model_copy(update={"header": header}))


WRONG_TRANSACTIONS = {
    "one left out": (),
    "one twice": (pay(1), pay(1)),
    "one too early": (pay(2),),
    "an old one": (pay(0),),
    "an unsigned one": (pay(1).model_copy(update={"signature": bytes(64)}),),
    "one with uninvited evidence": (pay(1).model_copy(update={"sidecar": b"uninvited"}),),
    "another one": (pay(1, fee_base=11),),
}


@pytest.mark.parametrize("transactions", WRONG_TRANSACTIONS.values(), ids=WRONG_TRANSACTIONS)
def test_a_block_with_other_transactions_is_refused(transactions):
    one = ledger((pay(),))
    block = one.propose(one.root, proposal(2), (pay(1),)).block
    with pytest.raises(Malformed):
        one.validate(block.model_copy(update={"transactions": transactions}))


@pytest.mark.parametrize("transactions", WRONG_TRANSACTIONS.values(), ids=WRONG_TRANSACTIONS)
def test_it_is_refused_as_well_when_the_right_ones_were_checked_before(transactions):
    one = ledger((pay(),))
    block = one.propose(one.root, proposal(2), (pay(1),)).block
    one.check(pay(1), 0)
    with pytest.raises(Malformed):
        one.validate(block.model_copy(update={"transactions": transactions}))


def test_a_prepared_block_stays_when_it_comes_with_another_good_signature():
    """What has been built on it, or is about to be committed, must not lose its ground."""
    one = ledger((pay(),))
    prepared = one.propose(one.root, proposal(2), (pay(1),))
    again = pay(1).model_copy(update={"signature": signed_anew(pay(1))})
    assert again.is_signed() and again != pay(1)
    assert one.validate(prepared.block.model_copy(update={"transactions": (again,)})) is prepared
    one.commit(prepared)


def signed_anew(signed: SignedTransaction) -> bytes:
    """Another signature that is as good: with a nonce of the signer's choice (RFC 8032, 5.1.6)."""
    message = signable(TRANSACTION_DOMAIN, GENESIS.network, signed.transaction.encoded)
    key = OWNER.account
    digest = bytearray(sha512(key.seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    nonce = crypto_core_ed25519_scalar_reduce(bytes([7]) * 64)
    point = crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = crypto_core_ed25519_scalar_reduce(sha512(point + key.public + message).digest())
    secret = crypto_core_ed25519_scalar_reduce(bytes(digest) + bytes(32))
    product = crypto_core_ed25519_scalar_mul(challenge, secret)
    return point + crypto_core_ed25519_scalar_add(nonce, product)


def test_what_a_block_could_hold_is_admitted():
    one = ledger((pay(),))
    one.check(pay(1), 0)
    one.check(pay(3), 2)


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (pay(1).model_copy(update={"signature": bytes(64)}), Reason.BAD_SIGNATURE),
        (pay(1).model_copy(update={"sidecar": b"uninvited"}), Reason.BAD_SIGNATURE),
        (pay(0), Reason.NONCE_USED),
        (pay(2), Reason.NONCE_AHEAD),
        (pay(1, valid_until=1), Reason.EXPIRED),
        (pay(1, fee_base=BALANCE), Reason.INSUFFICIENT_BALANCE),
    ],
)
def test_what_no_block_could_hold_is_not_admitted(signed, reason):
    with pytest.raises(Rejected) as refused:
        ledger((pay(),)).check(signed, 0)
    assert refused.value.reason is reason


def test_the_same_blocks_have_the_same_names_on_every_node():
    one, other = ledger((pay(),), (pay(1),)), ledger((pay(),), (pay(1),))
    assert one.tip.id == other.tip.id == blake2b_256(encode(one.tip))
