"""Requests for chunks on the chain, and their answers."""

from collections.abc import Sequence

from chain.bodies.data import Answer, AnswerData, AnsweredChunk, AskData
from chain.hosting_records import DataRequest
from chain.records import ContractRecord
from tests.builders import World
from tests.people import BY_ID, OWNER, Person
from wire.codec import encode
from wire.primitives import blake2b_256


def ask(
    world: World, contract: ContractRecord, *chunks: int, person: Person = OWNER
) -> DataRequest:
    """A request of the owner, as it is before its last chunk is drawn."""
    signed = world.sign(person, AskData(contract=contract.contract, chunks=chunks))
    (outcome,) = world.block(signed)
    assert not outcome.reason, outcome
    return world.draft.data_requests.at(signed.transaction.id)


def asked(
    world: World, contract: ContractRecord, *chunks: int, person: Person = OWNER
) -> DataRequest:
    """A request that the hoster can answer."""
    request = ask(world, contract, *chunks, person=person)
    world.pass_blocks()
    return world.draft.data_requests.at(request.request)


def shown(world: World, request: DataRequest, chunks: Sequence[int] | None = None) -> Answer:
    """What shows the chunks that are left, or these, at the head that was acknowledged."""
    chosen = request.left if chunks is None else tuple(chunks)
    library = world.library
    return Answer(
        chunks=tuple(AnsweredChunk(index=index, data=library.chunk(index)) for index in chosen),
        uncles=library.uncles(chosen, request.head.length),
    )


def answer(request: DataRequest, chunks: Answer) -> tuple[AnswerData, bytes]:
    """A body and its sidecar."""
    sidecar = encode(chunks)
    return AnswerData(request=request.request, evidence=blake2b_256(sidecar)), sidecar


def answered(world: World, request: DataRequest) -> World:
    """The hoster shows all that is left."""
    world.must(BY_ID[request.hoster], *answer(request, shown(world, request)))
    return world


def answer_warnings(world: World) -> None:
    """The hosters show what the chain has asked them for since the last audit."""
    world.pass_blocks()
    for contract in world.contracts:
        if contract.status == "active" and contract.warned is not None:
            answered(world, world.draft.data_requests.at(contract.warned))
