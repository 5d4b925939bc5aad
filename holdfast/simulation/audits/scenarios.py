"""The named attacks on audits: who is bad in which way, and what is worth looking at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from holdfast.simulation.audits import attestors as ways
from holdfast.simulation.audits.arena import Arena, Size
from holdfast.simulation.audits.figures import Figures, measure, worths_base
from holdfast.simulation.audits.founding import (
    CONTRACTS_EACH,
    PARAMETERS,
    PLANS_EACH,
    REPLICAS,
    AttestorSeat,
    Cast,
    HosterSeat,
    Seat,
    account,
)
from holdfast.simulation.audits.hosters import Line, Way
from holdfast.simulation.audits.names import SCENARIOS as TITLES
from holdfast.simulation.result import Bar, Result, Tell

HONEST_ATTESTORS, HONEST_HOSTERS, OWNERS = "honest attestors", "honest hosters", "owners"
MILLION = 1_000_000
PER_MILLE = 1_000


@dataclass(frozen=True, slots=True)
class Bad:
    """One group of adversaries: its name, and its share of all of its role."""

    group: str
    share_ppm: int


@dataclass(frozen=True, slots=True)
class BadAttestors(Bad):
    """Attestors that behave otherwise."""

    ways: ways.Attestor
    address: str = ""
    """Where all of them are; empty: each is somewhere else."""


@dataclass(frozen=True, slots=True)
class BadHosters(Bad):
    """Hosters that behave otherwise."""

    way: Way


@dataclass(frozen=True, slots=True)
class Dealers(Bad):
    """Owners, by their share of all plans, whose feeds one group of hosters has for itself."""

    hosters: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """One attack."""

    name: str
    attestors: tuple[BadAttestors, ...] = ()
    hosters: tuple[BadHosters, ...] = ()
    dealers: Dealers | None = None
    line: Line = field(default_factory=Line)
    away_ppm: int = 0
    """How often an honest attestor misses a round."""
    remarks: Callable[[Arena, Figures], tuple[str, ...]] = lambda _, __: ()


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario that was played: its tables, and bars for people."""

    scenario: Scenario
    figures: Figures
    result: Result


def play(
    scenario: Scenario, seed: int, *, attestors: int, contracts: int, rounds: int, tell: Tell
) -> Played:
    """Play a scenario; the same arguments give the same tables."""
    root = blake2b(str(seed).encode(), digest_size=32).digest()
    cast = assemble(scenario, root, attestors, contracts)
    arena = Arena(root, cast, Size(rounds), scenario.line)
    before = worths_base(arena)
    for number in range(rounds):
        arena.play()
        tell(number + 1, rounds)
    figures = measure(arena, before)
    remarks = (*scenario.remarks(arena, figures), _conserved(figures))
    document = {
        "scenario": scenario.name,
        "seed": seed,
        "attestors": attestors,
        "contracts": contracts,
        "rounds": rounds,
        **figures.document,
        "remarks": list(remarks),
    }
    result = Result(
        title=TITLES[scenario.name],
        question="coins earned by one member, as a share of what an honest one earned",
        bars=tuple(_bars(scenario, figures)),
        document=document,
        remarks=remarks,
        tick="what an honest one earned",
    )
    return Played(scenario, figures, result)


