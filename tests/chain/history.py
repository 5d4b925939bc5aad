"""A chain that many validators write, in memory, with what light clients are shown of it."""

from collections.abc import Sequence

from chain.blocks import Header
from chain.consensus.port import Proposal
from chain.ledger import Ledger
from chain.messages import Body, Stake
from chain.records import Table
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
from wire.keys import Use

BY_ACCOUNT = {person.id: person for person in MANY}
SHORT = {"term_blocks": 5, "validator_unbonding_blocks": 60}


class History:
    """Blocks of a network's validators, each final at once."""

    def __init__(self, count: int = 4, name: str = "many", **parameters: int) -> None:
        chosen = TERMS.model_copy(update={**SHORT, **parameters})
        self.genesis = genesis_of(count, chosen).model_copy(update={"name": name})
        self.ledger = Ledger(self.genesis, genesis_state(self.genesis), None)
        self.headers: list[Header] = []
        self.certificates: list[Certificate] = []
        self.sets: list[ValidatorSet] = [self.genesis.first_set]
        self.steps: list[TermStep] = []

    def block(self, *said: tuple[Person, Body]) -> Header:
        """The next block with these transactions; one a sender."""
        world = World(self.genesis, self.ledger.state, self.ledger.height)
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
        self.headers.append(header)
        self.certificates.append(certify(header, validators))
        if ends_term(header.height, self.genesis.parameters.term_blocks):
            self.steps.append(self.step())
            self.sets.append(self.ledger.validators)
        return header

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

    def join(self, person: Person) -> None:
        """Have somebody serve from the next term on."""
        world = World(self.genesis, self.ledger.state, self.ledger.height)
        self.block((person, stand(world, person)))
        self.block((person, Stake(role="validator", amount_base=TERMS.validator_stake_base)))


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
