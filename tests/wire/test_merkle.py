"""RFC 6962 trees: known answers, and a proof shows one entry at one place of one list."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import merkle
from wire.errors import Malformed

# The test vectors of Certificate Transparency's reference implementation.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
ENTRIES = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def plain_root(entries):
    """RFC 6962 section 2.1, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    middle = 1
    while 2 * middle < len(entries):
        middle *= 2
    left, right = plain_root(entries[:middle]), plain_root(entries[middle:])
    return sha256(b"\x01" + left + right).digest()


def test_known_roots():
    assert merkle.root([]).hex() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    for count, expected in enumerate(ROOTS, start=1):
        assert merkle.root(LEAVES[:count]).hex() == expected


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_the_root_is_the_rfcs(entries):
    assert merkle.root(entries) == plain_root(entries)


@given(ENTRIES)
def test_an_accumulator_has_the_root_after_every_entry(entries):
    tree = merkle.Accumulator()
    for count, entry in enumerate(entries, start=1):
        tree.append(entry)
        assert tree.length == count
        assert tree.root() == plain_root(entries[:count])


@given(ENTRIES, st.data())
def test_a_proof_leads_to_the_root(entries, data):
    index = data.draw(st.integers(0, len(entries) - 1))
    proof = merkle.inclusion_proof(entries, index)
    root = merkle.root_from_proof(entries[index], index, len(entries), proof)
    assert root == merkle.root(entries)


@given(st.sets(st.binary(min_size=1, max_size=8), min_size=2, max_size=40), st.data())
def test_a_proof_shows_no_other_entry_place_or_length(entries, data):
    entries = sorted(entries)
    length = len(entries)
    index = data.draw(st.integers(0, length - 1))
    other = data.draw(st.integers(0, length - 1).filter(lambda place: place != index))
    proof = merkle.inclusion_proof(entries, index)
    root = merkle.root(entries)

    def leads(entry, place, count, siblings):
        try:
            return merkle.root_from_proof(entry, place, count, siblings) == root
        except Malformed:
            return False

    assert leads(entries[index], index, length, proof)
    assert not leads(entries[other], index, length, proof)
    assert not leads(entries[index], other, length, proof)
    assert not leads(entries[index], index, length, (*proof, bytes(32)))
    assert not leads(entries[index], index, length, proof[:-1])
    assert not leads(entries[index], index, length, (bytes(32), *proof[1:]))


def test_a_place_outside_the_list_is_refused():
    for index, length in ((1, 1), (0, 0), (-1, 4), (4, 4)):
        with pytest.raises(Malformed, match="outside"):
            merkle.root_from_proof(b"", index, length, ())


def test_proofs_of_another_length_are_refused():
    proof = merkle.inclusion_proof(LEAVES, 5)
    with pytest.raises(Malformed, match="too short"):
        merkle.root_from_proof(LEAVES[5], 5, 8, proof[:-1])
    with pytest.raises(Malformed, match="too long"):
        merkle.root_from_proof(LEAVES[5], 5, 8, (*proof, proof[0]))


def test_an_inner_node_is_no_entry():
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.root([left + right]) != merkle.root([b"a", b"b"])
    assert merkle.root([b"\x01" + left + right]) != merkle.root([b"a", b"b"])


@given(ENTRIES, st.data())
def test_a_multiproof_leads_from_any_leaves_to_the_root(entries, data):
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    wanted = sorted(data.draw(st.sets(st.integers(0, len(leaves) - 1))))
    proof = merkle.multiproof(leaves, wanted)
    shown = [leaves[place] for place in wanted]
    found = merkle.root_from_multiproof(len(leaves), wanted, shown, proof)
    assert found == merkle.root_of(leaves) == plain_root(entries)


@given(st.integers(1, 70), st.data())
def test_a_leaf_is_proven_at_its_own_place_only(length, data):
    leaves = [merkle.leaf_hash(bytes([place])) for place in range(length)]
    place = data.draw(st.integers(0, length - 1))
    other = data.draw(st.integers(0, length - 1))
    proof = merkle.multiproof(leaves, [place])
    try:
        found = merkle.root_from_multiproof(length, [other], [leaves[place]], proof)
    except Malformed:
        found = b""
    assert (found == merkle.root_of(leaves)) == (place == other)


@pytest.mark.parametrize(
    ("length", "wanted", "proof"),
    [
        (0, [0], 0),
        (1, [1], 0),
        (4, [-1], 2),
        (4, [1, 1], 2),
        (4, [2, 1], 2),
        (4, [4], 2),
        (4, [1], 1),
        (4, [1], 3),
        (4, [], 0),
        (0, [], 1),
        (2**62, [5], 61),
    ],
)
def test_a_multiproof_that_does_not_fit_is_malformed(length, wanted, proof):
    with pytest.raises(Malformed):
        merkle.root_from_multiproof(length, wanted, [bytes(32)] * len(wanted), [bytes(32)] * proof)


def test_of_no_leaves_the_proof_is_the_root():
    leaves = [merkle.leaf_hash(bytes([place])) for place in range(5)]
    assert merkle.multiproof(leaves, []) == (merkle.root_of(leaves),)
    assert merkle.multiproof([], []) == ()
    assert merkle.root_from_multiproof(0, [], [], []) == merkle.EMPTY_ROOT == merkle.root_of([])
