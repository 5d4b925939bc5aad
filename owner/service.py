"""Publish a feed: register its head, pay for its hosting, serve it until hosters have it.

Every step asks the chain what is already done, so a publication that was cut short is
continued by running it again: nothing is registered, and no plan paid, twice.
"""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from chain.blocks import MAX_PROVEN_RECORDS
from chain.bodies.data import MAX_CHUNK_BYTES
from chain.bodies.feeds import PublishFeed, Root, SignedHead, UpdateHead, consent_to_publish
from chain.bodies.plans import CancelPlan, CreatePlan, PausePlan, ResumePlan, Sla, TopUpPlan
from chain.bundle import MAX_BUNDLE_BYTES, Bundle, ReportEvidence
from chain.challenge_records import (
    Availability,
    ChallengeRecord,
    DrawRecord,
    ReportRecord,
    VerdictRecord,
)
from chain.challenges.explaining import Case
from chain.challenges.judging import targets_of
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.endpoint import Endpoint
from chain.hosting_records import DataRequest, warning_id
from chain.records import ContractRecord, FeedRecord, PlanRecord, Table
from feed.check import larger_chunk
from feed.feed import Feed
from feed.manifest import discovery_key, encode_manifest
from feed.messages import PROTOCOL, PROTOCOL_ALIAS
from feed.replication.session import serve
from swarm.server import listen
from wire.errors import HoldfastError, Malformed, NotFound, Unavailable
from wire.keys import KeyPair, Use
from wire.ports import Connection
from wire.primitives import blake2b_256

log = structlog.get_logger()

VERDICTS_IN_BUNDLE = 256
"""The newest verdicts that an exported report holds, reports and evidence included."""


