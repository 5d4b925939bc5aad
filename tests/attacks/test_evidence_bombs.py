"""Row 22: evidence made to cost more than its bytes. All of it is refused, with little memory."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.entries import Entry, Leaf, Listed, pack_leaves, pack_listed, pack_uncles
from audit.messages import MAX_LISTED, Evidence
from chain.challenges import judging
from chain.messages import MAX_SIDECAR_BYTES
from tests.audit.visits import SERVED, receipt_over
from tests.reports import ReportParts, account_of
from tests.stages import coin_opened
from wire.codec import encode
from wire.errors import Rejected

WORLD = coin_opened()
MEMBER = WORLD.members[0]
GOOD = account_of(WORLD, MEMBER)
ENTRY = Entry(0, 1, bytes(32), bytes(16))
MOST_BYTES = 64 << 20


def judge(sidecar: bytes) -> None:
    judging.judge_report(
        WORLD.network, WORLD.parameters, WORLD.challenge, WORLD.draw, MEMBER.id, sidecar
    )


def showing(**changes: object) -> ReportParts:
    return GOOD.showing(**changes)


LONG = [Listed(place, ENTRY, bytes(16)) for place in range(MAX_LISTED)]
FILL = MAX_SIDECAR_BYTES // 2 - 16_384
"""Bytes for one of two visits, so that the whole is as long as evidence may be."""

BOMBS = {
    "entries without end": lambda: showing(listed=pack_listed(LONG)).sidecar,
    "leaves without end": lambda: (
        showing(
            leaves=pack_leaves(Leaf(chunk, 1, bytes(32)) for chunk in range(MAX_LISTED))
        ).sidecar
    ),
    "uncles without end": lambda: (
        showing(uncles=pack_uncles([(1, bytes(32))] * (FILL // 40))).sidecar
    ),
    "a list proof without end": lambda: showing(list_proof=bytes(FILL // 32 * 32)).sidecar,
    "a receipt for more than there is": lambda: (
        showing(receipt=receipt_over(SERVED, count=2**63 - 1), list_proof=bytes(62 * 32)).sidecar
    ),
    "visits without end": lambda: GOOD.with_visits(GOOD.visits * 32).sidecar,
    "arrays in arrays": lambda: b"\x81" * 100_000,
    "an array that says it is huge": lambda: b"\x9a\xff\xff\xff\xff",
    "bytes that say they are huge": lambda: b"\x84\x5b" + b"\xff" * 8,
    "a thousand nothings": lambda: encode((bytes(32), bytes(80), (None,) * 1_000, ())),
    "a million bytes of nothing": lambda: bytes(MAX_SIDECAR_BYTES),
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_with_little_memory(make):
    sidecar = make()
    assert len(sidecar) <= MAX_SIDECAR_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(Rejected):
            judge(sidecar)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@given(
    st.integers(0, len(GOOD.sidecar) - 1),
    st.integers(1, 255),
    st.integers(0, 3),
    st.binary(max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_evidence_with_any_bytes_changed_is_judged_and_never_proves_more(place, bits, cut, more):
    sidecar = bytearray(GOOD.sidecar)
    sidecar[place] ^= bits
    sidecar[place : place + cut] = more
    try:
        judged = judging.judge_report(
            WORLD.network, WORLD.parameters, WORLD.challenge, WORLD.draw, MEMBER.id, bytes(sidecar)
        )
    except Rejected:
        return
    good = judging.judge_report(
        WORLD.network, WORLD.parameters, WORLD.challenge, WORLD.draw, MEMBER.id, GOOD.sidecar
    )
    # What no signature covers is the attestor's own word: figures, the salt, its fresh digests.
    assert [(v.planned, v.served, v.fault) for v in judged] == [
        (v.planned, v.served, v.fault) for v in good
    ]


def test_the_evidence_that_is_bent_here_is_good():
    judge(GOOD.sidecar)
    assert isinstance(GOOD.evidence, Evidence)
