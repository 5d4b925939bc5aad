"""The records of the state: each is a leaf under the state root, provable on its own.

A record is a message (it is stored, hashed and sent to light clients) and is replaced, never
changed in place. `Table` names and record shapes are part of the protocol.
"""

from enum import IntEnum
from typing import Literal

from chain.bodies.hosting import Offer
from chain.bodies.plans import Sla
from chain.challenge_records import (
    Availability,
    ChallengeRecord,
    DrawRecord,
    LineUp,
    ReportRecord,
    VerdictRecord,
)
from chain.endpoint import Endpoint
from chain.head import Head
from chain.hosting_records import Asker, DataRequest, Maintenance
from chain.sponsors import Sponsor
from chain.standing import Standing
from chain.validators import Validator, ValidatorSet
from wire.codec import Message
from wire.primitives import Bytes, Hash, Natural, PublicKey

GIB = 1 << 30


class Table(IntEnum):
    """The tables of the state, by the number that enters a record's key. Append only."""

    META = 0
    ACCOUNT = 1
    STAKE = 2
    REGISTRATION = 3
    ROSTER = 4
    FEED = 5
    PLAN = 6
    CONTRACT = 7
    DESK = 8
    DRAW = 9
    CHALLENGE = 10
    REPORT = 11
    VERDICT = 12
    DUE = 13
    SWARM_KEY = 14
    AVAILABILITY = 15
    LINE_UP = 16
    VALIDATORS = 17
    CANDIDATE = 18
    VALIDATOR_KEY = 19
    RECEIPT_KEY = 23
    FALSE_SESSION = 24
    DATA_REQUEST = 20
    ASKER = 21
    MAINTENANCE = 22
    STANDING = 25
    CLAIM = 26


class Meta(Message):
    """The one record of the chain itself (key: empty)."""

    height: Natural = 0
    time_ms: Natural = 0
    beacon: Hash = bytes(32)
    burnt_base: Natural = 0
    epoch: Natural = 0
    next_draw: Natural = 0
    """The earliest height of the next line-up."""
    open_challenges: tuple[Hash, ...] = ()
    asked_bytes: Natural = 0
    """That the chunks which accounts wait for can be at most."""


class Account(Message):
    """Coins at hand, the next nonce, and who signs (key: account)."""

    balance_base: Natural = 0
    nonce: Natural = 0
    signer: PublicKey | None = None
    """The key that signs for it; None for the first one, which is the account's name."""


class StakeRecord(Message):
    """Coins behind one role of one account (key: role tag || account)."""

    amount_base: Natural = 0
    locked_base: Natural = 0
    """Collateral of active contracts: part of the amount."""
    unbonding_base: Natural = 0
    """Beside the amount, on its way back; an attestor can still lose it."""
    since_height: Natural = 0


class Registration(Message):
    """An account's published keys, address and offer (key: account)."""

    account: PublicKey
    endpoint: Endpoint
    vrf_key: PublicKey
    receipt_key: PublicKey
    operator: str
    offer: Offer | None
    attests: bool
    hosted_bytes: Natural = 0
    """Bytes of the feeds it is assigned: what is left of the offer follows."""
    since_height: Natural = 0
    """Of its offer and operator as they are."""
    draining: bool = False

    def takes(self, size_bytes: int, price_base: int, *, instead_of: int = 0) -> bool:
        """Whether the offer has room for a feed at this price of an epoch.

        `instead_of` is what the same contract counts with already.
        """
        offer = self.offer
        return (
            offer is not None
            and not self.draining
            and self.hosted_bytes - instead_of + size_bytes <= offer.capacity_bytes
            and offer.price_base_per_gib * size_bytes <= price_base * GIB
        )


class SwarmKey(Message):
    """Which account a Noise key belongs to (key: swarm key): one key, one account."""

    account: PublicKey


class Roster(Message):
    """A sorted index of accounts or ids, so that rules never walk whole tables."""

    members: tuple[Hash, ...] = ()


class RosterName(IntEnum):
    """The rosters there are; the key is the number as one byte."""

    ATTESTORS = 1
    HOSTERS = 2
    ACTIVE_CONTRACTS = 3
    CANDIDATES = 4

    @property
    def key(self) -> bytes:
        """The record key of the roster."""
        return bytes([self])


class FeedRecord(Message):
    """A registered feed (key: feed key)."""

    feed: PublicKey
    owner: PublicKey
    manifest: Bytes
    head: Head
    source: Endpoint
    plans: tuple[Hash, ...] = ()
    """The newest that were made for it."""


PlanStatus = Literal["waiting", "running", "ended", "ending", "paused"]
"""*Ending*: cancelled, while a challenge may still visit its hosters."""


class PlanRecord(Message):
    """A funded order (key: plan id, the id of the transaction that made it)."""

    plan: Hash
    owner: PublicKey
    feed: PublicKey
    replicas: Natural
    epochs: Natural
    price_base: Natural
    sla: Sla
    samples: Natural
    start_height: Natural
    escrow_base: Natural
    sponsors: tuple[Sponsor, ...]
    """Who paid, in the order in which they came."""
    status: PlanStatus
    vacancies: tuple[Natural, ...] = ()
    """Epochs left to serve, for each replica that has no hoster now."""
    contracts: tuple[Hash, ...] = ()
    retry_at: Natural = 0
    """When vacancies are looked at again."""
    ends_at: Natural = 0
    """When a cancelled or a paused plan ends at the latest."""
    paused_at: Natural = 0
    paused_epochs: Natural = 0
    """That its pauses which are over have left out at most."""
    expires_height: Natural = 0
    """When it is cancelled at the latest; 0: never."""


