"""Shamir's secret sharing made deterministic: all that a member deals follows from its x.

    p            2^256 - 189, the largest prime of 256 bits
    seed         H("coin/sharing", topic, dealer, x)
    P            x + c1·C(X, 1) + … + ct·C(X, t); its c are from the stream (seed, "coefficients")
    share j      P(j + 1), for member j of 0..n-1
    salt j       16 bytes each from the stream (seed, "salts")
    leaf j       H("coin/leaf", H("coin/dealer", topic, dealer), j || share j || salt j)
    leaves hash  H("coin/leaves", topic, dealer, leaf 0 || leaf 1 || …)

So whoever learns x can deal again and compare: that replaces the zero-knowledge proofs of
other verifiable sharings. If one set of t + 1 opened leaves gives an x that deals exactly
these leaves, every other set gives the same x; if not, no set gives one that does.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, repeat
from math import prod
from typing import NamedTuple

from coinflip.messages import SALT_BYTES, Commit
from wire.primitives import tagged_hash, tagged_hashes
from wire.prng import Stream

PRIME = 2**256 - 189


class Sharing(NamedTuple):
    """One secret as dealt to n members: position j belongs to member j."""

    values: tuple[bytes, ...]
    salts: tuple[bytes, ...]
    leaves: tuple[bytes, ...]


def tolerated(count: int) -> int:
    """t: the largest minority of `count` members; t shares tell nothing, t + 1 tell all."""
    return (count - 1) // 2


def commitment(topic: bytes, member: bytes, secret: bytes) -> bytes:
    """y, bound to who commits and where, so that a copy of it can never be opened."""
    return tagged_hash("coin/commitment", topic, member, secret)


def share_out(topic: bytes, dealer: bytes, secret: bytes, count: int) -> Sharing:
    """The one way to share `secret` among `count` members so that t + 1 rebuild it."""
    seed = tagged_hash("coin/sharing", topic, dealer, secret)
    stream = Stream(seed, b"coefficients")
    coefficients = [int.from_bytes(secret, "big"), *stream.all_below(PRIME, tolerated(count))]
    _, *numbers = _values(coefficients, count + 1)
    values = tuple((number % PRIME).to_bytes(32, "big") for number in numbers)
    block = Stream(seed, b"salts").take(SALT_BYTES * count)
    salts = tuple(block[i : i + SALT_BYTES] for i in range(0, len(block), SALT_BYTES))
    places = [j.to_bytes(2, "big") for j in range(count)]
    rows = list(map(b"".join, zip(places, values, salts, strict=True)))
    leaves = tagged_hashes("coin/leaf", _dealer_id(topic, dealer), rows)
    return Sharing(values, salts, tuple(leaves))


def leaf(topic: bytes, dealer: bytes, holder: int, value: bytes, salt: bytes) -> bytes:
    """What binds a dealer to one member's share before anyone may see it."""
    row = holder.to_bytes(2, "big") + value + salt
    return tagged_hash("coin/leaf", _dealer_id(topic, dealer), row)


def _dealer_id(topic: bytes, dealer: bytes) -> bytes:
    """Both in one hash: with it a leaf's input is one block of BLAKE2b."""
    return tagged_hash("coin/dealer", topic, dealer)


def leaves_hash(topic: bytes, dealer: bytes, leaves: Sequence[bytes]) -> bytes:
    """What a Commit says of all the leaves."""
    return tagged_hash("coin/leaves", topic, dealer, b"".join(leaves))


def is_dealt_from(topic: bytes, dealer: bytes, commit: Commit, secret: bytes, count: int) -> bool:
    """Whether `secret` is the committed one and its sharing is exactly the committed one.

    The one test for revealed and for rebuilt secrets. A secret of p or more fails: it could
    be revealed but never be rebuilt, and two members would know two coins.
    """
    return (
        int.from_bytes(secret, "big") < PRIME
        and commitment(topic, dealer, secret) == commit.commitment
        and leaves_hash(topic, dealer, share_out(topic, dealer, secret, count).leaves)
        == commit.leaves_hash
    )


def interpolate(points: Sequence[tuple[int, bytes]]) -> bytes:
    """P(0) of the polynomial through (holder, share); the holders must differ."""
    places = [holder + 1 for holder, _ in points]
    total = 0
    for place, (_, value) in zip(places, points, strict=True):
        others = [other for other in places if other != place]
        weight = prod(others) * pow(prod(other - place for other in others), -1, PRIME)
        total += int.from_bytes(value, "big") * weight
    return (total % PRIME).to_bytes(32, "big")


def _values(coefficients: Sequence[int], count: int) -> Iterator[int]:
    """P(0), P(1), … P(count - 1), not yet reduced, of P with these binomial coefficients.

    They are the differences of P at 0, of order 0 to t, and each row of differences sums up the
    one above it: additions alone, a third of the time that powers take.
    """
    row: Iterator[int] = repeat(coefficients[-1], count + 1 - len(coefficients))
    for coefficient in reversed(coefficients[:-1]):
        row = accumulate(row, initial=coefficient)
    return row
