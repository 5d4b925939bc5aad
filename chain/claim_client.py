"""Show a fault to the chain: claim it by a hash, wait, prove it. Killed in between, go on."""

import asyncio

import structlog

from audit.entries import fresh_key
from audit.faults import false_digest, session_id
from audit.messages import ShownChunk
from chain.bodies.faults import CLAIM_BLOCKS, claim_of
from chain.challenge_records import ChallengeRecord, ReportRecord
from chain.client import ChainClient
from chain.found_store import Found, FoundStore
from chain.reasons import Reason
from chain.records import ClaimRecord, FalseSession, Table
from chain.wallet_client import Wallet
from wire.codec import decode
from wire.errors import HoldfastError, Rejected, Unavailable

log = structlog.get_logger()

AGAIN = (Reason.ALREADY_COMMITTED, Reason.NOT_COMMITTED, Reason.EXPIRED)
"""The claim was there, or is forgotten, or the blocks were full: look again what is left to do."""

PASSING = (Reason.INSUFFICIENT_BALANCE, Reason.UNKNOWN_ACCOUNT)
"""Refusals that say nothing against the proof: it stays on the disk."""


class Claimant:
    """One account's faults, from when they are found to the chain's judgement."""

    def __init__(self, chain: ChainClient, wallet: Wallet, store: FoundStore) -> None:
        self._chain = chain
        self._wallet = wallet
        self._store = store

    @property
    def account(self) -> bytes:
        """Whose faults they are to show."""
        return self._wallet.account

    async def show(self, found: Found) -> None:
        """Keep it, claim it, and prove it; who copies that from the pool has not claimed it."""
        self._store.keep(found)
        await self._see_through(found)

    async def go_on(self) -> None:
        """See what was kept before through, all at once."""
        await asyncio.gather(*map(self._see_through, self._store.all()))

    async def _see_through(self, found: Found) -> None:
        name = {"attestor": found.fault.attestor.hex()[:16]}
        try:
            while not await self._is_judged(found):
                if await self._step(found):
                    log.warning("made-up digest shown", **name)
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
        session = session_id(shown.vouched)
        return await self._chain.record(FalseSession, Table.FALSE_SESSION, session) is not None
