"""How a peer of `holdfast flip` misbehaves: what it deals, and what it says to whom."""

from dataclasses import fields
from enum import StrEnum
from hashlib import sha256

from coinflip.messages import Accuse, Commit, Echo, Equivocation, Ping, Pong, Reveal, Share, Signed
from coinflip.seat import Seat
from coinflip.service import Members
from coinflip.shamir import commitment
from holdfast.simulation.adversaries import SteepSeat
from swarm.service import Topic
from wire.codec import decode, encode
from wire.errors import Malformed


class Fault(StrEnum):
    """One way to misbehave; `MEANING` says it in words."""

    WITHHOLD = "withhold"
    MALFORM = "malform"
    EQUIVOCATE = "equivocate"
    LIE = "lie"
    SLANDER = "slander"
    REFUSE = "refuse"


MEANING = {
    Fault.WITHHOLD: "falls silent once the coin is sealed",
    Fault.MALFORM: "deals shares that belong to no secret",
    Fault.EQUIVOCATE: "commits to two secrets, one for each half of the others",
    Fault.LIE: "reveals what it never committed to",
    Fault.SLANDER: "accuses an honest peer with forged evidence",
    Fault.REFUSE: "takes its shares and does not echo",
}

_AFTER_THE_SEAL = (Reveal, Share, Ping, Pong)


def parse_faults(text: str) -> dict[Fault, int]:
    """`withhold=3,malform=1` as counts; raises `Malformed` for what is not of this form."""
    counts: dict[Fault, int] = {}
    for part in text.split(",") if text else ():
        name, _, number = part.strip().partition("=")
        if name not in set(Fault) or not number.isdecimal() or Fault(name) in counts:
            names = ", ".join(Fault)
            raise Malformed(f"{part.strip()!r} is not FAULT=COUNT with FAULT one of {names}")
        counts[Fault(name)] = int(number)
    return counts


def misdealing(seat: Seat, fault: Fault | None) -> Seat:
    """The seat of a peer with this fault."""
    if fault is not Fault.MALFORM:
        return seat
    return SteepSeat(**{part.name: getattr(seat, part.name) for part in fields(Seat) if part.init})


class FaultyMembers(Members):
    """The transport of a peer that means ill; what others said it passes on as it is."""

    def __init__(self, topic: Topic, seat: Seat, fault: Fault) -> None:
        super().__init__(topic)
        self._seat = seat
        self._fault = fault
        self._forked = False

    async def broadcast(self, data: bytes) -> None:
        """Say it, say something else, or say nothing."""
        message: Signed = decode(Signed, data)
        if message.sender != self._seat.key.public:
            return await super().broadcast(data)
        match self._fault, message.body:
            case Fault.WITHHOLD, body if isinstance(body, _AFTER_THE_SEAL):
                return None
            case Fault.REFUSE, body if isinstance(body, (Echo, *_AFTER_THE_SEAL)):
                return None
            case Fault.EQUIVOCATE, Commit() as commit:
                return self._tell_two_stories(data, commit)
            case Fault.LIE, Reveal(secret=secret):
                lie = Reveal(secret=sha256(secret).digest())
                return await super().broadcast(encode(self._seat.sign(lie)))
            case Fault.SLANDER, Commit():
                await super().broadcast(encode(self._slander(message)))
            case _:
                pass
        return await super().broadcast(data)

    def _tell_two_stories(self, data: bytes, commit: Commit) -> None:
        if self._forked:
            return
        self._forked = True
        seat = self._seat
        secret = sha256(seat.secret).digest()
        twin = commitment(seat.topic, seat.key.public, secret)
        other = encode(seat.sign(commit.model_copy(update={"commitment": twin})))
        for place, peer in enumerate(sorted(self._topic.members)):
            self._topic.send(peer, data if place % 2 else other)

    def _slander(self, message: Signed) -> Signed:
        victim = next(key for key in self._seat.members if key != message.sender)
        forged = message.model_copy(update={"sender": victim})
        evidence = Equivocation(first=forged, second=forged)
        return self._seat.sign(Accuse(accused=victim, evidence=encode(evidence)))
