"""Show the coin after the visiting window."""

import pytest

from chain.bodies.challenges import OpenCoin
from chain.challenges.lottery import next_beacon
from chain.reasons import Reason
from coinflip.messages import CoinOpening, Dealing, HeldShare, Secret
from coinflip.shamir import leaf, leaves_hash, tolerated
from tests.chain.refusals import assert_refused
from tests.people import STRANGER
from tests.stages import coin_opened, drawn, opening, sealed
from wire.primitives import tagged_hash


def test_anybody_may_open_the_coin():
    world = opening()
    coin = world.coin()
    world.must(STRANGER, world.open_coin())
    assert world.challenge.coin == coin
    assert world.challenge.excluded == ()


def test_the_coin_is_folded_into_the_beacon():
    world = opening()
    before, coin = world.draft.meta.beacon, world.coin()
    output = world.context().vrf_output
    world.must(STRANGER, world.open_coin())
    folded = tagged_hash("beacon/coin", before, coin)
    assert world.draft.meta.beacon == next_beacon(folded, output)


def changed(world, **changes):
    opened = world.open_coin()
    return opened.model_copy(update={"opening": opened.opening.model_copy(update=changes)})


@pytest.mark.parametrize(
    "change",
    [
        lambda o: {"parts": o.parts[:-1]},
        lambda o: {"parts": (*o.parts, o.parts[0])},
        lambda o: {"parts": tuple(reversed(o.parts))},
        lambda o: {"parts": (Secret(value=bytes(32)), *o.parts[1:])},
        lambda o: {"parts": (Dealing(leaves=(), shares=()), *o.parts[1:])},
        lambda o: {"commits": o.commits[:-1]},
        lambda o: {"commits": tuple(reversed(o.commits))},
        lambda o: {"commits": (o.commits[1], *o.commits[1:])},
        lambda o: {"commits": (), "parts": ()},
    ],
)
def test_an_opening_of_something_else_is_refused(change):
    world = opening()
    body = changed(world, **change(world.opening()))
    assert_refused(world, STRANGER, body, Reason.BAD_OPENING)


def test_an_unknown_challenge_is_refused():
    world = opening()
    body = world.open_coin().model_copy(update={"challenge": b"c" * 32})
    assert_refused(world, STRANGER, body, Reason.UNKNOWN_CHALLENGE)


def test_a_coin_is_not_opened_before_the_window_is_over():
    for world in (drawn(), sealed()):
        assert_refused(world, world.members[0], world.open_coin(), Reason.WRONG_PHASE)


def test_a_coin_is_opened_once():
    world = coin_opened()
    assert_refused(world, STRANGER, world.open_coin(), Reason.ALREADY_OPENED)


def test_a_member_that_dealt_falsely_is_left_out_of_the_coin():
    world = drawn()
    name, members = world.topic(), world.challenge.members
    dealer, count = members[0], len(members)
    shares = [(bytes([holder] * 32), bytes(16)) for holder in range(count)]
    leaves = tuple(leaf(name, dealer, j, value, salt) for j, (value, salt) in enumerate(shares))
    honest = world.commits()
    false = honest[0].model_copy(update={"leaves_hash": leaves_hash(name, dealer, leaves)})
    commits = (false, *honest[1:])
    world.must(STRANGER, world.seal_of(commits))
    world.pass_until(world.challenge.window_end)
    held = tuple(
        HeldShare(holder=j, value=shares[j][0], salt=shares[j][1])
        for j in range(tolerated(count) + 1)
    )
    parts = (Dealing(leaves=leaves, shares=held), *world.opening().parts[1:])
    body = OpenCoin(
        challenge=world.challenge.challenge, opening=CoinOpening(commits=commits, parts=parts)
    )
    world.must(STRANGER, body)
    assert world.challenge.excluded == (dealer,)
    assert world.challenge.coin is not None
