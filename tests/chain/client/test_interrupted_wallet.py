"""A command that is killed while it waits, and run again, sends what it has signed, and no more."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from chain.client.light_client import ChainClient
from chain.client.outbox_store import Kept, Outbox
from chain.client.wallet_client import Wallet
from chain.messages import Body
from tests.chain.client.test_wallet_client import bent_node, done, payment, payments
from tests.chain.nodes import until, write, writing
from tests.people import OWNER
from wire.errors import Malformed, Unavailable

KILLED_AFTER = range(1, 120, 7)
"""Steps of the event loop, from before anything is signed to after it is in a block."""


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("chain.client.light_client.RETRY_S", "chain.client.wallet_client.RETRY_S"):
        monkeypatch.setattr(module, (0.01, 0.02))


class Person:
    """Runs commands in a home."""

    def __init__(self, chain: ChainClient, path: Path) -> None:
        self.outbox = Outbox(path / "outbox")
        self.heard: list[str] = []
        self._chain = chain

    async def run(self, *bodies: Body, again: bool = False) -> list[bytes]:
        """One command that sends all these, and tells what became of them."""
        wallet = Wallet(self._chain, OWNER.account, None, 0, self.heard.append, self.outbox)
        await wallet.settle(again=again)
        names = [await wallet.send(body) for body in bodies]
        wallet.told()
        return names

    async def is_killed(self, body: Body, steps: int) -> None:
        """The same, that goes so far."""
        task = asyncio.create_task(self.run(body))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def kept(self) -> Sequence[Kept]:
        return list(self.outbox.all())


async def interrupted(person: Person, node, body: Body) -> None:
    """Killed when the node has what it sends."""
    task = asyncio.create_task(person.run(body))
    before = node.waiting
    await until(lambda: node.waiting > before)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(person.kept()) >= 1


async def test_what_waits_when_it_is_killed_is_all_that_is_paid(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain):
        person = Person(chain, tmp_path)
        await interrupted(person, node, payment())
        async with writing(node):
            (kept,) = person.kept()
            assert await person.run(payment()) == [kept.offers[0].transaction.id]
            assert payments(node) == 1 and not person.kept()
            assert any("nothing more is sent" in words for words in person.heard)
            await person.run(payment())
            assert payments(node) == 2


async def test_what_came_into_a_block_meanwhile_is_told_and_not_paid_again(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain):
        person = Person(chain, tmp_path)
        await interrupted(person, node, payment())
        await write(node, 3)
        await person.run(payment())
        assert payments(node) == 1 and not person.kept()


async def test_who_wants_it_twice_says_so(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain):
        person = Person(chain, tmp_path)
        await interrupted(person, node, payment())
        async with writing(node):
            await person.run(payment(), again=True)
            assert payments(node) == 2 and not person.kept()


async def test_another_command_goes_behind_it_and_the_first_is_not_forgotten(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain):
        person = Person(chain, tmp_path)
        await interrupted(person, node, payment())
        async with writing(node):
            await person.run(payment(2))
            assert payments(node) == 3
            await person.run(payment(4))
            assert payments(node) == 7 and len(person.kept()) == 1
            await person.run(payment())
            assert payments(node) == 7 and not person.kept()


async def test_what_came_too_late_for_any_block_is_signed_anew(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        person = Person(chain, tmp_path)
        bent.ask = lambda path, body: None if path == "/api/v1/transactions" else body
        await person.is_killed(payment(), 2_000)
        (kept,) = person.kept()
        bent.ask = lambda path, body: body
        await write(node, kept.offers[0].transaction.valid_until - node.height + 1)
        async with writing(node):
            (name,) = await person.run(payment())
            assert payments(node) == 1 and name != kept.offers[0].transaction.id
            assert any("too late" in words for words in person.heard)


async def test_what_is_refused_is_told_and_signed_anew(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        person = Person(chain, tmp_path)
        bent.ask = lambda path, body: None if path == "/api/v1/transactions" else body
        await person.is_killed(payment(), 2_000)
        (kept,) = person.kept()
        signed = kept.offers[0].model_copy(update={"signature": bytes(64)})
        person.outbox.keep(Kept(offers=(signed,)))
        bent.ask = lambda path, body: body
        async with writing(node):
            await person.run(payment())
            assert any("refused: bad_signature" in words for words in person.heard)
            assert payments(node) == 1 and not person.kept()


@pytest.mark.parametrize("steps", KILLED_AFTER)
async def test_wherever_it_is_killed_it_pays_once(tmp_path, steps):
    async with bent_node(tmp_path) as (node, _, chain), writing(node):
        person = Person(chain, tmp_path)
        await person.is_killed(payment(), steps)
        await done(asyncio.create_task(person.run(payment())))
        await chain.reach(chain.height + 10)
        assert payments(node) == 1 and not person.kept()


async def test_a_file_that_is_damaged_is_named_and_nothing_is_sent(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain), writing(node):
        person = Person(chain, tmp_path)
        (tmp_path / "outbox").mkdir()
        (tmp_path / "outbox" / "00.sent").write_bytes(b"torn")
        with pytest.raises(Malformed, match=r"00.sent is damaged .*; see|see with"):
            await person.run(payment())
        assert payments(node) == 0


async def test_on_a_disk_that_takes_nothing_nothing_is_sent(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain), writing(node):
        (tmp_path / "outbox").write_bytes(b"not a directory")
        with pytest.raises(Unavailable, match="free the disk"):
            await Person(chain, tmp_path).run(payment())
        assert payments(node) == 0
