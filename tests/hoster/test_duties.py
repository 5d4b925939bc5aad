"""What a hoster is told that it owes, and how it announces that it will be away."""

import asyncio

import pytest

from chain.challenges.data_bonds import fees_base
from chain.client.light_client import ChainClient
from chain.client.outbox_store import Outbox
from chain.client.wallet_client import Wallet
from feed.store import FeedStore
from hoster.duty_service import announce, duties_of
from owner.ask_service import ask
from tests.chain.nodes import free_port
from tests.feed.owner import KEY, PAIR, owned
from tests.hoster.hosting import GENESIS, HOSTER, LENGTH, TERMS, active, enlisted, hosting, network
from tests.hoster.hosting import source as serving
from tests.people import ATTESTORS, Person
from wire.errors import Malformed, Rejected

PARAMETERS = GENESIS.parameters


async def test_an_operator_sees_contracts_requests_absences_and_coins(tmp_path):
    feed, port = owned(FeedStore(":memory:"), LENGTH), free_port()
    async with (
        asyncio.timeout(40),
        network(tmp_path) as (url, chain, owner),
        serving(feed) as endpoint,
    ):
        async with hosting(url, tmp_path / "feeds.db", port):
            await enlisted(chain)
            await owner.register(feed, PAIR, endpoint)
            contract = await active(chain, await owner.order(KEY, TERMS), LENGTH)
        asker = Wallet(chain, ATTESTORS[0].account)
        request, bond = await ask(chain, asker, contract.contract, (7, 3, 7))
        assert {3, 7} < {*request.chunks} and bond == request.bond_base
        absence = await announce_as(chain, 3)
        found = await duties_of(chain, HOSTER.id)
        assert [one.contract for one in found.contracts] == [contract.contract]
        assert [one.request for one in found.requests] == [request.request]
        assert found.absences == (absence,)
        assert absence.until_height - absence.from_height == 3
        assert absence.from_height >= found.height + PARAMETERS.challenge_blocks
        assert contract.head is not None
        assert found.fees_base == fees_base(PARAMETERS, contract.head, 4) == 50
        assert found.balance_base > found.fees_base
        with pytest.raises(Malformed, match="there is no chunk 40"):
            await ask(chain, asker, contract.contract, (40,))
        for blocks in (0, 4):
            with pytest.raises(Malformed, match="at most 3"):
                await announce_as(chain, blocks)
        with pytest.raises(Rejected, match="one is announced"):
            await announce_as(chain, 1)


async def test_who_is_interrupted_asks_for_the_same_chunk_and_is_away_once(tmp_path):
    feed, port = owned(FeedStore(":memory:"), LENGTH), free_port()
    async with (
        asyncio.timeout(40),
        network(tmp_path) as (url, chain, owner),
        serving(feed) as endpoint,
    ):
        async with hosting(url, tmp_path / "feeds.db", port):
            await enlisted(chain)
            await owner.register(feed, PAIR, endpoint)
            contract = await active(chain, await owner.order(KEY, TERMS), LENGTH)

        async def begun(person: Person) -> Wallet:
            """A command begins; the one before was killed before it said anything."""
            outbox = Outbox(tmp_path / person.name)
            wallet = Wallet(chain, person.account, None, 0, lambda _: None, outbox)
            await wallet.settle()
            return wallet

        asked = [
            (await ask(chain, await begun(ATTESTORS[0]), contract.contract, ()))[0].request
            for _ in range(2)
        ]
        assert asked[0] == asked[1]
        absences = [await announce(chain, await begun(HOSTER), 3, 0) for _ in range(2)]
        assert absences[0] == absences[1]
        assert len((await duties_of(chain, HOSTER.id)).absences) == 1


async def announce_as(chain: ChainClient, blocks: int):
    return await announce(chain, Wallet(chain, HOSTER.account), blocks, 0)
