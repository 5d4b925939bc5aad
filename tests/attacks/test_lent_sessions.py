"""Row 15: a hoster signs one session for two attestors; whoever reads their reports finds out."""

import pytest

from audit.faults import session_id
from chain.client.spot_client import check
from chain.records import FalseSession, Table
from tests.attacks.test_made_up_digests import balance, checker, checking, claimant, holder
from tests.attacks.test_receipts import entries_of
from tests.chain.rules.test_digest_fault import Case
from tests.people import STRANGER
from tests.reports import account_of, handshake_hash, make_receipt
from tests.stages import sealed


def lent(sessions: int = 1) -> Case:
    """The reports of two members; the first shows the second's session as its own."""
    world = sealed()
    world.focus = world.challenge.challenge
    crook, lender = world.members[:2]
    own, parts = account_of(world, lender), account_of(world, crook)
    plan = world.visit_plans(crook)[0]
    session = handshake_hash(lender, plan)
    visit = parts.visits[0]
    if sessions == 1:
        entries = entries_of(visit)
        receipt = make_receipt(world, crook, plan, entries, handshake_hash=session)
        shown = visit.evidence.model_copy(update={"receipt": receipt})
        changed = visit.model_copy(update={"evidence": shown})
        parts = parts.with_visits((changed, *parts.visits[1:]))
    for member, each in ((crook, parts), (lender, own)):
        world.must(member, each.commit(world, member))
    world.pass_until(world.challenge.window_end)
    world.must(STRANGER, world.open_coin())
    shown = parts.visits[0].evidence
    return Case(world, crook, plan, shown, b"", parts, others=((lender, own),))


@pytest.fixture(autouse=True)
def _quick_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("chain.rules.claim", "chain.client.claim_client"):
        monkeypatch.setattr(f"{module}.CLAIM_BLOCKS", 2)


async def test_who_reads_the_reports_of_both_finds_it_out_and_is_paid(tmp_path):
    case = lent()
    async with checking(case, tmp_path) as (chain, finder):
        before, focus = await balance(chain, checker(case)), case.world.focus
        assert await check(chain, finder, focus, holder(case), lambda _: True, checks=0) == 1
        session = session_id(case.visit.receipt.receipt)
        proven = await chain.need(FalseSession, Table.FALSE_SESSION, session)
        assert proven.hoster == case.hoster.id
        await chain.reach(chain.height + 2)
        assert await balance(chain, checker(case)) > before


async def test_of_two_sessions_nothing_is_claimed(tmp_path):
    case = lent(sessions=2)
    async with checking(case, tmp_path) as (chain, finder):
        focus = case.world.focus
        assert await check(chain, finder, focus, holder(case), lambda _: True, checks=0) == 0


async def test_the_accused_does_not_claim_it(tmp_path):
    case = lent()
    async with checking(case, tmp_path) as (chain, _):
        itself, focus = claimant(chain, case.hoster, tmp_path), case.world.focus
        assert await check(chain, itself, focus, holder(case), lambda _: True, checks=0) == 0
