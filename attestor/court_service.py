"""What a member owes the chain of a flip besides its coin: evidence of faults, proofs of reveals.

One transaction is enough for all members, so they take turns. Both survive a restart: evidence
is in the store until the chain has it, and proofs follow from the flip's log and our seed.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from attestor.identity import Identity
from attestor.messages import FaultKept
from attestor.schedule import answer_height
from attestor.store import AttestorStore
from chain.bodies.challenges import CoinFault, ShowReveals
from chain.challenge_records import ChallengeRecord
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.reasons import Reason
from chain.records import Table
from coinflip.evidence import verify_evidence
from coinflip.flip import resume
from coinflip.messages import Evidence, Reveal, RevealProof
from coinflip.opening import topic_id
from coinflip.seat import derive_seat
from wire.codec import digest
from wire.errors import Rejected
from wire.zbase32 import encode as encode_key

log = structlog.get_logger()

TURN_BLOCKS = 2
"""How long each member waits for each that comes before it with the same evidence."""

OVER = ("settled", "failed")

PASSING = (Reason.INSUFFICIENT_BALANCE, Reason.UNKNOWN_ACCOUNT)
"""Refusals that say nothing against the evidence itself."""


class Court:
    """One member's dealings with the chain as a judge, in one challenge.

    Its tasks go on beyond the attempt, and beyond the challenge's end if need be.
    """

    def __init__(
        self,
        challenge: bytes,
        chain: ChainClient,
        wallet: Wallet,
        store: AttestorStore,
        identity: Identity,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._id = challenge
        self._chain = chain
        self._wallet = wallet
        self._store = store
        self._identity = identity
        self._tasks = tasks

    def sit(self) -> None:
        """Go on with what a restart interrupted, and answer when members are asked to."""
        for kept in self._store.faults(self._id):
            self._tasks.create_task(self._report(kept))
        self._tasks.create_task(self._answer())

    def accuse(self, record: ChallengeRecord, evidence: Evidence) -> None:
        """Keep evidence found in the record's attempt, then report it when our turn comes.

        Raises `Malformed` when it convicts nobody.
        """
        accused = self._accused(record, record.attempt, evidence)
        kept = FaultKept(attempt=record.attempt, accused=accused, evidence=evidence)
        if self._store.keep_fault(self._id, kept):
            self._tasks.create_task(self._report(kept))

    async def _report(self, kept: FaultKept) -> None:
        record = await self._record()
        others = [m for m in record.attempts[kept.attempt].members if m != kept.accused]
        if self._wallet.account in others:
            # What convicts after the seal can hold secrets of the coin: the hosters read them too.
            await self._wait(lambda now: now.status != "visiting")
            await self._our_turn(digest(kept.evidence), others)
            if kept.accused not in (await self._record()).convicted and not await self._send(kept):
                return
        self._store.drop_fault(self._id, kept.accused)

    async def _send(self, kept: FaultKept) -> bool:
        """Whether the chain has judged the evidence, whatever it said."""
        try:
            await self._wallet.send(
                CoinFault(challenge=self._id, attempt=kept.attempt, evidence=kept.evidence)
            )
            log.info("fault reported", account=encode_key(kept.accused))
        except Rejected as rejected:
            log.debug("fault not taken", reason=str(rejected))
            return rejected.reason not in PASSING
        return True

    async def _our_turn(self, seed: bytes, members: Sequence[bytes]) -> None:
        """Wait for the members that come before us, in an order that the seed begins."""
        first = int.from_bytes(seed[:8], "big") % len(members)
        turn = (members.index(self._wallet.account) - first) % len(members)
        if turn:
            await self._chain.reach(self._chain.height + TURN_BLOCKS * turn)

    def proofs(self, record: ChallengeRecord) -> tuple[RevealProof, ...]:
        """The Reveals that we heard in the sealed attempt, our own included.

        Ours needs no log: it follows from our seed. To be called when the window is over.
        """
        assert record.status not in ("flipping", "visiting"), "x is a secret until then"
        if self._identity.account.public not in record.voices(record.members):
            return ()  # drawn with a key that we no longer have
        topic = self._topic(record, record.attempt)
        network = self._chain.genesis.network
        voices = record.voices(record.members)
        seat = derive_seat(self._identity.seed, network, topic, voices)
        ours = RevealProof(
            member=seat.position,
            signature=seat.sign(Reveal(secret=seat.secret)).signature,
        )
        heard = resume(seat, self._store.flip_log(topic)).reveals
        return (*(proof for proof in heard if proof.member != ours.member), ours)

    async def _answer(self) -> None:
        """Show what we heard of members that the coin's opening brought no Reveal of.

        First those that are asked, each for all; then the others, in case they are cut off.
        """
        me = self._wallet.account
        record = await self._wait(
            lambda now: now.coin is not None or now.status in OVER or me not in now.members
        )
        if record.coin is None or me not in record.members or not record.unrevealed:
            return
        proofs = self.proofs(record)
        asked = [one.member for one in record.unrevealed]
        order = [*asked, *(member for member in record.members if member not in asked)]
        blocks = self._chain.genesis.parameters.opening_blocks
        record = await self._chain.wait(
            ChallengeRecord,
            Table.CHALLENGE,
            self._id,
            lambda now: not _known(now, proofs),
            by_height=answer_height(record.reveal_deadline, blocks, order.index(me), len(order)),
        )
        known = _known(record, proofs)
        if not known or self._chain.height >= record.reveal_deadline:
            return
        try:
            await self._wallet.send(
                ShowReveals(challenge=self._id, reveals=known), by_height=record.reveal_deadline
            )
            log.info("reveals shown", count=len(known))
        except Rejected as rejected:
            log.info("reveals not taken", reason=str(rejected))

    async def _record(self) -> ChallengeRecord:
        return await self._chain.need(ChallengeRecord, Table.CHALLENGE, self._id)

    async def _wait(self, ready: Callable[[ChallengeRecord], bool]) -> ChallengeRecord:
        return await self._chain.wait(ChallengeRecord, Table.CHALLENGE, self._id, ready)

    def _topic(self, record: ChallengeRecord, number: int) -> bytes:
        attempt = record.attempts[number]
        voices = record.voices(attempt.members)
        return topic_id(
            self._chain.genesis.network, self._id, number, voices, attempt.seal_deadline
        )

    def _accused(self, record: ChallengeRecord, number: int, evidence: Evidence) -> bytes:
        voices = record.voices(record.attempts[number].members)
        topic = self._topic(record, number)
        accused = verify_evidence(self._chain.genesis.network, topic, voices, evidence)
        return record.speakers([accused])[0]


def _known(record: ChallengeRecord, proofs: Sequence[RevealProof]) -> tuple[RevealProof, ...]:
    """Those of the proofs that are still asked for."""
    asked = {one.member for one in record.unrevealed}
    return tuple(proof for proof in proofs if record.members[proof.member] in asked)
