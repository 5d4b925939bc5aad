"""Receipts, reports and evidence: every model the audit signs or sends."""

from enum import IntEnum
from typing import Annotated

from pydantic import Field, PlainSerializer

from wire.codec import Message, encode
from wire.primitives import Hash, Natural, PublicKey, Signature, tagged_hash

RECEIPT_EXTENSION = "holdfast/receipt"
"""Name of the Hypercore extension message that carries a `SignedReceipt` (raw bytes)."""

RECEIPT_EVERY_CHUNKS = 16
"""A hoster signs at least this often, so at most 15 served chunks are ever unsigned."""

MAX_VISITS = 64
"""Targets of one challenge: bounds a report and the work of checking it."""

MAX_SERVED = 4096
"""Entries of one session that evidence may list: 30 planned chunks and a generous disguise."""

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
HandshakeHash = Annotated[
    bytes, Field(min_length=64, max_length=64), PlainSerializer(bytes.hex, when_used="json")
]


class Served(Message):
    """One chunk that crossed the wire: its index, byte length and Hypercore leaf hash."""

    index: Natural
    size: Natural
    hash: Hash


class Receipt(Message):
    """A hoster's word on one session, cumulative from its start.

    Bound to the session by the Noise handshake hash and to the reader by its key, so it can
    be neither replayed nor lent. `root` is the RFC 6962 root over the encoded `Served`
    entries in the order sent.
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
    """What a report says of one target, in the order of the plan. All of it stays on chain."""

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


class Report(Message):
    """One attestor's account of its visits in one challenge."""

    challenge: Hash
    plan_proof: Annotated[
        bytes, Field(min_length=80, max_length=80), PlainSerializer(bytes.hex, when_used="json")
    ]
    """ECVRF proof from which everybody recomputes the join times and chunk indices."""
    visits: Annotated[tuple[VisitSummary, ...], Field(max_length=MAX_VISITS)]
    evidence: Hash
    """Digest of the `Evidence` that travels beside the transaction."""


class Uncle(Message):
    """A node of the feed's tree that a multiproof needs: byte length and hash."""

    size: Natural
    hash: Hash


class VisitEvidence(Message):
    """What shows one visit to those who were not there."""

    visit_key: PublicKey
    visit_signature: Signature
    """By the one-use key over `visit_statement`: the session was this attestor's."""
    receipt: SignedReceipt
    served: Annotated[tuple[Served, ...], Field(max_length=MAX_SERVED)]
    """Everything served in the session, in order: the receipt's root is over it."""
    leaves: Annotated[tuple[Served, ...], Field(max_length=MAX_SERVED)]
    """The feed's true leaves at the planned (and at faulty) indices, ascending."""
    uncles: Annotated[tuple[Uncle, ...], Field(max_length=MAX_SERVED * 40)]
    """The multiproof that leads from `leaves` to the owner-signed tree hash."""


class PeerMetric(Message):
    """How one attestor measured another while they flipped the coin."""

    peer: PublicKey
    round_trip_us: Natural
    throughput_bytes_per_s: Natural
    loss_ppm: Natural


class Evidence(Message):
    """Beside a report: checked by every validator, prunable after the dispute window."""

    visits: Annotated[tuple[VisitEvidence | None, ...], Field(max_length=MAX_VISITS)]
    peers: Annotated[tuple[PeerMetric, ...], Field(max_length=MAX_PEERS)]


def report_commitment(network: bytes, attestor: bytes, report: Report, salt: bytes) -> bytes:
    """What an attestor publishes before the window ends: binding, and silent until opened."""
    return tagged_hash("audit/report", network, attestor, encode(report), salt)


def visit_statement(challenge: bytes, contract: bytes, attestor: bytes) -> bytes:
    """What a one-use visit key signs: that this session was `attestor`'s, for this task."""
    return challenge + contract + attestor
