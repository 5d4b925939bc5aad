"""How attestors of a simulation behave: what each makes of the visits that it has to pay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from audit.messages import Outcome
from audit.plan import VisitPlan
from holdfast.simulation.audits.hosters import Found
from wire.prng import Stream

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Errand:
    """One visit that an attestor owes, and what is there for who pays it."""

    plan: VisitPlan
    group: str
    """Whose hoster it is: an accomplice knows its own."""
    look: Callable[[], Found]


@dataclass(frozen=True, slots=True)
class Account:
    """What an attestor does with a round: the visits it reports, and whether that can be shown."""

    visits: tuple[Found, ...]
    forged: str = ""
    """What is wrong with the report; empty: there is evidence for what it says."""
    opens: bool = True


class Attestor:
    """Visits as its plan says, reports what it found, opens in time."""

    forges = False
    """Whether its reports go before the chain's own judge, who finds what is wrong with them."""

    def __init__(self, away_ppm: int = 0) -> None:
        self.away_ppm = away_ppm
        """How often it misses a whole round."""

    def attend(self, errands: Sequence[Errand], chance: Stream) -> Account | None:
        """Its account of a round, or None when it was not there."""
        if self.away_ppm and chance.below(MILLION) < self.away_ppm:
            return None
        return self.account(errands)

    def account(self, errands: Sequence[Errand]) -> Account:
        """What it reports."""
        return Account(tuple(errand.look() for errand in errands))


class Lazy(Attestor):
    """Visits nobody, and says that nobody answered."""

    def account(self, errands: Sequence[Errand]) -> Account:
        return Account(tuple(silence(errand) for errand in errands))


class Copycat(Attestor):
    """Visits nobody, repeats another's commitment, and opens what the other has opened."""

    forges = True

    def account(self, errands: Sequence[Errand]) -> Account:
        return Account(tuple(silence(errand) for errand in errands), forged="copied")


class Boaster(Attestor):
    """Visits nobody, and says that everybody served everything."""

    forges = True

    def account(self, errands: Sequence[Errand]) -> Account:
        return Account(tuple(vouched(errand) for errand in errands), forged="overstated")


class Exaggerator(Attestor):
    """Visits, and says that all took ten times as long."""

    def account(self, errands: Sequence[Errand]) -> Account:
        return Account(tuple(_slowed(errand.look()) for errand in errands))


class Accomplice(Attestor):
    """Vouches for the hosters of its ring, who sign for what they never sent."""

    def __init__(self, ring: str) -> None:
        super().__init__()
        self.ring = ring

    def account(self, errands: Sequence[Errand]) -> Account:
        visits = (
            vouched(errand) if errand.group == self.ring else errand.look() for errand in errands
        )
        return Account(tuple(visits))


class Withholder(Attestor):
    """Visits and commits, then opens nothing if it speaks against a hoster of its ring."""

    def __init__(self, ring: str) -> None:
        super().__init__()
        self.ring = ring

    def account(self, errands: Sequence[Errand]) -> Account:
        visits = tuple(errand.look() for errand in errands)
        bad = any(
            errand.group == self.ring and found.outcome is not Outcome.SERVED
            for errand, found in zip(errands, visits, strict=True)
        )
        return Account(visits, opens=not bad)


def silence(errand: Errand) -> Found:
    """A visit that brought nothing, or is said to."""
    indices = errand.plan.indices
    return Found(Outcome.CONNECT_TIMEOUT, len(indices), indices)


def vouched(errand: Errand) -> Found:
    """A visit that never was, with a receipt over hashes that anybody can know."""
    count = len(errand.plan.indices)
    return Found(
        Outcome.SERVED,
        count,
        latency_us=10_000,
        throughput_bytes_per_s=8_000_000,
        made_up=True,
    )


def _slowed(found: Found) -> Found:
    return replace(
        found,
        latency_us=found.latency_us * 10,
        throughput_bytes_per_s=found.throughput_bytes_per_s // 10,
    )
