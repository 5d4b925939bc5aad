"""One member's view of a coin flip that nobody can bend and a minority cannot stop.

    COMMIT   wait for all n Commits        then Deal
    DEAL     wait for all n Deals, every share of mine good        then Echo
    SEAL     wait until the chain has finalized n equal Echoes     then Reveal
    REVEAL   wait for all n Reveals        after a while: Share, for each one missing
    RECOVER  wait for t + 1 Shares of each silent member's secret
    CONFIRM  Ping when the coin is known, Pong when all who spoke have pinged it

Why it cannot be bent: no share leaves a member before it holds every Commit, and no x before
the chain holds everyone's signature that all saw the same Commits. From then on each x, or
its exclusion, can be worked out by any t + 1 = ⌊(n+1)/2⌋ members, so to fall silent changes
nothing. With more than t colluders the coin cannot be forced either, but they can learn it
before the seal and refuse to echo: a choice between this coin and another attempt.

Nothing here reads a clock, a socket or an entropy source: `step` is a function of its
arguments, so a flip is the list of its inputs. `Save` effects are that list; `resume`
replays it after a crash, and the flip says again what it said and nothing else.

Messages may come late, twice, in any order and by any road. What is too early waits in
`heard`; what is lost is said again on `Stalled`, by the speaker, and by those who see that
someone lags and may not have got it.
"""

from collections.abc import Iterable
from typing import Any

from coinflip.events import (
    Broadcast,
    Effect,
    Expired,
    Input,
    Landed,
    Malicious,
    Offline,
    Outcome,
    Phase,
    Received,
    Save,
    Sealed,
    Stalled,
    Start,
)
from coinflip.evidence import slot_of, verify_evidence
from coinflip.messages import (
    Accuse,
    Body,
    CoinOpening,
    Commit,
    Deal,
    Echo,
    Equivocation,
    Evidence,
    FalseAccusation,
    FalseConfirmation,
    FalseDeal,
    FalseDealing,
    FalseReveal,
    HeldShare,
    Part,
    Ping,
    Pong,
    Reveal,
    Secret,
    Share,
    Signed,
    require_genuine,
)
from coinflip.opening import confirmation, open_coin, recover, seal_digest
from coinflip.seat import Seat
from coinflip.shamir import commitment
from coinflip.state import Flip, say_again, seal_of
from wire.codec import decode, encode
from wire.errors import Malformed

_BEFORE_ECHO = (Phase.COMMIT, Phase.DEAL)


def step(flip: Flip, given: Input) -> tuple[Flip, tuple[Effect, ...]]:
    """What `flip` becomes when `given` happens, and what to do about it, in order.

    Raises `Malformed`, and changes nothing, for a message that no honest member sends.
    """
    if isinstance(given, Stalled):
        return flip, tuple(say_again(flip, given.times))
    turn = _Turn(flip)
    turn.take(given)
    if turn.flip is flip:
        return flip, ()
    entry = given.encoded if isinstance(given, Received) else encode(given)
    return turn.flip, (Save(entry), *turn.effects)


def resume(seat: Seat, log: Iterable[bytes]) -> Flip:
    """The flip that saved these entries; give it `Stalled` to make it speak again."""
    flip = Flip(seat)
    for entry in log:
        flip, _ = step(flip, decode(Input, entry))
    return flip


