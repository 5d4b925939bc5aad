"""Chains of several validators, written block by block: final by their own certificates or not."""

from collections.abc import Sequence

from chain.blocks import Block, FinalBlock
from chain.consensus.port import Decided, Prepared, Proposal
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.messages import SignedTransaction
from chain.runs import BlockRun
from chain.transition import genesis_state
from chain.validators import ValidatorSet, view_input
from chain.votes import VOTE_DOMAIN, Certificate, ValidatorSignature, Vote
from tests.chain.final import validators
from tests.people import START_MS, Person
from wire import signing, vrf
from wire.codec import encode
from wire.keys import Use

BY_KEY = {person.key(Use.VALIDATOR).public: person for person in validators(8)}


def seal(block: Block, members: ValidatorSet, count: int | None = None) -> Certificate:
    """A quorum's votes, or so many."""
    header = block.header
    vote = Vote(
        kind="finalize",
        term=header.term,
        view=header.view,
        height=header.height,
        block=header.id,
    )
    body = encode(vote)
    signatures = tuple(
        ValidatorSignature(
            index=index,
            signature=signing.sign(
                BY_KEY[member.key].key(Use.VALIDATOR), VOTE_DOMAIN, header.network, body
            ),
        )
        for index, member in enumerate(members.members[: count or members.quorum])
    )
    return Certificate(vote=vote, signatures=signatures)


class Chain:
    """A ledger and all its blocks, for others to catch up with."""

    def __init__(self, agreed: Genesis) -> None:
        self.genesis = agreed
        self.ledger = Ledger(agreed, genesis_state(agreed), None)
        self.blocks: list[FinalBlock] = []

    def prepare(self, *transactions: SignedTransaction, view: int | None = None) -> Prepared:
        """A valid block on top of the last one."""
        ledger, members = self.ledger, self.ledger.validators
        tip = ledger.tip
        if view is None:
            view = tip.view + 1 if tip and tip.term == members.term else 1
        committer: Person = BY_KEY[members.committer(view).key]
        alpha = view_input(ledger.network, members.seed, members.term, view)
        proof = vrf.prove(committer.key(Use.VRF), alpha)
        output = vrf.output(proof)
        proposal = Proposal(
            view=view,
            time_ms=tip.time_ms + 1 if tip else START_MS + 1,
            proposer=members.members[members.leader(output)].account,
            vrf_proof=proof,
            vrf_output=output,
        )
        return ledger.propose(ledger.root, proposal, transactions)

    def write(self, *transactions: SignedTransaction, certified: bool = True) -> Decided:
        """The next block; whoever wants to can commit it too."""
        prepared, members = self.prepare(*transactions), self.ledger.validators
        certificate = seal(prepared.block, members) if certified else None
        self.ledger.commit(prepared)
        self.blocks.append(FinalBlock(block=prepared.block, certificate=certificate))
        return Decided(prepared, certificate)

    def grow(self, count: int, *, certified: bool = True) -> None:
        """So many empty blocks."""
        for _ in range(count):
            self.write(certified=certified)

    def answer(self, start: int, count: int = 512) -> BlockRun:
        """What an honest peer says."""
        chosen = tuple(self.blocks[start - 1 : start - 1 + count])
        descendants, certificate = [], None
        if chosen and chosen[-1].certificate is None:
            for final in self.blocks[chosen[-1].block.header.height :]:
                descendants.append(final.block.header)
                if final.certificate:
                    certificate = final.certificate
                    break
        return BlockRun(
            blocks=chosen,
            descendants=tuple(descendants) if certificate else (),
            certificate=certificate,
            height=len(self.blocks),
        )


def heights(run: Sequence[Decided]) -> list[int]:
    """Which blocks a run has."""
    return [decided.prepared.block.header.height for decided in run]
