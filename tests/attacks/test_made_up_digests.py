"""Row 16: a hoster and an attestor that share their pay report chunks that neither has.

Leaf hashes are public, so receipts and plans fit; the digests are guesses. Whoever has the chunks
finds them out, over a node's HTTP API, and takes its share.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from audit.entries import Entry, Listed, fresh_key, pack_listed
from audit.faults import false_digest, vouched
from chain.client.claim_client import Claimant
from chain.client.found_store import FoundStore
from chain.client.light_client import ChainClient
from chain.client.spot_client import check, different
from chain.client.wallet_client import Wallet
from chain.node.validator_node import Node
from chain.records import Account, Table
from tests.chain.nodes import answering, following, node_at, write, writing
from tests.chain.rules.test_digest_fault import Case, opened
from tests.people import HOSTERS, Person


@asynccontextmanager
async def checking(case: Case, path: Path) -> AsyncIterator[tuple[ChainClient, Claimant]]:
    """Somebody with coins that has the feed's chunks, at a node that goes on from there."""
    async with (
        node_at(case.world, path / "chain.db") as node,
        answering(node) as url,
        ChainClient(url, case.world.genesis) as chain,
    ):
        await open_reports(case, node)
        async with writing(node), following(chain):
            yield chain, claimant(chain, checker(case), path)


async def open_reports(case: Case, node: Node) -> None:
    for member, parts in ((case.crook, case.parts), *case.others):
        await node.accept(case.world.sign(member, parts.open(), parts.sidecar))
    await write(node)


def claimant(chain: ChainClient, person: Person, path: Path) -> Claimant:
    return Claimant(chain, Wallet(chain, person.account), FoundStore(path / "found"))


def checker(case: Case) -> Person:
    """A hoster that is not the accused one."""
    return next(one for one in HOSTERS if one.id != case.hoster.id)


def holder(case: Case):
    libraries = {library.key: library for library in case.world.libraries.values()}

    async def chunk_of(feed: bytes, index: int) -> bytes | None:
        return libraries[feed].chunk(index)

    return chunk_of


async def balance(chain: ChainClient, person: Person) -> int:
    return (await chain.need(Account, Table.ACCOUNT, person.id)).balance_base


def reported(lies: str) -> Case:
    """The coin is open, and no report yet."""
    return opened(lies, others=-1)


def test_the_guesses_of_two_that_have_no_chunk_are_wrong():
    case = opened("digest")
    coin = case.world.challenge.coin
    key = fresh_key(case.world.focus, coin, case.plan.contract, case.crook.id)
    assert false_digest(vouched(case.visit), key, case.data).hoster


def test_what_is_made_up_does_not_hide_behind_a_true_chunk_many_times_over():
    true = Listed(0, Entry(1, 10, b"h" * 32, b"d" * 16), b"f" * 16)
    false = [
        true._replace(entry=true.entry._replace(digest=bytes(16))),
        true._replace(fresh=bytes(16)),
    ]
    listed = [*(true._replace(place=place) for place in range(4_094)), *false]
    assert len(list(different(pack_listed(listed)))) == 3


def test_digests_under_a_handshake_hash_that_was_agreed_on_before_are_no_use():
    # Whoever kept digests instead of chunks has none under a key that the coin gives.
    case = opened("fresh")
    key = fresh_key(case.world.focus, case.world.challenge.coin, case.plan.contract, case.crook.id)
    assert false_digest(vouched(case.visit), key, case.data) == (False, True)


async def test_who_has_the_chunks_finds_it_out_and_is_paid(tmp_path, monkeypatch):
    for module in ("chain.rules.claim", "chain.client.claim_client"):
        monkeypatch.setattr(f"{module}.CLAIM_BLOCKS", 2)
    case = reported("digest")
    async with checking(case, tmp_path) as (chain, finder):
        before = await balance(chain, checker(case))
        claimed = await check(
            chain, finder, case.world.focus, holder(case), lambda _: True, checks=100
        )
        assert claimed == 1
        assert await balance(chain, checker(case)) > before


async def test_of_honest_reports_nothing_is_claimed(tmp_path):
    case = reported("nothing")
    async with checking(case, tmp_path) as (chain, finder):
        focus = case.world.focus
        assert await check(chain, finder, focus, holder(case), lambda _: True, checks=100) == 0


async def test_who_has_other_chunks_claims_nothing(tmp_path):
    case = reported("digest")

    async def wrong(feed: bytes, index: int) -> bytes | None:
        return b"other bytes" if index % 2 else None

    async with checking(case, tmp_path) as (chain, finder):
        focus = case.world.focus
        assert await check(chain, finder, focus, wrong, lambda _: True, checks=100) == 0
        assert await check(chain, finder, focus, holder(case), lambda _: False, checks=100) == 0


async def test_the_accused_does_not_check_itself(tmp_path):
    case = reported("digest")
    async with checking(case, tmp_path) as (chain, _):
        itself = claimant(chain, case.crook, tmp_path)
        focus = case.world.focus
        assert await check(chain, itself, focus, holder(case), lambda _: True, checks=100) == 0
