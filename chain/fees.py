"""What a transaction costs at least: its envelope, and its room in a block by the KiB.

The evidence beside it counts like the transaction itself: every validator reads, checks and
keeps it, and it takes the room of others.
"""

from chain.genesis import Parameters
from chain.messages import Transaction

KIB = 1 << 10


def least_fee_base(parameters: Parameters, transaction: Transaction, sidecar: bytes) -> int:
    """The least fee of a transaction with this evidence; a KiB that is started counts whole."""
    size_bytes = len(transaction.encoded) + len(sidecar)
    return parameters.fee_minimum_base + parameters.fee_base_per_kib * -(-size_bytes // KIB)


def with_least_fee(parameters: Parameters, transaction: Transaction, sidecar: bytes) -> Transaction:
    """The transaction, unsigned, with the least fee: a fee is a part of the size it pays for."""
    while transaction.fee_base < (least := least_fee_base(parameters, transaction, sidecar)):
        transaction = transaction.model_copy(update={"fee_base": least})
    return transaction
