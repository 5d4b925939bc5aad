"""Validators that lie. Each is the honest node with one thing changed, so that it gets far."""

from functools import partial
from typing import TYPE_CHECKING, cast

from chain.blocks import Block, FinalBlock
from chain.consensus.gossip import (
    Announce,
    Certificates,
    Propose,
    Range,
    Status,
    Votes,
    WantRange,
)
from chain.consensus.tally import vote_to_nullify
from tests.people import Person
from tests.simulation.consensus.bad_blocks import (
    BadLeader,
    BorderBuilder,
    Reproposer,
    WrongBody,
    forged,
)
from tests.simulation.consensus.node import in_range
from tests.simulation.consensus.villain import TO_ALL, Villain
from wire.codec import MAX_MESSAGE_BYTES, Message, encode
from wire.primitives import blake2b_256

if TYPE_CHECKING:
    from tests.simulation.consensus.world import World


class Mute(Villain):
    """Says nothing at all: a crash that does not end."""

    def tell(self, peer: bytes, message: Message) -> None:
        pass


class Equivocator(Villain):
    """Two valid blocks in one view, one for each half, with its votes; nobody is told both."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Propose) and self.is_new(message) and len(peers) > 1:
            other = self.write(message.block.header.parent, message)
            second = self.proposal(other.block, message) if other else None
            if second is not None:
                self.split.add((message.signed.vote.term, message.signed.vote.view))
                one, two = self.halves()
                view = message.signed.vote.view
                self.pass_on(one, message)
                self.pass_on(two, second)
                for kind in TO_ALL:
                    self.vote(one, self.signed(kind, view, message.block))
                    self.vote(two, self.signed(kind, view, second.block))
                return
        if isinstance(message, Votes):
            for signed in message.votes:
                if (signed.vote.term, signed.vote.view) not in self.split:
                    self.vote(peers, signed)
        else:
            self.pass_on(peers, message)


class DoubleNotarizer(Villain):
    """For each block it votes for, it votes for another: half of the others hear of each."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Votes):
            for signed in message.votes:
                if signed.vote.kind in TO_ALL:
                    one, two = self.halves()
                    name = blake2b_256(signed.vote.block)
                    self.vote(one, signed)
                    self.vote(two, self.sign(signed.vote.model_copy(update={"block": name})))
                else:
                    self.vote(peers, signed)
        else:
            self.pass_on(peers, message)


class FinalizeAfterNullify(Villain):
    """Votes for everything at once: that a view is given up, and that it is final."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        self.pass_on(peers, message)
        if isinstance(message, Votes):
            for vote in [signed.vote for signed in message.votes]:
                if vote.kind in ("notarize", "finalize"):
                    self.vote(peers, self.sign(vote_to_nullify(vote.term, vote.view)))
                    self.vote(peers, self.sign(vote.model_copy(update={"kind": "finalize"})))


class StaleParent(Villain):
    """Builds below a notarized block as if its view had been given up."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Propose) and self.is_new(message):
            parent = self.prepared(message.block.header.parent)
            below = parent.block.header.parent if parent else self.ledger.root
            stale = self.write(below, message)
            lie = self.proposal(stale.block, message) if stale else None
            if lie is not None:
                self.pass_on(peers, lie)
                self.vote(peers, self.signed("notarize", lie.signed.vote.view, lie.block))
                return
        self.pass_on(peers, message)


class Withholder(Villain):
    """As committer it keeps the leader secret."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if not isinstance(message, Announce):
            self.pass_on(peers, message)


class LateAnnouncer(Villain):
    """As committer it names the leader when some have given the view up."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        late_ms = 0
        if isinstance(message, Announce):
            late_ms = self.chances.randint(0, 3 * self.engine.core.delay_ms)
        for peer in peers:
            self.world.after(late_ms, partial(self.tell, peer, message))


class Late(Villain):
    """Whatever it says comes when it is nearly too late."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        for peer in peers:
            late_ms = self.chances.randint(0, 4 * self.engine.core.delay_ms)
            self.world.after(late_ms, partial(self.tell, peer, message))


class Selective(Villain):
    """Speaks to some only."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        self.pass_on([peer for peer in peers if self.chances.random() < 0.5], message)


