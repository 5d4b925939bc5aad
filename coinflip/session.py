"""Plays one flip over a network, a chain and a store.

One task owns the flip; two others feed it, from the peers and from the chain, through a
bounded queue. It saves before it sends, so `kill -9` at any line is harmless: run the
session again over the same store, and it says again what it had said and goes on.

Members are known by the account keys under their messages. The key by which the transport
knows a peer only serves to stop listening to one that sends garbage.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol

from coinflip.events import (
    Broadcast,
    Effect,
    Expired,
    Input,
    Landed,
    Malicious,
    Offline,
    Outcome,
    Phase,
    Received,
    Save,
    Sealed,
    Stalled,
    Start,
    SubmitSeal,
)
from coinflip.flip import resume, step
from coinflip.messages import MAX_MEMBERS, Evidence, Signed, read_signed
from coinflip.seat import Seat
from coinflip.state import Flip
from wire.errors import HoldfastError, Malformed

INBOX_MESSAGES = 256
"""Waiting inputs; a full inbox holds the transport back, and stalled peers say it again."""

MAX_PEERS = 4 * MAX_MEMBERS
"""Transport peers kept count of; members are fewer, so the rest are strangers."""

MAX_GARBAGE = 8
"""Malformed messages after which a peer is not listened to; honest peers send none."""

MAX_SEEN = 8192
"""Digests of messages taken since the last stall: until the next, repetitions cost a hash."""

CHAIN_TIMEOUT_S = 10.0
"""How long one submission may take before it is left to the next stall."""


class Transport(Protocol):
    """A private topic that the members have joined."""

    async def broadcast(self, data: bytes) -> None:
        """Queue `data` for every peer.

        A flip says things again. A transport that gives all that was said to those who
        connect later may drop exact repetitions; one that does not must carry them.
        """

    async def receive(self) -> tuple[bytes, bytes]:
        """The next message: the peer's transport key, and its bytes."""


class Chain(Protocol):
    """What a flip needs of the sequencing chain."""

    async def submit_seal(self, digest: bytes, signatures: tuple[bytes, ...]) -> None:
        """Send the seal; a seal that is already there, or is being sent by others, is fine."""

    async def submit_evidence(self, evidence: Evidence) -> None:
        """Send evidence; others may send the same."""

    async def wait_sealed(self) -> bytes | None:
        """The digest once a seal is finalized; None once it can no longer be."""


class Store(Protocol):
    """An append-only list of entries, one store a topic."""

    async def append(self, entry: bytes) -> None:
        """Keep an entry; it is on disk, whole, when this returns."""

    async def load(self) -> list[bytes]:
        """All whole entries, oldest first."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, for what; the seal's deadline is the chain's."""

    commit_s: float = 30.0
    deal_s: float = 30.0
    reveal_s: float = 10.0
    recover_s: float = 60.0
    confirm_s: float = 5.0
    stall_s: float = 2.0
    linger_s: float = 60.0

    def of(self, phase: Phase) -> float:
        """The seconds until `phase` expires; for the last one, until the session ends."""
        match phase:
            case Phase.COMMIT:
                return self.commit_s
            case Phase.DEAL:
                return self.deal_s
            case Phase.SEAL:
                return float("inf")
            case Phase.REVEAL:
                return self.reveal_s
            case Phase.RECOVER:
                return self.recover_s
            case Phase.CONFIRM:
                return self.confirm_s
            case Phase.ENDED:
                return self.linger_s


class _Item(NamedTuple):
    peer: bytes
    given: Input


class Gate:
    """Decides what of the transport is worth a step; mutable, owned by one session."""

    def __init__(self, members: int) -> None:
        # At a stall a peer repeats its own words, a share for each member at worst, and
        # passes on two of sixteen others; two of its stalls may fall into one of ours.
        self._allowance = 128 + 4 * members
        self._counts: Counter[bytes] = Counter()
        self._garbage: Counter[bytes] = Counter()
        self._seen: set[bytes] = set()

    def admit(self, peer: bytes, data: bytes) -> Signed | None:
        """The message, or None for what is repeated, malformed, or too much."""
        known = peer in self._counts or len(self._counts) < MAX_PEERS
        if not known or self._garbage[peer] >= MAX_GARBAGE:
            return None
        self._counts[peer] += 1
        if self._counts[peer] > self._allowance:
            return None
        name = blake2b(data, digest_size=16).digest()
        if name in self._seen:
            return None
        try:
            message = read_signed(data)
        except Malformed:
            self.blame(peer)
            return None
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        self._seen.add(name)
        return message

    def blame(self, peer: bytes) -> None:
        """Count a malformed message."""
        self._garbage[peer] += 1

    def refill(self) -> None:
        """Let every peer speak again, but those that sent garbage."""
        self._seen.clear()
        self._counts.clear()
        self._counts.update(dict.fromkeys(self._garbage, 0))


