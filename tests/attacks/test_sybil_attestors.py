"""One machine registers many attestors: no committee has more of them than its place may send.

Row 26: two at an IPv4 address, four in a /24; one in an IPv6 /64, four in a /48.
"""

from collections import Counter

import pytest

from chain.challenge_records import LinedUpAttestor, LineUp
from chain.challenges import lottery
from chain.challenges.addresses import place_of
from chain.records import RosterName
from tests.people import PARAMETERS, genesis
from tests.stages import lined_up
from wire.primitives import blake2b_256

HONEST = tuple(f"10.{number}.0.1" for number in range(12))
"""Each in a network of its own."""

CAPPED = PARAMETERS.model_copy(
    update={
        "committee_members": 10,
        "committee_minimum": 4,
        "committee_per_address": 2,
        "committee_per_subnet": 1,
        "committee_per_network": 4,
    }
)


def attestors(hosts, weight_base):
    return [
        LinedUpAttestor(
            account=blake2b_256(b"sybil", host.encode(), number.to_bytes(2, "big")),
            signer=blake2b_256(b"signer", host.encode(), number.to_bytes(2, "big")),
            vrf_key=bytes(32),
            weight_base=weight_base,
            place=place_of(host),
        )
        for number, host in enumerate(hosts)
    ]


def committees(sybil_hosts, parameters=CAPPED, draws=20):
    """How many sybils sit in each committee that beacons draw; all but they are honest."""
    world = lined_up()
    world.genesis = genesis(parameters)
    sybils = attestors(sybil_hosts, 9_000)
    everybody = sorted(sybils + attestors(HONEST, 1_000), key=lambda one: one.account)
    theirs = {one.account for one in sybils}
    found = []
    for number in range(draws):
        draft = world.draft
        fixed = LineUp(
            height=world.height,
            draw_height=world.height + 2,
            attestors=tuple(everybody),
            contracts=draft.roster(RosterName.ACTIVE_CONTRACTS),
        )
        draft.line_ups.put(b"", fixed)
        lottery.draw_challenges(draft, world.context(), blake2b_256(bytes([number])))
        (challenge,) = draft.meta.open_challenges
        members = draft.challenges.at(challenge).members
        assert len(members) == 10
        found.append(len(theirs.intersection(members)))
    return found


PLACES = [
    # where the attacker's stations are, and how many a committee takes
    ("one IPv4 address", ["198.51.100.7"] * 256, 2),
    ("a whole /24", [f"198.51.100.{number}" for number in range(256)], 4),
    ("one IPv6 /64", [f"2001:db8:0:1::{number:x}" for number in range(256)], 1),
    ("a whole /48", [f"2001:db8:0:{number:x}::1" for number in range(256)], 4),
    ("names", [f"station-{number}.example" for number in range(256)], 2),
    ("one IPv4 address, written as IPv6", ["::ffff:198.51.100.7", "2002:c633:6407::1"] * 99, 2),
]


@pytest.mark.parametrize(("hosts", "most"), [row[1:] for row in PLACES], ids=[p[0] for p in PLACES])
def test_however_many_there_are_in_one_place_few_are_in_a_committee(hosts, most):
    found = committees(hosts)
    # With nearly all of the stake, they have all the seats that they may have, and no more.
    assert set(found) == {most}


def test_without_the_caps_they_would_be_the_committee():
    lifted = CAPPED.model_copy(update={"committee_per_address": 100, "committee_per_network": 100})
    assert min(committees(PLACES[1][1], lifted)) > 5


def test_two_networks_send_twice_as_many():
    hosts = [f"198.51.{net}.{number}" for net in (100, 101) for number in range(128)]
    assert Counter(committees(hosts)) == {8: 20}
