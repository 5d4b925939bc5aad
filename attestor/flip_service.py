"""Play one attempt of a challenge's flip: the ports of `coinflip.session`, filled in.

The members meet in a private topic of their Noise keys. What is said there is signed by
their accounts, so the transport need not be believed.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from attestor.court_service import Court
from attestor.identity import Identity
from attestor.messages import CoinKept
from attestor.schedule import vote_height
from attestor.store import AttestorStore
from audit.messages import PeerMetric
from chain.bodies.challenges import ReportAbsent, SealCoin
from chain.challenge_records import ChallengeRecord
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.records import Registration, Table
from coinflip.events import Landed, Malicious, Offline
from coinflip.messages import Evidence
from coinflip.opening import topic_id
from coinflip.seat import derive_seat
from coinflip.service import Members
from coinflip.session import Patience, Session
from swarm.service import Swarm, Topic
from wire.codec import encode
from wire.errors import Rejected
from wire.zbase32 import encode as encode_key

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended for us."""

    coin: CoinKept | None
    """None: the chain opens another attempt, or none."""
    recovered: int
    """Members that fell silent after the seal, which changed nothing."""
    peers: tuple[PeerMetric, ...]


class FlipTable:
    """Where the flips of one challenge are played, one attempt after the other."""

    def __init__(
        self,
        chain: ChainClient,
        wallet: Wallet,
        store: AttestorStore,
        swarm: Swarm,
        identity: Identity,
        court: Court,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._chain = chain
        self._wallet = wallet
        self._store = store
        self._swarm = swarm
        self._identity = identity
        self._court = court
        self._tasks = tasks
        self._topic: Topic | None = None
        self._running: list[asyncio.Task[None]] = []

    async def play(self, record: ChallengeRecord) -> Attempt:
        """Play the record's attempt, from the beginning or from where a restart left it.

        The session goes on in the background for members that lag, until `leave`.
        """
        self.leave()
        network = self._chain.genesis.network
        voices = record.voices(record.members)
        topic_name = topic_id(
            network, record.challenge, record.attempt, voices, record.seal_deadline
        )
        seat = derive_seat(self._identity.seed, network, topic_name, voices)
        registrations = await self._chain.records(Registration, Table.REGISTRATION, record.members)
        account_of = {r.endpoint.swarm_key: r.account for r in registrations}
        topic = self._topic = self._swarm.join(
            topic_name,
            {r.endpoint.swarm_key: (r.endpoint.host, r.endpoint.port) for r in registrations},
        )
        session = Session(
            seat,
            Members(topic),
            _Chain(self._chain, self._wallet, record, self._spawn, self._court),
            _Log(self._store, record.challenge, topic_name),
            self._patience(record),
        )
        self._spawn(session.run())
        self._spawn(self._report_silent(record, session))
        for registration in registrations:
            if registration.account != self._wallet.account:
                self._spawn(self._keep_address(topic, registration))
        outcome = await session.outcome()
        peers = tuple(
            PeerMetric(
                peer=account_of[key],
                round_trip_us=figures.rtt_us,
                throughput_bytes_per_s=figures.bytes_per_s,
                loss_ppm=figures.loss_ppm,
            )
            for key, figures in sorted(topic.measurements().items())
        )
        match outcome:
            case Landed(coin=coin, recovered=recovered, opening=opening):
                kept = CoinKept(attempt=record.attempt, coin=coin, opening=encode(opening))
                return Attempt(kept, len(recovered), peers)
            case Offline():
                return Attempt(None, 0, peers)
            case Malicious(accused=accused):
                log.warning("a member is provably malicious", account=encode_key(accused))
                return Attempt(None, 0, peers)

    def leave(self) -> None:
        """End what still runs of an attempt."""
        for task in self._running:
            task.cancel()
        self._running.clear()
        if self._topic is not None:
            self._topic.leave()
            self._topic = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._running.append(self._tasks.create_task(work))

    async def _report_silent(self, record: ChallengeRecord, session: Session) -> None:
        """Shortly before the deadline: tell the chain for whom we still wait, in any phase."""
        blocks = self._chain.genesis.parameters.flip_blocks * (record.attempt + 1)
        await self._chain.reach(vote_height(record.seal_deadline, blocks))
        silent = record.speakers(session.missing)
        now = await self._chain.need(ChallengeRecord, Table.CHALLENGE, record.challenge)
        same = (now.status, now.attempt) == ("flipping", record.attempt)
        if not silent or not same:
            return
        log.info("members are silent in the flip", count=len(silent))
        body = ReportAbsent(
            challenge=record.challenge, attempt=record.attempt, absent=tuple(sorted(silent))
        )
        try:
            await self._wallet.send(body, by_height=record.seal_deadline)
        except Rejected as rejected:
            log.debug("absence not counted", reason=str(rejected))

    async def _keep_address(self, topic: Topic, known: Registration) -> None:
        """A member that restarts elsewhere is dialled there."""
        while True:
            endpoint = known.endpoint
            known = await self._chain.wait(
                Registration,
                Table.REGISTRATION,
                known.account,
                lambda now: now.endpoint != endpoint,  # noqa: B023 - called before the next turn
            )
            if known.endpoint.swarm_key in topic.members:
                address = (known.endpoint.host, known.endpoint.port)
                topic.update_member(known.endpoint.swarm_key, address)

    def _patience(self, record: ChallengeRecord) -> Patience:
        parameters = self._chain.genesis.parameters
        interval_s = parameters.block_interval_ms / 1_000
        window_s = parameters.window_blocks * interval_s
        # Before the seal only the chain ends an attempt; whoever was silent is voted on.
        attempt_s = (record.seal_deadline - record.drawn_height) * interval_s + window_s
        return Patience(
            commit_s=attempt_s,
            deal_s=attempt_s,
            reveal_s=max(window_s / 20, 2 * interval_s),
            recover_s=window_s,
            stall_s=max(2 * interval_s, 0.5),
            linger_s=window_s,
        )


class _Chain:
    """The chain as the flip sees it."""

    def __init__(
        self,
        chain: ChainClient,
        wallet: Wallet,
        record: ChallengeRecord,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        court: Court,
    ) -> None:
        """What `spawn` starts ends with the attempt; what the court does goes on beyond it."""
        self._chain = chain
        self._wallet = wallet
        self._record = record
        self._spawn = spawn
        self._court = court
        self._submitted = False

    async def submit_seal(self, digest: bytes, signatures: tuple[bytes, ...]) -> None:
        """Send it when our turn comes; the flip goes on meanwhile."""
        if not self._submitted:
            self._submitted = True
            self._spawn(self._submit_in_turn(digest, signatures))

    async def _submit_in_turn(self, digest: bytes, signatures: tuple[bytes, ...]) -> None:
        """One seal is enough: members wait for each other, a block each, in a rotating order."""
        await self._our_turn(digest, self._record.members)
        if (await self._challenge()).status != "flipping":
            return
        seal = SealCoin(
            challenge=self._record.challenge,
            attempt=self._record.attempt,
            digest=digest,
            signatures=signatures,
        )
        try:
            await self._wallet.send(seal, by_height=self._record.seal_deadline)
        except Rejected as rejected:
            log.debug("seal not taken", reason=str(rejected))

    async def _our_turn(self, digest: bytes, members: Sequence[bytes]) -> None:
        """Wait two blocks for each member that comes before us, in an order of this digest."""
        first = int.from_bytes(digest[:8], "big") % len(members)
        turn = (members.index(self._wallet.account) - first) % len(members)
        if turn:
            await self._chain.reach(self._chain.height + 2 * turn)

    async def _challenge(self) -> ChallengeRecord:
        return await self._chain.need(ChallengeRecord, Table.CHALLENGE, self._record.challenge)

    async def submit_evidence(self, evidence: Evidence) -> None:
        """Have the court report a fault, though the flip may be over by then."""
        log.warning("provable fault in a flip", kind=evidence.kind)
        self._court.accuse(self._record, evidence)

    async def wait_sealed(self) -> bytes | None:
        """The sealed digest of this attempt, or None when the attempt is over without one."""
        attempt = self._record.attempt
        record = await self._chain.wait(
            ChallengeRecord,
            Table.CHALLENGE,
            self._record.challenge,
            lambda now: now.attempt != attempt or now.status != "flipping",
        )
        return record.digest if record.attempt == attempt else None


class _Log:
    """A flip's log in the attestor's store."""

    def __init__(self, store: AttestorStore, challenge: bytes, topic: bytes) -> None:
        self._store = store
        self._challenge = challenge
        self._topic = topic

    async def append(self, entry: bytes) -> None:
        self._store.add_flip_entry(self._challenge, self._topic, entry)

    async def load(self) -> list[bytes]:
        return self._store.flip_log(self._topic)
