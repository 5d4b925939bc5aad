"""Blocks, and proofs that they are final and of what they lead to."""

from functools import cached_property
from typing import Annotated

from pydantic import Field

from chain.messages import SignedTransaction
from chain.votes import Certificate, VrfProof
from wire import merkle
from wire.codec import Message, digest, encode
from wire.primitives import Bytes, Hash, Natural, PublicKey


class Header(Message):
    """What validators sign: a block's place, its writer, and the state it leads to."""

    network: Hash
    height: Natural
    term: Natural
    view: Natural
    """Counts the attempts at a block within the term; grows from block to block."""
    parent: Hash
    proposer: PublicKey
    """Account of the validator that wrote the block and earns its fees."""
    vrf_proof: VrfProof
    time_ms: Natural
    transactions_root: Hash
    outcomes_root: Hash
    state_root: Hash
    validators_hash: Hash

    @cached_property
    def id(self) -> bytes:
        """The hash that names the block."""
        return digest(self)


class Block(Message):
    """A header and the transactions it orders."""

    header: Header
    transactions: Annotated[tuple[SignedTransaction, ...], Field(max_length=10_000)]


MAX_DESCENDANTS = 1_024
"""Blocks in a row that are final only because a later one is: after long trouble with the net."""

Descendants = Annotated[tuple[Header, ...], Field(max_length=MAX_DESCENDANTS)]
"""Headers that follow one another from a block's child to the block that a certificate names."""


class FinalBlock(Message):
    """A final block as nodes keep it and pass it on."""

    block: Block
    certificate: Certificate | None
    """None: it is final because a later block is, whose certificate counts for both."""


class TransactionOutcome(Message):
    """What became of one transaction of a block: empty `reason` means it was applied."""

    transaction: Hash
    reason: Annotated[str, Field(max_length=64)]
    detail: Annotated[str, Field(max_length=200)]


class MetLeaf(Message):
    """The leaf at the end of a key's path in the state tree."""

    key: Hash
    value: Hash


class ProvenRecord(Message):
    """A record, or its absence, and the path to a state root."""

    table: Natural
    key: Bytes
    record: Bytes | None
    siblings: Annotated[tuple[Hash, ...], Field(max_length=256)]
    met: MetLeaf | None


MAX_PROVEN_RECORDS = 1024
"""Records in one answer; a client asks again for more."""


class StateProof(Message):
    """Records under one final header's state root."""

    header: Header
    certificate: Certificate
    records: Annotated[tuple[ProvenRecord, ...], Field(max_length=MAX_PROVEN_RECORDS)]
    descendants: Descendants = ()
    """Up to the block that the certificate names, where that is a later one."""


class RecordName(Message):
    """Which record is asked for, or was written."""

    table: Natural
    key: Bytes


RecordNames = Annotated[tuple[RecordName, ...], Field(max_length=MAX_PROVEN_RECORDS)]


class TransactionProof(Message):
    """A transaction's place in a final block, and what became of it."""

    header: Header
    certificate: Certificate
    position: Natural
    count: Natural
    reason: Annotated[str, Field(max_length=64)]
    detail: Annotated[str, Field(max_length=200)]
    """For people: not covered by any proof."""
    transaction_path: Annotated[tuple[Hash, ...], Field(max_length=64)]
    outcome_path: Annotated[tuple[Hash, ...], Field(max_length=64)]
    descendants: Descendants = ()
    """Up to the block that the certificate names, where that is a later one."""


class Notice(Message):
    """A final block as followers hear of it: a hint which records to ask for anew."""

    header: Header
    certificate: Certificate
    changed: Annotated[tuple[RecordName, ...], Field(max_length=100_000)]
    descendants: Descendants = ()
    """Up to the block that the certificate names, where that is a later one."""


def transactions_root(transactions: tuple[SignedTransaction, ...]) -> bytes:
    """The RFC 6962 root over the transactions' ids."""
    return merkle.root(signed.transaction.id for signed in transactions)


def outcomes_root(outcomes: tuple[TransactionOutcome, ...]) -> bytes:
    """The RFC 6962 root over transactions' ids and reasons; details are for people only."""
    return merkle.root(encode((outcome.transaction, outcome.reason)) for outcome in outcomes)
