"""Talk to a node without trusting it: every answer is checked before anyone sees it.

The client holds the genesis, and follows the validators from term to term (`chain.trust`). It
believes a header with a certificate, a record under that header's state root, and never a state
older than the newest one it has seen.
"""

import asyncio
import json
import logging
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import structlog

from chain.blocks import (
    MAX_PROVEN_RECORDS,
    Header,
    Notice,
    RecordName,
    StateProof,
    TransactionProof,
)
from chain.client.http_client import NodeHttp
from chain.genesis import Genesis
from chain.light import Forked
from chain.records import (
    RECORDS,
    Meta,
    Table,
)
from chain.trust import (
    STEPS_AT_ONCE,
    TermStep,
    TermSteps,
    Trust,
    verify_state,
    verify_transaction,
)
from wire.codec import Message, decode, encode
from wire.errors import Malformed, NotFound, Unavailable

log = structlog.get_logger()

RETRY_S = (0.2, 0.5, 1, 2, 5)
"""Waits between attempts to reach a node, the last one for ever after."""

R = TypeVar("R", bound=Message)


class ChainClient:
    """One node, seen through the genesis. `run` must be running for `wait` to wake up."""

    def __init__(
        self, url: str, genesis: Genesis, *, patient: bool = False, trust: Trust | None = None
    ) -> None:
        """A `patient` client waits for a node that is gone: for daemons, not for people.

        `trust` is what was followed before, or a checkpoint; else the client begins at the genesis.
        """
        self.url = url.rstrip("/")
        self._node = NodeHttp(url)
        self._patient = patient
        self.genesis = genesis
        self.trust = trust or Trust(genesis)
        self._stepping = asyncio.Lock()
        self.tip: Header | None = None
        self._news = asyncio.Condition()
        self._heard = 0
        """Height of the last notice. The tip may be ahead of it: proofs move it too."""
        self._heard_block: bytes | None = None
        """The id of that block, once it is known."""
        self._begun = False
        self._watched: Counter[tuple[int, bytes]] = Counter()
        self._written: dict[tuple[int, bytes], int] = {}
        """For records that somebody waits for: the height that last wrote them."""

    async def __aenter__(self) -> Self:
        await self._node.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._node.__aexit__(kind, error, trace)

    @property
    def height(self) -> int:
        """Height of the newest final block seen."""
        return self.tip.height if self.tip else 0

    async def run(self) -> None:
        """Follow the chain until cancelled, through lost connections and restarted nodes."""
        failures = 0
        while True:
            try:
                async with aclosing(self._events()) as notices:
                    async for notice in notices:
                        failures = 0
                        await self._hear(notice)
            except NotFound:
                self._heard = 0  # the node no longer keeps what came since: begin at the present
            except (Unavailable, Malformed) as error:
                log.debug("lost the chain's events", error=str(error))
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1

    async def _events(self) -> AsyncGenerator[Notice]:
        if not self._heard:
            await self._begin()
        path = f"/api/v1/events?after={self._heard}"
        async with aclosing(self._node.events(path)) as events:
            async for data in events:
                yield await self._notice(data)

    async def _notice(self, data: bytes) -> Notice:
        """The next block's notice; raises `Malformed` for what is not that."""
        try:
            notice: Notice = decode(Notice, b64decode(data, validate=True))
        except ValueError as error:
            raise Malformed(f"an event that is not base64: {error}") from None
        if notice.header.height != self._heard + 1:
            raise Malformed(f"block {notice.header.height} was told of after block {self._heard}")
        await self.follow_terms(notice.header)
        self.trust.require_final(notice.header, notice.certificate, notice.descendants)
        if self._heard_block not in (None, notice.header.parent):
            raise Forked(
                f"block {notice.header.height} is final and does not follow the final block "
                f"{self._heard}: the validators of this network cannot be trusted"
            )
        return notice

    async def follow_terms(self, header: Header) -> None:
        """Learn who the validators of a block are, by the node's steps from term to term.

        Raises `Malformed` when the node shows a block and not how its validators came to be.
        """
        async with self._stepping:
            while missing := self.trust.missing(header):
                for step in await self._steps(self.trust.term + 1, missing):
                    self.trust.advance(step)

    async def _steps(self, term: int, count: int) -> tuple[TermStep, ...]:
        """Some of the steps that lead to this term and the next ones; unchecked."""
        count = min(count, STEPS_AT_ONCE)
        try:
            body = await self._node.read("GET", f"/api/v1/terms/{term}?count={count}")
        except NotFound:
            body = encode(())
        steps: tuple[TermStep, ...] = decode(TermSteps, body)
        terms = [step.header.term + 1 for step in steps]
        if not steps or terms != list(range(term, term + len(steps))):
            raise Malformed(
                f"the node does not show how the validators of term {term} came to be: ask "
                "another node"
            )
        return steps

    async def steps(self, header: Header) -> tuple[TermStep, ...]:
        """All that lead from the genesis to the validators of a block, for somebody without us."""
        trust = Trust(self.genesis)
        found: list[TermStep] = []
        while missing := trust.missing(header):
            for step in await self._steps(trust.term + 1, missing):
                trust.advance(step)
                found.append(step)
        return tuple(found)

    async def _begin(self) -> None:
        """Start hearing at the present; whoever read before it may have missed a change."""
        proof, _ = await self.prove([(Table.META, b"")])
        self._heard, self._heard_block = proof.header.height, proof.header.id
        self._begun = True
        for watched in self._watched:
            self._written[watched] = self._heard
        async with self._news:
            self._news.notify_all()

    async def _hear(self, notice: Notice) -> None:
        self._advance(notice.header)
        self._heard, self._heard_block = notice.header.height, notice.header.id
        for changed in notice.changed:
            key = (changed.table, changed.key)
            if key in self._watched:
                self._written[key] = notice.header.height
        async with self._news:
            self._news.notify_all()

    def _advance(self, header: Header) -> None:
        if self.tip is None or header.height > self.tip.height:
            self.tip = header
        elif header.height == self.tip.height and header.id != self.tip.id:
            raise Forked(
                f"two final blocks at height {header.height}, {header.id.hex()} and "
                f"{self.tip.id.hex()}: the validators of this network cannot be trusted"
            )

    async def next_block(self) -> int:
        """Wait for a block above the present tip and return its height."""
        return await self.reach(self.height + 1)

    async def reach(self, height: int) -> int:
        """Wait until the chain has a final block at `height`, and return the tip's."""
        async with self._news:
            await self._news.wait_for(lambda: self.height >= height)
        return self.height

    async def record(self, kind: type[R], table: Table, key: bytes) -> R | None:
        """The record at `key` in the newest state, proven; None when there is none."""
        assert RECORDS[table] is kind
        _, (record,) = await self.prove([(table, key)])
        return cast("R | None", record)

    async def records(self, kind: type[R], table: Table, keys: Sequence[bytes]) -> list[R]:
        """Records that are all there; raises `NotFound` when one is missing."""
        found = await self.kept(kind, table, keys)
        if len(found) < len(keys):
            raise NotFound(f"the chain has no such {table.name.lower()}")
        return found

    async def kept(self, kind: type[R], table: Table, keys: Sequence[bytes]) -> list[R]:
        """Those of these records that are there: the chain forgets some after a time."""
        assert RECORDS[table] is kind
        found: list[R] = []
        for start in range(0, len(keys), MAX_PROVEN_RECORDS):
            part = keys[start : start + MAX_PROVEN_RECORDS]
            _, records = await self.prove([(table, key) for key in part])
            found += [cast("R", record) for record in records if record is not None]
        return found

    async def prove(
        self, keys: Sequence[tuple[Table, bytes]]
    ) -> tuple[StateProof, list[Message | None]]:
        """Records of the newest state and the proof of all of them, checked."""
        failures = 0
        while True:
            try:
                return await self._prove(keys)
            except NotFound:
                raise
            except (Unavailable, Malformed) as error:
                if not self._patient:
                    raise
                level = logging.DEBUG if failures else logging.INFO
                log.log(level, "waiting for the node", reason=str(error))
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

    async def _prove(
        self, keys: Sequence[tuple[Table, bytes]]
    ) -> tuple[StateProof, list[Message | None]]:
        names = tuple(RecordName(table=int(table), key=key) for table, key in keys)
        newest = self.height
        body = await self._node.read("POST", "/api/v1/records", encode(names))
        proof = decode(StateProof, body)
        if tuple((record.table, record.key) for record in proof.records) != tuple(
            (name.table, name.key) for name in names
        ):
            raise Malformed("the node proved other records than it was asked for")
        await self.follow_terms(proof.header)
        records = verify_state(self.trust, proof)
        # The tip may have moved on since the question; that does not make the answer old.
        if proof.header.height < newest:
            raise Unavailable("the node answered from an older state than it had shown")
        self._advance(proof.header)
        return proof, records

    async def read_json(self, path: str) -> Any:
        """What the node says at `/api/v1` + path. For people: nothing proves it."""
        try:
            return json.loads(await self._node.read("GET", f"/api/v1{path}"))
        except (ValueError, RecursionError) as error:
            raise Malformed(f"the node answered with no JSON: {error}") from None

    async def evidence(self, challenge: bytes, attestor: bytes) -> bytes:
        """What came beside an opened report; its digest is in the report."""
        return await self._node.read("GET", f"/api/v1/evidence/{challenge.hex()}/{attestor.hex()}")

    async def need(self, kind: type[R], table: Table, key: bytes) -> R:
        """As `record`, but raises `NotFound` when there is none."""
        record = await self.record(kind, table, key)
        if record is None:
            raise NotFound(f"the chain has no such {table.name.lower()}")
        return record

    async def wait(
        self,
        kind: type[R],
        table: Table,
        key: bytes,
        ready: Callable[[R], bool],
        *,
        by_height: int | None = None,
    ) -> R:
        """Wait until the record at `key` exists and is `ready`; through node restarts.

        An existing record comes back unready once the chain is at `by_height`.
        """
        watched = (int(table), key)
        self._watched[watched] += 1
        try:
            while True:
                begun = self._begun
                try:
                    proof, (record,) = await self.prove([(table, key)])
                except (Unavailable, Malformed) as error:
                    log.debug("could not read a record", table=table.name, error=str(error))
                    await asyncio.sleep(RETRY_S[1])
                    continue
                height = proof.header.height
                late = by_height is not None and height >= by_height
                if record is not None and (late or ready(cast("R", record))):
                    return cast("R", record)
                await self._written_after(height, begun, watched, by_height)
        finally:
            self._watched[watched] -= 1
            if not self._watched[watched]:
                del self._watched[watched]
                self._written.pop(watched, None)

    async def _written_after(
        self, height: int, begun: bool, watched: tuple[int, bytes], by_height: int | None
    ) -> None:
        """Wait until a record that was read at `height` may have changed.

        What was written before events were heard is not known: `begun` says whether they were
        when the record was asked for.
        """

        def written() -> bool:
            late = by_height is not None and self._heard >= by_height
            missed = self._begun and not begun
            return late or missed or self._written.get(watched, 0) > height

        async with self._news:
            await self._news.wait_for(written)

    async def meta(self) -> Meta:
        """The record of the chain itself."""
        return await self.need(Meta, Table.META, b"")

    async def submit(self, signed: bytes) -> None:
        """Hand one encoded signed transaction to the node; raises `Rejected`."""
        await self._node.submit("POST", "/api/v1/transactions", signed)

    async def outcome(self, transaction: bytes) -> TransactionProof | None:
        """What became of a transaction, proven; None while no block holds it."""
        try:
            body = await self._node.read("GET", f"/api/v1/transactions/{transaction.hex()}")
        except NotFound:
            return None
        proof: TransactionProof = decode(TransactionProof, body)
        await self.follow_terms(proof.header)
        verify_transaction(self.trust, transaction, proof)
        return proof
