"""Rows 13 to 15, 21, 23 and 28: receipts that are shown again, lent, forged, withheld or rebuilt.

Each is tried as a whole report on the chain, or against a hoster on loopback.
"""

from struct import Struct

import pytest

from audit.entries import Entry, Listed, pack_listed, unpack_listed
from audit.evidence import Flaw
from audit.faults import contradiction
from audit.messages import RECEIPT_EVERY_CHUNKS, Outcome, SignedReceipt
from audit.receipts import DOMAIN
from chain.bodies.faults import ReceiptFault
from chain.reasons import Reason
from tests.attestor.hosters import HOSTER, LENGTH, NETWORK, hosting, on_receipt, stored, visit
from tests.audit.visits import SERVED, VISIT, receipt_over
from tests.builders import World
from tests.chain.refusals import assert_refused
from tests.people import STRANGER, Person
from tests.reports import ReportParts, account_of, leaf_hashes, make_receipt
from tests.stages import sealed
from wire import signing
from wire.codec import encode
from wire.errors import Rejected
from wire.keys import KeyPair, Use


def reported(change):
    """A world in which the first member committed to what `change` makes of its report."""
    world = sealed()
    member = world.members[0]
    parts = change(world, member, account_of(world, member))
    world.must(member, parts.commit(world, member))
    world.pass_until(world.challenge.window_end)
    world.must(STRANGER, world.open_coin())
    return world, member, parts


def with_receipts(world: World, member: Person, parts: ReportParts, **changes: object):
    """The same visits with other receipts, each over what the first one was over."""
    visits = []
    for plan, told in zip(world.visit_plans(member), parts.visits, strict=True):
        entries = entries_of(told)
        receipt = make_receipt(world, member, plan, entries, **changes)
        shown = told.evidence.model_copy(update={"receipt": receipt})
        visits.append(told.model_copy(update={"evidence": shown}))
    return parts.with_visits(visits)


def entries_of(told):
    return [one.entry for one in unpack_listed(told.evidence.listed)]


REPLAYED = {
    "in the next challenge": (
        lambda world, member, parts: with_receipts(
            world, member, parts, time_ms=world.challenge.window_opened_ms - 60_000
        ),
        Flaw.RECEIPT_UNTIMELY,
    ),
    "for another contract of the same challenge": (
        lambda world, member, parts: parts.with_visits(parts.visits[::-1]),
        Flaw.VISIT_NOT_SIGNED,
    ),
    "for another feed": (
        lambda world, member, parts: with_receipts(world, member, parts, feed=b"x" * 32),
        Flaw.RECEIPT_MISMATCH,
    ),
    "of another reader's session": (
        lambda world, member, parts: with_receipts(world, member, parts, peer=b"x" * 32),
        Flaw.RECEIPT_MISMATCH,
    ),
    "of another fork": (
        lambda world, member, parts: with_receipts(world, member, parts, fork=9),
        Flaw.RECEIPT_MISMATCH,
    ),
    "that another attestor lends": (
        lambda world, member, parts: parts.with_visits(account_of(world, world.members[1]).visits),
        Flaw.VISIT_NOT_SIGNED,
    ),
    "that the attestor signs itself": (
        lambda world, member, parts: with_receipts(world, member, parts, signer=KeyPair(b"k" * 32)),
        Flaw.RECEIPT_NOT_SIGNED,
    ),
}


@pytest.mark.parametrize(("change", "flaw"), REPLAYED.values(), ids=REPLAYED)
def test_a_receipt_that_is_not_of_this_visit_voids_the_report_and_earns_nothing(change, flaw):
    world, member, parts = reported(change)
    before = world.draft.accounts.at(member.id).balance_base
    assert_refused(world, member, parts.open(), flaw, parts.sidecar)
    world.focus = world.challenge.challenge
    world.pass_until(world.challenge.opening_deadline)
    assert world.draft.reports.get(world.focus + member.id) is None
    assert world.draft.accounts.at(member.id).balance_base <= before


def test_a_report_counts_once_however_often_it_is_sent():
    world, member, parts = reported(lambda world, member, parts: parts)
    world.must(member, parts.open(), parts.sidecar)
    # It was the only one that was waited for: the challenge is settled.
    for _ in range(2):
        assert_refused(world, member, parts.open(), Reason.WRONG_PHASE, parts.sidecar)


@pytest.mark.parametrize("most", [0, 16, 32])
async def test_who_withholds_receipts_leaves_fifteen_chunks_unsigned_at_most(most):
    def withheld(signed: SignedReceipt) -> bytes | None:
        return None if signed.receipt.count > most else encode(signed)

    async with hosting(stored(), on_receipt(withheld)) as made:
        result, judged = await visit(made.endpoint, planned=tuple(range(LENGTH)))
    assert most <= LENGTH < 3 * RECEIPT_EVERY_CHUNKS
    assert max(most - RECEIPT_EVERY_CHUNKS + 1, 0) <= judged.served <= most
    assert result.summary.outcome is not Outcome.SERVED
    assert len(judged.unproven) == 4


LIES: dict[str, dict[str, object]] = {
    "the same number twice": {"sequence": 1},
    "to two readers": {"peer": b"p" * 32},
    "of two forks": {"fork": 9},
    "less than before": {"bytes": 1},
    "other chunks": {"count": 16, "root": bytes(32)},
}


@pytest.mark.parametrize("changes", LIES.values(), ids=LIES)
async def test_a_visitor_has_two_receipts_that_cannot_both_be_true(changes):
    signer, accused = HOSTER.key(Use.RECEIPT), list[ReceiptFault]()

    def lied(signed: SignedReceipt) -> bytes:
        if signed.receipt.sequence == 1:
            return encode(signed)
        receipt = signed.receipt.model_copy(update=changes)
        signature = signing.sign(signer, DOMAIN, NETWORK, encode(receipt))
        return encode(SignedReceipt(receipt=receipt, signature=signature))

    planned = tuple(range(LENGTH))
    async with hosting(stored(), on_receipt(lied)) as made:
        await visit(made.endpoint, planned=planned, accuse=accused.append)
    (fault,) = accused
    assert fault.key == signer.public
    assert contradiction(NETWORK, fault.key, fault.first, fault.second)


async def test_an_honest_hoster_is_not_accused():
    accused = list[ReceiptFault]()
    async with hosting(stored()) as made:
        await visit(made.endpoint, planned=tuple(range(LENGTH)), accuse=accused.append)
    assert not accused


def test_an_inner_node_is_no_entry():
    # Both have 64 bytes. A hoster signs for half as many chunks, which are nodes of a longer list.
    leaves = leaf_hashes(SERVED[:4])
    nodes = [leaves[0] + leaves[1], leaves[2] + leaves[3]]
    entries = [Entry(*Struct(">QQ32s16s").unpack(node)) for node in nodes]
    assert [entry.packed for entry in entries] == nodes
    shown = pack_listed(Listed(place, entry, bytes(16)) for place, entry in enumerate(entries))
    bent = VISIT.shows(receipt=receipt_over(SERVED[:4], count=2), listed=shown, list_proof=b"")
    with pytest.raises(Rejected) as refused:
        bent.judge()
    assert refused.value.reason is Flaw.RECEIPT_MISMATCH
