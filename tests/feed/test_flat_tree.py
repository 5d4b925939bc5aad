"""Index arithmetic, against npm flat-tree."""

from feed import flat_tree


def test_relations_are_those_of_flat_tree(vectors):
    for row in vectors("flat-tree")["nodes"]:
        index = row["index"]
        assert flat_tree.depth(index) == row["depth"]
        assert flat_tree.offset(index) == row["offset"]
        assert flat_tree.parent(index) == row["parent"]
        assert flat_tree.sibling(index) == row["sibling"]
        assert flat_tree.span(index) == tuple(row["spans"])
        assert flat_tree.leaves(index) == row["countLeaves"]
        assert flat_tree.node_at(row["depth"], row["offset"]) == index
        if row["children"]:
            assert [flat_tree.left_child(index), flat_tree.right_child(index)] == row["children"]


def test_full_roots_are_those_of_flat_tree(vectors):
    for row in vectors("flat-tree")["fullRoots"]:
        assert flat_tree.full_roots(row["length"]) == row["roots"]


def test_contains_means_within_the_span():
    for index in range(64):
        low, high = flat_tree.span(index)
        for inner in range(64):
            assert flat_tree.contains(index, inner) == (low <= inner <= high)


def test_root_over_finds_the_one_root_that_contains_a_node():
    for length in range(40):
        for index in range(2 * length + 3):
            roots = [r for r in flat_tree.full_roots(length) if flat_tree.contains(r, index)]
            assert flat_tree.root_over(index, length) == (roots[0] if roots else None)


def test_a_path_has_a_node_of_each_level_with_its_sibling():
    assert flat_tree.path(4, 3) == [4, 6, 5, 1, 3, 11]
    assert [flat_tree.above(4, levels) for levels in range(4)] == [4, 5, 3, 7]
