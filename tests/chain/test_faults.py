"""Which two signatures convict a validator, and which never may."""

import pytest

from chain.faults import FaultKind, contradiction
from tests.people import OWNER, VALIDATOR
from tests.validators import vote, world_of
from wire.errors import Malformed
from wire.keys import Use

WORLD = world_of(1)
KEY = VALIDATOR.key(Use.VALIDATOR).public


def say(kind, block=0, /, **changes):
    return vote(WORLD, VALIDATOR, kind, block, **changes)


FAULTS = {
    FaultKind.TWO_PROPOSALS: (say("propose", 1), say("propose", 2)),
    FaultKind.TWO_NOTARIZATIONS: (say("notarize", 1), say("notarize", 2)),
    FaultKind.FINALIZED_AND_NULLIFIED: (say("finalize", 1), say("nullify")),
    FaultKind.TWO_FINALIZATIONS: (say("finalize", 1), say("finalize", 2)),
}


@pytest.mark.parametrize("kind", FaultKind, ids=lambda kind: kind.name)
def test_each_fault_is_known_in_either_order(kind):
    first, second = FAULTS[kind]
    assert contradiction(WORLD.network, KEY, first, second) is kind
    assert contradiction(WORLD.network, KEY, second, first) is kind


def test_one_block_said_to_stand_at_two_heights_is_two_statements():
    first, second = say("notarize", 1, height=5), say("notarize", 1, height=6)
    assert contradiction(WORLD.network, KEY, first, second) is FaultKind.TWO_NOTARIZATIONS


LEGAL = {
    "the same vote twice": (say("notarize", 1), say("notarize", 1)),
    "nullified twice": (say("nullify"), say("nullify")),
    "notarized, then nullified": (say("notarize", 1), say("nullify")),
    "proposed, then nullified": (say("propose", 1), say("nullify")),
    "proposed, notarized": (say("propose", 1), say("notarize", 1)),
    "notarized one, finalized another": (say("notarize", 1), say("finalize", 2)),
    "proposed one, notarized another": (say("propose", 1), say("notarize", 2)),
    "proposed again in a later view": (say("propose", 1), say("propose", 1, view=8)),
    "another block in a later view": (say("propose", 1), say("propose", 2, view=8)),
    "finalized, and nullified a later view": (say("finalize", 1), say("nullify", view=8)),
    "the same view of a later term": (say("finalize", 1), say("finalize", 2, term=1)),
}


@pytest.mark.parametrize("votes", LEGAL.values(), ids=LEGAL)
def test_what_honest_validators_sign_is_no_evidence(votes):
    for first, second in (votes, votes[::-1]):
        with pytest.raises(Malformed, match=r"view|twice"):
            contradiction(WORLD.network, KEY, first, second)


def altered(signed, **changes):
    return signed.model_copy(update={"vote": signed.vote.model_copy(update=changes)})


FORGED = {
    "another validator's": (say("finalize", 1), vote(WORLD, OWNER, "finalize", 2)),
    "altered": (say("finalize", 1), altered(say("finalize", 1), block=bytes(32))),
    "of another view in truth": (say("finalize", 1), altered(say("nullify", view=8), view=7)),
    "unsigned": (say("finalize", 1), say("nullify").model_copy(update={"signature": bytes(64)})),
    "of another network": (
        say("finalize", 1),
        vote(world_of(2), VALIDATOR, "finalize", 2),
    ),
}


@pytest.mark.parametrize("votes", FORGED.values(), ids=FORGED)
def test_forged_votes_are_no_evidence(votes):
    for first, second in (votes, votes[::-1]):
        with pytest.raises(Malformed, match="bad vote signature"):
            contradiction(WORLD.network, KEY, first, second)
