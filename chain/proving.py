"""Proofs of records, made by whoever has the state."""

from chain.blocks import Header, MetLeaf, ProvenRecord, RecordName
from chain.records import Table
from chain.state import Draft, State, tree_key
from chain.statetree import prove
from chain.trust import TermStep
from chain.votes import Certificate
from wire.codec import encode


def proven(state: State | Draft, name: RecordName) -> ProvenRecord:
    """A record, or its absence, with its path to the state's root."""
    table = Table(name.table)
    proof = prove(state.tree, tree_key(table, name.key))
    record = state.get((table, name.key))
    return ProvenRecord(
        table=name.table,
        key=name.key,
        record=None if record is None else encode(record),
        siblings=proof.siblings,
        met=None if proof.met is None else MetLeaf(key=proof.met[0], value=proof.met[1]),
    )


def term_step(state: State | Draft, header: Header, certificate: Certificate) -> TermStep:
    """What leads a light client to the next term; `state` is after the last block of a term."""
    name = RecordName(table=int(Table.VALIDATORS), key=b"")
    return TermStep(header=header, certificate=certificate, validators=proven(state, name))
