"""The state in memory, and drafts of it that are thrown away when a rule says no.

`State` holds all records and the tree over them; only the node's owner task changes it, by
`commit`. A `Draft` reads through to what lies below and keeps its writes to itself; drafts
nest, so a block is a draft and each of its transactions a draft on top.
"""

from collections.abc import Iterator
from typing import Generic, Self, TypeVar, cast

from chain import statetree
from chain.challenge_records import (
    Availability,
    ChallengeRecord,
    DrawRecord,
    LineUp,
    ReportRecord,
    VerdictRecord,
)
from chain.hosting_records import Asker, DataRequest, Maintenance
from chain.reasons import Reason
from chain.records import (
    RECORDS,
    Account,
    Candidate,
    ClaimRecord,
    ContractRecord,
    Desk,
    Due,
    FalseSession,
    FeedRecord,
    Meta,
    PlanRecord,
    ReceiptKey,
    Registration,
    Roster,
    RosterName,
    StakeRecord,
    SwarmKey,
    Table,
    ValidatorKey,
)
from chain.standing import Standing
from chain.validators import ValidatorSet
from wire.codec import Message, digest
from wire.errors import Rejected
from wire.primitives import tagged_hash

Key = tuple[Table, bytes]
R = TypeVar("R", bound=Message)
_UNKNOWN = object()
"""A tree not yet computed: None is the empty one."""


def tree_key(table: Table, key: bytes) -> bytes:
    """Where a record stands in the state tree."""
    return tagged_hash("state/key", bytes([table]), key)


class State:
    """All records and their tree after one block. One owner; readers may look, not touch."""

    def __init__(self) -> None:
        self.records: dict[Key, Message] = {}
        self.tree: statetree.Tree = None

    def get(self, key: Key) -> Message | None:
        """The record at `key`, if there is one."""
        return self.records.get(key)

    @property
    def root(self) -> bytes:
        """The state root."""
        return statetree.root(self.tree)

    def commit(self, draft: "Draft") -> None:
        """Make a draft's writes part of the state."""
        assert draft.base is self, "only a draft of this very state can be committed"
        self.follow(draft)

    def copy(self) -> "State":
        """The same records, to `follow` on its own: records are shared, as none ever changes."""
        copy = State()
        copy.records, copy.tree = dict(self.records), self.tree
        return copy

    def follow(self, draft: "Draft") -> None:
        """As `commit`, for a copy of the state that the draft was made on."""
        self.tree = draft.tree
        for key, record in draft.changes.items():
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record

    @classmethod
    def of(cls, records: dict[Key, Message]) -> Self:
        """The state with these records: what was stored, or came from others."""
        leaves = [statetree.leaf(tree_key(*key), digest(record)) for key, record in records.items()]
        state = cls()
        state.records = records
        state.tree = statetree.build(sorted(leaves, key=lambda leaf: leaf.key))
        return state


class View(Generic[R]):
    """One table of a draft, with its record type."""

    def __init__(self, draft: "Draft", table: Table) -> None:
        self._draft = draft
        self._table = table

    def get(self, key: bytes) -> R | None:
        """The record at `key`, if there is one."""
        return cast("R | None", self._draft.get((self._table, key)))

    def require(self, key: bytes, reason: Reason) -> R:
        """The record at `key`, or `Rejected(reason)`."""
        record = self.get(key)
        if record is None:
            raise Rejected(reason)
        return record

    def at(self, key: bytes) -> R:
        """The record at `key`, which our own bookkeeping says is there."""
        record = self.get(key)
        assert record is not None, f"{self._table.name} {key.hex()} is missing"
        return record

    def put(self, key: bytes, record: R) -> None:
        """Write a record."""
        assert isinstance(record, RECORDS[self._table])
        self._draft.changes[self._table, key] = record

    def change(self, key: bytes, **fields: object) -> R:
        """Replace some fields of an existing record and return the new one."""
        record = self.at(key).model_copy(update=fields)
        self.put(key, record)
        return record

    def remove(self, key: bytes) -> None:
        """Take a record out of the state."""
        self._draft.changes[self._table, key] = None


