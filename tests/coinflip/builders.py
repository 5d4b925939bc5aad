"""A flip among honest members, driven by hand: valid by default, for tests to spoil."""

from hashlib import sha256

from coinflip.events import Broadcast, Effect, Input, Received, Save, Sealed, Stalled, Start
from coinflip.flip import step
from coinflip.messages import CoinOpening, Deal, Secret, Signed
from coinflip.opening import seal_digest
from coinflip.state import Flip
from holdfast.simulation.table import seats


class Table:
    """All members of one flip and what each would honestly say."""

    def __init__(self, count: int, seed: int = 1, strict: bool = False) -> None:
        self.seats = seats(seed, count, strict)
        self.network, self.topic = self.seats[0].network, self.seats[0].topic
        self.members = self.seats[0].members
        self.claim = (self.network, self.topic, self.members)
        self.commits = tuple(seat.commit() for seat in self.seats)
        self.digest = seal_digest(self.topic, self.members, self.commits)
        self.flips = [Flip(seat) for seat in self.seats]
        self.effects: list[list[Effect]] = [[] for _ in self.seats]

    def deal(self, dealer: int) -> Deal:
        """The Deal of one member."""
        return self.seats[dealer].deal(self.digest, self.commits)

    def opening(self) -> CoinOpening:
        """The opening of a flip in which all revealed."""
        parts = tuple(Secret(value=seat.secret) for seat in self.seats)
        return CoinOpening(commits=self.commits, parts=parts)

    def give(self, member: int, given: Input) -> tuple[Effect, ...]:
        """One step of one member; what it broadcasts goes nowhere."""
        self.flips[member], effects = step(self.flips[member], given)
        remembered = isinstance(given, Stalled) or not effects or isinstance(effects[0], Save)
        assert remembered, "others heard of it before it was saved"
        self.effects[member] += effects
        return effects

    def hear(self, member: int, message: Signed) -> tuple[Effect, ...]:
        """One member hears one message."""
        return self.give(member, Received(message=message))

    def commit_all(self) -> None:
        """Everyone commits and hears all Commits."""
        for member in range(len(self.seats)):
            self.give(member, Start())
        for sender, seat in enumerate(self.seats):
            for receiver in range(len(self.seats)):
                self.hear(receiver, seat.sign(self.commits[sender]))

    def echo_all(self) -> None:
        """Everyone commits, deals and echoes, and hears all of it."""
        self.commit_all()
        self.pump()

    def seal(self) -> None:
        """Up to the seal, which everyone sees; what they say then is not delivered."""
        self.echo_all()
        for member in range(len(self.seats)):
            self.give(member, Sealed(digest=self.digest))

    def pump(self) -> None:
        """Deliver what was broadcast, and what that brings about, until all is quiet."""
        said: set[Signed] = set()
        while True:
            fresh = {
                effect.message
                for effects in self.effects
                for effect in effects
                if isinstance(effect, Broadcast)
            } - said
            if not fresh:
                return
            said |= fresh
            for message in sorted(fresh, key=lambda message: message.signature):
                for member in range(len(self.seats)):
                    self.hear(member, message)


def other(secret: bytes) -> bytes:
    """Other 32 bytes."""
    return sha256(secret).digest()