class Session:
    """One member's part in one flip: `run` it once, and wait for its `outcome` elsewhere.

    `on_phase` is told each phase that this member enters.
    """

    def __init__(
        self,
        seat: Seat,
        transport: Transport,
        chain: Chain,
        store: Store,
        patience: Patience,
        on_phase: Callable[[Phase], None] = lambda _: None,
    ) -> None:
        self._transport = transport
        self._chain = chain
        self._store = store
        self._patience = patience
        self._on_phase = on_phase
        self._flip = Flip(seat)
        self._gate = Gate(len(seat.members))
        self._inbox: asyncio.Queue[_Item] = asyncio.Queue(INBOX_MESSAGES)
        self._reported: set[bytes] = set()
        self._ended = asyncio.Event()

    @property
    def missing(self) -> tuple[bytes, ...]:
        """Whom this member waits for; after exit 2 whom it missed, after exit 3 the guilty."""
        match self._flip.outcome:
            case Offline(who=who):
                return who
            case Malicious(accused=accused):
                return (accused,)
            case _:
                return self._flip.missing

    @property
    def revealed(self) -> frozenset[bytes]:
        """Whose Reveal this member could show."""
        members = self._flip.seat.members
        return frozenset(members[proof.member] for proof in self._flip.reveals)

    async def outcome(self) -> Outcome:
        """How the flip ended."""
        await self._ended.wait()
        outcome = self._flip.outcome
        assert outcome is not None
        return outcome

    async def run(self) -> None:
        """Play to the end, then linger for those who lag; cancel it to stop sooner.

        What a port raises ends the session, except when submitting to the chain.
        """
        self._flip = resume(self._flip.seat, await self._store.load())
        async with asyncio.TaskGroup() as tasks:
            feeding = [tasks.create_task(self._listen()), tasks.create_task(self._follow())]
            await self._play()
            for task in feeding:
                task.cancel()

    async def _listen(self) -> None:
        while True:
            peer, data = await self._transport.receive()
            message = self._gate.admit(peer, data)
            if message is not None:
                await self._inbox.put(_Item(peer, Received(message=message)))

    async def _follow(self) -> None:
        digest = await self._chain.wait_sealed()
        given = Expired(phase=Phase.SEAL) if digest is None else Sealed(digest=digest)
        await self._inbox.put(_Item(b"", given))

    async def _play(self) -> None:
        now = asyncio.get_running_loop().time
        await self._take(_Item(b"", Start()))
        phase, since, stalls = self._flip.phase, now(), 0
        # Right away: after a restart others wait for what was saved and perhaps not sent.
        stalled_at = since
        while True:
            if self._flip.phase is not phase:
                phase, since = self._flip.phase, now()
            expires_at = since + self._patience.of(phase)
            if now() >= expires_at:
                if phase is Phase.ENDED:
                    return
                await self._take(_Item(b"", Expired(phase=phase)))
            elif now() >= stalled_at:
                stalls += 1
                stalled_at = now() + self._patience.stall_s
                self._gate.refill()
                await self._take(_Item(b"", Stalled(times=stalls)))
            else:
                item = await self._next(min(expires_at, stalled_at))
                if item is not None:
                    await self._take(item)

    async def _next(self, until_s: float) -> _Item | None:
        if not self._inbox.empty():
            return self._inbox.get_nowait()  # a timer for each would cost more than the message
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until_s):
                return await self._inbox.get()
        return None

    async def _take(self, item: _Item) -> None:
        before = self._flip.phase
        try:
            self._flip, effects = step(self._flip, item.given)
        except Malformed:
            self._gate.blame(item.peer)
            return
        for effect in effects:
            await self._perform(effect)
        if self._flip.phase is not before:
            self._on_phase(self._flip.phase)
        if self._flip.outcome is not None:
            self._ended.set()
        if isinstance(item.given, Stalled) or self._flip.convicted.keys() - self._reported:
            await self._report()

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case Save(entry=entry):
                await self._store.append(entry)
            case Broadcast(message=message):
                await self._transport.broadcast(message.encoded)
            case SubmitSeal(digest=digest, signatures=signatures):
                with suppress(HoldfastError, TimeoutError):
                    async with asyncio.timeout(CHAIN_TIMEOUT_S):
                        await self._chain.submit_seal(digest, signatures)
            case Landed() | Offline() | Malicious():
                pass  # read from the flip, where a restart finds them too

    async def _report(self) -> None:
        """Bring the chain all evidence that it has not yet taken from us."""
        for accused, evidence in self._flip.convicted.items():
            if accused not in self._reported:
                with suppress(HoldfastError, TimeoutError):
                    async with asyncio.timeout(CHAIN_TIMEOUT_S):
                        await self._chain.submit_evidence(evidence)
                    self._reported.add(accused)
