"""Worlds with many validators, and what validators sign: valid by default."""

from functools import cache

from chain.bodies.validators import Enlist, ValidatorFault, enlist
from chain.endpoint import Endpoint
from chain.genesis import Genesis, GenesisBalance, Parameters
from chain.records import Candidate, StakeRecord, stake_key
from chain.transition import genesis_state
from chain.votes import VOTE_DOMAIN, SignedVote, Vote, VoteKind
from tests.builders import World
from tests.people import BALANCE, PARAMETERS, START_MS, VALIDATOR, Person, genesis_validator
from wire import signing
from wire.codec import encode
from wire.keys import KeyPair, Use

MANY = (VALIDATOR, *(Person(f"validator {number}") for number in range(1, 10)))
"""Whoever a world of `count` validators has, and then some without a place in the first set."""

TERMS = PARAMETERS.model_copy(
    update={"term_blocks": 10, "validator_unbonding_blocks": 60, "jail_blocks": 20}
)
"""Short terms, in which members get their ten turns only where views fail."""


@cache
def genesis_of(count: int, parameters: Parameters = TERMS) -> Genesis:
    """A network with `count` validators; all of `MANY` have coins."""
    return Genesis(
        name="many",
        time_ms=START_MS,
        parameters=parameters,
        validators=tuple(genesis_validator(person) for person in MANY[:count]),
        balances=tuple(GenesisBalance(account=person.id, balance_base=BALANCE) for person in MANY),
    )


def world_of(count: int, **parameters: int) -> World:
    """Before the first block of a network with `count` validators."""
    made = genesis_of(count, TERMS.model_copy(update=parameters))
    return World(made, genesis_state(made))


def stand(
    world: World, person: Person, /, pair: KeyPair | None = None, **changes: object
) -> Enlist:
    """A good enlistment, with another signing key where one is given."""
    body = enlist(
        world.network,
        person.id,
        pair or person.key(Use.VALIDATOR),
        person.key(Use.VRF),
        person.key(Use.SWARM),
        Endpoint(host="127.0.0.1", port=4601, swarm_key=person.key(Use.SWARM).public),
    )
    return body.model_copy(update=changes)


def vote(
    world: World, person: Person, kind: VoteKind, block: int = 0, /, **changes: object
) -> SignedVote:
    """A vote of the world's first term and seventh view, by its number for a block."""
    named = {"height": 0, "block": bytes(32)} if kind == "nullify" else {"height": 5}
    fields = {"kind": kind, "term": 0, "view": 7, "block": bytes([block]) * 32, **named, **changes}
    said = Vote.model_validate(fields)
    key = person.key(Use.VALIDATOR)
    signature = signing.sign(key, VOTE_DOMAIN, world.network, encode(said))
    return SignedVote(vote=said, index=0, signature=signature)


def fault(world: World, person: Person, /, **changes: object) -> ValidatorFault:
    """Evidence that a person notarized two blocks in one view."""
    body = ValidatorFault(
        key=person.key(Use.VALIDATOR).public,
        first=vote(world, person, "notarize", 1),
        second=vote(world, person, "notarize", 2),
    )
    return body.model_copy(update=changes)


def candidate(world: World, person: Person) -> Candidate:
    return world.draft.candidates.at(person.id)


def stake_of(world: World, person: Person) -> StakeRecord:
    return world.draft.stakes.at(stake_key("validator", person.id))


def members(world: World) -> set[Person]:
    """Who finalizes the next block."""
    by_id = {person.id: person for person in MANY}
    return {by_id[member.account] for member in world.draft.validators.members}


def end_term(world: World) -> None:
    """Pass blocks until the set of the next term is written down."""
    term = world.draft.validators.term
    while world.draft.validators.term == term:
        world.block()


def fail_turns(world: World, *people: Person, turns: int = 12) -> None:
    """Pass blocks in which every turn of these members fails, and nobody else's."""
    validators = world.draft.validators
    absent = {person.id for person in people}
    count = len(validators.members)
    for _ in range(turns):
        for _ in range(count):
            if validators.committer(world.view + world.failing + 1).account in absent:
                world.failing += 1
            elif world.draft.validators.term == validators.term:
                world.block()
    assert world.draft.validators.term == validators.term, "the term is too short for this"
