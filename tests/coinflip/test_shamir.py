"""Sharing a secret: any t + 1 shares rebuild it, t say nothing, and everything follows from x."""

from hashlib import sha256
from itertools import combinations
from math import comb

import pytest

from coinflip.messages import Commit
from coinflip.shamir import (
    PRIME,
    commitment,
    interpolate,
    is_dealt_from,
    leaf,
    leaves_hash,
    share_out,
    tolerated,
)
from wire.primitives import tagged_hash
from wire.prng import Stream

TOPIC = sha256(b"topic").digest()
DEALER = sha256(b"dealer").digest()
SECRET = sha256(b"secret").digest()
PINNED_LEAVES = "f4d150ba3395b9f589b28677c63aac870b427577cda73ec292903b06a7a5cd23"
PINNED_COMMITMENT = "48dc4e3f881a44945076a0bc31337fdbcd128b53eac3dc23eb4e8fbcf74529da"


def commit_to(secret: bytes, shared: bytes, count: int) -> Commit:
    sharing = share_out(TOPIC, DEALER, shared, count)
    return Commit(
        exchange_key=bytes(32),
        commitment=commitment(TOPIC, DEALER, secret),
        leaves_hash=leaves_hash(TOPIC, DEALER, sharing.leaves),
    )


@pytest.mark.parametrize("count", [2, 3, 4, 7, 10])
def test_any_t_plus_one_shares_rebuild_the_secret(count: int) -> None:
    sharing = share_out(TOPIC, DEALER, SECRET, count)
    points = list(enumerate(sharing.values))
    for chosen in combinations(points, tolerated(count) + 1):
        assert interpolate(chosen) == SECRET


@pytest.mark.parametrize("count", [5, 10])
def test_t_shares_fit_every_secret_equally(count: int) -> None:
    points = list(enumerate(share_out(TOPIC, DEALER, SECRET, count).values))
    held = points[: tolerated(count)]
    # Through t shares and any further point there is a polynomial: each gives another secret.
    guesses = {interpolate([*held, (count, bytes([guess]) * 32)]) for guess in range(16)}
    assert len(guesses) == 16


def test_the_polynomial_has_no_lower_degree_than_it_should() -> None:
    points = list(enumerate(share_out(TOPIC, DEALER, SECRET, 10).values))
    assert interpolate(points[:4]) != SECRET


def test_shares_are_the_values_of_the_polynomial_that_the_stream_gives() -> None:
    stream = Stream(tagged_hash("coin/sharing", TOPIC, DEALER, SECRET), b"coefficients")
    coefficients = [int.from_bytes(SECRET, "big"), *(stream.below(PRIME) for _ in range(4))]
    shares = [
        sum(c * comb(holder + 1, order) for order, c in enumerate(coefficients)) % PRIME
        for holder in range(10)
    ]
    values = share_out(TOPIC, DEALER, SECRET, 10).values
    assert [int.from_bytes(value, "big") for value in values] == shares


def test_a_minority_is_less_than_half() -> None:
    assert [tolerated(count) for count in (2, 3, 4, 5, 10, 100)] == [0, 1, 1, 2, 4, 49]


def test_every_value_and_salt_is_bound_by_its_leaf() -> None:
    sharing = share_out(TOPIC, DEALER, SECRET, 4)
    for holder in range(4):
        value, salt = sharing.values[holder], sharing.salts[holder]
        assert sharing.leaves[holder] == leaf(TOPIC, DEALER, holder, value, salt)
    assert len(set(sharing.salts)) == len(set(sharing.leaves)) == 4


def test_a_sharing_belongs_to_its_topic_and_dealer() -> None:
    straight = share_out(TOPIC, DEALER, SECRET, 4)
    assert share_out(TOPIC, DEALER, SECRET, 4) == straight
    assert not set(share_out(DEALER, DEALER, SECRET, 4).values) & set(straight.values)
    assert not set(share_out(TOPIC, TOPIC, SECRET, 4).values) & set(straight.values)


def test_a_commitment_cannot_be_opened_by_another_or_elsewhere() -> None:
    straight = commitment(TOPIC, DEALER, SECRET)
    assert commitment(TOPIC, TOPIC, SECRET) != straight != commitment(DEALER, DEALER, SECRET)


def test_only_the_committed_secret_dealt_as_committed_fits() -> None:
    other = sha256(SECRET).digest()
    assert is_dealt_from(TOPIC, DEALER, commit_to(SECRET, SECRET, 5), SECRET, 5)
    assert not is_dealt_from(TOPIC, DEALER, commit_to(SECRET, SECRET, 5), other, 5)
    assert not is_dealt_from(TOPIC, DEALER, commit_to(SECRET, other, 5), SECRET, 5)
    assert not is_dealt_from(TOPIC, DEALER, commit_to(other, SECRET, 5), SECRET, 5)


def test_a_secret_outside_the_field_never_fits() -> None:
    for number in (PRIME, PRIME + 188):
        secret = number.to_bytes(32, "big")
        assert not is_dealt_from(TOPIC, DEALER, commit_to(secret, secret, 3), secret, 3)
    edge = (PRIME - 1).to_bytes(32, "big")
    assert is_dealt_from(TOPIC, DEALER, commit_to(edge, edge, 3), edge, 3)


def test_the_sharing_of_a_known_secret_is_what_it_always_was() -> None:
    sharing = share_out(TOPIC, DEALER, SECRET, 10)
    assert leaves_hash(TOPIC, DEALER, sharing.leaves).hex() == PINNED_LEAVES
    assert commitment(TOPIC, DEALER, SECRET).hex() == PINNED_COMMITMENT
