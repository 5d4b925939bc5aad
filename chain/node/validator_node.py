"""A validator: one task feeds the consensus core and does what it says; the API reads and submits.

Order matters in `_perform`: what this validator says is on its disk before it leaves, and a
term's last block is stored before anything is said in the next term. A kill anywhere leaves a
validator that says the same again, or nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import structlog

from chain.consensus.engine import Engine, Keys, Remembered
from chain.consensus.gossip import (
    MAX_TRANSACTIONS,
    Agreement,
    Announce,
    Propose,
    Supply,
    Transactions,
    Votes,
    WantRange,
)
from chain.consensus.output import Now, Output
from chain.consensus.port import Decided
from chain.consensus.view import Contradiction
from chain.consensus.vote_store import VoteStore
from chain.endpoint import Endpoint
from chain.genesis import Genesis
from chain.ledger import MAX_BLOCK_BYTES, Ledger
from chain.messages import SignedTransaction
from chain.node.accusing import Accuser
from chain.node.case_store import CaseStore
from chain.node.gossip_service import GossipService
from chain.node.mempool import Mempool
from chain.node.mempool_store import MempoolStore
from chain.node.range_service import RangeService
from chain.node.reading_node import Reader
from chain.records import RosterName
from chain.state import Draft
from chain.store import ChainStore
from chain.transition import genesis_state
from chain.validators import MAX_VALIDATORS
from chain.votes import Certificate
from wire.codec import Message
from wire.errors import HoldfastError, Malformed, Rejected, Unavailable
from wire.keys import KeyPair, Use

log = structlog.get_logger()

STALLED_S = 10
"""A block that is so late is not coming: too few validators are up, or the disk hangs."""

BATCH_MESSAGES = 256
"""Messages handled in one go, with one write to the disk for all that is said after them."""

FINALITY_BLOCKS = 1_000
"""Blocks over which the time from writing to finality is told."""

MAX_UNSTORED = 64
"""Decisions that are not stored yet: beyond it consensus waits for the disk."""

PASSED_ON_BYTES = 1 << 20
"""Transactions in one message; one alone may be larger, with its evidence."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a validator keeps its things, and where it listens for the others."""

    database: Path
    votes: Path
    host: str
    port: int