class Whisperer(Villain):
    """Its votes go to one at a time, so that only that one has a quorum; it never repeats them."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, (Votes, Certificates)):
            peers = self.chances.sample(peers, 1)
        self.pass_on(peers, message)


class Replayer(Villain):
    """Says again what it has heard, of all views and terms."""

    def __init__(self, world: "World", place: int, person: Person) -> None:
        super().__init__(world, place, person)
        self.heard: list[Message] = []

    def hear(self, peer: bytes, message: Message) -> None:
        if len(self.heard) < 5_000:
            self.heard.append(message)
        if self.chances.random() < 0.3:
            self.tell(self.chances.choice(self.others), self.chances.choice(self.heard))
        super().hear(peer, message)


class Garbler(Villain):
    """Frames that are no messages, are too long, or have a bit or two wrong."""

    HUGE = bytes(MAX_MESSAGE_BYTES + 1)

    def lie(self, peers: list[bytes], message: Message) -> None:
        data = bytearray(encode(message))
        for peer in peers:
            match self.chances.randrange(24):
                case 0:
                    self.world.send(self, peer, self.chances.randbytes(40))
                case 1:
                    self.world.send(self, peer, bytes(data[: len(data) // 2]))
                case 2:
                    self.world.send(self, peer, self.HUGE)
                case 3:
                    wrong = bytearray(data)
                    wrong[self.chances.randrange(len(wrong))] ^= 1 << self.chances.randrange(8)
                    self.world.send(self, peer, bytes(wrong))
                case _:
                    self.tell(peer, message)


class Boaster(Villain):
    """Claims to be far ahead, and answers with blocks that are not final or not blocks at all."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Status):
            lies = {"height": 1 << 50, "view": 1 << 40, "term": self.chances.choice([0, 1 << 40])}
            message = message.model_copy(update=lies)
        self.pass_on(peers, message)

    def range(self, want: WantRange) -> Range:
        return in_range([self._spoil(final) for final in super().range(want).run.blocks])

    def _spoil(self, final: FinalBlock) -> FinalBlock:
        match self.chances.randrange(4):
            case 0:
                header = final.block.header.model_copy(update={"state_root": bytes(32)})
                return final.model_copy(update={"block": Block(header=header, transactions=())})
            case 1:
                block = final.block.model_copy(update={"transactions": (forged(self.world),)})
                return final.model_copy(update={"block": block})
            case 2 if final.certificate is not None:
                less = final.certificate.signatures[1:]
                certificate = final.certificate.model_copy(update={"signatures": less})
                return final.model_copy(update={"certificate": certificate})
        return final


class Newcomer(Villain):
    """Tells who begins that it is far ahead, and everybody else that it has nothing."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Status):
            height = self.chances.choice([0, 1, 1 << 40])
            message = message.model_copy(update={"height": height, "view": 1, "gaps": ()})
        self.pass_on(peers, message)


class Twin(Villain):
    """A key that runs twice: each of the two is honest, and knows nothing of the other."""


class Chaotic(
    Equivocator,
    DoubleNotarizer,
    FinalizeAfterNullify,
    StaleParent,
    Late,
    Selective,
    BadLeader,
    WrongBody,
    Reproposer,
    BorderBuilder,
    Boaster,
    Garbler,
):
    """Now this, now that."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        kind = cast("type[Villain]", self.chances.choice(Chaotic.__bases__))
        kind.lie(self, peers, message)


SPEAKS_WITH_TWO_TONGUES = (Equivocator, DoubleNotarizer, FinalizeAfterNullify)
"""Whoever hears them has evidence."""

LIARS: tuple[type[Villain], ...] = (
    Mute,
    Equivocator,
    DoubleNotarizer,
    FinalizeAfterNullify,
    StaleParent,
    Withholder,
    LateAnnouncer,
    Late,
    Selective,
    Whisperer,
    Replayer,
    Garbler,
    Boaster,
    Newcomer,
    BadLeader,
    WrongBody,
    Reproposer,
    BorderBuilder,
    Twin,
    Chaotic,
)
