"""Index arithmetic of a feed's Merkle tree, whose nodes are numbered in order (WIRE.md section 3).

    3                 chunk i is leaf 2i; odd numbers are parents
    1       5
    0   2   4   6   8

The number of trailing one-bits of an index is its depth d, and the lowest zero-bit, written
`low` below, is 2^d: how many chunks lie under the node. A length that is no power of two has
several full roots, left to right: length 5 has the roots 3 and 8.
"""


def depth(index: int) -> int:
    """How many levels above the leaves the node is."""
    return (index ^ (index + 1)).bit_length() - 1


def offset(index: int) -> int:
    """The node's position among those of its depth, from the left."""
    return index >> (index ^ (index + 1)).bit_length()


def node_at(depth: int, offset: int) -> int:
    """The index of the `offset`-th node of a depth."""
    return (2 * offset + 1 << depth) - 1


def leaves(index: int) -> int:
    """How many chunks lie under the node."""
    return index + 1 & ~index


def parent(index: int) -> int:
    """The node whose child this one is."""
    low = index + 1 & ~index
    return (index | low) & ~(low << 1)


def sibling(index: int) -> int:
    """The other child of the node's parent."""
    return index ^ (index + 1 & ~index) << 1


def left_child(index: int) -> int:
    """The left child of an odd index; a leaf has none and must not be asked."""
    return index - ((index + 1 & ~index) >> 1)


def right_child(index: int) -> int:
    """The right child of an odd index; a leaf has none and must not be asked."""
    return index + ((index + 1 & ~index) >> 1)


def span(index: int) -> tuple[int, int]:
    """The first and the last leaf under the node, as tree indices."""
    low = index + 1 & ~index
    return index - low + 1, index + low - 1


def contains(index: int, inner: int) -> bool:
    """Whether node `inner` is `index` itself or lies under it."""
    low = index + 1 & ~index
    return index - low < inner < index + low


def above(index: int, levels: int) -> int:
    """The node so many levels above one."""
    for _ in range(levels):
        index = parent(index)
    return index


def path(index: int, levels: int) -> list[int]:
    """The nodes on so many levels of the way up from one, each with its sibling."""
    found: list[int] = []
    for _ in range(levels):
        found += (index, sibling(index))
        index = parent(index)
    return found


def full_roots(length: int) -> list[int]:
    """The roots of the perfect trees that `length` chunks make up, left to right."""
    roots = []
    start = 0
    while length:
        width = 1 << length.bit_length() - 1
        roots.append(start + width - 1)
        start += 2 * width
        length -= width
    return roots


def root_over(index: int, length: int) -> int | None:
    """The full root of `length` chunks that is node `index` or lies over it, if there is one."""
    start = 0
    while length:
        width = 1 << length.bit_length() - 1
        if index < start + 2 * width - 1:
            return start + width - 1 if index + 1 & ~index <= width else None
        start += 2 * width
        length -= width
    return None
