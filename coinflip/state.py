"""What one member knows of a flip, and what of it is worth saying again."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from coinflip.events import Broadcast, Effect, Outcome, Phase, SubmitSeal
from coinflip.evidence import Slot
from coinflip.exchange import OpenShare
from coinflip.messages import (
    Body,
    CoinOpening,
    Commit,
    Deal,
    Echo,
    Evidence,
    Part,
    Ping,
    Pong,
    Reveal,
    Signed,
)
from coinflip.opening import Coin
from coinflip.seat import Seat

B = TypeVar("B", bound=Body)


@dataclass(frozen=True, slots=True)
class Flip:
    """Everything one member knows of one flip.

    `heard` has the first message of each member in each slot, its own included; `shares` are
    this member's, by dealer; `parts` are what the coin will be opened with.
    """

    seat: Seat
    phase: Phase = Phase.COMMIT
    heard: Mapping[tuple[bytes, Slot], Signed] = field(default_factory=dict)
    digest: bytes | None = None
    sealed: bytes | None = None
    submitted: bool = False
    shares: Mapping[bytes, OpenShare] = field(default_factory=dict)
    parts: Mapping[bytes, Part] = field(default_factory=dict)
    convicted: Mapping[bytes, Evidence] = field(default_factory=dict)
    opening: CoinOpening | None = None
    coin: Coin | None = None
    outcome: Outcome | None = None

    def message(self, member: bytes, kind: type[Body], about: bytes = b"") -> Signed | None:
        """What `member` said in a slot."""
        return self.heard.get((member, (kind, about)))

    def said(self, member: bytes, kind: type[B], about: bytes = b"") -> B | None:
        """The body of what `member` said in a slot."""
        message = self.heard.get((member, (kind, about)))
        return message.body if message and isinstance(message.body, kind) else None

    def all_said(self, kind: type[B]) -> tuple[B, ...] | None:
        """What every member said, in their order, or None while someone is silent."""
        bodies = [self.said(member, kind) for member in self.seat.members]
        whole = tuple(body for body in bodies if body is not None)
        return whole if len(whole) == len(bodies) else None

    @property
    def missing(self) -> tuple[bytes, ...]:
        """Whom this member waits for, in the members' order."""
        match self.phase:
            case Phase.COMMIT:
                return self._without(lambda member: self.said(member, Commit))
            case Phase.DEAL:
                return self._without(self.shares.get)
            case Phase.SEAL:
                echo = None if self.digest is None else Echo(digest=self.digest)
                return self._without(lambda member: self.said(member, Echo) == echo)
            case Phase.REVEAL | Phase.RECOVER:
                return self._without(self.parts.get)
            case Phase.CONFIRM | Phase.ENDED:
                return self.without(Pong)

    def without(self, kind: type[Ping | Pong]) -> tuple[bytes, ...]:
        """Who revealed but has not confirmed; nobody waits for the silent and the guilty."""
        return self._without(
            lambda member: (
                member in self.convicted or not self.said(member, Reveal) or self.said(member, kind)
            )
        )

    def _without(self, part: Callable[[bytes], object]) -> tuple[bytes, ...]:
        return tuple(member for member in self.seat.members if not part(member))


def say_again(flip: Flip) -> Iterator[Effect]:
    """All one's own words; and of others' what those who lag behind may have missed.

    A member in a phase has everybody's words of the phase before, so whoever is missing now
    may lack one of those: its speaker may have told only some.
    """
    me = flip.seat.key.public
    for (member, _), message in flip.heard.items():
        if member == me:
            yield Broadcast(message)
    match flip.phase:
        case Phase.DEAL if flip.missing:
            passed_on: type[Body] = Commit
        case Phase.SEAL if flip.missing:
            passed_on = Deal
        case Phase.SEAL:
            yield seal_of(flip)
            return
        case Phase.RECOVER | Phase.CONFIRM | Phase.ENDED if flip.missing:
            passed_on = Reveal
        case _:
            return
    for member in flip.seat.members:
        message_of = flip.message(member, passed_on)
        if member != me and message_of is not None:
            yield Broadcast(message_of)


def seal_of(flip: Flip) -> SubmitSeal:
    """What to ask the chain for, once all have echoed."""
    echoes = (flip.message(member, Echo) for member in flip.seat.members)
    assert flip.digest is not None
    return SubmitSeal(flip.digest, tuple(echo.signature for echo in echoes if echo))
