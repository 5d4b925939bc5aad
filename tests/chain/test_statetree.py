"""One root for one set of records, and proofs of what is there and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import statetree
from chain.statetree import EMPTY, Inner, Leaf, Proof, prove, put, remove, root, update, verify
from wire.errors import Malformed
from wire.primitives import blake2b_256, tagged_hash

HASHES = st.integers(0, 60).map(lambda number: blake2b_256(bytes([number])))
NEAR = st.integers(0, 15).map(lambda bits: bytes(31) + bytes([bits]))
"""Keys that share their first 252 bits: as deep as a tree can get."""
KEYS = HASHES | NEAR
RECORDS = st.dictionaries(KEYS, HASHES, max_size=24)


def tree_of(records):
    tree = None
    for key, value in records.items():
        tree = put(tree, key, value)
    return tree


def plain_root(records, depth=0):
    """The definition, word for word: a subtree with one record is that record's leaf."""
    if not records:
        return EMPTY
    if len(records) == 1:
        ((key, value),) = records.items()
        return statetree.leaf(key, value).hash
    halves = ({}, {})
    for key, value in records.items():
        halves[key[depth // 8] >> (7 - depth % 8) & 1][key] = value
    left, right = (plain_root(half, depth + 1) for half in halves)
    return tagged_hash("state/node", left, right)


@given(RECORDS, st.dictionaries(KEYS, st.none() | HASHES, max_size=24))
def test_many_writes_at_once_are_the_same_as_one_after_the_other(records, changes):
    tree = one_by_one = tree_of(records)
    for key, value in changes.items():
        one_by_one = remove(one_by_one, key) if value is None else put(one_by_one, key, value)
    assert update(tree, changes.items()) == one_by_one


def test_an_empty_tree_has_the_empty_root():
    assert root(None) == EMPTY == bytes(32)


@given(RECORDS)
def test_the_root_is_the_definitions(records):
    assert root(tree_of(records)) == plain_root(records)


@given(RECORDS, st.randoms(use_true_random=False))
def test_the_order_of_writing_leaves_no_trace(records, random):
    shuffled = list(records.items())
    random.shuffle(shuffled)
    assert root(tree_of(records)) == root(tree_of(dict(shuffled)))


@given(RECORDS, KEYS, HASHES, HASHES)
def test_a_second_write_replaces_the_first(records, key, first, second):
    tree = put(put(tree_of(records), key, first), key, second)
    assert root(tree) == root(tree_of({**records, key: second}))


@given(RECORDS, KEYS, HASHES)
def test_removing_restores_the_root(records, key, value):
    records.pop(key, None)
    tree = tree_of(records)
    assert root(remove(put(tree, key, value), key)) == root(tree)


@given(RECORDS, st.sets(KEYS))
def test_removing_leaves_the_tree_of_the_rest(records, gone):
    tree = tree_of(records)
    for key in gone:
        tree = remove(tree, key)
    rest = {key: value for key, value in records.items() if key not in gone}
    assert root(tree) == plain_root(rest)


@given(RECORDS, KEYS)
def test_removing_what_is_not_there_changes_nothing(records, key):
    records.pop(key, None)
    assert root(remove(tree_of(records), key)) == plain_root(records)


@given(RECORDS, RECORDS)
def test_different_records_have_different_roots(one, other):
    assert (root(tree_of(one)) == root(tree_of(other))) == (one == other)


@given(RECORDS, KEYS, HASHES)
def test_writing_leaves_the_tree_before_as_it_was(records, key, value):
    tree = tree_of(records)
    before = root(tree)
    put(tree, key, value)
    remove(tree, key)
    assert root(tree) == before == plain_root(records)


@given(RECORDS, KEYS)
def test_a_proof_shows_the_value_or_that_there_is_none(records, key):
    tree = tree_of(records)
    assert verify(root(tree), key, prove(tree, key)) == records.get(key)


def accepts(expected_root, key, proof):
    """What a forged proof shows; a refusal shows nothing."""
    try:
        return ("shown", verify(expected_root, key, proof))
    except Malformed:
        return "refused"


@given(RECORDS, KEYS, KEYS, st.data())
def test_no_change_of_a_proof_shows_anything_else(records, key, other, data):
    tree = tree_of(records)
    proof = prove(tree, key)
    forged = [
        Proof(proof.siblings, None),
        Proof(proof.siblings, (key, blake2b_256(b"forged"))),
        Proof(proof.siblings, (other, records.get(other, bytes(32)))),
        Proof(proof.siblings[:-1], proof.met),
        Proof((*proof.siblings, bytes(32)), proof.met),
        Proof((*proof.siblings, blake2b_256(b"forged")), proof.met),
        prove(tree, other),
        prove(tree_of({**records, key: blake2b_256(b"forged")}), key),
    ]
    if proof.siblings:
        place = data.draw(st.integers(0, len(proof.siblings) - 1))
        siblings = list(proof.siblings)
        siblings[place] = blake2b_256(siblings[place])
        forged.append(Proof(tuple(siblings), proof.met))
    for attempt in forged:
        assert accepts(root(tree), key, attempt) in ("refused", ("shown", records.get(key)))


def test_a_proof_is_good_under_its_own_root_only():
    tree = tree_of({blake2b_256(b"a"): blake2b_256(b"1"), blake2b_256(b"b"): blake2b_256(b"2")})
    proof = prove(tree, blake2b_256(b"a"))
    with pytest.raises(Malformed, match="root"):
        verify(blake2b_256(b"another"), blake2b_256(b"a"), proof)


def test_an_inner_node_cannot_pose_as_a_leaf():
    tree = tree_of({blake2b_256(bytes([n])): bytes([n]) * 32 for n in range(8)})
    assert isinstance(tree, Inner)
    for half in (tree.left, tree.right):
        assert isinstance(half, Inner)
    key = b"\x00" * 32
    posing = (root(tree.left), root(tree.right))
    assert accepts(root(tree), key, Proof((), posing)) == "refused"
    assert accepts(root(tree), posing[0], Proof((), posing)) == "refused"


def test_a_met_leaf_must_lie_on_the_keys_path():
    low, high = b"\x00" * 32, b"\xff" * 32
    tree = tree_of({low: b"l" * 32, high: b"h" * 32})
    stolen = prove(tree, low)
    with pytest.raises(Malformed, match="off the key's path"):
        verify(root(tree), high, stolen)


@pytest.mark.parametrize("met_key", [b"", b"\x00", bytes(31), bytes(33)])
def test_a_met_key_of_another_length_is_refused(met_key):
    proof = Proof((bytes(32),) * 9, (met_key, bytes(32)))
    with pytest.raises(Malformed, match="length"):
        verify(bytes(32), bytes(32), proof)


def test_a_proof_longer_than_a_key_is_refused():
    with pytest.raises(Malformed, match="257 siblings"):
        verify(bytes(32), bytes(32), Proof((bytes(32),) * 257, None))


def test_two_keys_that_differ_in_the_last_bit_lie_256_deep():
    low, high = bytes(32), bytes(31) + b"\x01"
    tree = tree_of({low: b"l" * 32, high: b"h" * 32})
    proof = prove(tree, high)
    assert len(proof.siblings) == 256
    assert verify(root(tree), high, proof) == b"h" * 32
    assert isinstance(remove(tree, low), Leaf)


# at once, and in parts


def leaves_of(records):
    return [statetree.leaf(key, records[key]) for key in sorted(records)]


@given(RECORDS)
def test_a_tree_built_at_once_is_the_one_that_grew(records):
    assert statetree.build(leaves_of(records)) == tree_of(records)


@given(RECORDS, st.integers(0, 9))
def test_a_tree_that_was_cut_joins_to_itself(records, depth):
    trees = statetree.cut(tree_of(records), depth)
    assert len(trees) == 1 << depth
    assert statetree.join(trees) == tree_of(records)
    for number, tree in enumerate(trees):
        inside = {k: v for k, v in records.items() if statetree.first_bits(k, depth) == number}
        assert tree == statetree.build(leaves_of(inside), depth)
