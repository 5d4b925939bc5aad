"""Talk to a node without trusting it: every answer is checked before anyone sees it.

The client holds the genesis. It believes a header with a certificate, a record under that
header's state root, and never a state older than the newest one it has seen.
"""

import asyncio
import json
import logging
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import aiohttp
import structlog

from chain.genesis import Genesis
from chain.light import Forked, verify_certificate, verify_state, verify_transaction
from chain.messages import (
    MAX_PROVEN_RECORDS,
    Header,
    Notice,
    RecordName,
    StateProof,
    TransactionProof,
)
from chain.reasons import parse_reason
from chain.records import (
    RECORDS,
    Meta,
    Table,
)
from wire.codec import Message, decode, encode
from wire.errors import HoldfastError, Malformed, NotFound, Rejected, Unavailable

log = structlog.get_logger()

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=20)
"""A node that has not answered by then is busy or gone; the request is repeated."""

EVENTS_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=120)
"""Events never end; two minutes without a block and the connection is made anew."""

MAX_ANSWER_BYTES = 4 << 20
"""The largest message the codec takes; more is cut off unread."""

MAX_EVENT_BYTES = 8 << 20
"""One notice, in base64."""

RETRY_S = (0.2, 0.5, 1, 2, 5)
"""Waits between attempts to reach a node, the last one for ever after."""

R = TypeVar("R", bound=Message)


