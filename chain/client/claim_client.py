"""Show a fault to the chain: claim it by a hash, wait, prove it. Killed in between, go on."""

import asyncio

import structlog

from audit.entries import fresh_key
from audit.faults import false_digest, session_id
from audit.messages import ShownChunk
from chain.bodies.faults import CLAIM_BLOCKS, ReceiptFault, claim_of
from chain.challenge_records import ChallengeRecord, ReportRecord
from chain.client.found_store import Found, FoundStore
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.reasons import Reason
from chain.records import ClaimRecord, FalseSession, Table
from wire.codec import decode
from wire.errors import HoldfastError, Rejected, Unavailable

log = structlog.get_logger()

AGAIN = (Reason.ALREADY_COMMITTED, Reason.NOT_COMMITTED, Reason.EXPIRED)
"""The claim was there, or is forgotten, or the blocks were full: look again what is left to do."""

PUBLIC = ("opening", "settled", "failed")
"""A challenge whose window is over, or never came: whom its committee visits is no secret."""

PASSING = (Reason.INSUFFICIENT_BALANCE, Reason.UNKNOWN_ACCOUNT)
"""Refusals that say nothing against the proof: it stays on the disk."""


class Claimant:
    """One account's faults, from when they are found to the chain's judgement."""

    def __init__(self, chain: ChainClient, wallet: Wallet, store: FoundStore) -> None:
        self._chain = chain
        self._wallet = wallet
        self._store = store
        self._told = asyncio.Queue[Found]()

    @property
    def account(self) -> bytes:
        """Whose faults they are to show."""
        return self._wallet.account

    async def show(self, found: Found) -> None:
        """Keep it, claim it, and prove it; who copies that from the pool has not claimed it."""
        self._store.keep(found)
        await self._see_through(found)

    def accuse(self, fault: ReceiptFault, after: bytes | None = None) -> None:
        """Keep what convicts a hoster now, and have `run` show it, once the challenge `after` is
        public: shown before, it would tell whom its committee visits.
        """
        found = Found(fault=fault, sidecar=b"", after=after)
        try:
            self._store.keep(found)
        except Unavailable as error:
            log.warning("fault not kept", reason=str(error))
        self._told.put_nowait(found)

    async def run(self) -> None:
        """See through what was kept before, and whatever is found, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.go_on())
            while True:
                tasks.create_task(self._see_through(await self._told.get()))

    async def go_on(self) -> None:
        """See what was kept before through, all at once."""
        await asyncio.gather(*map(self._see_through, self._store.all()))

    async def _see_through(self, found: Found) -> None:
        name = _named(found)
        try:
            if found.after is not None and await self._is_known(found.after):
                await self._chain.wait(
                    ChallengeRecord, Table.CHALLENGE, found.after, lambda now: now.status in PUBLIC
                )
            while not await self._is_judged(found):
                if await self._step(found):
                    log.warning("fault shown", **name)
        except Rejected as rejected:
            log.info("fault not taken", reason=str(rejected), **name)
            if rejected.reason in PASSING:
                return
        except HoldfastError as error:
            log.warning("fault not shown yet", reason=str(error), **name)
            return
        self._store.drop(found)

    async def _step(self, found: Found) -> bool:
        """Claim it, or prove what is claimed; whether the proof is in a block."""
        claim = claim_of(self._chain.genesis.network, self.account, found.fault)
        known = await self._chain.record(ClaimRecord, Table.CLAIM, self.account + claim.commitment)
        try:
            if known is None:
                # What we sent before we were killed may be in a block by then: look before that.
                await self._wallet.send(claim, again=False)
                return False
            height = await self._chain.reach(known.height + CLAIM_BLOCKS - 1)
            await self._wallet.send(
                found.fault, found.sidecar, again=False, by_height=height + CLAIM_BLOCKS
            )
        except Unavailable:
            return False
        except Rejected as rejected:
            if rejected.reason not in AGAIN:
                raise
            return False
        return True

    async def _is_judged(self, found: Found) -> bool:
        """Whether there is nothing left that it would convict anybody of."""
        fault = found.fault
        if isinstance(fault, ReceiptFault):
            return await self._is_false(session_id(fault.first.receipt))
        known = fault.challenge + fault.attestor
        report = await self._chain.need(ReportRecord, Table.REPORT, known)
        if not report.forged:
            return False
        record = await self._chain.need(ChallengeRecord, Table.CHALLENGE, fault.challenge)
        assert record.coin is not None
        shown: ShownChunk = decode(ShownChunk, found.sidecar)
        key = fresh_key(fault.challenge, record.coin, fault.contract, fault.attestor)
        if not false_digest(shown.vouched, key, shown.data).hoster:
            return True
        return await self._is_false(session_id(shown.vouched))

    async def _is_known(self, challenge: bytes) -> bool:
        """Whether the chain remembers it: what it has forgotten is long over."""
        return await self._chain.record(ChallengeRecord, Table.CHALLENGE, challenge) is not None

    async def _is_false(self, session: bytes) -> bool:
        return await self._chain.record(FalseSession, Table.FALSE_SESSION, session) is not None


def _named(found: Found) -> dict[str, str]:
    fault = found.fault
    if isinstance(fault, ReceiptFault):
        return {"kind": fault.kind, "hoster": fault.first.receipt.hoster.hex()[:16]}
    return {"kind": fault.kind, "attestor": fault.attestor.hex()[:16]}
