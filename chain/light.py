"""What a client checks to believe a node it does not trust: certificates and proofs.

Whoever knows the validators of a term (`chain.trust`) believes a header with a certificate of a
quorum of them; its state root, transactions root and outcomes root prove everything else.
"""

from collections.abc import Sequence
from typing import cast

from chain import statetree
from chain.blocks import Header, ProvenRecord, TransactionProof
from chain.records import RECORDS, Table
from chain.state import tree_key
from chain.validators import ValidatorSet
from chain.votes import VOTE_DOMAIN, Certificate
from wire import merkle, signing
from wire.codec import Message, decode, digest, encode
from wire.errors import HoldfastError, Malformed


class Forked(HoldfastError):
    """Two final blocks at one height: a quorum of validators broke its word. Trust nothing."""


def verify_certificate(
    network: bytes, validators: ValidatorSet, header: Header, certificate: Certificate
) -> None:
    """Raise `Malformed` unless a quorum of `validators` made `header` final."""
    if header.network != network:
        raise Malformed("the block is of another network")
    if header.term != validators.term or header.validators_hash != validators.hash:
        raise Malformed("the block is signed by another validator set")
    vote = certificate.vote
    # The last block of a term is proposed in every view until it is final: its own is the first.
    named = (vote.kind, vote.term, vote.height, vote.block)
    if named != ("finalize", header.term, header.height, header.id) or vote.view < header.view:
        raise Malformed("the certificate is of another block")
    require_quorum(network, validators, certificate)


def verify_final(
    network: bytes,
    validators: ValidatorSet,
    header: Header,
    certificate: Certificate,
    descendants: Sequence[Header] = (),
) -> None:
    """As `verify_certificate`, where the certificate may be of a block that follows.

    `descendants` leads to it, block by block within the term.
    """
    last = header
    for child in descendants:
        place = (child.term, child.height, child.parent)
        if place != (last.term, last.height + 1, last.id):
            raise Malformed("the block is not an ancestor of the one with the certificate")
        last = child
    verify_certificate(network, validators, last, certificate)


def require_quorum(network: bytes, validators: ValidatorSet, certificate: Certificate) -> None:
    """Raise `Malformed` unless a quorum of `validators` signed the certificate's vote."""
    indices = [signature.index for signature in certificate.signatures]
    if indices != sorted(set(indices)) or len(indices) < validators.quorum:
        raise Malformed(f"{len(indices)} signatures are no quorum")
    body = encode(certificate.vote)
    for signature in certificate.signatures:
        if signature.index >= len(validators.members):
            raise Malformed("a signature of no validator")
        key = validators.members[signature.index].key
        signing.require_signed(key, VOTE_DOMAIN, network, body, signature.signature)


def proven_record(state_root: bytes, proof: ProvenRecord) -> Message | None:
    """One record under a state root that is already believed; raises `Malformed`."""
    try:
        table = Table(proof.table)
    except ValueError:
        raise Malformed(f"there is no table {proof.table}") from None
    met = None if proof.met is None else (proof.met.key, proof.met.value)
    path = statetree.Proof(proof.siblings, met)
    value = statetree.verify(state_root, tree_key(table, proof.key), path)
    if value is None:
        if proof.record is not None:
            raise Malformed("a record was sent that the state does not have")
        return None
    if proof.record is None:
        raise Malformed("the state has a record that was not sent")
    record = decode(RECORDS[table], proof.record)
    if digest(record) != value:
        raise Malformed("the record is not the one in the state")
    return cast("Message", record)


def require_included(transaction: bytes, proof: TransactionProof) -> None:
    """Raise `Malformed` unless a block that is believed holds the transaction with that outcome."""
    included = merkle.root_from_proof(
        transaction, proof.position, proof.count, proof.transaction_path
    )
    if included != proof.header.transactions_root:
        raise Malformed("the transaction is not in the block")
    leaf = encode((transaction, proof.reason))
    concluded = merkle.root_from_proof(leaf, proof.position, proof.count, proof.outcome_path)
    if concluded != proof.header.outcomes_root:
        raise Malformed("the outcome is not the block's")
