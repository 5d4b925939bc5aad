"""What a hoster shows on the chain of what it was asked for, in as few answers as it fits into."""

from collections.abc import Iterator, Sequence

from audit.entries import pack_uncles
from chain.bodies.data import Answer, AnsweredChunk
from chain.messages import MAX_SIDECAR_BYTES
from feed import multiproof
from feed.feed import Feed
from wire.errors import NotFound

PROOF_BYTES = 2 << 10
"""Above what proves one chunk and names it: at most 40 uncles of 40 bytes."""


def split(sizes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """Which chunks, given as (index, bytes) in order, go into one answer each."""
    part: list[int] = []
    total = 0
    for index, size in sizes:
        if part and total + size + PROOF_BYTES > MAX_SIDECAR_BYTES:
            yield tuple(part)
            part, total = [], 0
        part.append(index)
        total += size + PROOF_BYTES
    if part:
        yield tuple(part)


def answers(feed: Feed, length: int, wanted: Sequence[int]) -> list[Answer]:
    """Chunks of the feed, as it was at this length, with their proofs.

    Raises `NotFound` when one is not here. A chunk that has rotted is dropped, so that it is
    fetched again, and not here either.
    """
    values: dict[int, bytes] = {}
    for index in wanted:
        chunk = feed.chunk(index)
        if not chunk.is_intact():
            feed.forget([index])
            raise NotFound(f"chunk {index} has rotted on disk")
        values[index] = chunk.value
    return [
        Answer(
            chunks=tuple(AnsweredChunk(index=index, data=values[index]) for index in part),
            uncles=pack_uncles(multiproof.make(length, part, feed.node)),
        )
        for part in split([(index, len(value)) for index, value in values.items()])
    ]