class ChainClient:
    """One node, seen through the genesis. `run` must be running for `wait` to wake up."""

    def __init__(self, url: str, genesis: Genesis, *, patient: bool = False) -> None:
        """A `patient` client waits for a node that is gone: for daemons, not for people."""
        self.url = url.rstrip("/")
        self._patient = patient
        self.genesis = genesis
        self.tip: Header | None = None
        self._session: aiohttp.ClientSession | None = None
        self._news = asyncio.Condition()
        self._heard = 0
        """Height of the last notice. The tip may be ahead of it: proofs move it too."""
        self._begun = False
        self._watched: Counter[tuple[int, bytes]] = Counter()
        self._written: dict[tuple[int, bytes], int] = {}
        """For records that somebody waits for: the height that last wrote them."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(read_bufsize=MAX_EVENT_BYTES)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    @property
    def height(self) -> int:
        """Height of the newest final block seen."""
        return self.tip.height if self.tip else 0

    async def run(self) -> None:
        """Follow the chain until cancelled, through lost connections and restarted nodes."""
        failures = 0
        while True:
            try:
                async for notice in self._events():
                    failures = 0
                    await self._hear(notice)
            except (Unavailable, Malformed) as error:
                log.debug("lost the chain's events", error=str(error))
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1

    async def _events(self) -> AsyncIterator[Notice]:
        if not self._heard:
            await self._begin()
        path = f"/api/v1/events?after={self._heard}"
        async with self._request("GET", path, timeout=EVENTS_TIMEOUT) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    notice = decode(Notice, b64decode(line[6:]))
                    verify_certificate(self.genesis, notice.header, notice.certificate)
                    yield notice

    async def _begin(self) -> None:
        """Start hearing at the present; whoever read before it may have missed a change."""
        self._heard = (await self.meta()).height
        self._begun = True
        async with self._news:
            self._news.notify_all()

    async def _hear(self, notice: Notice) -> None:
        self._advance(notice.header)
        self._heard = notice.header.height
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
        """Records that are all there, of one state; raises `NotFound` when one is missing."""
        assert RECORDS[table] is kind
        found: list[R] = []
        for start in range(0, len(keys), MAX_PROVEN_RECORDS):
            part = keys[start : start + MAX_PROVEN_RECORDS]
            _, records = await self.prove([(table, key) for key in part])
            if None in records:
                raise NotFound(f"the chain has no such {table.name.lower()}")
            found += cast("list[R]", records)
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
        body = await self._read("POST", "/api/v1/records", data=encode(names))
        proof = decode(StateProof, body)
        if tuple((record.table, record.key) for record in proof.records) != tuple(
            (name.table, name.key) for name in names
        ):
            raise Malformed("the node proved other records than it was asked for")
        records = verify_state(self.genesis, proof)
        if proof.header.height < self.height:
            raise Unavailable("the node answered from an older state than it had shown")
        self._advance(proof.header)
        return proof, records

    async def read_json(self, path: str) -> Any:
        """What the node says at `/api/v1` + path. For people: nothing proves it."""
        try:
            return json.loads(await self._read("GET", f"/api/v1{path}"))
        except ValueError as error:
            raise Malformed(f"the node answered with no JSON: {error}") from None

    async def evidence(self, challenge: bytes, attestor: bytes) -> bytes:
        """What came beside an opened report; its digest is in the report."""
        return await self._read("GET", f"/api/v1/evidence/{challenge.hex()}/{attestor.hex()}")

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
                try:
                    record = await self.record(kind, table, key)
                except (Unavailable, Malformed) as error:
                    log.debug("could not read a record", table=table.name, error=str(error))
                    await asyncio.sleep(RETRY_S[1])
                    continue
                late = by_height is not None and self.height >= by_height
                if record is not None and (late or ready(record)):
                    return record
                await self._written_after(self.height, watched, by_height)
        finally:
            self._watched[watched] -= 1
            if not self._watched[watched]:
                del self._watched[watched]
                self._written.pop(watched, None)

    async def _written_after(
        self, height: int, watched: tuple[int, bytes], by_height: int | None
    ) -> None:
        begun = self._begun

        def written() -> bool:
            late = by_height is not None and self._heard >= by_height
            missed = self._begun and not begun
            return late or missed or self._written.get(watched, 0) > height

        async with self._news:
            await self._news.wait_for(written)

    async def meta(self) -> Meta:
        """The record of the chain itself."""
        return await self.need(Meta, Table.META, b"")

    async def _read(self, method: str, path: str, data: bytes | None = None) -> bytes:
        async with self._request(method, path, data=data) as response:
            body = await response.content.read(MAX_ANSWER_BYTES + 1)
            while (part := await response.content.read(MAX_ANSWER_BYTES + 1)) and len(
                body
            ) <= MAX_ANSWER_BYTES:
                body += part
            if len(body) > MAX_ANSWER_BYTES:
                raise Malformed(f"the node answered with more than {MAX_ANSWER_BYTES} bytes")
            return body

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        timeout: aiohttp.ClientTimeout = REQUEST_TIMEOUT,  # noqa: ASYNC109
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session is not None, "use the client as a context manager"
        try:
            async with self._session.request(
                method, self.url + path, data=data, timeout=timeout
            ) as response:
                if response.status >= 400:
                    raise await _error_of(response)
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the node at {self.url} does not answer: {error}") from None

    async def submit(self, signed: bytes) -> None:
        """Hand one encoded signed transaction to the node; raises `Rejected`."""
        await self._read("POST", "/api/v1/transactions", data=signed)

    async def outcome(self, transaction: bytes) -> TransactionProof | None:
        """What became of a transaction, proven; None while no block holds it."""
        try:
            body = await self._read("GET", f"/api/v1/transactions/{transaction.hex()}")
        except NotFound:
            return None
        proof = decode(TransactionProof, body)
        verify_transaction(self.genesis, transaction, proof)
        return cast("TransactionProof", proof)


async def _error_of(response: aiohttp.ClientResponse) -> HoldfastError:
    """A node's refusal as the error it stands for."""
    try:
        body = await response.json()
        reason, detail = str(body["reason"]), str(body["detail"])[:500]
    except (ValueError, KeyError, TypeError, aiohttp.ClientError):
        return Unavailable(f"the node answered with status {response.status}")
    match response.status:
        case 404:
            return NotFound(detail)
        case 409:
            return Rejected(parse_reason(reason), detail)
        case 400:
            return Malformed(detail)
        case _:
            return Unavailable(detail)
