"""The hoster's daemon: one task per contract, one session per reader and feed.

It keeps nothing that it cannot get again: contracts are on the chain, chunks in the store.
Killed at any line, it reads its desk on the chain, completes what it lacks, and serves on.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import structlog

from audit.messages import SignedReceipt
from audit.receipts import SessionBinding
from chain.bodies.data import MAX_CHUNK_BYTES
from chain.bodies.hosting import Acknowledge, Offer, Register
from chain.client.claim_client import Claimant
from chain.client.directory_client import active_hosters
from chain.client.found_store import FoundStore
from chain.client.light_client import ChainClient
from chain.client.spot_client import watch
from chain.client.wallet_client import Wallet
from chain.endpoint import Endpoint
from chain.head import Head
from chain.records import ContractRecord, Desk, FeedRecord, PlanRecord, Registration, Table
from feed.check import larger_chunk
from feed.feed import Feed
from feed.manifest import decode_manifest, discovery_key
from feed.messages import PROTOCOL, PROTOCOL_ALIAS
from feed.replication.session import OnEvent, serve
from feed.store import FeedStore
from hoster.answer_service import CLOSED, answer_requests
from hoster.fetch_session import download_within, is_complete, listening
from hoster.fork_service import until_free
from hoster.receipt_store import ReceiptStore
from hoster.receipts import ReceiptBook
from hoster.serving_service import Serving
from swarm.server import listen
from swarm.tcp import dial
from wire import zbase32
from wire.errors import HoldfastError, Rejected, Unavailable
from wire.keys import KeyPair, Use
from wire.ports import Connection

log = structlog.get_logger()

SPOT_CHECKS = 64
"""Digests in others' reports that are compared with our chunks after each challenge."""

RETRY_S = (0.5, 1, 2, 5, 15)
"""Waits between attempts to fetch a feed, the last one for ever after."""


@dataclass(frozen=True, slots=True)
class HosterTerms:
    """What one hoster offers, and where it listens."""

    host: str
    port: int
    public_host: str
    capacity_bytes: int
    price_base_per_gib: int
    operator: str
    stake_base: int
    repair: bool
    """Fetch again what the disk has lost."""
    fee_limit_base: int = 0
    """The most that is offered for a transaction when blocks are full."""