class _Turn:
    """One step in the making: the flip as it becomes, and the effects so far."""

    def __init__(self, flip: Flip) -> None:
        self.flip = flip
        self.seat = flip.seat
        self.me = flip.seat.key.public
        self.effects: list[Effect] = []

    def take(self, given: Start | Received | Sealed | Expired) -> None:
        """Take one input in, then go on as far as what is known allows."""
        flip = self.flip
        if flip.outcome is not None and not isinstance(flip.outcome, Landed):
            return
        match given:
            case Start():
                if self.me not in flip.words(Commit):
                    self._say(self.seat.commit())
            case Received(message=message):
                self._hear(message)
            case Sealed(digest=digest):
                if flip.sealed is None:
                    self._become(sealed=digest)
            case Expired(phase=phase):
                if phase is flip.phase or (phase is Phase.SEAL and flip.phase in _BEFORE_ECHO):
                    self._expire(flip.phase)
        while self.flip is not flip and self.flip.outcome is None:
            flip = self.flip
            self._advance()

    def _become(self, **changes: Any) -> None:
        self.flip = self.flip.but(**changes)

    def _say(self, body: Body) -> None:
        message = self.seat.sign(body)
        self.flip = self.flip.with_words(message, slot_of(body))
        self.effects.append(Broadcast(message))

    def _end(self, outcome: Outcome) -> None:
        self._become(outcome=outcome, phase=Phase.ENDED)
        if outcome not in self.effects:
            self.effects.append(outcome)

    def _hear(self, message: Signed) -> None:
        seat, body = self.seat, message.body
        slot = slot_of(body)
        known = self.flip.words(*slot).get(message.sender)
        if message == known or message.sender == self.me:
            return
        if known is None and self._proves_itself(message):
            self.flip = self.flip.with_words(message, slot)
            return
        require_genuine(seat.network, seat.topic, seat.members, message)
        if known is not None and not self.flip.is_genuine(known):
            known = None  # true, but of another's making: the sender says it, or a lie, only now
        if isinstance(body, Accuse):
            self._weigh(message, body)
        elif isinstance(body, Reveal) and not self._is_committed(message.sender, body):
            self._refuse_reveal(message)
        elif known is None:
            if isinstance(body, Commit):
                seat.agreed(body.exchange_key)
            if isinstance(body, Share) and body.dealer not in seat.members:
                raise Malformed("a share of nobody's secret")
            self.flip = self.flip.with_words(message, slot)
            self._check_confirmation(message)
        elif known.body != body:
            self._convict(message.sender, Equivocation(first=known, second=message))

    def _proves_itself(self, message: Signed) -> bool:
        """Whether what it says can only be true, so that it does not matter who signed it.

        Half of all signatures need no look: of committed secrets, and of proofs of the coin.
        """
        flip, sender, body = self.flip, message.sender, message.body
        match body:
            case Reveal():
                return self._is_committed(sender, body)
            case Ping() | Pong() if flip.coin and sender in flip.seat.members:
                expected = confirmation(body.kind, self.seat.topic, flip.coin.value)
                return body.digest == flip.digest and body.proof == expected
            case _:
                return False

    def _weigh(self, message: Signed, accuse: Accuse) -> None:
        seat, convicted = self.seat, self.flip.convicted
        if message.sender in convicted or accuse.accused in convicted:
            return
        claim = (seat.network, seat.topic, seat.members)
        try:
            evidence: Evidence = decode(Evidence, accuse.evidence)
            if verify_evidence(*claim, evidence) != accuse.accused:
                raise Malformed("evidence against another member")
        except Malformed:
            counter = FalseAccusation(accusation=message)
            self._convict(verify_evidence(*claim, counter), counter)
        else:
            self._convict(accuse.accused, evidence)

    def _convict(self, accused: bytes, evidence: Evidence) -> None:
        flip = self.flip
        if accused in flip.convicted:
            return
        verdict = Malicious(accused, evidence)
        self._become(convicted={**flip.convicted, accused: evidence})
        self.effects.append(verdict)
        self._say(Accuse(accused=accused, evidence=encode(evidence)))
        # Having echoed, only the chain can tell whether this flip is lost.
        if flip.sealed is None and flip.phase in _BEFORE_ECHO:
            self._end(verdict)

    def _expire(self, phase: Phase) -> None:
        flip = self.flip
        match phase:
            case Phase.REVEAL if not self.seat.strict:
                self._recover()
            case Phase.CONFIRM:
                self._land()
            case Phase.SEAL if flip.convicted:
                self._end(self._first_verdict())
            case Phase.COMMIT | Phase.DEAL | Phase.SEAL | Phase.REVEAL | Phase.RECOVER:
                self._end(Offline(flip.missing))
            case Phase.ENDED:
                pass

    def _advance(self) -> None:
        if self.seat.strict and self.flip.sealed and self.flip.convicted:
            return self._end(self._first_verdict())
        match self.flip.phase:
            case Phase.COMMIT:
                self._deal()
            case Phase.DEAL:
                self._echo()
            case Phase.SEAL:
                self._reveal()
            case Phase.REVEAL | Phase.RECOVER:
                self._gather()
            case Phase.CONFIRM:
                self._confirm()
            case Phase.ENDED:
                pass
        return None

    def _first_verdict(self) -> Malicious:
        return next(Malicious(*item) for item in self.flip.convicted.items())

    def _deal(self) -> None:
        commits = self.flip.all_said(Commit)
        if commits:
            digest = seal_digest(self.seat.topic, self.seat.members, commits)
            self._become(phase=Phase.DEAL, commits=commits, digest=digest)
            self._say(self.seat.deal(digest, commits))

    def _echo(self) -> None:
        flip = self.flip
        assert flip.digest
        for member, message in flip.words(Deal).items():
            deal = message.body
            if member in flip.shares or not isinstance(deal, Deal) or deal.digest != flip.digest:
                continue
            share = self.seat.examine(message, flip.commits)
            if isinstance(share, FalseDeal):
                return self._convict(member, share)
            self._become(shares={**self.flip.shares, member: share})
        if len(self.flip.shares) == len(self.seat.members):
            self._become(phase=Phase.SEAL)
            self._say(Echo(digest=flip.digest))
        return None

    def _reveal(self) -> None:
        flip = self.flip
        if flip.sealed is None:
            if not flip.submitted and flip.all_said(Echo) and not flip.missing:
                self._become(submitted=True)
                self.effects.append(seal_of(flip))
        elif flip.sealed == flip.digest:
            self._become(phase=Phase.REVEAL)
            self._say(Reveal(secret=self.seat.secret))
        else:
            # Our own signature is under a digest we do not know: our log was lost.
            self._end(Offline(()))

    def _gather(self) -> None:
        """Collect secrets from their owners or, once they are overdue, from the shares."""
        flip = self.flip
        fresh: dict[bytes, Part] = {}
        for member, message in flip.words(Reveal).items():
            if member not in flip.parts and isinstance(message.body, Reveal):
                fresh[member] = Secret(value=message.body.secret)
        if flip.phase is Phase.RECOVER:
            silent = (member for member in flip.missing if member not in fresh)
            fresh |= {member: part for member in silent if (part := self._rebuild(member))}
        if fresh:
            self._become(parts={**flip.parts, **fresh})
        if len(self.flip.parts) == len(self.seat.members):
            self._open()
        elif flip.phase is Phase.REVEAL and self._awaits_only_the_guilty():
            self._recover()

    def _awaits_only_the_guilty(self) -> bool:
        guilty = self.flip.convicted.keys()
        return bool(guilty) and guilty >= set(self.flip.missing)

    def _recover(self) -> None:
        self._become(phase=Phase.RECOVER)
        for dealer in self.flip.missing:
            share = self.flip.shares[dealer]
            self._say(Share(dealer=dealer, value=share.value, salt=share.salt))

    def _rebuild(self, dealer: bytes) -> Part | None:
        seat, flip = self.seat, self.flip
        commit, deal = flip.said(dealer, Commit), flip.said(dealer, Deal)
        assert commit and deal
        if len(flip.words(Share, dealer)) < seat.quorum:
            return None
        shares = [
            HeldShare(holder=holder, value=share.value, salt=share.salt)
            for holder, member in enumerate(seat.members)
            if (share := flip.said(member, Share, dealer))
        ]
        return recover(seat.topic, dealer, commit, deal.leaves, shares)

    def _open(self) -> None:
        seat, flip = self.seat, self.flip
        assert flip.digest
        parts = tuple(flip.parts[member] for member in seat.members)
        opening = CoinOpening(commits=flip.commits, parts=parts)
        coin = open_coin(seat.topic, seat.members, flip.digest, opening)
        self._become(phase=Phase.CONFIRM, opening=opening, coin=coin)
        for member in coin.excluded:
            commit = flip.words(Commit)[member]
            self._convict(member, FalseDealing(commit=commit, part=flip.parts[member]))
        for words in (flip.words(Ping), flip.words(Pong)):
            for message in words.values():
                self._check_confirmation(message)
        proof = confirmation("ping", seat.topic, coin.value)
        self._say(Ping(digest=flip.digest, proof=proof))

    def _check_confirmation(self, message: Signed) -> None:
        """Convict who claims another coin for the same seal, once this one is known."""
        flip, body = self.flip, message.body
        if not flip.coin or not flip.opening or not isinstance(body, Ping | Pong):
            return
        expected = confirmation(body.kind, self.seat.topic, flip.coin.value)
        if body.digest == flip.digest and body.proof != expected:
            lie = FalseConfirmation(confirmation=message, opening=flip.opening)
            self._convict(message.sender, lie)

    def _confirm(self) -> None:
        flip = self.flip
        assert flip.coin and flip.digest
        if self.me not in flip.words(Pong) and not flip.without(Ping):
            proof = confirmation("pong", self.seat.topic, flip.coin.value)
            self._say(Pong(digest=flip.digest, proof=proof))
        if not self.flip.without(Pong):
            self._land()

    def _land(self) -> None:
        flip = self.flip
        assert flip.coin and flip.opening
        recovered = tuple(
            member
            for member in self.seat.members
            if isinstance(part := flip.parts[member], Secret)
            and flip.said(member, Reveal) != Reveal(secret=part.value)
        )
        self._end(Landed(flip.coin.value, recovered, flip.coin.excluded, flip.opening))

    def _is_committed(self, member: bytes, reveal: Reveal) -> bool:
        commit = self.flip.said(member, Commit)
        expected = commitment(self.seat.topic, member, reveal.secret)
        return commit is not None and expected == commit.commitment

    def _refuse_reveal(self, message: Signed) -> None:
        """A lie does not take the place of the truth, which others may have heard."""
        if message.sender in self.flip.words(Commit):
            self._convict(message.sender, self._false_reveal(message))

    def _false_reveal(self, reveal: Signed) -> FalseReveal:
        commit = self.flip.words(Commit)[reveal.sender]
        return FalseReveal(commit=commit, reveal=reveal)
