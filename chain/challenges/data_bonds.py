"""What asking for chunks on the chain takes."""

from chain.bodies.data import MAX_CHUNK_BYTES
from chain.genesis import Parameters
from chain.head import Head
from chain.hosting_records import Asker

PROOF_BYTES = 4 << 10
"""Above what proves one chunk, and what names it."""

MAX_DOUBLINGS = 40


def largest_bytes(head: Head, named: int) -> int:
    """The most that answers to a request for so many chunks, and the one drawn, can take."""
    count = named + 1
    return min(head.byte_length, count * MAX_CHUNK_BYTES) + count * PROOF_BYTES


def fees_base(parameters: Parameters, head: Head, named: int) -> int:
    """The least fees of the largest answer."""
    kibs = -(-largest_bytes(head, named) // 1_024)
    return parameters.fee_minimum_base * (named + 1) + parameters.fee_base_per_kib * kibs


def bond_base(parameters: Parameters, head: Head, named: int, in_vain: int) -> int:
    """Those fees and a price, doubled for each request in vain."""
    fees = fees_base(parameters, head, named)
    return (parameters.ask_bond_base + fees) << min(in_vain, MAX_DOUBLINGS)


def asked_in_vain(asker: Asker | None, height: int) -> int:
    """How many answered requests of an account still count."""
    return asker.answered if asker is not None and height <= asker.until_height else 0
