"""Members that do not follow the protocol, each in one way; what they say they sign."""

from dataclasses import fields
from hashlib import sha256

from coinflip.events import Broadcast, Effect, Input, Received, Start, SubmitSeal
from coinflip.messages import (
    Accuse,
    Body,
    Commit,
    Deal,
    Echo,
    Equivocation,
    FalseAccusation,
    FalseConfirmation,
    FalseDeal,
    FalseDealing,
    FalseReveal,
    Ping,
    Pong,
    Reveal,
    Secret,
    Share,
    Signed,
)
from coinflip.seat import Seat
from coinflip.shamir import Sharing, commitment, leaf, share_out
from holdfast.simulation.table import Player
from wire.codec import encode


class Crook(Player):
    """An adversary; on its own it does nothing wrong."""

    seat_type: type[Seat] = Seat

    def __post_init__(self) -> None:
        self.honest = False
        values = {part.name: getattr(self.seat, part.name) for part in fields(Seat) if part.init}
        self.seat = self.seat_type(**values)
        super().__post_init__()


class Silent(Crook):
    """Withholds some kinds of message, and may be missed for it."""

    absent = True
    kinds: tuple[type[Body], ...] = ()

    def tell(self, message: Signed) -> None:
        if not isinstance(message.body, self.kinds):
            super().tell(message)


class MuteCommitter(Silent):
    """Never shows up."""

    kinds = (Commit, Deal, Echo, Reveal, Share, Ping, Pong, Accuse)


class MuteDealer(Silent):
    """Commits and falls silent."""

    kinds = (Deal, Echo, Reveal, Share, Ping, Pong, Accuse)


class MuteEchoer(Silent):
    """Sees its shares and refuses to go on."""

    kinds = (Echo, Reveal, Share, Ping, Pong, Accuse)

    def perform(self, effect: Effect) -> None:
        if not isinstance(effect, SubmitSeal):
            super().perform(effect)


class Withholder(Silent):
    """Falls silent once the coin is sealed: a majority of such is missed, a minority is not."""

    kinds = (Reveal, Share, Ping, Pong, Accuse)


class Whisperer(Crook):
    """Says everything to its two neighbours only, and passes nothing on."""

    def tell(self, message: Signed) -> None:
        if message.sender == self.key:
            count = len(self.seat.members)
            self.tell_some(message, {(self.name + 1) % count, (self.name + 2) % count})


class TwoFaced(Crook):
    """Says one thing to the next member and another thing to the others."""

    def other(self, body: Body) -> Body | None:
        """What the others are told instead."""
        return None

    def tell(self, message: Signed) -> None:
        other = self.other(message.body)
        if message.sender != self.key or other is None:
            return super().tell(message)
        following = (self.name + 1) % len(self.seat.members)
        self.tell_some(self.seat.sign(other), {following})
        return self.tell_some(message, set(range(len(self.seat.members))) - {following})


class Equivocator(TwoFaced):
    """Commits to two secrets."""

    crimes = (Equivocation,)

    def other(self, body: Body) -> Body | None:
        if not isinstance(body, Commit):
            return None
        twin = sha256(self.seat.secret).digest()
        return body.model_copy(update={"commitment": commitment(self.seat.topic, self.key, twin)})


class EchoLiar(TwoFaced):
    """Echoes a digest that some have never seen."""

    crimes = (Equivocation,)
    absent = True

    def other(self, body: Body) -> Body | None:
        return Echo(digest=sha256(body.digest).digest()) if isinstance(body, Echo) else None


class LyingRevealer(TwoFaced):
    """Reveals its secret to all but one, who gets another."""

    crimes = (FalseReveal,)

    def other(self, body: Body) -> Body | None:
        return Reveal(secret=sha256(body.secret).digest()) if isinstance(body, Reveal) else None


class Distorter(Crook):
    """Says something else than it should, to everyone alike."""

    def distort(self, body: Body) -> Body:
        """What it says instead."""
        return body

    def tell(self, message: Signed) -> None:
        if message.sender == self.key:
            message = self.seat.sign(self.distort(message.body))
        super().tell(message)


class LeafForger(Distorter):
    """Deals other leaves than it committed to."""

    crimes = (FalseDeal,)

    def distort(self, body: Body) -> Body:
        if isinstance(body, Deal):
            return body.model_copy(update={"leaves": body.leaves[::-1]})
        return body


class Starver(Distorter):
    """Deals a bad ciphertext to one member, the next one."""

    crimes = (FalseDeal,)

    def distort(self, body: Body) -> Body:
        if isinstance(body, Deal):
            victim = (self.name + 1) % len(body.leaves)
            ciphertexts = list(body.ciphertexts)
            ciphertexts[victim] = bytes(len(ciphertexts[victim]))
            return body.model_copy(update={"ciphertexts": tuple(ciphertexts)})
        return body


class StingyDealer(Distorter):
    """Deals to nobody."""

    crimes = (FalseDeal,)

    def distort(self, body: Body) -> Body:
        return body.model_copy(update={"ciphertexts": ()}) if isinstance(body, Deal) else body


class FalseRevealer(Distorter):
    """Reveals what it never committed to."""

    crimes = (FalseReveal,)

    def distort(self, body: Body) -> Body:
        return Reveal(secret=sha256(body.secret).digest()) if isinstance(body, Reveal) else body


class ShareForger(Distorter):
    """Reveals nothing and gives wrong shares of others' secrets."""

    def distort(self, body: Body) -> Body:
        return body.model_copy(update={"value": bytes(32)}) if isinstance(body, Share) else body


class FalsePinger(Distorter):
    """Claims to know another coin."""

    crimes = (FalseConfirmation,)

    def distort(self, body: Body) -> Body:
        if isinstance(body, Ping):
            return body.model_copy(update={"proof": sha256(body.proof).digest()})
        return body


