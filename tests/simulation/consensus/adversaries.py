"""Validators that lie. Each is the honest node with one thing changed, so that it gets far."""

from collections.abc import Iterable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from chain.blocks import Block, FinalBlock
from chain.consensus.gossip import (
    Announce,
    Certificates,
    Propose,
    Range,
    Status,
    Supply,
    Votes,
    WantRange,
)
from chain.consensus.port import Prepared, Proposal
from chain.consensus.tally import Seat, sign_vote, vote_for, vote_to_nullify
from chain.ledger import Ledger, _Base
from chain.messages import SignedTransaction, Transaction, Transfer
from chain.state import Draft
from chain.validators import ends_term
from chain.votes import SignedVote, Vote, VoteKind
from tests.people import OWNER, STRANGER, Person
from tests.simulation.consensus.node import Node
from wire import vrf
from wire.codec import MAX_MESSAGE_BYTES, Message, encode
from wire.primitives import blake2b_256

if TYPE_CHECKING:
    from tests.simulation.consensus.world import World

Said = tuple[bytes | None, Message]

TO_ALL: tuple[VoteKind, ...] = ("notarize", "finalize")


class Villain(Node):
    """Says what it likes in its own name; nobody looks at its promises."""

    honest = False

    def __init__(self, world: "World", place: int, person: Person) -> None:
        super().__init__(world, place, person)
        self.chances: Random = world.chances(f"villain {place}")
        self.lies = 0
        """How often it has contradicted itself."""
        self.split: set[tuple[int, int]] = set()

    @property
    def seat(self) -> Seat | None:
        return self.engine._seat()

    @property
    def others(self) -> list[bytes]:
        return [peer for peer in self.world.peers if peer != self.peer]

    def halves(self) -> tuple[list[bytes], list[bytes]]:
        others = self.chances.sample(self.others, len(self.others))
        middle = (len(others) + 1) // 2
        return others[:middle], others[middle:]

    def signed(self, kind: VoteKind, view: int, block: Block) -> SignedVote | None:
        return self.sign(vote_for(kind, self.engine.core.term, view, block.header))

    def sign(self, vote: Vote) -> SignedVote | None:
        seat = self.seat
        return seat and sign_vote(seat, self.world.genesis.network, vote)

    def vote(self, peers: Iterable[bytes], signed: SignedVote | None) -> None:
        if signed is not None:
            for peer in peers:
                self.tell(peer, Votes(votes=(signed,)))

    def say(self, messages: Iterable[Said]) -> None:
        for peer, message in messages:
            self.lie(self.others if peer is None else [peer], message)

    def lie(self, peers: list[bytes], message: Message) -> None:
        """Send a message, or something else in its place."""
        self.pass_on(peers, message)

    def pass_on(self, peers: Iterable[bytes], message: Message) -> None:
        for peer in peers:
            self.tell(peer, message)

    def write(self, parent: bytes, propose: Propose, later_ms: int = 1) -> Prepared | None:
        """Another valid block of one's own turn."""
        header = propose.block.header
        if not self.ledger.holds(parent):
            return None
        proposal = Proposal(
            view=propose.signed.vote.view,
            time_ms=header.time_ms + later_ms,
            proposer=self.person.id,
            vrf_proof=propose.proof,
            vrf_output=vrf.output(propose.proof),
        )
        return self.ledger.propose(parent, proposal, ())

    def proposal(self, block: Block, old: Propose) -> Propose | None:
        signed = self.signed("propose", old.signed.vote.view, block)
        return signed and Propose(signed=signed, proof=old.proof, block=block)

    def is_new(self, propose: Propose) -> bool:
        """Whether it proposes a block of its own and not a term's last once more."""
        return propose.block.header.view == propose.signed.vote.view


class Mute(Villain):
    """Says nothing at all: a crash that does not end."""

    def tell(self, peer: bytes, message: Message) -> None:
        pass


class Equivocator(Villain):
    """Two valid blocks in one view, one for each half, with its votes; nobody is told both."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Propose) and self.is_new(message) and len(peers) > 1:
            other = self.write(message.block.header.parent, message)
            second = other and self.proposal(other.block, message)
            if second is not None:
                self.lies += 1
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
                    self.lies += 1
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
                    self.lies += 1
                    self.vote(peers, self.sign(vote_to_nullify(vote.term, vote.view)))
                    self.vote(peers, self.sign(vote.model_copy(update={"kind": "finalize"})))


class StaleParent(Villain):
    """Builds below a notarized block as if its view had been given up."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Propose) and self.is_new(message):
            parent = self.prepared(message.block.header.parent)
            below = parent.block.header.parent if parent else self.ledger.root
            stale = self.write(below, message)
            lie = stale and self.proposal(stale.block, message)
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
            match self.chances.randrange(8):
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
        good = super().range(want)
        return good.model_copy(update={"blocks": tuple(map(self._spoil, good.blocks))})

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