EVIDENCE_IN_BUNDLE_BYTES = MAX_BUNDLE_BYTES // 2
"""Older challenges are left out beyond this; `verify` says how many verdicts are shown."""


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What an owner orders."""

    replicas: int
    epochs: int
    price_base: int
    sla: Sla
    samples: int
    start_height: int = 0
    expires_height: int = 0
    """When it is cancelled at the latest; 0: never."""


@dataclass(frozen=True, slots=True)
class Published:
    """A feed that is hosted as ordered."""

    feed: bytes
    plan: bytes
    contracts: tuple[ContractRecord, ...]


Progress = Callable[[str, int, int], None]
"""Told of (step, done, of)."""


class Owner:
    """One owner on one chain; `chain.run` must be running beside its methods."""

    def __init__(self, chain: ChainClient, seed: bytes, wallet: Wallet | None = None) -> None:
        """Without a `wallet`, it is that of the seed's own account and offers the least fee."""
        self._chain = chain
        self._wallet = wallet or Wallet(chain, KeyPair.derive(seed, Use.ACCOUNT))
        self._swarm_key = KeyPair.derive(seed, Use.SWARM)

    async def publish(
        self,
        feed: Feed,
        pair: KeyPair,
        terms: PlanTerms,
        host: str,
        port: int,
        public_host: str,
        tell: Progress,
    ) -> Published:
        """Register, order, and serve until every replica is acknowledged.

        `pair` is the feed's first signer: it consents to this account's being its owner.
        """
        if (large := larger_chunk(feed, MAX_CHUNK_BYTES)) is not None:
            raise Malformed(
                f"chunk {large.index // 2} has {large.size} bytes, and hosters take none above "
                f"{MAX_CHUNK_BYTES}: make the feed with smaller chunks"
            )
        async with listen(host, port, self._swarm_key, on_open=_serving(feed)) as listener:
            source = Endpoint(
                host=public_host, port=listener.port, swarm_key=self._swarm_key.public
            )
            tell("registering", 0, 1)
            await self.register(feed, pair, source)
            tell("ordering", 0, 1)
            plan = await self.order(feed.key, terms)
            return await self._until_hosted(plan, tell)

    async def register(self, feed: Feed, pair: KeyPair, source: Endpoint) -> None:
        """Bring the chain's record of a feed to the feed's present head."""
        assert feed.signature is not None, "a feed that was appended to has a signed head"
        head = SignedHead(
            fork=feed.fork,
            length=feed.length,
            roots=tuple(Root(size=root.size, hash=root.hash) for root in feed.roots),
            signature=feed.signature,
        )
        known = await self._chain.record(FeedRecord, Table.FEED, feed.key)
        if known is None:
            manifest = b"" if feed.manifest is None else encode_manifest(feed.manifest)
            network, owner = self._chain.genesis.network, self._wallet.account
            await self._wallet.send(
                PublishFeed(
                    feed=feed.key,
                    manifest=manifest,
                    head=head,
                    source=source,
                    consent=consent_to_publish(pair, network, owner, feed.key),
                )
            )
        elif (known.head.fork, known.head.length) != (feed.fork, feed.length) or (
            known.source != source
        ):
            await self._wallet.send(UpdateHead(feed=feed.key, head=head, source=source))

    async def order(self, feed: bytes, terms: PlanTerms) -> bytes:
        """The plan with these terms: one of ours that has not ended, or a new one."""
        known = await self._chain.need(FeedRecord, Table.FEED, feed)
        for plan in await self._chain.records(PlanRecord, Table.PLAN, known.plans):
            names = ("replicas", "epochs", "price_base", "sla", "samples", "expires_height")
            agreed = all(getattr(plan, name) == getattr(terms, name) for name in names)
            lasts = plan.status in ("waiting", "running", "paused")
            ours = plan.owner == self._wallet.account and lasts
            if ours and agreed:
                return plan.plan
        return await self._wallet.send(
            CreatePlan(
                feed=feed,
                replicas=terms.replicas,
                epochs=terms.epochs,
                price_base=terms.price_base,
                sla=terms.sla,
                samples=terms.samples,
                start_height=terms.start_height,
                expires_height=terms.expires_height,
            )
        )

    async def cancel(self, plan: bytes) -> PlanRecord:
        """End a plan of ours early; its record afterwards says when it ends, if not at once."""
        await self._wallet.send(CancelPlan(plan=plan))
        return await self._chain.need(PlanRecord, Table.PLAN, plan)

    async def top_up(self, plan: bytes, epochs: int) -> PlanRecord:
        """Pay for more epochs of anybody's plan; its record afterwards."""
        await self._wallet.send(TopUpPlan(plan=plan, epochs=epochs))
        return await self._chain.need(PlanRecord, Table.PLAN, plan)

    async def pause(self, plan: bytes) -> PlanRecord:
        """Have a plan of ours rest; its record afterwards says when it ends unless resumed."""
        await self._wallet.send(PausePlan(plan=plan))
        return await self._chain.need(PlanRecord, Table.PLAN, plan)

    async def resume(self, plan: bytes) -> PlanRecord:
        """Have a paused plan of ours go on; its record afterwards."""
        await self._wallet.send(ResumePlan(plan=plan))
        return await self._chain.need(PlanRecord, Table.PLAN, plan)

    async def _until_hosted(self, plan_id: bytes, tell: Progress) -> Published:
        while True:
            plan = await self._chain.need(PlanRecord, Table.PLAN, plan_id)
            contracts = await self._chain.records(ContractRecord, Table.CONTRACT, plan.contracts)
            active = tuple(c for c in contracts if c.status in ("active", "ended"))
            tell("replicating", len(active), plan.replicas)
            if len(active) >= plan.replicas:
                return Published(plan.feed, plan_id, active)
            if plan.status in ("ending", "ended"):
                raise Unavailable("the plan was cancelled before hosters had the feed")
            if plan.status == "paused":
                raise Unavailable("the plan is paused: `holdfast plan resume` has it go on")
            await self._chain.next_block()


FORGOTTEN = "the chain no longer keeps what the newest challenge of this feed rests on"


async def verdicts_of(chain: ChainClient, feed: bytes, most: int) -> list[VerdictRecord]:
    """The newest verdicts on a feed, newest first, proven."""
    listed = await chain.record(Availability, Table.AVAILABILITY, feed)
    if listed is None:
        await chain.need(FeedRecord, Table.FEED, feed)
        return []
    pairs = list(zip(listed.verdicts[::2], listed.verdicts[1::2], strict=True))
    names = [challenge + contract for challenge, contract in reversed(pairs[-most:])]
    return await chain.records(VerdictRecord, Table.VERDICT, names)