def assemble(scenario: Scenario, seed: bytes, attestors: int, contracts: int) -> Cast:
    """Everybody of a scenario: the bad ones of each role come last."""
    cast = Cast()
    homes = _groups(HONEST_ATTESTORS, scenario.attestors, attestors)
    for number, (group, bad) in enumerate(homes):
        who = account("attestor", number, seed)
        way = bad.ways if isinstance(bad, BadAttestors) else ways.Attestor(scenario.away_ppm)
        address = bad.address if isinstance(bad, BadAttestors) else ""
        cast.attestors[who] = AttestorSeat(
            who,
            group,
            _in_one_net(address, number) if address else _anywhere(number),
            way,
            PARAMETERS.attestor_stake_base,
        )
    count = max(contracts // CONTRACTS_EACH, REPLICAS)
    for number, (group, worse) in enumerate(_groups(HONEST_HOSTERS, scenario.hosters, count)):
        who = account("hoster", number, seed)
        way_of = worse.way if isinstance(worse, BadHosters) else Way()
        cast.hosters[who] = HosterSeat(who, group, _anywhere(1 << 16 | number), way_of)
    _order(cast, scenario, seed, contracts)
    return cast


def _order(cast: Cast, scenario: Scenario, seed: bytes, contracts: int) -> None:
    """Contracts go round the hosters; a dealer's plans go to its own, and no others do."""
    plans, dealers = contracts // REPLICAS, scenario.dealers
    dealt = plans * dealers.share_ppm // MILLION if dealers else 0
    theirs = dealers.hosters if dealers else ""
    honest = [one for one, seat in cast.hosters.items() if seat.group != theirs]
    ring = [one for one, seat in cast.hosters.items() if seat.group == theirs]
    for first, count, role, group, pool in (
        (0, plans - dealt, "owner", OWNERS, honest),
        (plans - dealt, dealt, "dealer", dealers.group if dealers else "", ring),
    ):
        for place in range(count * REPLICAS):
            number, replica = divmod(place, REPLICAS)
            owner = account(role, number // PLANS_EACH, seed)
            cast.owners.setdefault(owner, Seat(owner, group, "192.0.2.3"))
            # The replicas of a plan lie far apart: the bad ones stand side by side.
            turn = number + replica * (len(pool) // REPLICAS)
            cast.contracts.append((owner, pool[turn % len(pool)], first + number))


def _groups(
    honest: str, bad: tuple[BadAttestors, ...] | tuple[BadHosters, ...], count: int
) -> list[tuple[str, Bad | None]]:
    """Whose group each of `count` members is of: shares are rounded up, the rest is honest."""
    found: list[tuple[str, Bad | None]] = []
    for each in bad:
        found += [(each.group, each)] * -(-count * each.share_ppm // MILLION)
    return [(honest, None)] * (count - len(found)) + found


def _anywhere(number: int) -> str:
    """An address in a /24 that nobody else has."""
    return f"{16 + (number >> 16) % 64}.{number >> 8 & 255}.{number & 255}.1"


def _in_one_net(network: str, number: int) -> str:
    return f"{network}.{number % 254 + 1}"


def _bars(scenario: Scenario, figures: Figures) -> list[Bar]:
    bars = []
    for honest, bad in ((HONEST_ATTESTORS, scenario.attestors), (HONEST_HOSTERS, scenario.hosters)):
        if bad:
            due = max(figures.each_base(honest), 1)
            for group in (honest, *(each.group for each in bad)):
                earned = max(figures.each_base(group), 0)
                bars.append(Bar(group, earned * PER_MILLE // due, PER_MILLE, 1.0))
    return bars


def _conserved(figures: Figures) -> str:
    return "no coin appeared or vanished" if figures.conserved else "COINS APPEARED OR VANISHED"


def _seats_won(group: str) -> Callable[[Arena, Figures], tuple[str, ...]]:
    def remark(arena: Arena, figures: Figures) -> tuple[str, ...]:
        due = {row.group: row.due for row in figures.attesting}
        seats = {group_: len(who) for group_, who in arena.cast.groups().items()}
        total = sum(seats[name] for name in due)
        return (
            f"{group}: {seats[group] / total:.1%} of the accounts, "
            f"{due[group] / max(sum(due.values()), 1):.1%} of the seats in committees",
        )

    return remark


def _together(attestors: str, *others: str) -> Callable[[Arena, Figures], tuple[str, ...]]:
    def remark(arena: Arena, figures: Figures) -> tuple[str, ...]:
        earned = {row.group: row.earned_base for row in figures.earnings}
        together = sum(earned[group] for group in (attestors, *others))
        count = figures.attesting_of(attestors).attestors
        honest = figures.each_base(HONEST_ATTESTORS) * count * arena.rounds
        return (
            f"{attestors}, {', '.join(others)}: together {together:+,} coins; "
            f"the attestors alone, honest: {honest:+,}",
        )

    return remark


RING, DARK = "ring hosters", Way(dark=True)

SCENARIOS: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(
            "lazy",
            attestors=(BadAttestors("lazy attestors", 200_000, ways.Lazy()),),
        ),
        Scenario(
            "copycat",
            attestors=(BadAttestors("copycats", 200_000, ways.Copycat()),),
        ),
        Scenario(
            "liar",
            attestors=(
                BadAttestors("boasters", 100_000, ways.Boaster()),
                BadAttestors("exaggerators", 200_000, ways.Exaggerator()),
            ),
        ),
        Scenario(
            "colluder",
            attestors=(BadAttestors("ring attestors", 200_000, ways.Accomplice(RING)),),
            hosters=(BadHosters(RING, 200_000, DARK),),
        ),
        Scenario(
            "withholding",
            attestors=(BadAttestors("withholders", 200_000, ways.Withholder(RING)),),
            hosters=(BadHosters(RING, 200_000, DARK),),
        ),
        Scenario(
            "sybil",
            attestors=(
                BadAttestors("sybils", 333_333, ways.Accomplice(RING), address="203.0.113"),
            ),
            hosters=(BadHosters(RING, 200_000, DARK),),
            remarks=_seats_won("sybils"),
        ),
        Scenario(
            "outsourcing",
            hosters=(
                BadHosters("relays, 30 ms away", 100_000, Way(relay_us=30_000)),
                BadHosters("relays, 300 ms away", 100_000, Way(relay_us=300_000)),
            ),
        ),
        Scenario(
            "slow-drip",
            hosters=(BadHosters("drippers", 200_000, Way(dripping=True)),),
        ),
        Scenario(
            "selective",
            hosters=(
                BadHosters("right 55 times in 100", 100_000, Way(recognises_ppm=550_000)),
                BadHosters("right 95 times in 100", 100_000, Way(recognises_ppm=950_000)),
            ),
        ),
        Scenario(
            "self-dealing",
            attestors=(BadAttestors("its attestors", 200_000, ways.Accomplice("its hosters")),),
            hosters=(BadHosters("its hosters", 200_000, DARK),),
            dealers=Dealers("itself as an owner", 200_000, "its hosters"),
            remarks=_together("its attestors", "its hosters", "itself as an owner"),
        ),
        Scenario(
            "erosion",
            hosters=(
                BadHosters("lost 1 %", 200_000, Way(lost_ppm=10_000)),
                BadHosters("1 % false", 100_000, Way(false_ppm=10_000)),
            ),
        ),
        Scenario(
            "weather",
            line=Line(loss_ppm=50_000),
            away_ppm=100_000,
        ),
    )
}
