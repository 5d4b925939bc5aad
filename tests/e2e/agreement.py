"""What must hold among validators in real processes, and payments that go on whatever happens."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from chain.blocks import FinalBlock
from chain.bodies.coins import Transfer
from chain.client.http_client import NodeHttp
from chain.genesis import GenesisBalance, Parameters
from chain.messages import SignedTransaction, Transaction, sign_transaction
from chain.reasons import Reason
from chain.runs import BlockRun
from holdfast.network import LOCAL_PARAMETERS, LocalNetwork
from wire.codec import decode, encode
from wire.errors import HoldfastError, Rejected, Unavailable
from wire.keys import KeyPair
from wire.primitives import blake2b_256

QUICK = LOCAL_PARAMETERS.model_copy(
    update={
        "block_interval_ms": 100,
        "network_delay_ms": 300,
        "transaction_lifetime_blocks": 10_000,
        "jail_blocks": 0,
    }
)
"""Views that fail cost a second or two; who is killed often is let in again."""

PAYERS = [KeyPair(blake2b_256(b"payer", bytes([n]))) for n in range(12)]
RICH = [GenesisBalance(account=payer.public, balance_base=10**9) for payer in PAYERS]
FEE_BASE = QUICK.fee_minimum_base + QUICK.fee_base_per_kib


def four(root: Path, parameters: Parameters, **options: Any) -> LocalNetwork:
    """A network of four validators, and of people that can pay."""
    return LocalNetwork(
        root,
        validators=4,
        attestors=0,
        hosters=0,
        parameters=parameters,
        balances=RICH,
        **options,
    )


class Council:
    """Reads all validators again and again: what one of them called final, no other denies."""

    def __init__(self, network: LocalNetwork, nodes: dict[str, NodeHttp]) -> None:
        self.network = network
        self.nodes = nodes
        self.final: dict[int, bytes] = {}
        """The id of each block that any validator ever gave out as final."""

    async def answer(self, name: str, path: str) -> bytes:
        """What a validator answers, as soon as it does."""
        while True:
            try:
                return await self.nodes[name].read("GET", f"/api/v1{path}")
            except Unavailable:
                self.network.require_alive()
                await asyncio.sleep(0.05)

    async def read(self, name: str, path: str) -> Any:
        """What it answers, for people."""
        return json.loads(await self.answer(name, path))

    async def height(self, name: str) -> int:
        """Of its last final block, as soon as it answers."""
        return int((await self.read(name, "/status"))["height"])

    async def consensus(self, name: str) -> Any:
        """Where it says that it stands, as soon as it does."""
        while True:
            if found := (await self.read(name, "/status"))["consensus"]:
                return found
            await asyncio.sleep(0.05)

    async def reach(self, height: int, *names: str) -> None:
        """Until these, or else all, have come so far."""
        waiting = list(names or self.nodes)
        while waiting:
            waiting = [name for name in waiting if await self.height(name) < height]
            await asyncio.sleep(0.05)

    async def go_on(self, blocks: int, *names: str) -> int:
        """Until these, or else all, have so many more blocks than any has now; the height."""
        among = names or tuple(self.nodes)
        height = max([await self.height(name) for name in among]) + blocks
        await self.reach(height, *among)
        return height

    async def blocks(self, name: str, after: int = 0) -> list[FinalBlock]:
        """All final blocks above a height; each must be the one that was final before."""
        found: list[FinalBlock] = []
        while True:
            start = after + len(found) + 1
            answer = await self.answer(name, f"/sync/blocks?from={start}")
            run: BlockRun = decode(BlockRun, answer)
            if not run.blocks:
                break
            found += run.blocks
        for height, final in enumerate(found, start=after + 1):
            header = final.block.header
            assert header.height == height
            assert self.final.setdefault(height, header.id) == header.id, (name, height)
        return found

    async def assert_agreed(self) -> list[FinalBlock]:
        """All have the same blocks, up to the highest of any; nobody has contradicted itself."""
        await self.reach(max([await self.height(name) for name in self.nodes]))
        chains = [await self.blocks(name) for name in self.nodes]
        for name in self.nodes:
            supply = await self.read(name, "/supply")
            assert supply["counted_base"] == supply["genesis_base"]
            found = await self.read(name, "/validators")
            assert not any(each["convicted"] for each in found["validators"])
        longest = max(chains, key=len)
        assert "validator_fault" not in kinds(longest)
        return longest


def kinds(blocks: Sequence[FinalBlock]) -> "Counter[str]":
    """How many transactions of each kind."""
    return Counter(s.transaction.body.kind for f in blocks for s in f.block.transactions)


@asynccontextmanager
async def council(network: LocalNetwork, **others: str) -> AsyncIterator[Council]:
    """Talk to all validators of a network, and to `others` at their URLs."""
    async with AsyncExitStack() as stack:
        urls = {name: network.url_for(number) for number, name in enumerate(network.validators)}
        nodes = {
            name: await stack.enter_async_context(NodeHttp(url))
            for name, url in (urls | others).items()
        }
        yield Council(network, nodes)


class Payments:
    """Everybody pays the next one, again and again, each time at another validator.

    A payment that got no answer is sent again, until some validator says that it has it.
    """

    def __init__(self, council: Council, seed: int, *names: str) -> None:
        """`names` are the validators that are asked; all, without."""
        self.accepted: list[bytes] = []
        self._names = names or tuple(council.nodes)
        self._council = council
        self._rng = random.Random(seed)
        self._stopping = False

    async def run(self) -> None:
        """Until `stop`; what was accepted by then is in `accepted`."""
        async with asyncio.TaskGroup() as tasks:
            for place in range(len(PAYERS)):
                tasks.create_task(self._pay(place))

    def stop(self) -> None:
        """Begin no more payments."""
        self._stopping = True

    async def _pay(self, place: int) -> None:
        nonce = 0
        while not self._stopping:
            signed = self._payment(place, nonce)
            if await self._is_taken(signed):
                self.accepted.append(signed.transaction.id)
                nonce += 1
            await asyncio.sleep(self._rng.uniform(0.05, 0.2))

    def _payment(self, place: int, nonce: int) -> SignedTransaction:
        transaction = Transaction(
            network=self._council.network.genesis.network,
            sender=PAYERS[place].public,
            nonce=nonce,
            fee_base=FEE_BASE,
            valid_until=QUICK.transaction_lifetime_blocks,
            body=Transfer(to=PAYERS[place - 1].public, amount_base=1 + place),
        )
        return sign_transaction(PAYERS[place], transaction)

    async def _is_taken(self, signed: SignedTransaction) -> bool:
        node = self._council.nodes[self._rng.choice(self._names)]
        try:
            await node.submit("POST", "/api/v1/transactions", encode(signed))
        except Rejected as refused:
            # Each has one payment for each nonce: where it is used, that one is final.
            return refused.reason is Reason.NONCE_USED
        except HoldfastError:
            return False
        return True

    async def assert_final(self) -> None:
        """Everything accepted becomes final, each once and as it was meant."""
        expected = Counter(self.accepted)
        assert expected and max(expected.values()) == 1
        chain = self._council
        name = self._names[0]
        found: Counter[bytes] = Counter()
        height = 0
        while not expected.keys() <= found.keys():
            new = await chain.blocks(name, height)
            height += len(new)
            found.update(s.transaction.id for final in new for s in final.block.transactions)
            await asyncio.sleep(0.05)
        assert max(found.values()) == 1
        for block in range(1, height + 1):
            outcomes = (await chain.read(name, f"/blocks/{block}"))["transactions"]
            assert not [each for each in outcomes if each["kind"] == "transfer" and each["reason"]]


@asynccontextmanager
async def paying(council: Council, seed: int, *names: str) -> AsyncIterator[Payments]:
    """Have payments go on inside the block, and be final at its end."""
    payments = Payments(council, seed, *names)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(payments.run())
        yield payments
        payments.stop()
    await payments.assert_final()