class Slanderer(Crook):
    """Accuses an honest member with a forged pair of Commits, when it should commit."""

    crimes = (FalseAccusation,)

    def tell(self, message: Signed) -> None:
        super().tell(message)
        if isinstance(message.body, Commit) and message.sender == self.key:
            victim = self.seat.members[(self.name + 1) % len(self.seat.members)]
            forged = message.model_copy(update={"sender": victim})
            evidence = Equivocation(first=forged, second=forged)
            super().tell(self.seat.sign(Accuse(accused=victim, evidence=encode(evidence))))


class SteepSeat(Seat):
    """Deals shares that open well but lie on no polynomial of the right degree."""

    def sharing(self) -> Sharing:
        straight = super().sharing()
        values = (sha256(straight.values[0]).digest(), *straight.values[1:-1], bytes(32))
        return self._bound(straight, values)

    def _bound(self, straight: Sharing, values: tuple[bytes, ...]) -> Sharing:
        leaves = tuple(
            leaf(self.topic, self.key.public, holder, value, salt)
            for holder, (value, salt) in enumerate(zip(values, straight.salts, strict=True))
        )
        return Sharing(values, straight.salts, leaves)


class SteepDealer(Crook):
    """Reveals its secret, whose shares would have given another."""

    crimes = (FalseDealing,)
    seat_type = SteepSeat


class SilentSteepDealer(Silent):
    """Deals what belongs to no secret, then falls silent."""

    crimes = (FalseDealing,)
    seat_type = SteepSeat
    kinds = (Reveal, Share, Ping, Pong, Accuse)


class OtherSeat(Seat):
    """Shares another secret than the one committed to, correctly."""

    def sharing(self) -> Sharing:
        other = sha256(self.secret).digest()
        return share_out(self.topic, self.key.public, other, len(self.members))


class OtherDealer(Crook):
    """Commits to one secret and shares another; reveals the one."""

    crimes = (FalseDealing,)
    seat_type = OtherSeat


class SilentOtherDealer(Silent):
    """Commits to one secret and shares another; reveals nothing."""

    crimes = (FalseDealing,)
    seat_type = OtherSeat
    kinds = (Reveal, Share, Ping, Pong, Accuse)


class CopyingSeat(Seat):
    """Holds the commitment that was copied."""

    copied = bytes(32)

    def commit(self) -> Commit:
        return super().commit().model_copy(update={"commitment": self.copied})


class Copier(Crook):
    """Waits for an honest Commit, commits to the same, and reveals the same."""

    crimes = (FalseReveal, FalseDealing)
    seat_type = CopyingSeat

    def __post_init__(self) -> None:
        super().__post_init__()
        self.waiting: list[Input] = []
        self.victim = b""

    def take(self, given: Input) -> None:
        if not self.victim:
            self.waiting.append(given)
            if isinstance(given, Received) and isinstance(given.message.body, Commit):
                self.victim = given.message.sender
                object.__setattr__(self.seat, "copied", given.message.body.commitment)
                for waited in (Start(), *self.waiting):
                    super().take(waited)
            return
        super().take(given)

    def tell(self, message: Signed) -> None:
        victims = self.flip.said(self.victim, Reveal)
        if isinstance(message.body, Reveal) and victims:
            message = self.seat.sign(victims)
        super().tell(message)


class Rusher(Crook):
    """Will commit once it has learned an honest secret, as the source's rule allows."""

    absent = True

    def take(self, given: Input) -> None:
        learned = [key for key in self.seat.members if self.flip.said(key, Reveal)]
        if isinstance(given, Start) and not learned:
            self.world.after(100, lambda: self.take(Start()), owner=self.name)
            return
        super().take(given)


class LateChooser(Crook):
    """Commits last, after all it could learn, and withholds when the coin displeases it."""

    def take(self, given: Input) -> None:
        heard = [key for key in self.seat.members if self.flip.said(key, Commit)]
        if isinstance(given, Start) and len(heard) < len(self.seat.members) - 2:
            self.world.after(100, lambda: self.take(Start()), owner=self.name)
            return
        super().take(given)

    def perform(self, effect: Effect) -> None:
        if isinstance(effect, Broadcast) and isinstance(effect.message.body, Reveal):
            return
        super().perform(effect)


class Impostor(Crook):
    """Says in everyone's name, without their signatures, what can only be true."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.forged: set[tuple[bytes, type[Body]]] = set()

    def take(self, given: Input) -> None:
        super().take(given)
        for member, part in self.flip.parts.items():
            if isinstance(part, Secret):
                self._forge(member, Reveal(secret=part.value))
        for kind in (Ping, Pong):
            mine = self.flip.said(self.key, kind)
            for member in self.seat.members if mine else ():
                assert mine
                self._forge(member, mine)

    def _forge(self, member: bytes, body: Body) -> None:
        if member != self.key and (member, type(body)) not in self.forged:
            self.forged.add((member, type(body)))
            self.tell(self.seat.sign(body).model_copy(update={"sender": member}))


SILENT_BEFORE_THE_SEAL = (MuteCommitter, Rusher, MuteDealer, MuteEchoer, EchoLiar)
GUILTY_BEFORE_THE_SEAL = (Equivocator, LeafForger, Starver, StingyDealer, Slanderer)
GUILTY_AFTER_THE_SEAL = (LyingRevealer, FalseRevealer, FalsePinger)
EXCLUDED = (SteepDealer, SilentSteepDealer, OtherDealer, SilentOtherDealer, Copier)
HARMLESS = (Crook, Withholder, Whisperer, ShareForger, LateChooser, Impostor)
"""Adversaries by the worst they achieve; those of the last three rows cannot stop the coin."""
