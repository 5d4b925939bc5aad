"""RFC 6962 Merkle trees with SHA-256: an ordered list as one hash, and short proofs of it.

    leaf = SHA-256(00 || entry)      node = SHA-256(01 || left || right)      empty = SHA-256("")

Used for a block's transactions and for what a receipt says was served. A feed's own tree is
another one (`feed.tree`), and so is the state's (`chain.statetree`).
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from hashlib import sha256

from wire.errors import Malformed

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry of the list."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Accumulator:
    """A growing list of which only the peaks are kept: append O(1), root O(log n)."""

    __slots__ = ("_peaks", "length")

    def __init__(self, entries: Iterable[bytes] = ()) -> None:
        self.length = 0
        self._peaks: list[bytes] = []
        for entry in entries:
            self.append(entry)

    def append(self, entry: bytes) -> None:
        """Add one entry at the end."""
        peak = leaf_hash(entry)
        size = self.length
        while size & 1:
            peak = node_hash(self._peaks.pop(), peak)
            size >>= 1
        self._peaks.append(peak)
        self.length += 1

    def root(self) -> bytes:
        """The hash of the whole list so far."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root(entries: Iterable[bytes]) -> bytes:
    """The hash of a list of entries (RFC 6962 section 2.1)."""
    return Accumulator(entries).root()


def inclusion_proof(entries: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The siblings that lead from entry `index` to the root, bottom up (section 2.1.1)."""
    assert 0 <= index < len(entries)
    proof = []
    low, high = 0, len(entries)
    while high - low > 1:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if index < middle:
            proof.append(root(entries[middle:high]))
            high = middle
        else:
            proof.append(root(entries[low:middle]))
            low = middle
    return tuple(reversed(proof))


def root_from_proof(entry: bytes, index: int, length: int, proof: Sequence[bytes]) -> bytes:
    """The root that `proof` gives entry `index` of a list of `length`; raises `Malformed`.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < length:
        raise Malformed(f"entry {index} is outside a list of {length}")
    position, last = index, length - 1
    result = leaf_hash(entry)
    for sibling in proof:
        if last == 0:
            raise Malformed("inclusion proof is too long")
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise Malformed("inclusion proof is too short")
    return result


def multiproof(leaves: Sequence[bytes], wanted: Sequence[int]) -> tuple[bytes, ...]:
    """What leads from the leaves at `wanted` (ascending) to the root, each node given once.

    The order is that of a walk down from the root, left before right: a subtree without a wanted
    leaf is the next hash of the proof.
    """
    proof: list[bytes] = []

    def walk(low: int, high: int, first: int, last: int) -> None:
        if first == last:
            proof.append(root_of(leaves[low:high]))
        elif high - low > 1:
            middle = low + (1 << (high - low - 1).bit_length() - 1)
            split = bisect_left(wanted, middle, first, last)
            walk(low, middle, first, split)
            walk(middle, high, split, last)

    if leaves:
        walk(0, len(leaves), 0, len(wanted))
    return tuple(proof)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The hash of a list whose entries have these leaf hashes."""
    level = list(leaves) or [EMPTY_ROOT]
    while len(level) > 1:
        odd = level[-1:] if len(level) & 1 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0]


def root_from_multiproof(
    length: int, wanted: Sequence[int], leaves: Sequence[bytes], proof: Sequence[bytes]
) -> bytes:
    """The root of a list of `length` that has these leaves at the places `wanted`.

    Raises `Malformed` unless the places ascend inside the list and the proof fits them.
    """
    if any(a >= b for a, b in zip((-1, *wanted), (*wanted, length), strict=True)):
        raise Malformed(f"places of a proof must ascend, inside a list of {length}")
    if len(wanted) == length and not proof:
        return root_of(leaves)
    rest = iter(proof)

    def walk(low: int, high: int, first: int, last: int) -> bytes:
        if first == last:
            return next(rest)
        if high - low == 1:
            return leaves[first]
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        split = bisect_left(wanted, middle, first, last)
        left = walk(low, middle, first, split)
        return sha256(b"\x01" + left + walk(middle, high, split, last)).digest()

    try:
        result = walk(0, length, 0, len(wanted)) if length else EMPTY_ROOT
    except StopIteration:
        raise Malformed("a proof has too few hashes") from None
    if next(rest, None) is not None:
        raise Malformed("a proof has hashes left over")
    return result
