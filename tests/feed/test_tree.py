"""Hashes of chunks, nodes and trees, against feeds that Node appended."""

import pytest

from feed import flat_tree, tree
from feed.tree import Appender, Head, Node
from tests.feed.feeds import chunks_of, node_of
from wire.compact import MAX_UINT
from wire.errors import Malformed


def test_appending_makes_the_nodes_roots_and_tree_hashes_of_node(vectors):
    for feed in vectors("tree")["feeds"]:
        appender = Appender()
        nodes = []
        rows = feed["lengths"]
        for length, chunk in enumerate(chunks_of(feed)):
            assert appender.head(0) == head_of(rows[length])
            assert appender.roots == [node_of(root) for root in rows[length]["roots"]]
            nodes += appender.append(chunk)
        assert appender.head(0) == head_of(rows[-1])
        assert sorted(nodes) == [node_of(node) for node in feed["nodes"]]


def head_of(row):
    return Head(0, row["length"], row["byteLength"], bytes.fromhex(row["treeHash"]))


def test_an_appender_goes_on_from_roots():
    whole, first = Appender(), Appender()
    for index in range(11):
        whole.append(b"%d" % index)
        first.append(b"%d" % index)
    second = Appender(first.roots)
    for index in range(11, 40):
        assert second.append(b"%d" % index) == whole.append(b"%d" % index)
    assert second.head(3) == whole.head(3)


def test_a_leaf_and_a_parent_of_the_same_bytes_differ():
    left, right = tree.leaf(0, b"a"), tree.leaf(1, b"b")
    assert tree.parent(left, right).hash != tree.leaf_hash(left.hash + right.hash)
    assert tree.parent_of(right, left) == tree.parent(left, right)


def test_lengths_and_sizes_follow_from_roots():
    appender = Appender()
    for index in range(13):
        appender.append(bytes(index))
    assert tree.length_of(appender.roots) == 13
    assert tree.size_of(appender.roots) == sum(range(13))
    assert [root.index for root in appender.roots] == flat_tree.full_roots(13)


def test_sizes_that_do_not_fit_are_malformed():
    huge = Node(0, MAX_UINT, bytes(32)), Node(2, 1, bytes(32))
    with pytest.raises(Malformed):
        tree.parent(*huge)
    with pytest.raises(Malformed):
        tree.size_of(huge)


def test_many_chunks_at_once_make_the_same_tree(vectors):
    for feed in vectors("tree")["feeds"]:
        chunks = [*chunks_of(feed), b"", bytes(5000), bytes(tree.SMALL_BYTES)]
        for first in range(0, len(chunks), 3):
            one, many = Appender(), Appender()
            nodes = [node for chunk in chunks for node in one.append(chunk)]
            many.extend(chunks[:first])
            many.extend([])
            roots = list(many.roots)
            leaves, parents = many.extend(chunks[first:])
            assert (many.roots, many.length, many.byte_length) == (
                *(one.roots, one.length),
                one.byte_length,
            )
            assert [leaf.index >> 1 for leaf in leaves] == list(range(first, len(chunks)))
            assert set(leaves + parents) == {n for n in nodes if n.index > 2 * first - 1} | (
                set(parents) & set(nodes)
            )
            assert all(root in nodes for root in roots)
            order = {node: place for place, node in enumerate(nodes)}
            assert parents == sorted(parents, key=order.__getitem__), "bottom up"


def test_a_feed_may_not_outgrow_what_a_uint_holds():
    appender = Appender([Node(0, MAX_UINT - 1, bytes(32))])
    with pytest.raises(Malformed):
        appender.extend([b"ab"])
    assert (appender.length, appender.byte_length) == (1, MAX_UINT - 1)