class _Rows(Generic[R]):
    """A table as an attribute of drafts: its view is made when it is looked at."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __get__(self, draft: "Draft", owner: type["Draft"]) -> View[R]:
        return View(draft, self._table)


class Draft:
    """Writes on top of a state or of another draft, kept apart until merged."""

    accounts = _Rows[Account](Table.ACCOUNT)
    stakes = _Rows[StakeRecord](Table.STAKE)
    registrations = _Rows[Registration](Table.REGISTRATION)
    rosters = _Rows[Roster](Table.ROSTER)
    feeds = _Rows[FeedRecord](Table.FEED)
    plans = _Rows[PlanRecord](Table.PLAN)
    contracts = _Rows[ContractRecord](Table.CONTRACT)
    desks = _Rows[Desk](Table.DESK)
    draws = _Rows[DrawRecord](Table.DRAW)
    challenges = _Rows[ChallengeRecord](Table.CHALLENGE)
    reports = _Rows[ReportRecord](Table.REPORT)
    verdicts = _Rows[VerdictRecord](Table.VERDICT)
    dues = _Rows[Due](Table.DUE)
    swarm_keys = _Rows[SwarmKey](Table.SWARM_KEY)
    availability = _Rows[Availability](Table.AVAILABILITY)
    line_ups = _Rows[LineUp](Table.LINE_UP)
    candidates = _Rows[Candidate](Table.CANDIDATE)
    validator_keys = _Rows[ValidatorKey](Table.VALIDATOR_KEY)
    receipt_keys = _Rows[ReceiptKey](Table.RECEIPT_KEY)
    false_sessions = _Rows[FalseSession](Table.FALSE_SESSION)
    data_requests = _Rows[DataRequest](Table.DATA_REQUEST)
    askers = _Rows[Asker](Table.ASKER)
    maintenance = _Rows[Maintenance](Table.MAINTENANCE)
    standings = _Rows[Standing](Table.STANDING)
    claims = _Rows[ClaimRecord](Table.CLAIM)
    _validators = _Rows[ValidatorSet](Table.VALIDATORS)
    _metas = _Rows[Meta](Table.META)

    def __init__(self, base: "State | Draft") -> None:
        self.base = base
        """What lies below; once that is part of the state, the state itself."""
        self.changes: dict[Key, Message | None] = {}
        self._tree: object = _UNKNOWN

    def get(self, key: Key) -> Message | None:
        """The record at `key` as this draft sees it."""
        below: State | Draft = self
        while isinstance(below, Draft):  # a thousand blocks may be waiting to be final
            if key in below.changes:
                return below.changes[key]
            below = below.base
        return below.get(key)

    def draft(self) -> "Draft":
        """A draft on top of this one."""
        return Draft(self)

    def merge(self, above: "Draft") -> None:
        """Take over the writes of a draft on top of this one."""
        assert above.base is self
        self.changes.update(above.changes)

    @property
    def meta(self) -> Meta:
        """The record of the chain itself."""
        return self._metas.get(b"") or Meta()

    @meta.setter
    def meta(self, meta: Meta) -> None:
        self._metas.put(b"", meta)

    @property
    def validators(self) -> ValidatorSet:
        """Who finalizes the next block."""
        return self._validators.at(b"")

    @validators.setter
    def validators(self, validators: ValidatorSet) -> None:
        self._validators.put(b"", validators)

    def roster(self, name: RosterName) -> tuple[bytes, ...]:
        """The members of an index, sorted."""
        roster = self.rosters.get(name.key)
        return roster.members if roster else ()

    def set_listed(self, name: RosterName, member: bytes, listed: bool) -> None:
        """Add a member to an index or take it out; saying it twice changes nothing."""
        members = set(self.roster(name))
        members = members | {member} if listed else members - {member}
        self.rosters.put(name.key, Roster(members=tuple(sorted(members))))

    def changed(self) -> Iterator[tuple[Key, Message | None, Message | None]]:
        """Each write as (key, record before, record after)."""
        for key, record in self.changes.items():
            yield key, self.base.get(key), record

    @property
    def tree(self) -> statetree.Tree:
        """The state tree with this draft's writes: from here on they must not change."""
        if self._tree is _UNKNOWN:
            self._tree = statetree.update(
                self.base.tree,
                (
                    (tree_key(table, key), None if record is None else digest(record))
                    for (table, key), record in self.changes.items()
                ),
            )
        return cast("statetree.Tree", self._tree)
