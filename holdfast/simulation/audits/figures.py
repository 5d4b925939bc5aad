"""What a simulation came to: who earned what, and who was found out."""

from collections import Counter
from dataclasses import asdict, dataclass
from statistics import median_low
from typing import Any

from audit.suspicion import relays
from chain.money import held_base
from chain.records import PlanRecord, StakeRecord, Table, stake_key
from holdfast.simulation.audits.arena import Arena
from holdfast.simulation.audits.founding import hoster_stake_base
from wire.codec import encode
from wire.primitives import blake2b_256

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Earnings:
    """One group's coins at the end, less those in the beginning."""

    group: str
    members: int
    earned_base: int
    each_a_round_base: int
    """Of one member in one round, rounded down."""


@dataclass(frozen=True, slots=True)
class Hosting:
    """What the chain concluded about one group of hosters."""

    group: str
    hosters: int
    verdicts: int
    served: int
    unproven: int
    fault: int
    skipped: int
    missing: int
    """Chunks not proven served, of those that were asked for."""
    samples: int
    caught: int
    """Hosters with a verdict of *unproven* or *fault*."""
    first_caught: int
    """Of these, the visited epochs until the first such verdict: the lower median; 0 of none."""
    asked: int
    """Requests of the chain to show chunks, after audits that found too little."""
    unanswered: int
    """Of these, those that cost the contract."""
    slashed: int
    """Hosters that have lost collateral."""
    suspected: int
    """Hosters whose first chunks take longer than their lines explain: no rule reads that."""


@dataclass(frozen=True, slots=True)
class Attesting:
    """What became of the duties of one group of attestors."""

    group: str
    attestors: int
    due: int
    away: int
    withheld: int
    void: int
    opened: int
    convicted: int
    """Reports that were proven to be made up."""
    suspended: int
    """Members that are kept out of line-ups at the end."""
    stake_lost_base: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All tables of one run."""

    earnings: tuple[Earnings, ...]
    hosting: tuple[Hosting, ...]
    attesting: tuple[Attesting, ...]
    flaws: dict[str, int]
    conserved: bool
    trace: str
    """A hash of all verdicts: two runs with one trace went alike."""

    @property
    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def each_base(self, group: str) -> int:
        """What one member of a group earned in a round."""
        return next(row.each_a_round_base for row in self.earnings if row.group == group)

    def hosting_of(self, group: str) -> Hosting:
        """What was concluded about a group of hosters."""
        return next(row for row in self.hosting if row.group == group)

    def attesting_of(self, group: str) -> Attesting:
        """What became of a group of attestors."""
        return next(row for row in self.attesting if row.group == group)


def worths_base(arena: Arena) -> Counter[bytes]:
    """Everybody's coins: at hand, staked, returning, and in escrow for what they ordered."""
    worth = Counter[bytes]()
    for (table, key), record in arena.ledger.state.records.items():
        match record:
            case PlanRecord():
                worth[record.owner] += held_base(record)
            case StakeRecord():
                worth[key[1:]] += held_base(record)
            case _ if table is Table.ACCOUNT:
                worth[key] += held_base(record)
            case _:
                pass
    return worth


def measure(arena: Arena, before: Counter[bytes]) -> Figures:
    """The tables of a run; `before` has everybody's worth at its beginning."""
    after = worths_base(arena)
    groups = arena.cast.groups()
    earnings = []
    for group, accounts in groups.items():
        earned = sum(after[one] - before[one] for one in accounts)
        each = earned // (len(accounts) * max(arena.rounds, 1))
        earnings.append(Earnings(group, len(accounts), earned, each))
    return Figures(
        earnings=tuple(earnings),
        hosting=tuple(_hosting(arena)),
        attesting=tuple(_attesting(arena)),
        flaws=dict(sorted(arena.flaws.items())),
        conserved=arena.ledger.is_conserved(),
        trace=blake2b_256(*(encode(verdict) for verdict in arena.verdicts)).hex()[:32],
    )


def _hosting(arena: Arena) -> list[Hosting]:
    group_of = {seat.account: seat.group for seat in arena.cast.hosters.values()}
    suspected = {relay.hoster for relay in relays(arena.timed())}
    rows = []
    for group in dict.fromkeys(group_of.values()):
        verdicts = [each for each in arena.verdicts if group_of[each.hoster] == group]
        classes = Counter(each.verdict for each in verdicts)
        caught: dict[bytes, int] = {}
        visited = Counter[bytes]()
        for verdict in verdicts:
            visited[verdict.hoster] += 1
            if verdict.verdict in ("unproven", "fault"):
                caught.setdefault(verdict.hoster, visited[verdict.hoster])
        asked = [each for each in arena.requests() if group_of[each.hoster] == group]
        members = [one for one, whose in group_of.items() if whose == group]
        rows.append(
            Hosting(
                group=group,
                hosters=len(members),
                verdicts=len(verdicts),
                served=classes["served"],
                unproven=classes["unproven"],
                fault=classes["fault"],
                skipped=classes["skipped"],
                missing=sum(each.missing for each in verdicts),
                samples=sum(each.samples for each in verdicts),
                caught=len(caught),
                first_caught=median_low(caught.values() or [0]),
                asked=len(asked),
                unanswered=sum(each.status == "unanswered" for each in asked),
                slashed=sum(_has_lost_stake(arena, one) for one in members),
                suspected=len(suspected & {*members}),
            )
        )
    return rows


def _has_lost_stake(arena: Arena, hoster: bytes) -> bool:
    stake = arena.ledger.draft.stakes.at(stake_key("hoster", hoster))
    return stake.amount_base + stake.unbonding_base < hoster_stake_base(arena.parameters)


def _is_suspended(arena: Arena, attestor: bytes) -> bool:
    draft = arena.ledger.draft
    standing = draft.standings.get(attestor)
    return standing is not None and standing.says(draft.meta.height) == "suspended"


def _attesting(arena: Arena) -> list[Attesting]:
    draft = arena.ledger.draft
    rows = []
    groups = dict.fromkeys(seat.group for seat in arena.cast.attestors.values())
    for group in groups:
        seats = [seat for seat in arena.cast.attestors.values() if seat.group == group]
        tallies = [arena.tallies[seat.account] for seat in seats]
        staked = [draft.stakes.at(stake_key("attestor", seat.account)) for seat in seats]
        lost = sum(
            seat.stake_base - stake.amount_base - stake.unbonding_base
            for seat, stake in zip(seats, staked, strict=True)
        )
        rows.append(
            Attesting(
                group=group,
                attestors=len(seats),
                due=sum(tally.due for tally in tallies),
                away=sum(tally.away for tally in tallies),
                withheld=sum(tally.withheld for tally in tallies),
                void=sum(tally.void for tally in tallies),
                opened=sum(tally.opened for tally in tallies),
                convicted=sum(tally.convicted for tally in tallies),
                suspended=sum(_is_suspended(arena, seat.account) for seat in seats),
                stake_lost_base=lost,
            )
        )
    return rows
