"""A state in parts: put together it is the same, and no part of another one fits."""

from collections.abc import Callable
from functools import cache

import pytest

from chain.blocks import MetLeaf
from chain.state import State
from chain.sync import snapshot as snapshot_module
from chain.sync.snapshot import Assembly, SnapshotHead, SnapshotPart, SnapshotRecord, Subtree, take
from tests.chain.chains import Chain
from tests.chain.final import certificate, genesis_of, header
from tests.stages import coin_opened
from wire.codec import decode, encode
from wire.errors import Malformed
from wire.primitives import blake2b_256

AGREED = genesis_of(4)
STATE = coin_opened().state
HEADER = header(AGREED, 7, state_root=STATE.root)


def parts_of(state: State, limit: int = 2_000) -> tuple[SnapshotHead, list[SnapshotPart]]:
    """A snapshot with so many bytes in a part."""
    whole = snapshot_module.PART_BYTES
    snapshot_module.PART_BYTES = limit
    try:
        top = HEADER.model_copy(update={"state_root": state.root})
        head, *parts = take(top, certificate(top, (0, 1, 2)), state.records, state.tree)
    finally:
        snapshot_module.PART_BYTES = whole
    return decode(SnapshotHead, head), [decode(SnapshotPart, part) for part in parts]


@cache
def snapshot() -> tuple[SnapshotHead, list[SnapshotPart]]:
    return parts_of(STATE)


def test_a_state_of_parts_is_the_state():
    head, parts = snapshot()
    assert head.depth == 2
    assembly = Assembly(head)
    for number in reversed(assembly.missing):
        assembly.add(number, parts[number])
    assert assembly.missing == ()
    state = assembly.state()
    assert (state.root, state.records, state.tree) == (STATE.root, STATE.records, STATE.tree)


@pytest.mark.parametrize("limit", [1 << 20, 300, 1])
def test_however_deep_it_is_cut(limit, monkeypatch):
    monkeypatch.setattr(snapshot_module, "MAX_DEPTH", 9)
    head, parts = parts_of(STATE, limit)
    assert head.depth == {1 << 20: 0, 300: head.depth, 1: 9}[limit]
    assembly = Assembly(head)
    for number in assembly.missing:
        assembly.add(number, parts[number])
    assert assembly.state().records == STATE.records


def test_a_state_without_records_is_one_too():
    head, _ = parts_of(State())
    assembly = Assembly(head)
    assert assembly.missing == ()
    assert assembly.state().root == State().root


def test_only_what_lies_in_parts_is_asked_for():
    state = State.of(dict(list(STATE.records.items())[:2]))
    head, _ = parts_of(state, 1)
    assert len(Assembly(head).missing) == 2


# heads that lie


def changed(place: int, subtree: Subtree) -> SnapshotHead:
    head, _ = snapshot()
    subtrees = (*head.subtrees[:place], subtree, *head.subtrees[place + 1 :])
    return head.model_copy(update={"subtrees": subtrees})


HEADS: dict[str, Callable[[SnapshotHead], SnapshotHead]] = {
    "another state": lambda head: head.model_copy(
        update={"header": head.header.model_copy(update={"state_root": b"x" * 32})}
    ),
    "a subtree too few": lambda head: head.model_copy(update={"subtrees": head.subtrees[:-1]}),
    "another depth": lambda head: head.model_copy(update={"depth": 3}),
    "no subtree": lambda head: head.model_copy(update={"subtrees": ()}),
    "two subtrees exchanged": lambda head: head.model_copy(
        update={"subtrees": (head.subtrees[1], head.subtrees[0], *head.subtrees[2:])}
    ),
    "one left out": lambda head: changed(3, Subtree(hash=None, leaf=None)),
    "another root": lambda head: changed(3, Subtree(hash=b"x" * 32, leaf=None)),
    "both at once": lambda head: changed(
        3, Subtree(hash=b"x" * 32, leaf=MetLeaf(key=b"x" * 32, value=b"x" * 32))
    ),
}


@pytest.mark.parametrize("lie", HEADS.values(), ids=HEADS)
def test_a_head_that_is_not_of_the_state_is_refused(lie):
    with pytest.raises(Malformed):
        Assembly(lie(snapshot()[0]))


def test_a_record_alone_stands_under_its_own_key():
    """Its hash is the same at whatever depth, so its place must be looked at."""
    state = State.of(dict(list(STATE.records.items())[:1]))
    head, _ = parts_of(state, 1 << 20)
    (alone,) = head.subtrees
    assert alone.leaf is not None
    right = alone.leaf.key[0] >> 7
    nothing = Subtree(hash=None, leaf=None)
    for place, good in ((right, True), (1 - right, False)):
        subtrees = tuple(alone if n == place else nothing for n in range(2))
        deeper = head.model_copy(update={"depth": 1, "subtrees": subtrees})
        if good:
            assert Assembly(deeper).missing == (place,)
        else:
            with pytest.raises(Malformed):
                Assembly(deeper)


# parts that lie


def of_part(change: Callable[[tuple[SnapshotRecord, ...]], tuple[SnapshotRecord, ...]]):
    return lambda parts: SnapshotPart(records=change(parts[3].records))


PARTS: dict[str, Callable[[list[SnapshotPart]], SnapshotPart]] = {
    "none": of_part(lambda records: ()),
    "one left out": of_part(lambda records: records[1:]),
    "one twice": of_part(lambda records: (records[0], *records)),
    "another order": of_part(lambda records: records[::-1]),
    "another part": lambda parts: parts[2],
    "one of another part": lambda parts: SnapshotPart(
        records=(parts[2].records[0], *parts[3].records)
    ),
    "a record changed": of_part(
        lambda records: (records[0].model_copy(update={"record": b"\x80"}), *records[1:])
    ),
    "a key changed": of_part(
        lambda records: (records[0].model_copy(update={"key": b"\x80"}), *records[1:])
    ),
    "no such table": of_part(
        lambda records: (records[0].model_copy(update={"table": 255}), *records[1:])
    ),
    "no such table at all": of_part(
        lambda records: (records[0].model_copy(update={"table": 2**63 - 1}), *records[1:])
    ),
}


@pytest.mark.parametrize("lie", PARTS.values(), ids=PARTS)
def test_a_part_that_is_not_of_the_state_is_refused_and_leaves_nothing(lie):
    head, parts = snapshot()
    assert len(parts[3].records) > 1
    assembly = Assembly(head)
    with pytest.raises(Malformed):
        assembly.add(3, lie(parts))
    assert 3 in assembly.missing
    for number in assembly.missing:
        assembly.add(number, parts[number])
    assert assembly.state().root == STATE.root


def test_a_part_beyond_the_bounds_is_not_read():
    record = SnapshotRecord(table=1, key=b"", record=b"")
    part = SnapshotPart.model_construct(records=(record,) * (snapshot_module.MAX_PART_RECORDS + 1))
    with pytest.raises(Malformed):
        decode(SnapshotPart, encode(part))


def test_a_chains_snapshot_has_the_next_terms_validators():
    chain = Chain(AGREED)
    chain.grow(3)
    head, parts = parts_of(chain.ledger.state)
    assembly = Assembly(head)
    for number in assembly.missing:
        assembly.add(number, parts[number])
    assert assembly.state().root == chain.ledger.tip.state_root
    assert blake2b_256(encode(AGREED.first_set)) == chain.ledger.tip.validators_hash
