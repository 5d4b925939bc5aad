"""A chain that many validators write, in memory, with what light clients are shown of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from chain.blocks import Block, Header
from chain.bodies.coins import Stake
from chain.consensus.port import Decided, Proposal
from chain.ledger import Ledger
from chain.messages import Body, SignedTransaction
from chain.node.reading_node import Reader
from chain.records import Table
from chain.store import ChainStore
from chain.transition import genesis_state
from chain.trust import TermStep
from chain.validators import ValidatorSet, ends_term, view_input
from chain.votes import VOTE_DOMAIN, Certificate, ValidatorSignature, Vote
from tests.builders import World
from tests.chain.final import proven
from tests.people import START_MS, Person
from tests.validators import MANY, TERMS, genesis_of, stand
from wire import signing, vrf
from wire.codec import encode
from wire.errors import Unavailable
from wire.keys import Use

BY_ACCOUNT = {person.id: person for person in MANY}
SHORT = {"term_blocks": 5, "validator_unbonding_blocks": 60}


class History:
    """Blocks of a network's validators, each final at once."""

    def __init__(self, count: int = 4, name: str = "many", **parameters: int) -> None:
        chosen = TERMS.model_copy(update={**SHORT, **parameters})
        self.genesis = genesis_of(count, chosen).model_copy(update={"name": name})
        self.ledger = Ledger(self.genesis, genesis_state(self.genesis), None)
        self.blocks: list[Block] = []
        self.headers: list[Header] = []
        self.certificates: list[Certificate] = []
        self.sets: list[ValidatorSet] = [self.genesis.first_set]
        self.steps: list[TermStep] = []

    def block(self, *said: tuple[Person, Body]) -> Header:
        """The next block with these transactions; one a sender."""
        world = self.world()
        signed = tuple(world.sign(person, body) for person, body in said)
        validators, tip = self.ledger.validators, self.ledger.tip
        view = tip.view + 1 if tip and tip.term == validators.term else 1
        committer = BY_ACCOUNT[validators.committer(view).account]
        alpha = view_input(self.genesis.network, validators.seed, validators.term, view)
        proof = vrf.prove(committer.key(Use.VRF), alpha)
        output = vrf.output(proof)
        leader = validators.members[validators.leader(output)].account
        time_ms = START_MS + self.ledger.height + 1
        prepared = self.ledger.propose(
            self.ledger.root, Proposal(view, time_ms, leader, proof, output), signed
        )
        assert len(prepared.block.transactions) == len(said)
        assert not any(outcome.reason for outcome in prepared.outcomes), prepared.outcomes
        self.ledger.commit(prepared)
        header = prepared.block.header
        self.blocks.append(prepared.block)
        self.headers.append(header)
        self.certificates.append(certify(header, validators))
        if ends_term(header.height, self.genesis.parameters.term_blocks):
            self.steps.append(self.step())
            self.sets.append(self.ledger.validators)
        return header

    def world(self) -> World:
        """The present state, to sign for: its own blocks would not be the history's."""
        return World(self.genesis, self.ledger.state, self.ledger.height)

    def step(self) -> TermStep:
        """To the next term, of the block just written."""
        return TermStep(
            header=self.headers[-1],
            certificate=self.certificates[-1],
            validators=proven(self.ledger.state, (Table.VALIDATORS, b"")),
        )

    def end_term(self) -> TermStep:
        """Write blocks until the term is over."""
        known = len(self.steps)
        while len(self.steps) == known:
            self.block()
        return self.steps[-1]

    def join(self, *people: Person) -> None:
        """Have people serve from the next term on: two blocks before the choice."""
        world = self.world()
        least = Stake(role="validator", amount_base=TERMS.validator_stake_base)
        self.block(*((person, stand(world, person)) for person in people))
        self.block(*((person, least) for person in people))


def certify(
    header: Header,
    validators: ValidatorSet,
    people: Sequence[Person] = MANY,
    network: bytes | None = None,
    count: int | None = None,
) -> Certificate:
    """A certificate by a quorum of a set, or by so many of those of its members that are here."""
    vote = Vote(
        kind="finalize",
        term=header.term,
        view=header.view,
        height=header.height,
        block=header.id,
    )
    by_account = {person.id: person for person in people}
    signers = [
        (place, by_account[member.account])
        for place, member in enumerate(validators.members)
        if member.account in by_account
    ]
    return Certificate(
        vote=vote,
        signatures=tuple(
            ValidatorSignature(
                index=place,
                signature=signing.sign(
                    person.key(Use.VALIDATOR),
                    VOTE_DOMAIN,
                    network or header.network,
                    encode(vote),
                ),
            )
            for place, person in signers[: count or validators.quorum]
        ),
    )


class Shelf(Reader):
    """A node that keeps the blocks it is given and answers for them."""

    @property
    def healthy(self) -> str:
        return ""

    async def run(self) -> None:
        """Nothing comes by itself."""

    async def accept(self, signed: SignedTransaction) -> bytes:
        raise Unavailable("this node only answers")

    async def fill(self, history: History, upto: int | None = None) -> None:
        """Keep a history's next blocks, each checked as a node checks it, up to a height."""
        last = len(history.blocks) if upto is None else upto
        for place in range(self.ledger.height, last):
            prepared = self.ledger.validate(history.blocks[place])
            await self.keep([Decided(prepared, history.certificates[place])])


@asynccontextmanager
async def shelf(path: Path, history: History, upto: int | None = None) -> AsyncIterator[Shelf]:
    """A node with a history's blocks on disk."""
    store = await ChainStore.open(path, history.genesis)
    try:
        state, tip = await store.load(genesis_state(history.genesis))
        ledger = Ledger(history.genesis, state, tip)
        made = Shelf(
            history.genesis, store, ledger, history.certificates[tip.height - 1] if tip else None
        )
        await made.fill(history, upto)
        yield made
    finally:
        await store.close()
