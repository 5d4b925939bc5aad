"""What a transaction costs at least: its envelope, and its room in a block by the KiB.

The evidence beside it counts like the transaction itself: every validator reads, checks and
keeps it, and it takes the room of others. Where blocks are full, whoever has a deadline offers
more until then, up to what it is ready to pay.
"""

from chain.genesis import Parameters
from chain.messages import Transaction

KIB = 1 << 10

REPLACEMENT_PERCENT = 110
"""Of a waiting transaction's fee: what another with its nonce must pay to take its place."""


def least_fee_base(parameters: Parameters, transaction: Transaction, sidecar: bytes) -> int:
    """The least fee of a transaction with this evidence; a KiB that is started counts whole."""
    size_bytes = len(transaction.encoded) + len(sidecar)
    return parameters.fee_minimum_base + parameters.fee_base_per_kib * -(-size_bytes // KIB)


def with_least_fee(parameters: Parameters, transaction: Transaction, sidecar: bytes) -> Transaction:
    """The transaction, unsigned, with the least fee: a fee is a part of the size it pays for."""
    while transaction.fee_base < (least := least_fee_base(parameters, transaction, sidecar)):
        transaction = transaction.model_copy(update={"fee_base": least})
    return transaction


def replacement_base(fee_base: int) -> int:
    """The least fee of what takes the place of a waiting transaction with this one."""
    return -(-fee_base * REPLACEMENT_PERCENT // 100)


def offer_base(least_base: int, limit_base: int, begun: int, by_height: int, height: int) -> int:
    """What to offer at `height` for room in a block until `by_height`, having begun at `begun`.

    The least fee for a quarter of the time; doubled at even steps in the next; then the limit, so
    that whoever keeps it out has to pay as much for the room in half of the blocks.
    """
    if limit_base <= least_base or least_base == 0:
        return least_base
    half = (by_height - begun) // 2
    quarter = half // 2
    if height - begun >= half:
        return limit_base
    doublings = (limit_base // least_base).bit_length()
    passed = max(height - begun - quarter, 0)
    return min(limit_base, least_base << doublings * passed // (half - quarter))