def forged(world: "World") -> SignedTransaction:
    """What somebody else would have to sign, and did not."""
    transaction = Transaction(
        network=world.genesis.network,
        sender=OWNER.id,
        nonce=0,
        fee_base=1_000,
        valid_until=90_000,
        body=Transfer(to=STRANGER.id, amount_base=1),
    )
    return SignedTransaction(transaction=transaction, signature=bytes(64))


class BadLeader(Villain):
    """Proposes blocks that look right and are not."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Propose) and self.is_new(message):
            lie = self.proposal(self._spoilt(message), message)
            if lie is not None:
                self.pass_on(peers, lie)
                self.vote(peers, self.signed("notarize", lie.signed.vote.view, lie.block))
                return
        self.pass_on(peers, message)

    def _spoilt(self, propose: Propose) -> Block:
        block = propose.block
        header = block.header
        match self.chances.randrange(6):
            case 0:
                header = header.model_copy(update={"state_root": bytes(32)})
            case 1:
                early = self.write(header.parent, propose, -1_000_000)
                return early.block if early else block
            case 2:
                late = self.write(header.parent, propose, 1_000_000)
                return late.block if late else block
            case 3:
                others = self.engine.validators.members
                proposer = others[self.place - 1].account
                header = header.model_copy(update={"proposer": proposer})
            case 4:
                many = (forged(self.world),) * 101
                return block.model_copy(update={"transactions": many})
            case 5:
                return self._poisoned(propose)
        return block.model_copy(update={"header": header})

    def _poisoned(self, propose: Propose) -> Block:
        """With somebody's coins that it did not give: all roots are right."""
        header = propose.block.header
        if not self.ledger.holds(header.parent):
            return propose.block
        proposal = Proposal(
            header.view, header.time_ms, header.proposer, propose.proof, vrf.output(propose.proof)
        )
        transaction = forged(self.world).transaction
        account = Draft(self.ledger.state).accounts.get(transaction.sender)
        nonce = account.nonce if account else 0
        stolen = SignedTransaction(
            transaction=transaction.model_copy(update={"nonce": nonce}), signature=bytes(64)
        )
        return self.ledger.propose(header.parent, proposal, (stolen,)).block


class WrongBody(Villain):
    """Passes blocks on, its own and others', with a body that is not theirs."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Propose):
            for peer in peers:
                right = self.chances.random() < 0.5
                block = message.block if right else self._wrong(message.block)
                self.tell(peer, message.model_copy(update={"block": block}))
        elif isinstance(message, Supply):
            self.pass_on(peers, Supply(block=self._wrong(message.block)))
        else:
            self.pass_on(peers, message)

    def hear(self, peer: bytes, message: Message) -> None:
        if isinstance(message, Propose):
            self.pass_on(
                self.others, message.model_copy(update={"block": self._wrong(message.block)})
            )
            self.pass_on(self.others, Supply(block=self._wrong(message.block)))
        super().hear(peer, message)

    def _wrong(self, block: Block) -> Block:
        if block.transactions and self.chances.random() < 0.5:
            first = block.transactions[0].model_copy(update={"signature": bytes(64)})
            return block.model_copy(update={"transactions": (first, *block.transactions[1:])})
        return block.model_copy(update={"transactions": (forged(self.world),)})


class Reproposer(Villain):
    """Proposes a notarized block again that is not the last of its term."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Propose) and self.is_new(message):
            parent = self.prepared(message.block.header.parent)
            lie = parent and self.proposal(parent.block, message)
            if lie is not None:
                self.pass_on(peers, lie)
                self.vote(peers, self.signed("notarize", lie.signed.vote.view, lie.block))
                return
        self.pass_on(peers, message)


class BorderBuilder(Villain):
    """Builds on a term's last block before that is final."""

    def lie(self, peers: list[bytes], message: Message) -> None:
        if isinstance(message, Propose):
            beyond = self._beyond(message)
            lie = beyond and self.proposal(beyond, message)
            if lie is not None:
                self.pass_on(peers, lie)
                self.vote(peers, self.signed("notarize", lie.signed.vote.view, lie.block))
                return
        self.pass_on(peers, message)

    def _beyond(self, propose: Propose) -> Block | None:
        header = propose.block.header
        last = self.prepared(header.id) or self.prepared(header.parent)
        term_blocks = self.world.genesis.parameters.term_blocks
        if last is None or not ends_term(last.block.header.height, term_blocks):
            return None
        proposal = Proposal(
            propose.signed.vote.view,
            last.block.header.time_ms + 1,
            self.person.id,
            propose.proof,
            vrf.output(propose.proof),
        )
        base = _Base(last.block.header, Draft(last.draft))
        return Ledger._prepare(self.ledger, base, proposal, (), leave_out=True).block


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
        self.chances.choice(Chaotic.__bases__).lie(self, peers, message)


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