async def case_of(chain: ChainClient, name: bytes) -> Case:
    """All that is known of a settled challenge, proven: by its id, or of a feed the newest one."""
    challenge = await chain.record(ChallengeRecord, Table.CHALLENGE, name)
    if challenge is None:
        newest = await verdicts_of(chain, name, 1)
        if not newest:
            raise NotFound("there is no verdict on this feed yet")
        challenge = await chain.record(ChallengeRecord, Table.CHALLENGE, newest[0].challenge)
        if challenge is None:
            raise NotFound(f"{FORGOTTEN}: only the verdict on it is left (`holdfast report`)")
    if challenge.coin is None or challenge.status != "settled":
        raise NotFound(f"this challenge is {challenge.status}: nothing is concluded")
    draw = await chain.need(DrawRecord, Table.DRAW, challenge.challenge)
    keys = [challenge.challenge + member for member in challenge.opened]
    reports = await chain.records(ReportRecord, Table.REPORT, keys)
    targets = targets_of(chain.genesis.parameters, draw, challenge.coin)
    names = [challenge.challenge + target.contract for target in targets]
    verdicts = await chain.records(VerdictRecord, Table.VERDICT, names)
    ids = list(dict.fromkeys(verdict.plan for verdict in verdicts))
    plans = {plan.plan: plan for plan in await chain.records(PlanRecord, Table.PLAN, ids)}
    evidence = {}
    for report in reports:
        with suppress(NotFound):  # it may have been pruned
            shown = await chain.evidence(challenge.challenge, report.attestor)
            if blake2b_256(shown) == report.evidence:
                evidence[report.attestor] = shown
    concluded = [(verdict, plans[verdict.plan]) for verdict in verdicts]
    asked = [
        await chain.record(
            DataRequest, Table.DATA_REQUEST, warning_id(challenge.challenge, verdict.contract)
        )
        for verdict in verdicts
        if verdict.verdict == "unproven"
    ]
    warnings = [request for request in asked if request is not None]
    return Case(challenge, draw, reports, evidence, concluded, warnings)


async def export_bundle(chain: ChainClient, feed: bytes) -> Bundle:
    """Everything that proves the newest verdicts on a feed, of one final block."""
    verdicts = await verdicts_of(chain, feed, VERDICTS_IN_BUNDLE)
    if not verdicts:
        raise NotFound("there is no verdict on this feed yet")
    challenge_ids = list(dict.fromkeys(verdict.challenge for verdict in verdicts))
    challenges = await chain.kept(ChallengeRecord, Table.CHALLENGE, challenge_ids)
    if not challenges:
        raise NotFound(f"{FORGOTTEN}: nothing is left that a file could show")
    known = {challenge.challenge for challenge in challenges}
    verdicts = [verdict for verdict in verdicts if verdict.challenge in known]
    names: list[tuple[Table, bytes]] = [
        (Table.META, b""),
        (Table.FEED, feed),
        (Table.AVAILABILITY, feed),
        *((Table.PLAN, plan) for plan in dict.fromkeys(v.plan for v in verdicts)),
        *((Table.VERDICT, verdict.challenge + verdict.contract) for verdict in verdicts),
    ]
    evidence: list[ReportEvidence] = []
    size = 0
    for challenge in challenges:
        room = MAX_PROVEN_RECORDS - len(names) - 2 - len(challenge.opened)
        fits = room >= 0 and size <= EVIDENCE_IN_BUNDLE_BYTES
        shown = await _evidence_of(chain, challenge) if fits else []
        size += sum(len(report.evidence) for report in shown)
        if not fits or size > EVIDENCE_IN_BUNDLE_BYTES:
            names = [name for name in names if not _is_verdict_of(name, challenge.challenge)]
            continue
        names += [(Table.CHALLENGE, challenge.challenge), (Table.DRAW, challenge.challenge)]
        names += [(Table.REPORT, challenge.challenge + member) for member in challenge.opened]
        evidence += shown
    if not any(table is Table.VERDICT for table, _ in names):
        raise Unavailable("the evidence of the newest challenge is too large for one file")
    proof, _ = await chain.prove(names)
    return Bundle(
        genesis=chain.genesis,
        feed=feed,
        steps=await chain.steps(proof.header),
        state=proof,
        evidence=tuple(evidence),
    )


async def _evidence_of(chain: ChainClient, challenge: ChallengeRecord) -> list[ReportEvidence]:
    return [
        ReportEvidence(
            challenge=challenge.challenge,
            attestor=member,
            evidence=await chain.evidence(challenge.challenge, member),
        )
        for member in challenge.opened
    ]


def _is_verdict_of(name: tuple[Table, bytes], challenge: bytes) -> bool:
    table, key = name
    return table is Table.VERDICT and key.startswith(challenge)


def _serving(
    feed: Feed,
) -> Callable[[str, bytes, Connection], Coroutine[Any, Any, None] | None]:
    """Serve one feed to whoever asks for it."""

    async def serve_reader(connection: Connection) -> None:
        try:
            await serve(connection, feed)
        except HoldfastError as error:
            log.info("reader dropped", reason=str(error))

    def on_open(
        protocol: str, id: bytes, connection: Connection
    ) -> Coroutine[Any, Any, None] | None:
        ours = protocol in (PROTOCOL, PROTOCOL_ALIAS) and id == discovery_key(feed.key)
        return serve_reader(connection) if ours else None

    return on_open