class Hoster:
    """One hoster on one chain."""

    def __init__(
        self,
        chain: ChainClient,
        seed: bytes,
        store: FeedStore,
        terms: HosterTerms,
        account: bytes | None = None,
        receipts: ReceiptStore | None = None,
        *,
        found: FoundStore,
    ) -> None:
        """`account` is needed where the seed's own is not it (`Wallet`).

        In `receipts` copies are kept of all that is signed, in `found` what others made up.
        """
        self._receipts = receipts
        self._chain = chain
        key = KeyPair.derive(seed, Use.ACCOUNT)
        self._wallet = Wallet(chain, key, account, terms.fee_limit_base)
        self._claimant = Claimant(chain, self._wallet, found)
        self._swarm_key = KeyPair.derive(seed, Use.SWARM)
        self._receipt_key = KeyPair.derive(seed, Use.RECEIPT)
        self._vrf_key = KeyPair.derive(seed, Use.VRF)
        self._store = store
        self._terms = terms
        self._served: dict[bytes, Feed] = {}
        """Feeds that are served, by discovery key."""
        self._books = WeakKeyDictionary[Connection, dict[bytes, ReceiptBook]]()
        """Receipts by connection and feed."""
        self._servings: set[Serving] = set()
        """Sessions with readers."""
        self._tended: dict[bytes, asyncio.Event] = {}
        """Open contracts, and what wakes the task of each."""

    async def run(self) -> None:
        """Serve until cancelled."""
        terms = self._terms
        async with (
            listen(terms.host, terms.port, self._swarm_key, on_open=self._on_open) as listener,
            asyncio.TaskGroup() as tasks,
        ):
            log.info("hoster listens", host=listener.host, port=listener.port)
            tasks.create_task(self._chain.run())
            await self._wallet.enrol(
                Register(
                    endpoint=Endpoint(
                        host=terms.public_host,
                        port=listener.port,
                        swarm_key=self._swarm_key.public,
                    ),
                    swarm_proof=self._wallet.claim(self._swarm_key),
                    vrf_key=self._vrf_key.public,
                    receipt_key=self._receipt_key.public,
                    receipt_proof=self._wallet.claim_receipts(self._receipt_key),
                    operator=terms.operator,
                    offer=Offer(
                        capacity_bytes=terms.capacity_bytes,
                        price_base_per_gib=terms.price_base_per_gib,
                    ),
                ),
                "hoster",
                terms.stake_base,
            )
            log.info("hoster enrolled", account=zbase32.encode(self._wallet.account))
            tasks.create_task(self._watch_store())
            tasks.create_task(self._claimant.run())
            tasks.create_task(
                watch(self._chain, self._claimant, self._chunk, self._holds, SPOT_CHECKS)
            )
            try:
                await self._follow_desk(tasks)
            finally:
                for serving in self._servings:
                    serving.finish()  # the listener lets it leave before it closes

    async def _follow_desk(self, tasks: asyncio.TaskGroup) -> None:
        """Start a task for each contract that the chain assigns to us."""
        known = Desk()
        while True:
            seen = known
            known = await self._chain.wait(
                Desk,
                Table.DESK,
                self._wallet.account,
                lambda desk: desk != seen,  # noqa: B023
            )
            for contract in known.contracts:
                if contract not in self._tended:
                    self._tended[contract] = asyncio.Event()
                    tasks.create_task(self._tend(contract))
                    tasks.create_task(
                        answer_requests(self._chain, self._wallet, contract, self._feed)
                    )
            for contract, wake in self._tended.items():
                if contract not in known.contracts:
                    wake.set()

    async def _watch_store(self) -> None:
        """After each block: take in what other programs did to the store, and mend losses."""
        while True:
            await self._chain.next_block()
            self._store.refresh()
            if self._terms.repair and any(feed.missing for feed in self._served.values()):
                for wake in self._tended.values():
                    wake.set()

    async def _tend(self, contract_id: bytes) -> None:
        """Hold one contract's feed at the head that the chain knows, until it is closed."""
        wake = self._tended[contract_id]
        failures = 0
        while True:
            wake.clear()
            try:
                contract = await self._chain.need(ContractRecord, Table.CONTRACT, contract_id)
                if contract.status in CLOSED:
                    del self._tended[contract_id]
                    return
                record = await self._chain.need(FeedRecord, Table.FEED, contract.feed)
                try:
                    await self._hold(contract, record)
                except Rejected as rejected:
                    # The rules say no until something changes; asking again costs a fee.
                    log.warning("acknowledgement refused", reason=str(rejected))
                failures = 0
                await self._until_news(contract, record, wake)
            except HoldfastError as error:
                log.info(
                    "feed not held yet",
                    feed=zbase32.encode(contract_id)[:8],
                    reason=str(error),
                )
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

    async def _until_news(
        self, contract: ContractRecord, record: FeedRecord, wake: asyncio.Event
    ) -> None:
        """Wait for a newer head, the contract's end, or a loss on our disk."""

        async def newer_head() -> None:
            await self._chain.wait(
                FeedRecord, Table.FEED, contract.feed, lambda feed: feed.head != record.head
            )
            wake.set()

        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(newer_head())
            await wake.wait()
            watching.cancel()

    def _feed(self, key: bytes) -> Feed | None:
        return self._served.get(discovery_key(key))

    async def _hold(self, contract: ContractRecord, record: FeedRecord) -> None:
        """Fetch what is missing of the feed, then acknowledge its head.

        A feed that has grown beyond our offer stays at the head that we acknowledged.
        """
        manifest = decode_manifest(record.manifest) if record.manifest else None
        feed = self._store.create(record.feed, manifest)
        self._served[discovery_key(record.feed)] = feed
        room_bytes = await self._room_bytes(contract, record.head)
        wanted = record.head if record.head.byte_length <= room_bytes else contract.head
        if wanted != record.head:
            log.warning(
                "feed is beyond our offer",
                feed=zbase32.encode(record.feed),
                bytes=record.head.byte_length,
                room_bytes=room_bytes,
            )
        # Of a fork that its owner only says there is, a peer's word is not taken: it would cost
        # what we answer for on the chain.
        feed.max_fork = (wanted or record.head).fork
        if wanted is not None and not is_complete(feed, wanted):
            if feed.fork != wanted.fork:
                await until_free(self._chain, record.feed, tuple(self._tended))
            await self._fetch(feed, wanted, room_bytes, record)
        if wanted is not None and contract.head != wanted:
            if (large := larger_chunk(feed, MAX_CHUNK_BYTES)) is not None:
                log.warning(
                    "not acknowledged: a chunk is too large to be shown on the chain",
                    feed=zbase32.encode(record.feed),
                    chunk=large.index // 2,
                    chunk_bytes=large.size,
                    limit_bytes=MAX_CHUNK_BYTES,
                )
                return
            # What a power cut takes back would be missed in an audit, with collateral at stake.
            await asyncio.to_thread(self._store.sync)
            await self._wallet.send(
                Acknowledge(
                    contract=contract.contract,
                    fork=record.head.fork,
                    length=record.head.length,
                    tree_hash=record.head.tree_hash,
                ),
                by_height=contract.acknowledge_by if contract.status == "assigned" else None,
            )
            log.info(
                "contract acknowledged",
                feed=zbase32.encode(record.feed),
                chunks=record.head.length,
            )

    async def _room_bytes(self, contract: ContractRecord, head: Head) -> int:
        """How large the contract's feed may be by our offer on the chain."""
        ours = await self._chain.need(Registration, Table.REGISTRATION, self._wallet.account)
        plan = await self._chain.need(PlanRecord, Table.PLAN, contract.plan)
        size, known = head.byte_length, contract.bytes
        if size <= known or ours.takes(size, plan.price_base, instead_of=known):
            # What the owner appends meanwhile is in order too, as far as there is room for it.
            capacity_bytes = 0 if ours.offer is None else ours.offer.capacity_bytes
            return max(size, capacity_bytes - ours.hosted_bytes + known)
        return known

    async def _fetch(
        self,
        feed: Feed,
        head: Head,
        room_bytes: int,
        record: FeedRecord,
    ) -> None:
        """Download from the owner or another hoster, whoever answers."""
        reasons = []
        others = await self._other_hosters(record)
        for other in [None, *others]:
            source = record.source if other is None else other.endpoint
            try:
                connection = await dial(
                    source.host,
                    source.port,
                    self._swarm_key,
                    expected_remote=source.swarm_key,
                )
                try:
                    hear = None if other is None else self._hearing(connection, feed, other)
                    await download_within(connection, feed, head.length, room_bytes, hear)
                finally:
                    await connection.close()
            except HoldfastError as error:
                reasons.append(str(error))
            if is_complete(feed, head):
                return
        raise Unavailable("; ".join(reasons) or "no source has the feed's head yet")

    def _hearing(self, connection: Connection, feed: Feed, other: Registration) -> OnEvent:
        """For a session in which we read from another hoster: it signs for us as for anybody."""
        binding = SessionBinding(
            network=self._chain.genesis.network,
            hoster=other.account,
            handshake_hash=connection.handshake_hash,
            peer=self._swarm_key.public,
            feed=feed.key,
        )
        return listening(binding, other.receipt_key, self._claimant.accuse)

    async def _other_hosters(self, record: FeedRecord) -> list[Registration]:
        """Who else holds the feed; the owner may be long gone."""
        hosters = await active_hosters(self._chain, record)
        return [each for each in hosters if each.account != self._wallet.account]

    def _on_open(
        self, protocol: str, id: bytes, connection: Connection
    ) -> Coroutine[Any, Any, None] | None:
        """A reader opens a channel: serve it if it is for a feed that we hold."""
        feed = self._served.get(id)
        if protocol not in (PROTOCOL, PROTOCOL_ALIAS) or feed is None:
            return None
        book = self._book(connection, feed)
        return None if book.fork != feed.fork else self._serve(connection, feed, book)

    def _book(self, connection: Connection, feed: Feed) -> ReceiptBook:
        """The receipts of this connection on this feed, however often its channel is opened."""
        books = self._books.setdefault(connection, {})
        if feed.key not in books:
            binding = SessionBinding(
                network=self._chain.genesis.network,
                hoster=self._wallet.account,
                handshake_hash=connection.handshake_hash,
                peer=connection.remote_key,
                feed=feed.key,
            )
            books[feed.key] = ReceiptBook(self._receipt_key, binding, feed.fork)
        return books[feed.key]

    def _keep(self, signed: SignedReceipt) -> None:
        try:
            if self._receipts is not None:
                self._receipts.keep(signed)
        except HoldfastError as error:
            log.warning("no copy of a receipt is kept", reason=str(error))

    def _holds(self, feed: bytes) -> bool:
        return discovery_key(feed) in self._served

    async def _chunk(self, feed: bytes, index: int) -> bytes | None:
        """A chunk that we hold, to compare with what others say of it."""
        held = self._feed(feed)
        return held.chunk(index).value if held is not None and held.has(index) else None

    async def _serve(self, connection: Connection, feed: Feed, book: ReceiptBook) -> None:
        serving = Serving(book, feed, keep=self._keep)
        self._servings.add(serving)
        try:
            await serve(connection, feed, serving.on_event)
        except HoldfastError as error:
            log.info("reader dropped", peer=connection.remote_key.hex()[:16], reason=str(error))
        finally:
            self._servings.discard(serving)
            serving.finish()
            peer = connection.remote_key.hex()[:16]
            log.info("reader left", peer=peer, bytes=serving.served_bytes)
        if serving.damaged:
            for wake in self._tended.values():
                wake.set()
