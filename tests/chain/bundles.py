"""A feed's whole history as a bundle: two challenges, all served, then one hoster at fault."""

from functools import cache
from typing import Any

from chain.bodies.challenges import OpenReport
from chain.bundle import Bundle, ReportEvidence
from chain.records import Table
from tests.builders import World
from tests.chain.final import Name, state_proof
from tests.stages import play, settled


@cache
def audited() -> World:
    """Two challenges are settled; in the second one hoster signs for what is not the feed's."""
    first = settled()
    liar = first.contracts[0].contract

    def behave(attestor: object, plan: Any) -> str:
        return "fault" if plan.contract == liar else "served"

    return play(first, behave)


def listed(world: World) -> list[tuple[bytes, bytes]]:
    """(challenge, contract) of each verdict, oldest first."""
    verdicts = world.draft.availability.at(world.library.key).verdicts
    return list(zip(verdicts[::2], verdicts[1::2], strict=True))


def names_of(world: World) -> list[Name]:
    """The records that prove all verdicts on the library."""
    names: list[Name] = [
        (Table.META, b""),
        (Table.FEED, world.library.key),
        (Table.AVAILABILITY, world.library.key),
        (Table.PLAN, world.plan.plan),
    ]
    names += [(Table.VERDICT, challenge + contract) for challenge, contract in listed(world)]
    for challenge in dict.fromkeys(challenge for challenge, _ in listed(world)):
        names += [(Table.CHALLENGE, challenge), (Table.DRAW, challenge)]
        opened = world.draft.challenges.at(challenge).opened
        names += [(Table.REPORT, challenge + member) for member in opened]
    return names


def evidence_of(world: World) -> tuple[ReportEvidence, ...]:
    """What came beside all reports that were opened."""
    return tuple(
        ReportEvidence(
            challenge=signed.transaction.body.challenge,
            attestor=signed.transaction.sender,
            evidence=signed.sidecar,
        )
        for _, transactions in world.blocks
        for signed in transactions
        if isinstance(signed.transaction.body, OpenReport)
    )


def bundle_of(world: World) -> Bundle:
    """The world's reports as an owner exports them."""
    return Bundle(
        genesis=world.genesis,
        feed=world.library.key,
        steps=(),
        state=state_proof(world.genesis, world.state, world.height, tuple(names_of(world))),
        evidence=evidence_of(world),
    )
