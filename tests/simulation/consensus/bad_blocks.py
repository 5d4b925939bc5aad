"""Validators whose blocks, or bodies of others' blocks, are not what they should be."""

from typing import TYPE_CHECKING

from chain.blocks import Block
from chain.bodies.coins import Transfer
from chain.consensus.gossip import (
    Propose,
    Supply,
)
from chain.consensus.port import Proposal
from chain.ledger import Ledger, _Base
from chain.messages import SignedTransaction, Transaction
from chain.state import Draft
from chain.validators import ends_term
from tests.people import OWNER, STRANGER
from tests.simulation.consensus.villain import Villain
from wire import vrf
from wire.codec import Message

if TYPE_CHECKING:
    from tests.simulation.consensus.world import World


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
            case _:
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
            lie = self.proposal(parent.block, message) if parent else None
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
            lie = self.proposal(beyond, message) if beyond else None
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
