"""Row 31: who finds a lie is killed between its claim and the proof; restarted, it goes on."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from audit.entries import unpack_listed
from audit.faults import session_id
from chain.challenge_records import ReportRecord
from chain.client.found_store import FoundStore
from chain.node.validator_node import Node
from chain.records import Account, Table
from holdfast.home import Home
from holdfast.network import _end_with_parent
from tests.attacks import finder
from tests.attacks.test_lent_sessions import lent
from tests.attacks.test_made_up_digests import checker, open_reports, reported
from tests.chain.nodes import answering, node_at, until, writing
from tests.chain.rules.test_digest_fault import Case

DEATHS = (15, 40, 65, 90)
"""After so many steps: a life that has claimed before takes a hundred or so to show the proof."""

LIFE_S = 60
ROOT = Path(__file__).parents[2]


async def life(
    case: Case, url: str, home: Home, steps: int = 0, *more: str
) -> asyncio.subprocess.Process:
    """A process of the finder; with no steps it lives until it has nothing left to do."""
    seed = checker(case).account.seed.hex()
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.attacks.finder", str(steps), url, str(home.path), seed),
        *more,
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        preexec_fn=partial(_end_with_parent, os.getpid()),
    )


def home_of(case: Case, path: Path) -> Home:
    home = Home(path)
    home.path.mkdir()
    home.write_genesis(case.world.genesis)
    chunk = unpack_listed(case.visit.listed)[0].entry.chunk
    (home.path / str(chunk)).write_bytes(case.data)
    return home


async def sent_by(case: Case, node: Node) -> list[str]:
    """The kinds of the finder's transactions, in order."""
    kinds = []
    for height in range(case.world.height + 1, node.height + 1):
        block = (await node.store.block(height)).block
        kinds += [
            signed.transaction.body.kind
            for signed in block.transactions
            if signed.transaction.sender == checker(case).id
        ]
    return kinds


def is_proven(case: Case, node: Node) -> bool:
    """Whether the chain has convicted them of a made-up digest, or the hoster of two receipts."""
    records = node.ledger.state.records
    forged = records[Table.REPORT, case.world.focus + case.crook.id]
    session = session_id(case.visit.receipt.receipt)
    assert isinstance(forged, ReportRecord)
    return forged.forged or (Table.FALSE_SESSION, session) in records


@pytest.mark.parametrize(
    ("made", "proof"), [(partial(reported, "digest"), "digest_fault"), (lent, "receipt_fault")]
)
async def test_who_is_killed_after_its_claim_shows_the_proof_in_a_later_life(
    made: Callable[[], Case], proof: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain.rules.claim.CLAIM_BLOCKS", finder.CLAIM_BLOCKS)
    case = made()
    home = home_of(case, tmp_path / "home")
    async with (
        asyncio.timeout(LIFE_S),
        node_at(case.world, tmp_path / "chain.db") as node,
        answering(node) as url,
    ):
        await open_reports(case, node)
        async with writing(node):
            first = await life(case, url, home, 0, case.world.focus.hex())
            while "claim" not in await sent_by(case, node):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)
            first.send_signal(signal.SIGKILL)
            await first.wait()
            for steps in DEATHS:
                later = await life(case, url, home, steps)
                assert await later.wait() in (-signal.SIGKILL, 0)
            last = await life(case, url, home)
            assert await last.wait() == 0
            judged = node.height
            await until(lambda: node.height > judged + 1)
        assert await sent_by(case, node) == ["claim", proof]
        assert is_proven(case, node)
        account = node.ledger.state.records[Table.ACCOUNT, checker(case).id]
        assert isinstance(account, Account)
        assert account.balance_base > case.world.balance(checker(case))
    assert not list(FoundStore(home.found).all()), "the chain has judged it"
