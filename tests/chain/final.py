"""Final blocks and what they prove, made by the validators themselves: valid by default."""

from collections.abc import Iterable, Sequence
from functools import cache

from chain.blocks import Header, MetLeaf, ProvenRecord, StateProof
from chain.consensus.port import Decided, Proposal
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.messages import SignedTransaction
from chain.records import Table
from chain.state import State, tree_key
from chain.statetree import prove
from chain.transition import genesis_state
from chain.validators import view_input
from chain.votes import VOTE_DOMAIN, Certificate, ValidatorSignature, Vote
from tests.chain.test_ledger import proposal
from tests.people import BLOCK_MS, START_MS, VALIDATOR, Person, genesis, genesis_validator
from wire import signing, vrf
from wire.codec import encode
from wire.keys import KeyPair, Use

Name = tuple[Table, bytes]


@cache
def validators(count: int) -> tuple[Person, ...]:
    """So many validators; the first is the one of `genesis()`."""
    return (VALIDATOR, *(Person(f"validator {number}") for number in range(1, count)))


@cache
def genesis_of(count: int) -> Genesis:
    """A network with so many validators."""
    return genesis().model_copy(
        update={"validators": tuple(genesis_validator(person) for person in validators(count))}
    )


@cache
def _first_header(agreed: Genesis) -> Header:
    one = Ledger(agreed, genesis_state(agreed), None)
    return one.propose(one.root, proposal(1), ()).block.header


def header(agreed: Genesis, height: int = 1, **changes: object) -> Header:
    """A header at some height of a network."""
    fields = {"height": height, "view": height, "time_ms": START_MS + height * BLOCK_MS}
    return _first_header(agreed).model_copy(update={**fields, **changes})


def vote(of: Header) -> Vote:
    return Vote(kind="finalize", term=of.term, view=of.view, height=of.height, block=of.id)


def signature(
    of: Header, index: int, key: KeyPair | None = None, network: bytes | None = None
) -> ValidatorSignature:
    """The vote of the validator at a place, or of somebody else in its name."""
    person = validators(max(index + 1, 1))[index]
    signed = signing.sign(
        key or person.key(Use.VALIDATOR), VOTE_DOMAIN, network or of.network, encode(vote(of))
    )
    return ValidatorSignature(index=index, signature=signed)


def certificate(of: Header, signers: Iterable[int] = (0,)) -> Certificate:
    return Certificate(vote=vote(of), signatures=tuple(signature(of, index) for index in signers))


def proven(state: State, name: Name) -> ProvenRecord:
    """A record of a state, or its absence."""
    table, key = name
    proof = prove(state.tree, tree_key(table, key))
    record = state.get(name)
    return ProvenRecord(
        table=int(table),
        key=key,
        record=None if record is None else encode(record),
        siblings=proof.siblings,
        met=None if proof.met is None else MetLeaf(key=proof.met[0], value=proof.met[1]),
    )


def state_proof(agreed: Genesis, state: State, height: int, names: Sequence[Name]) -> StateProof:
    """Records of a state that a final block at `height` leads to."""
    final = header(agreed, height, state_root=state.root)
    return StateProof(
        header=final,
        certificate=certificate(final),
        records=tuple(proven(state, name) for name in names),
    )


def decide(ledger: Ledger, time_ms: int, transactions: tuple[SignedTransaction, ...]) -> Decided:
    """The next block of a network whose one validator is `VALIDATOR`, and its certificate."""
    tip, validators = ledger.tip, ledger.validators
    view = tip.view + 1 if tip and tip.term == validators.term else 1
    alpha = view_input(ledger.network, validators.seed, validators.term, view)
    proof = vrf.prove(VALIDATOR.key(Use.VRF), alpha)
    made = Proposal(
        view=view,
        time_ms=max(time_ms, tip.time_ms + 1 if tip else 0),
        proposer=VALIDATOR.id,
        vrf_proof=proof,
        vrf_output=vrf.output(proof),
    )
    prepared = ledger.propose(ledger.root, made, transactions)
    return Decided(prepared, certificate(prepared.block.header))
