"""The seeded stream: its vectors for other implementations, and that it is fair.

The vectors follow from the module's one formula, `BLAKE2b-512(key = seed, u64(i) || label)`,
by hand: `_reference` is that formula and rejection, and nothing else.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import pytest

from wire.prng import Stream

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "prng.json").read_text()
)
SEED = sha256(b"a fixed seed").digest()


def _reference(seed: bytes, label: bytes) -> Iterator[int]:
    counter = 0
    while True:
        message = counter.to_bytes(8, "little") + label
        yield from blake2b(message, key=seed, digest_size=64).digest()
        counter += 1


def chi_square(counts: Iterable[int], expected: float) -> float:
    return sum((count - expected) ** 2 / expected for count in counts)


def stream(vector: dict[str, Any]) -> Stream:
    return Stream(bytes.fromhex(vector["seed"]), vector["label"].encode())


@pytest.mark.parametrize("vector", VECTORS["bytes"])
def test_bytes_are_the_published_ones(vector: dict[str, Any]) -> None:
    expected = bytes.fromhex(vector["bytes"])
    assert stream(vector).take(len(expected)) == expected
    reference = _reference(bytes.fromhex(vector["seed"]), vector["label"].encode())
    assert bytes(next(reference) for _ in expected) == expected


@pytest.mark.parametrize("vector", VECTORS["below"])
def test_integers_are_the_published_ones(vector: dict[str, Any]) -> None:
    numbers, bound = stream(vector), int(vector["bound"])
    assert [numbers.below(bound) for _ in vector["integers"]] == list(map(int, vector["integers"]))
    source = _reference(bytes.fromhex(vector["seed"]), vector["label"].encode())
    width = (bound.bit_length() + 7) // 8
    for expected in vector["integers"]:
        value = 256**width
        while value >= 256**width // bound * bound:
            value = int.from_bytes(bytes(next(source) for _ in range(width)), "big")
        assert value % bound == int(expected)


@pytest.mark.parametrize("vector", VECTORS["sample"])
def test_samples_are_the_published_ones(vector: dict[str, Any]) -> None:
    drawn = stream(vector).sample(vector["population"], vector["count"])
    assert drawn == vector["sample"]
    # The textbook shuffle, on the whole list, swapping as it goes.
    cards, numbers = list(range(vector["population"])), stream(vector)
    for position in range(vector["count"]):
        other = position + numbers.below(len(cards) - position)
        cards[position], cards[other] = cards[other], cards[position]
    assert cards[: vector["count"]] == drawn


@pytest.mark.parametrize("vector", VECTORS["weighted_sample"])
def test_weighted_samples_are_the_published_ones(vector: dict[str, Any]) -> None:
    drawn = stream(vector).weighted_sample(vector["weights"], vector["count"])
    assert drawn == vector["sample"]


def test_how_bytes_are_taken_makes_no_difference() -> None:
    whole, pieces = Stream(SEED, b"x"), Stream(SEED, b"x")
    assert whole.take(300) == b"".join(pieces.take(size) for size in (0, 1, 63, 64, 65, 107))


@pytest.mark.parametrize("bound", [1, 129, 200, 256, 257, 2**256 - 189, 2**255 + 1])
def test_integers_drawn_together_are_those_drawn_one_by_one(bound: int) -> None:
    together, one_by_one = Stream(SEED, b"draws"), Stream(SEED, b"draws")
    for count in (0, 1, 50):
        assert together.all_below(bound, count) == [one_by_one.below(bound) for _ in range(count)]
    assert together.take(5) == one_by_one.take(5)


def test_seeds_and_labels_give_unrelated_streams() -> None:
    streams = [Stream(SEED, b"a"), Stream(SEED, b"b"), Stream(SEED, b""), Stream(bytes(32), b"a")]
    assert len({one.take(32) for one in streams}) == 4


@pytest.mark.parametrize("bound", [1, 2, 3, 10, 200, 255, 256, 257, 1000])
def test_integers_are_uniform(bound: int) -> None:
    draws = 40 * bound + 2000
    numbers = Stream(SEED, b"uniform")
    counts = Counter(numbers.below(bound) for _ in range(draws))
    assert set(counts) <= set(range(bound))
    # Five standard deviations above the mean of a chi-square with bound - 1 degrees.
    limit = (bound - 1) + 5 * (2 * (bound - 1)) ** 0.5 + 10
    assert chi_square((counts[value] for value in range(bound)), draws / bound) < limit


def test_every_permutation_is_as_likely_as_another() -> None:
    numbers = Stream(SEED, b"shuffle")
    counts = Counter(tuple(numbers.shuffle("abcd")) for _ in range(4800))
    assert len(counts) == 24
    assert chi_square(counts.values(), 200) < 23 + 5 * 46**0.5


def test_every_sample_is_as_likely_as_another() -> None:
    numbers = Stream(SEED, b"sample")
    counts = Counter(tuple(numbers.sample(5, 2)) for _ in range(4000))
    assert len(counts) == 20
    assert chi_square(counts.values(), 200) < 19 + 5 * 38**0.5


def test_a_sample_of_all_is_a_permutation_and_of_none_is_empty() -> None:
    numbers = Stream(SEED, b"edge")
    assert sorted(numbers.sample(50, 50)) == list(range(50))
    assert numbers.sample(50, 0) == numbers.sample(0, 0) == []
    assert len(set(numbers.sample(2**60, 1000))) == 1000


def test_weights_are_the_chances() -> None:
    numbers, weights = Stream(SEED, b"weights"), [1, 0, 2, 3, 4]
    firsts = Counter(numbers.weighted_sample(weights, 1)[0] for _ in range(5000))
    assert firsts[1] == 0
    drawn = sum((firsts[i] - 500 * w) ** 2 / (500 * w) for i, w in enumerate(weights) if w)
    assert drawn < 3 + 5 * 6**0.5


def test_a_second_draw_is_in_proportion_to_what_is_left() -> None:
    numbers = Stream(SEED, b"second")
    pairs = Counter(tuple(numbers.weighted_sample([1, 2, 3], 2)) for _ in range(6000))
    chances = {
        (first, second): 6000 * (first + 1) / 6 * (second + 1) / (6 - first - 1)
        for first in range(3)
        for second in range(3)
        if first != second
    }
    assert set(pairs) == set(chances)
    assert sum((pairs[pair] - mean) ** 2 / mean for pair, mean in chances.items()) < 5 + 5 * 10**0.5


def test_a_weighted_sample_ends_when_no_weight_is_left() -> None:
    assert sorted(Stream(SEED, b"few").weighted_sample([0, 7, 0, 1], 4)) == [1, 3]
    assert Stream(SEED, b"none").weighted_sample([0, 0], 2) == []


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 64, 100])
def test_a_weighted_sample_is_what_a_walk_along_the_list_finds(count: int) -> None:
    weights = [Stream(SEED, b"weights").sample(10 * count, count)[place] for place in range(count)]
    walking, left, walked = Stream(SEED, b"w"), list(weights), []
    while total := sum(left):
        point, index = walking.below(total), 0
        while point >= left[index]:
            point -= left[index]
            index += 1
        walked.append(index)
        left[index] = 0
    assert Stream(SEED, b"w").weighted_sample(weights, count) == walked
    assert list(Stream(SEED, b"w").weighted_order(weights)) == walked
