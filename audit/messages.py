"""Receipts, reports and evidence: every model the audit signs or sends."""

from enum import IntEnum
from typing import Annotated

from pydantic import Field, PlainSerializer

from audit.entries import LEAF_BYTES, LISTED_BYTES, UNCLE_BYTES
from wire.codec import Message
from wire.primitives import Bytes, Hash, Natural, PublicKey, Signature, tagged_hash

RECEIPT_EXTENSION = "holdfast/receipt"
"""Name of the Hypercore extension message that carries a `SignedReceipt` (raw bytes)."""

RECEIPT_EVERY_CHUNKS = 16
"""A hoster signs at least this often, so at most 15 served chunks are ever unsigned."""

MAX_VISITS = 64
"""Targets of one challenge: bounds a report and the work of checking it."""

MAX_LISTED = 4096
"""Entries of one session that evidence may list: the planned chunks, and faulty ones."""

MAX_PEERS = 256
"""Members of one committee that can be measured."""


class Outcome(IntEnum):
    """How one visit ended. Members are appended, never renumbered: they are on chain."""

    SERVED = 0
    FAULT = 1
    """The hoster signed bytes that are not the feed's."""
    CHUNKS_MISSING = 2
    """It answered that it does not have a chunk."""
    CONNECT_REFUSED = 3
    CONNECT_TIMEOUT = 4
    HANDSHAKE_FAILED = 5
    WRONG_KEY = 6
    """Somebody answered, but not the hoster's registered key."""
    FEED_REFUSED = 7
    HEAD_UNPROVEN = 8
    """It showed no signed head of the length it had acknowledged."""
    TOO_SLOW = 9
    DISCONNECTED = 10
    BAD_DATA = 11
    """Chunks did not verify, and no signed receipt shows it to others."""
    RECEIPT_MISSING = 12
    RECEIPT_WRONG = 13
    SKIPPED = 14
    """The attestor's own side failed: this visit is nobody's fault."""


def _name(outcome: Outcome) -> str:
    return outcome.name.lower()


OutcomeField = Annotated[
    Outcome, Field(strict=False), PlainSerializer(_name, return_type=str, when_used="json")
]
Packed = Annotated[bytes, PlainSerializer(bytes.hex, when_used="json")]
HandshakeHash = Annotated[
    bytes, Field(min_length=64, max_length=64), PlainSerializer(bytes.hex, when_used="json")
]


class Receipt(Message):
    """A hoster's word on one session, cumulative from its start.

    Bound to the session by the Noise handshake hash and to the reader by its key, so it can
    be neither replayed nor lent. `root` is the RFC 6962 root over the packed entries
    (`audit.entries`) in the order sent.
    """

    hoster: PublicKey
    handshake_hash: HandshakeHash
    peer: PublicKey
    feed: PublicKey
    fork: Natural
    length: Natural
    sequence: Natural
    count: Natural
    bytes: Natural
    root: Hash
    time_ms: Natural


class SignedReceipt(Message):
    """A receipt and its signature by the hoster's registered receipt key."""

    receipt: Receipt
    signature: Signature


class VisitSummary(Message):
    """What a report says of one target. All of it stays on chain."""

    outcome: OutcomeField
    planned: Natural
    served: Natural
    """Planned chunks for which the evidence proves that the hoster served them."""
    bytes: Natural
    connect_us: Natural
    first_byte_us: Natural
    latency_p50_us: Natural
    latency_p95_us: Natural
    throughput_bytes_per_s: Natural


class VisitEvidence(Message):
    """What shows one visit to those who were not there. Its packed fields: `audit.entries`."""

    visit_key: PublicKey
    visit_signature: Signature
    """By the one-use key over `visit_statement`: the session was this attestor's."""
    receipt: SignedReceipt
    listed: Annotated[Packed, Field(max_length=MAX_LISTED * LISTED_BYTES)]
    """Planned and faulty entries with their places in the receipt's list, which ascend, and
    digests that the attestor made itself."""
    list_proof: Annotated[Packed, Field(max_length=MAX_LISTED * 64 * 32)]
    """The multiproof that leads from them to the receipt's root."""
    leaves: Annotated[Packed, Field(max_length=MAX_LISTED * LEAF_BYTES)]
    """The feed's true leaves where an entry differs from them, ascending."""
    uncles: Annotated[Packed, Field(max_length=MAX_LISTED * 40 * UNCLE_BYTES)]
    """The multiproof that leads from the leaves of all these to the owner-signed tree hash."""


class ReportedVisit(Message):
    """One target, in the order of the plan: what is said of it, and what shows it."""

    summary: VisitSummary
    evidence: VisitEvidence | None


class Vouched(Message):
    """What in a visit's evidence its makers answer for: digests, and the session they are of."""

    hoster: PublicKey
    handshake_hash: HandshakeHash
    feed: PublicKey
    listed: Annotated[Packed, Field(max_length=MAX_LISTED * LISTED_BYTES)]


class ShownChunk(Message):
    """What an opened report vouches for, and a chunk of which it has a false digest."""

    vouched: Vouched
    data: Bytes


class PeerMetric(Message):
    """How one attestor measured another while they flipped the coin."""

    peer: PublicKey
    round_trip_us: Natural
    throughput_bytes_per_s: Natural
    loss_ppm: Natural


class Evidence(Message):
    """One attestor's account of its visits in one challenge, and what shows it.

    Beside a transaction: checked by every validator, prunable after the dispute window. What
    it comes to stays on chain.
    """

    salt: Hash
    """Keeps what was committed to secret until it is opened."""
    plan_proof: Annotated[
        bytes, Field(min_length=80, max_length=80), PlainSerializer(bytes.hex, when_used="json")
    ]
    """ECVRF proof from which everybody recomputes the join times and chunk indices."""
    visits: Annotated[tuple[ReportedVisit, ...], Field(max_length=MAX_VISITS)]
    peers: Annotated[tuple[PeerMetric, ...], Field(max_length=MAX_PEERS)]


def report_commitment(network: bytes, attestor: bytes, challenge: bytes, evidence: bytes) -> bytes:
    """What an attestor publishes before the window ends: binding, and silent until opened.

    `evidence` is the hash of the bytes of its `Evidence`.
    """
    return tagged_hash("audit/report", network, attestor, challenge, evidence)


def visit_statement(challenge: bytes, contract: bytes, attestor: bytes) -> bytes:
    """What a one-use visit key signs: that this session was `attestor`'s, for this task."""
    return challenge + contract + attestor