ContractStatus = Literal["assigned", "active", "lapsed", "ended"]


class ContractRecord(Message):
    """One hoster's share of a plan (key: contract id)."""

    contract: Hash
    plan: Hash
    feed: PublicKey
    owner: PublicKey
    hoster: PublicKey
    status: ContractStatus
    head: Head | None
    """What the hoster acknowledged; nothing before it did."""
    bytes: Natural
    """Of the feed when it was assigned or last acknowledged: counted against the offer."""
    collateral_base: Natural
    acknowledge_by: Natural
    epochs_left: Natural
    samples: Natural
    earned_base: Natural = 0
    handed_on: Natural = 0
    """Epochs that were added and its hoster's offer does not take: for the next in its place."""
    leaving: bool = False
    """Whether its place is another's, but for the epochs that it has left."""
    asked: Hash | None = None
    """The open request that somebody has made."""
    warned: Hash | None = None
    """The open request of the chain itself."""
    rests_until: Natural = 0
    """After a request that it has answered: the height from which one may be made again."""

    @property
    def is_over(self) -> bool:
        """Whether it is active only until what it was asked for is answered."""
        return self.leaving and not self.epochs_left


class Desk(Message):
    """Which contracts a hoster has open (key: hoster), so it learns all by one proof."""

    contracts: tuple[Hash, ...] = ()


class Candidate(Message):
    """Who offers to be a validator, and how it has served (key: account)."""

    validator: Validator
    listed: bool = True
    """Whether it wants to serve in the next term."""
    jailed_until: Natural = 0
    """Not taken into a set before this height."""
    failed_views: Natural = 0
    """Views of this term that it was to open and that came to nothing."""
    turns: Natural = 0
    """Views of this term that it was to open."""
    faults: Natural = 0
    """Contradictions that it was convicted of; the first ends its service with that key."""


class ValidatorKey(Message):
    """Which account a validator's signing key belongs to (key: signing key), for ever."""

    account: PublicKey
    convicted: bool = False
    replaced_height: Natural = 0
    """Since when its account is enlisted with another; 0: it is not."""

    def is_past(self, height: int, unbonding_blocks: int) -> bool:
        """Whether it was replaced so long ago that it convicts nobody any more: by then the coins
        of who had left with it would have returned, and others may have the seed it came from."""
        return 0 < self.replaced_height < height - unbonding_blocks


class ReceiptKey(Message):
    """Which account a receipt key belongs to (key: the key), for ever."""

    account: PublicKey
    retired: bool = False
    """Whether the account was rotated since: a thief may sign with it, so it convicts nobody."""


class FalseSession(Message):
    """A session whose receipts were proven false (key: `audit.faults.session_id`)."""

    hoster: PublicKey
    until_ms: Natural
    """No evidence of it convicts anybody after this time of a block: then it is forgotten."""


class ClaimRecord(Message):
    """That an account can prove a fault (key: account || commitment)."""

    height: Natural


class DueItem(Message):
    """Something that happens at a height with no transaction."""

    kind: Literal[
        "start_plan",
        "acknowledge",
        "seal",
        "window_end",
        "opening_deadline",
        "unbond",
        "assign",
        "draw",
        "end_plan",
        "reveals",
        "pause_over",
        "expire_plan",
        "forfeit",
        "draw_chunk",
        "answer_due",
        "forget_session",
        "forget_claim",
        "forget_challenge",
    ]
    id: Bytes
    amount_base: Natural = 0


class Due(Message):
    """What happens at the end of one block (key: height, 8 bytes big-endian)."""

    items: tuple[DueItem, ...] = ()
    onward: Natural = 0
    """Of a full one: where there was room when somebody last looked; 0: the next height."""


RECORDS: dict[Table, type[Message]] = {
    Table.META: Meta,
    Table.ACCOUNT: Account,
    Table.STAKE: StakeRecord,
    Table.REGISTRATION: Registration,
    Table.ROSTER: Roster,
    Table.FEED: FeedRecord,
    Table.PLAN: PlanRecord,
    Table.CONTRACT: ContractRecord,
    Table.DESK: Desk,
    Table.DRAW: DrawRecord,
    Table.CHALLENGE: ChallengeRecord,
    Table.REPORT: ReportRecord,
    Table.VERDICT: VerdictRecord,
    Table.DUE: Due,
    Table.SWARM_KEY: SwarmKey,
    Table.AVAILABILITY: Availability,
    Table.LINE_UP: LineUp,
    Table.VALIDATORS: ValidatorSet,
    Table.CANDIDATE: Candidate,
    Table.VALIDATOR_KEY: ValidatorKey,
    Table.RECEIPT_KEY: ReceiptKey,
    Table.FALSE_SESSION: FalseSession,
    Table.DATA_REQUEST: DataRequest,
    Table.ASKER: Asker,
    Table.MAINTENANCE: Maintenance,
    Table.STANDING: Standing,
    Table.CLAIM: ClaimRecord,
}


def height_key(height: int) -> bytes:
    """A height or epoch as a record key."""
    return height.to_bytes(8, "big")


def stake_key(role: str, account: bytes) -> bytes:
    """The key of an account's stake in one role."""
    return role[0].encode() + account
