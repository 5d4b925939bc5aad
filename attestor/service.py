"""The attestor's daemon: enrol, listen, and attend each challenge that names us.

What one challenge asks of a member is in `round_service.py`.
"""

import asyncio
from dataclasses import dataclass
from secrets import token_bytes

import structlog

from attestor.errand_session import fetch_chunk
from attestor.identity import Identity
from attestor.itinerary import VISIT_BYTES
from attestor.round_service import Round
from attestor.store import AttestorStore
from chain.bodies.hosting import Register
from chain.challenge_records import ChallengeRecord
from chain.client.claim_client import Claimant
from chain.client.directory_client import active_hosters
from chain.client.found_store import FoundStore
from chain.client.light_client import ChainClient
from chain.client.spot_client import watch
from chain.client.wallet_client import Wallet
from chain.endpoint import Endpoint
from chain.records import FeedRecord, Meta, Table
from swarm.service import Swarm, open_swarm
from wire import zbase32
from wire.errors import HoldfastError
from wire.prng import Stream

log = structlog.get_logger()

SPOT_CHECKS = 4
"""Chunks that are fetched after each challenge, to compare others' reports with."""

SPOT_CHECK_S = 30.0
"""For fetching one of them from one peer."""


@dataclass(frozen=True, slots=True)
class AttestorTerms:
    """Where one attestor listens and what it stakes."""

    host: str
    port: int
    public_host: str
    stake_base: int
    visit_bytes: int = VISIT_BYTES
    """What one visit may fetch to hide its planned chunks."""
    fee_limit_base: int = 0
    """The most that is offered for a transaction when blocks are full."""


class Attestor:
    """One attestor on one chain."""

    def __init__(
        self,
        chain: ChainClient,
        seed: bytes,
        store: AttestorStore,
        terms: AttestorTerms,
        account: bytes | None = None,
        *,
        found: FoundStore,
    ) -> None:
        """`account` is needed where the seed's own is not it (`Wallet`).

        In `found` is kept what others made up, until the chain has judged it.
        """
        self._chain = chain
        self._identity = Identity(seed)
        self._wallet = Wallet(chain, self._identity.account, account, terms.fee_limit_base)
        self._claimant = Claimant(chain, self._wallet, found)
        self._store = store
        self._terms = terms
        self._rounds: set[bytes] = set()

    async def run(self) -> None:
        """Attest until cancelled."""
        terms = self._terms
        async with (
            open_swarm(self._identity.swarm, terms.host, terms.port) as swarm,
            asyncio.TaskGroup() as tasks,
        ):
            log.info("attestor listens", host=swarm.listener.host, port=swarm.listener.port)
            tasks.create_task(self._chain.run())
            await self._wallet.enrol(
                Register(
                    endpoint=Endpoint(
                        host=terms.public_host,
                        port=swarm.listener.port,
                        swarm_key=self._identity.swarm.public,
                    ),
                    swarm_proof=self._wallet.claim(self._identity.swarm),
                    vrf_key=self._identity.vrf.public,
                    receipt_key=self._identity.receipt.public,
                    receipt_proof=self._wallet.claim_receipts(self._identity.receipt),
                    attests=True,
                ),
                "attestor",
                terms.stake_base,
            )
            log.info("attestor enrolled", account=zbase32.encode(self._wallet.account))
            tasks.create_task(self._claimant.run())
            tasks.create_task(
                watch(self._chain, self._claimant, self._chunk, lambda _: True, SPOT_CHECKS)
            )
            await self._follow(swarm, tasks)

    async def _chunk(self, feed: bytes, index: int) -> bytes | None:
        """A chunk from whoever has it, to compare with what others say of it."""
        record = await self._chain.need(FeedRecord, Table.FEED, feed)
        hosters = [each.endpoint for each in await active_hosters(self._chain, record)]
        hosters = Stream(token_bytes(32), b"checks").shuffle(hosters)
        return await fetch_chunk(feed, index, (*hosters, record.source), SPOT_CHECK_S)

    async def _follow(self, swarm: Swarm, tasks: asyncio.TaskGroup) -> None:
        """Start a round for each open challenge that names us, and end what a restart cut off."""
        for unfinished in self._store.unfinished():
            self._begin(unfinished, swarm, tasks)
        seen: tuple[bytes, ...] | None = None
        while True:
            before = seen
            meta = await self._chain.wait(
                Meta,
                Table.META,
                b"",
                lambda meta: meta.open_challenges != before,  # noqa: B023
            )
            seen = meta.open_challenges
            for challenge in await self._chain.records(ChallengeRecord, Table.CHALLENGE, seen):
                if self._wallet.account in challenge.members:
                    self._begin(challenge.challenge, swarm, tasks)

    def _begin(self, challenge: bytes, swarm: Swarm, tasks: asyncio.TaskGroup) -> None:
        if challenge not in self._rounds:
            self._rounds.add(challenge)
            tasks.create_task(self._attend(challenge, swarm))

    async def _attend(self, challenge: bytes, swarm: Swarm) -> None:
        """One challenge from draw to settlement; what goes wrong here ends only this round."""
        round_ = Round(
            challenge,
            self._chain,
            self._wallet,
            self._store,
            swarm,
            self._identity,
            self._claimant,
            self._terms.visit_bytes,
        )
        try:
            await round_.play()
        except* HoldfastError as group:
            reasons = "; ".join(str(error) for error in group.exceptions)
            log.warning("round given up", challenge=challenge.hex()[:16], reason=reasons)
        finally:
            self._rounds.discard(challenge)
