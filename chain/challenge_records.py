"""The records of challenges: who is drawn for what, what they report, what it comes to."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from audit.messages import MAX_LISTED, Outcome, VisitSummary
from chain.challenges.committee import AbsenceVote, FlipAttempt, MemberHash, MemberKey, Unrevealed
from chain.head import Head
from chain.hosting_records import Absence
from coinflip.messages import MAX_MEMBERS
from wire.codec import Message
from wire.primitives import Hash, Natural, Ppm, PublicKey

Place = Annotated[bytes, Field(max_length=8), PlainSerializer(bytes.hex, when_used="json")]


class LinedUpAttestor(Message):
    """Who may be drawn: its weight, and its VRF key, whose change would choose another plan."""

    account: PublicKey
    signer: PublicKey
    vrf_key: PublicKey
    weight_base: Natural
    place: Place
    """Where it was to be reached: see `chain.addresses.place_of`."""


class LineUp(Message):
    """Whom and what the next draw is among, fixed before its seed can be known (key: empty)."""

    height: Natural
    draw_height: Natural
    attestors: tuple[LinedUpAttestor, ...]
    contracts: tuple[Hash, ...]


class DrawnContract(Message):
    """An eligible contract as it stood at the draw."""

    contract: Hash
    hoster: PublicKey
    owner: PublicKey
    feed: PublicKey
    receipt_key: PublicKey
    head: Head
    samples: Natural
    absences: tuple[Absence, ...] = ()
    """That its hoster had announced, as far as they can lie in the challenge."""


class DrawnAttestor(Message):
    """A member and its VRF key in the line-up."""

    account: PublicKey
    vrf_key: PublicKey


class DrawRecord(Message):
    """Who was drawn, and what they may be sent to (key: challenge id)."""

    challenge: Hash
    height: Natural
    attestors: tuple[DrawnAttestor, ...]
    eligible: tuple[DrawnContract, ...]


ChallengeStatus = Literal["flipping", "visiting", "opening", "settled", "failed"]


class ChallengeRecord(Message):
    """One committee's task, from draw to settlement (key: challenge id)."""

    challenge: Hash
    epoch: Natural
    status: ChallengeStatus
    attempt: Natural
    members: tuple[PublicKey, ...]
    """Ascending by the key that each speaks with: the order of seal signatures and of the coin."""
    rotated: tuple[MemberKey, ...] = ()
    """Of all that were drawn, those that speak with another key than their account's first."""
    excluded: tuple[PublicKey, ...] = ()
    """Whom earlier attempts found silent or faulty, or the coin's opening proved faulty."""
    convicted: tuple[PublicKey, ...] = ()
    """Whom evidence has convicted of a fault in the flip."""
    earlier: tuple[FlipAttempt, ...] = ()
    """The attempts before this one."""
    drawn_height: Natural
    seal_deadline: Natural
    digest: Hash | None = None
    window_start: Natural = 0
    window_end: Natural = 0
    window_opened_ms: Natural = 0
    window_closed_ms: Natural = 0
    """Block times at the window's ends: receipts must lie between them."""
    opening_deadline: Natural = 0
    coin: Hash | None = None
    commitments: tuple[MemberHash, ...] = ()
    opened: tuple[PublicKey, ...] = ()
    voided: tuple[PublicKey, ...] = ()
    """Whose report was opened and does not hold."""
    absences: tuple[AbsenceVote, ...] = ()
    unrevealed: tuple[Unrevealed, ...] = ()
    """Who is asked, since the coin is open, for its Reveal; after the deadline, who has paid."""
    reveal_deadline: Natural = 0

    def voices(self, members: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """The keys with which members speak in a flip, in their order."""
        rotated = {known.member: known.key for known in self.rotated}
        return tuple(rotated.get(member, member) for member in members)

    def speakers(self, voices: Iterable[bytes]) -> tuple[bytes, ...]:
        """The members that speak with these keys."""
        members = {known.key: known.member for known in self.rotated}
        return tuple(members.get(voice, voice) for voice in voices)

    @property
    def attempts(self) -> tuple[FlipAttempt, ...]:
        """All attempts so far; the present one is the last."""
        present = FlipAttempt(members=self.members, seal_deadline=self.seal_deadline)
        return (*self.earlier, present)


Asked = Annotated[
    bytes,
    Field(max_length=MAX_MEMBERS * MAX_LISTED // 8),
    PlainSerializer(bytes.hex, when_used="json"),
]


class JudgedVisit(Message):
    """What the chain found in one visit of a report."""

    contract: Hash
    summary: VisitSummary
    """What the attestor reported; the evidence proves the outcome and what was served."""
    vouched: Hash | None = None
    """Of the digests that its evidence shows: `audit.faults.vouched_id`."""
    asked: Asked = b""
    """Of a feed so short that members' plans overlap: the planned chunks, chunk i as bit i mod 8
    of byte i // 8."""
    unproven: tuple[Natural, ...] = ()
    """Planned chunks that are not proven served, in the order of the plan: the first few."""
    excused: bool = False
    """Whether it failed while the hoster was away as announced."""

    @property
    def planned(self) -> int:
        """Chunks that the attestor had to ask for."""
        return self.summary.planned

    @property
    def served(self) -> int:
        """How many of these the evidence proves served."""
        return self.summary.served

    @property
    def fault(self) -> bool:
        """Whether the evidence proves that the hoster signed for wrong bytes."""
        return self.summary.outcome is Outcome.FAULT

    @property
    def skipped(self) -> bool:
        """Whether it is nobody's fault: the attestor's own side failed, or it is excused."""
        return self.excused or self.summary.outcome is Outcome.SKIPPED


class ReportRecord(Message):
    """An opened report that was found sound (key: challenge || attestor)."""

    challenge: Hash
    attestor: PublicKey
    height: Natural
    evidence: Hash
    """Of the bytes of the `audit.messages.Evidence` that was opened."""
    visits: tuple[JudgedVisit, ...]
    paid_base: Natural = 0
    forged: bool = False
    """Whether its attestor was convicted of having made it up."""


VerdictClass = Literal["served", "fault", "unproven", "skipped"]


class VerdictRecord(Message):
    """The availability report: one hoster, one challenge (key: challenge || contract)."""

    challenge: Hash
    epoch: Natural
    height: Natural
    contract: Hash
    plan: Hash
    feed: PublicKey
    hoster: PublicKey
    verdict: VerdictClass
    score_ppm: Ppm
    """Median over the counted reports of the share of chunks proven served."""
    reports: Natural
    """Reports that count: sound, opened in time, not skipped."""
    samples: Natural
    missing: Natural
    distinct: Natural
    """Different chunks that were planned in visits which prove something."""
    latency_p50_us: Natural
    latency_p95_us: Natural
    first_byte_us: Natural
    throughput_bytes_per_s: Natural
    lower_bound_ppm: Ppm
    """Share of chunks that it serves at least, with 95 % confidence, going by these samples."""
    detection_ppm: Ppm
    """Chance that so many different chunks see the loss of 1 % of the feed's, or of one."""
    within_sla: bool
    epoch_used: bool
    """Whether it was paid for: something was concluded, of a contract that still ran."""
    paid_base: Natural


class Availability(Message):
    """All verdicts on one feed, newest last (key: feed key): an owner's table of contents."""

    verdicts: Annotated[tuple[Hash, ...], Field(max_length=8192)] = ()
    """Alternating challenge and contract ids, newest pairs last."""