class Node(Reader):
    """One validator of one network."""

    def __init__(
        self,
        genesis: Genesis,
        store: ChainStore,
        ledger: Ledger,
        certificate: Certificate | None,
        votes: VoteStore,
        remembered: Remembered,
        gossip: GossipService,
        keys: Keys,
        accuser: Accuser,
        waited: MempoolStore,
    ) -> None:
        super().__init__(genesis, store, ledger, certificate)
        self._votes = votes
        self._gossip = gossip
        self._accuser = accuser
        self._pool = Mempool()
        self._waited = waited
        self._key = keys.key.public
        self._engine = Engine(genesis, ledger, keys, self._choose, remembered)
        self._begun = False
        self._term = ledger.validators.term
        self._fresh: list[SignedTransaction] = []
        """Admitted here, and not yet passed on."""
        self._unstored: list[list[Decided]] = []
        """Final blocks, in order."""
        self._to_store = asyncio.Event()
        self._storing = asyncio.Lock()
        self._ranges = RangeService(store, gossip, lambda: self.height)
        self._condition = "starting"
        self._final_at = time.monotonic()
        self._finality_ms: deque[int] = deque(maxlen=FINALITY_BLOCKS)

    @classmethod
    async def open(
        cls, genesis: Genesis, master: bytes, place: Place, account: bytes | None = None
    ) -> Self:
        """Load the chain and the votes from disk; raises `Unavailable` with what to do.

        `account` is the validator's, where the master seed's own is not it.
        """
        keys = Keys(KeyPair.derive(master, Use.VALIDATOR), KeyPair.derive(master, Use.VRF))
        cases = CaseStore(place.database.with_suffix(".cases"))
        accuser = Accuser(genesis, KeyPair.derive(master, Use.ACCOUNT), cases, account)
        store = await ChainStore.open(place.database, genesis)
        try:
            state, tip = await store.load(genesis_state(genesis))
            ledger = Ledger(genesis, state, tip)
            if left_out := _left_out(ledger, keys.key.public):
                raise Unavailable(left_out)
            certificate: Certificate | None = None
            if tip is not None:
                _, _, certificate = await store.certified(tip.height)
            votes, remembered = await asyncio.to_thread(
                VoteStore.open, place.votes, genesis.network, ledger.validators.term
            )
            path = place.database.with_suffix(".pool")
            waited, found = await asyncio.to_thread(MempoolStore.open, path, genesis.network)
        except BaseException:
            await store.close()
            raise
        swarm_key = KeyPair.derive(master, Use.SWARM)
        gossip = GossipService(swarm_key, genesis.network, place.host, place.port)
        kept = store, ledger, certificate, votes, remembered
        node = cls(genesis, *kept, gossip, keys, accuser, waited)
        node._recall(found)
        return node

    async def close(self) -> None:
        """Close what `open` has opened; the chain goes on where it stopped."""
        self._votes.close()
        self._waited.close()
        await super().close()

    @property
    def waiting(self) -> int:
        """Transactions that wait for a block."""
        return len(self._pool)

    @property
    def healthy(self) -> str:
        """Why no blocks become final; empty while they do."""
        if self._condition:
            return self._condition
        if left_out := _left_out(self.ledger, self._key):
            return left_out
        late_s = time.monotonic() - self._final_at
        interval_s = self.genesis.parameters.block_interval_ms / 1000
        if late_s <= interval_s + STALLED_S:
            return ""
        core = self._engine.core
        others, connected = len(core.validators.members) - 1, self._gossip.connected
        alone = "if it has left by now, `holdfast chain follow` finds out" if others else ""
        return (
            f"no block became final for {late_s:.0f} s: in view {core.view} of term {core.term}, "
            f"connected to {connected} of {others} other validators; {core.validators.quorum} "
            f"must vote {self._engine.abstains or ('' if connected else alone)}"
        ).strip()

    @property
    def consensus(self) -> dict[str, object]:
        """Where this validator stands, for people."""
        if not self._begun:
            return {}
        core = self._engine.core
        took = sorted(self._finality_ms)
        return {
            "term": core.term,
            "view": core.view,
            "validators": len(core.validators.members),
            "connected": self._gossip.connected,
            "votes": self._engine.seated,
            "abstains": self._engine.abstains,
            "missed_views": list(core.missed),
            "finality_ms": {
                "blocks": len(took),
                "p50": took[len(took) // 2] if took else None,
                "p99": took[len(took) * 99 // 100] if took else None,
            },
        }

    async def run(self) -> None:
        """Take part in consensus until cancelled."""
        try:
            async with self._gossip:
                await _until_one_ends(self._take_part(), self._store_steadily(), self._ranges.run())
        finally:
            self._condition = "stopped"
            self.end_followers()

    async def _take_part(self) -> None:
        self._condition = ""
        while True:
            await self.step(self._gossip.take(BATCH_MESSAGES))
            await self._gossip.gather(self._members())
            await self._sleep()

    async def step(self, batch: list[tuple[bytes, Message]]) -> None:
        """Handle some messages and what is due by the clock, and do all that follows."""
        if not self._begun:
            self._engine.start(self._now())
            self._begun = True
        else:
            self._handle(batch)
        await self._perform(self._engine.output.take())

    # what happens

    @staticmethod
    def _now() -> Now:
        return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)

    async def _sleep(self) -> None:
        """Until there is a message, a transaction to pass on, or something due by the clock."""
        now = self._now()
        due_s = max(0, self._engine.wake_at(now) - now.ms) / 1000
        with suppress(TimeoutError):
            async with asyncio.timeout(due_s):
                await self._gossip.awake.wait()
        self._gossip.awake.clear()

    def _handle(self, batch: list[tuple[bytes, Message]]) -> None:
        now = self._now()
        members = {each.endpoint.swarm_key for each in self._engine.validators.members}
        for peer, message in batch:
            try:
                match message:
                    case Transactions():
                        self._admit(message.transactions)
                    case WantRange():
                        self._ranges.ask(peer, message)
                    case Announce() | Propose() | Votes() | Supply() if peer not in members:
                        raise Malformed("a candidate takes no part in agreement")
                    case _:
                        self._engine.receive(peer, cast("Agreement", message), now)
            except Malformed as malformed:
                self._gossip.refuse(peer, malformed)
        self._engine.tick(now)
        if batch:
            self._gossip.awake.set()  # there may be more

    def _admit(self, transactions: Iterable[SignedTransaction]) -> None:
        """Transactions of another validator, which may be ahead, or lie; or from before a start."""
        admitted: list[SignedTransaction] = []
        for signed in transactions:
            try:
                if signed.transaction.id not in self._pool:
                    self._pool.add(signed, self.ledger.check)
                    admitted.append(signed)
            except HoldfastError as error:
                log.debug("a passed-on transaction was refused", why=str(error))
        try:
            self._waited.append(admitted)
        except Unavailable as error:
            log.warning("a restart would forget what others admitted", why=str(error))

    def _choose(self, without: frozenset[bytes]) -> tuple[SignedTransaction, ...]:
        limit = self.genesis.parameters.block_transactions_maximum
        return self._pool.select(limit, MAX_BLOCK_BYTES, without)

    def _members(self) -> tuple[Endpoint, ...]:
        """Whom to be in touch with: the validators of the term, and who may be in the next."""
        draft = Draft(self.ledger.state)
        found = {member.account: member.endpoint for member in draft.validators.members}
        for account in draft.roster(RosterName.CANDIDATES)[:MAX_VALIDATORS]:
            candidate = draft.candidates.at(account)
            found.setdefault(account, candidate.validator.endpoint)
        return tuple(found.values())

    # what the core says

    async def _perform(self, output: Output) -> None:
        if output.final:
            self._settle(output)
            self._unstored.append(output.final)
            self._to_store.set()
        term, self._term = self._term, self._engine.core.term
        if term != self._term or len(self._unstored) > MAX_UNSTORED:
            await self._store()
        if output.keep:
            self._votes.append(output.keep)  # nothing could be done meanwhile but wait for it
        for peer, message in output.say:
            self._gossip.say(peer, message)
        self._pass_on()
        self._accuse(output.faults)
        if self._votes.is_long:
            # What is dropped must be in the store: the log is the only other memory of it.
            await self._store()
            known = self._engine.core.known
            await asyncio.to_thread(self._votes.forget, self.height, self._term, known.floor)

    async def _store_steadily(self) -> None:
        """Store what is final beside the work of consensus, which need not wait for it."""
        while True:
            await self._to_store.wait()
            await self._store()

    async def _store(self) -> None:
        """Store and show all that is final so far."""
        async with self._storing:
            runs, self._unstored = self._unstored, []
            self._to_store.clear()
            if not runs:
                return
            final = [decided for run in runs for decided in run]
            await self.keep(final)
            self._final_at = time.monotonic()
            for decided in final:
                _log_rejected(decided)
            self._waited.tidy(self._pool)

    def _settle(self, output: Output) -> None:
        """Bring the pool to where the ledger is, before anybody asks it for a nonce."""
        wall_ms = self._now().wall_ms
        self._finality_ms.extend(wall_ms - d.prepared.block.header.time_ms for d in output.final)
        check = self.ledger.check_again
        included = [s for decided in output.final for s in decided.prepared.block.transactions]
        self._pool.settle(included, self.ledger.height, check)
        self._pool.give_back(output.returned, check)

    def _pass_on(self) -> None:
        """Tell the others what was admitted here."""
        fresh, self._fresh = self._fresh, []
        while fresh:
            size, count = fresh[0].size, 1
            while count < min(len(fresh), MAX_TRANSACTIONS):
                size += fresh[count].size
                if size > PASSED_ON_BYTES:
                    break
                count += 1
            self._gossip.say(None, Transactions(transactions=tuple(fresh[:count])))
            fresh = fresh[count:]

    def _accuse(self, faults: list[Contradiction]) -> None:
        for first, second in faults:
            self._accuser.note(self._engine.key_of(first), (first, second))
        waiting = self._pool.waiting_of(self._accuser.account)
        for report in self._accuser.reports(self.ledger.state, self.ledger.height, waiting):
            try:
                self._submit(report)
            except HoldfastError as error:
                log.warning("could not report a contradiction yet", why=str(error))

    # for others

    def _recall(self, found: list[SignedTransaction]) -> None:
        """What waited when this node stopped waits again, unless a block holds it by now."""
        for signed in found:
            with suppress(HoldfastError):
                self._submit(signed)
        self._waited.rewrite(self._pool)

    async def accept(self, signed: SignedTransaction) -> bytes:
        """Take a transaction into the pool and return its id; raises `Rejected`."""
        if self._submit(signed):
            self._waited.append((signed,))
        return signed.transaction.id

    async def accept_all(self, transactions: Sequence[SignedTransaction]) -> list[str]:
        """As `accept`, for many: for each why it was refused, or nothing."""
        refusals: list[str] = []
        admitted: list[SignedTransaction] = []
        for signed in transactions:
            try:
                if self._submit(signed):
                    admitted.append(signed)
                refusals.append("")
            except (Rejected, Unavailable) as refused:
                refusals.append(str(refused))
        self._waited.append(admitted)
        return refusals

    def _submit(self, signed: SignedTransaction) -> bool:
        """Take a transaction into the pool, and whether it is new there."""
        is_new = signed.transaction.id not in self._pool
        self._pool.add(signed, self.ledger.check)
        if is_new:
            self._fresh.append(signed)
            self._gossip.awake.set()
        return is_new

    def is_waiting(self, transaction: bytes) -> bool:
        """Whether a transaction is in the pool."""
        return transaction in self._pool


async def _until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Run works that never end by themselves; the first that fails ends all, with its error."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _left_out(ledger: Ledger, key: bytes) -> str:
    """Why the others do not let in who signs with `key`; empty where they do.

    They let in validators, and those that may be in the next term.
    """
    draft = Draft(ledger.state)
    owner = draft.validator_keys.get(key)
    listed = owner is not None and owner.account in draft.roster(RosterName.CANDIDATES)
    if ledger.validators.place(key) is not None or listed:
        return ""
    return (
        f"as of block {ledger.height} this home is no validator of the network: follow the "
        "chain with `holdfast chain follow`, and become one with `holdfast chain join`"
    )


def _log_rejected(decided: Decided) -> None:
    for outcome in decided.prepared.outcomes:
        if outcome.reason:
            log.info(
                "transaction rejected",
                transaction=outcome.transaction.hex(),
                reason=outcome.reason,
                detail=outcome.detail,
            )
