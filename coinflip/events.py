"""What can happen to a flip, and what a flip can ask for.

Inputs are messages, because a flip is remembered as the list of its inputs (`Save`).
Effects are carried out in their order; a `Save` is always first, and must be on disk before
the next one is begun.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, Tag

from coinflip.messages import CoinOpening, Evidence, Signed
from wire.codec import BY_KIND, Message, array, encode
from wire.primitives import Hash, Natural


class Phase(StrEnum):
    """What a member is waiting for."""

    COMMIT = "commit"
    DEAL = "deal"
    SEAL = "seal"
    REVEAL = "reveal"
    RECOVER = "recover"
    CONFIRM = "confirm"
    ENDED = "ended"


class Start(Message):
    """Begin: commit."""

    kind: Literal["start"] = "start"


class Received(Message):
    """A message arrived, from its sender or passed on by anyone."""

    kind: Literal["received"] = "received"
    message: Signed

    @property
    def encoded(self) -> bytes:
        """What `encode` makes of it, from the message as it came."""
        return array((_RECEIVED, self.message.encoded))


_RECEIVED = encode("received")


class Sealed(Message):
    """The chain finalized a seal of this topic."""

    kind: Literal["sealed"] = "sealed"
    digest: Hash


class Expired(Message):
    """A phase lasted too long. For SEAL only the chain may say so: its deadline passed unsealed."""

    kind: Literal["expired"] = "expired"
    phase: Annotated[Phase, Field(strict=False)]


class Stalled(Message):
    """Nothing new for a while, for the `times`-th time: say again what others may have missed.

    Changes nothing, and is never saved.
    """

    kind: Literal["stalled"] = "stalled"
    times: Natural


Input = Annotated[
    Annotated[Start, Tag("start")]
    | Annotated[Received, Tag("received")]
    | Annotated[Sealed, Tag("sealed")]
    | Annotated[Expired, Tag("expired")]
    | Annotated[Stalled, Tag("stalled")],
    BY_KIND,
]


@dataclass(frozen=True, slots=True)
class Save:
    """Append this entry to the flip's log before doing anything that follows."""

    entry: bytes


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to all members. Not always one's own message."""

    message: Signed


@dataclass(frozen=True, slots=True)
class SubmitSeal:
    """Give the chain the digest and everyone's signature over it; others do the same."""

    digest: bytes
    signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Landed:
    """Exit 1: the coin. `recovered` stayed silent after the seal, `excluded` dealt badly.

    The coin is a secret of the members until someone publishes `opening`.
    """

    coin: bytes
    recovered: tuple[bytes, ...]
    excluded: tuple[bytes, ...]
    opening: CoinOpening


@dataclass(frozen=True, slots=True)
class Offline:
    """Exit 2: these did not do their part in time. One member's opinion, no proof of anything.

    Before the seal nobody has learned anything, so a new attempt gives nobody a choice. A
    member that speaks at the last instant and to few can make honest members look offline
    to one another: never punish on this alone.
    """

    who: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Malicious:
    """Exit 3: provably `accused`. After the seal it is no exit: the coin lands nevertheless."""

    accused: bytes
    evidence: Evidence


Effect = Save | Broadcast | SubmitSeal | Landed | Offline | Malicious
Outcome = Landed | Offline | Malicious
