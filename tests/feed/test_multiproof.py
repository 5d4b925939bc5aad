"""Evidence for many chunks at once."""

import itertools

import pytest

from feed import flat_tree, multiproof
from feed.tree import MAX_LENGTH, Node
from tests.feed.feeds import Feed
from wire.errors import Malformed, NotFound

FEED = Feed(b"%d" % index * index for index in range(37))


def leaves_of(feed, indices):
    return {index: feed.nodes[2 * index][1:] for index in indices}


def test_every_subset_of_short_feeds_is_proven_by_as_few_nodes_as_can_be():
    for length in range(1, 10):
        feed = Feed(FEED.chunks[:length])
        for count in range(length + 1):
            for indices in itertools.combinations(range(length), count):
                uncles = multiproof.make(length, indices, feed.node)
                leaves = leaves_of(feed, indices)
                assert multiproof.verify(length, leaves, uncles) == feed.head.tree_hash
                assert len(uncles) <= max(0, length - count)


def test_a_proof_of_all_chunks_needs_no_uncle_and_of_none_the_roots():
    assert multiproof.make(37, range(37), FEED.node) == ()
    assert multiproof.make(37, [], FEED.node) == tuple(root[1:] for root in FEED.roots)


def test_the_order_is_left_to_right_from_the_full_roots():
    uncles = multiproof.make(37, {2, 33}, FEED.node)
    assert uncles == tuple(FEED.nodes[i][1:] for i in (1, 6, 11, 23, 47, 64, 69, 72))


def test_any_other_chunk_index_or_byte_leads_to_another_hash():
    uncles = multiproof.make(37, [5, 20], FEED.node)
    leaves = leaves_of(FEED, [5, 20])
    for wrong in (
        {5: leaves[20], 20: leaves[5]},
        {5: leaves[5], 20: (leaves[20][0] + 1, leaves[20][1])},
        {5: leaves[5], 20: (leaves[20][0], bytes(32))},
        {4: leaves[5], 20: leaves[20]},
    ):
        assert multiproof.verify(37, wrong, uncles) != FEED.head.tree_hash


@pytest.mark.parametrize("change", [lambda u: u[:-1], lambda u: (*u, u[0]), lambda u: ()])
def test_missing_and_surplus_uncles_are_malformed(change):
    uncles = multiproof.make(37, [5, 20], FEED.node)
    with pytest.raises(Malformed):
        multiproof.verify(37, leaves_of(FEED, [5, 20]), change(uncles))


@pytest.mark.parametrize(
    ("length", "indices"),
    [(0, [0]), (37, [37]), (37, [-1]), (MAX_LENGTH + 1, [0]), (2**20, range(4097))],
)
def test_what_lies_beyond_the_bounds_is_malformed(length, indices):
    part = 1, bytes(32)
    with pytest.raises(Malformed):
        multiproof.verify(length, dict.fromkeys(indices, part), [])
    with pytest.raises(Malformed):
        multiproof.make(length, indices, lambda index: Node(index, *part))


@pytest.mark.parametrize("part", [(-1, bytes(32)), (2**53, bytes(32)), (1, bytes(31))])
def test_a_part_that_is_no_node_is_malformed(part):
    with pytest.raises(Malformed):
        multiproof.verify(1, {0: part}, [])


def test_a_node_that_is_not_stored_is_not_found():
    with pytest.raises(NotFound):
        multiproof.make(37, [0], lambda _index: None)


def test_the_longest_feed_costs_forty_uncles_a_chunk():
    asked = []

    def node(index):
        asked.append(index)
        return Node(index, 1, index.to_bytes(32, "big"))

    uncles = multiproof.make(MAX_LENGTH, [MAX_LENGTH // 3], node)
    assert len(uncles) == 40 == len(asked)
    assert not any(flat_tree.contains(index, 2 * (MAX_LENGTH // 3)) for index in asked)
    multiproof.verify(MAX_LENGTH, {MAX_LENGTH // 3: (1, bytes(32))}, uncles)
