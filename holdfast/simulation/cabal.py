"""Colluders who share all they know, and let a coin come about only if it pleases them."""

from collections.abc import Callable, Sequence

from coinflip.events import Effect, SubmitSeal
from coinflip.messages import (
    CoinOpening,
    Deal,
    Echo,
    HeldShare,
    Part,
    Ping,
    Pong,
    Reveal,
    Secret,
    Share,
    Signed,
)
from coinflip.opening import open_coin, recover
from coinflip.seat import Seat
from coinflip.state import Flip
from holdfast.simulation.adversaries import Crook
from holdfast.simulation.table import Chain
from holdfast.simulation.world import World


class Cabal:
    """The colluders' seats, and which coins they like."""

    def __init__(self, seats: Sequence[Seat], pleases: Callable[[bytes], bool]) -> None:
        self._seats = {seat.key.public: seat for seat in seats}
        self._pleases = pleases
        self._known: dict[bytes, bytes] = {}

    @property
    def refuser(self) -> bytes:
        """Who keeps its echo back when they see a coin coming that they dislike: one is enough."""
        return min(self._seats)

    def likes(self, flip: Flip) -> bool | None:
        """Whether the coin of this flip pleases them; None while they cannot know it."""
        coin = self.coin(flip)
        return None if coin is None else self._pleases(coin)

    def coin(self, flip: Flip) -> bytes | None:
        """The coin, from their own secrets, from what was revealed, and from their shares."""
        if flip.digest is None:
            return None
        if flip.digest in self._known:
            return self._known[flip.digest]
        parts = []
        for place, member in enumerate(flip.seat.members):
            part = self._part(flip, place, member)
            if part is None:
                return None
            parts.append(part)
        opening = CoinOpening(commits=flip.commits, parts=tuple(parts))
        coin = open_coin(flip.seat.topic, flip.seat.members, flip.digest, opening).value
        self._known[flip.digest] = coin
        return coin

    def _part(self, flip: Flip, place: int, member: bytes) -> Part | None:
        if member in self._seats:
            return Secret(value=self._seats[member].secret)
        if reveal := flip.said(member, Reveal):
            return Secret(value=reveal.secret)
        message = flip.words(Deal).get(member)
        if message is None or not isinstance(message.body, Deal):
            return None
        held = []
        for seat in self._seats.values():
            share = seat.examine(message, flip.commits)
            if isinstance(share, tuple):
                holder = seat.position
                held.append(HeldShare(holder=holder, value=share.value, salt=share.salt))
        commit, leaves = flip.commits[place], message.body.leaves
        return recover(flip.seat.topic, member, commit, leaves, held)


class Schemer(Crook):
    """A member of a cabal: honest as long as it does not know better.

    If the cabal is large enough to rebuild every x from its shares it knows the coin before the
    seal, and one of it can keep its echo back. A smaller one learns the coin when the honest
    members reveal, and can only fall silent.
    """

    absent = True

    def __init__(self, cabal: Cabal, world: World, chain: Chain, name: int, seat: Seat) -> None:
        self.cabal = cabal
        super().__init__(world, chain, name, seat)

    def tell(self, message: Signed) -> None:
        """Hold back what would bring about a coin that displeases; a stall asks again."""
        if message.sender == self.key:
            match message.body:
                case Echo() if self.refuses():
                    return
                case Reveal() | Share() | Ping() | Pong() if not self.cabal.likes(self.flip):
                    return
                case _:
                    pass
        super().tell(message)

    def perform(self, effect: Effect) -> None:
        """Hand no seal in that contains the echo kept back."""
        if not (isinstance(effect, SubmitSeal) and self.refuses()):
            super().perform(effect)

    def refuses(self) -> bool:
        """Whether this one keeps its echo back."""
        return self.key == self.cabal.refuser and self.cabal.likes(self.flip) is False
