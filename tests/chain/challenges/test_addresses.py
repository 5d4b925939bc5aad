"""Where attestors are reached, and how a draw seats them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.challenges.addresses import Seats, committees, place_of
from chain.genesis import Parameters

PARAMETERS = Parameters(committee_members=4, committee_minimum=3)

PLACES = [
    ("192.0.2.1", bytes([192, 0, 2, 1])),
    ("::ffff:192.0.2.1", bytes([192, 0, 2, 1])),
    ("2002:c000:201::5", bytes([192, 0, 2, 1])),
    ("2001:db8:1:2:3:4:5:6", bytes.fromhex("20010db800010002")),
    ("::1", bytes(8)),
    ("fe80::1%eth0", bytes.fromhex("fe80000000000000")),
    ("attestor.example", b""),
    ("192.0.2.01", b""),
    ("192.0.2", b""),
    ("[::1]", b""),
    ("192.0.2.1 ", b""),
]


@pytest.mark.parametrize(("host", "place"), PLACES)
def test_the_place_of_a_host(host, place):
    assert place_of(host) == place


@given(st.text(min_size=1, max_size=253))
def test_every_text_has_a_place(host):
    assert len(place_of(host)) in (0, 4, 8)


def seated(hosts, parameters=PARAMETERS):
    seats = Seats(parameters)
    return [seats.take(place_of(host)) for host in hosts]


def test_a_refused_candidate_takes_no_seat():
    # The second of a /64 is refused; its /48 has three seats left still.
    hosts = ["2001:db8::1", "2001:db8::2", *(f"2001:db8:0:{n}::" for n in (1, 2, 3, 4))]
    assert seated(hosts) == [True, False, True, True, True, False]


def test_addresses_and_networks_count_apart():
    hosts = ["192.0.2.1"] * 3 + ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.3.1", "a.example"]
    assert seated(hosts) == [True, True, False, True, True, False, True, True]


def test_whom_one_committee_has_no_seat_for_is_first_in_the_next():
    places = [place_of(host) for host in ["192.0.2.1"] * 4 + ["10.0.0.1", "10.1.0.1", "10.2.0.1"]]
    order = iter([0, 1, 2, 4, 5, 3, 6])
    assert committees(PARAMETERS, order, places, 2, 4) == [[0, 1, 4, 5], [2, 3, 6]]


def test_too_few_places_make_fewer_committees():
    places = [place_of("192.0.2.1")] * 8
    assert committees(PARAMETERS, iter(range(8)), places, 2, 4) == []
    places[3] = place_of("10.0.0.1")
    assert committees(PARAMETERS, iter(range(8)), places, 2, 4) == [[0, 1, 3]]


@given(st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "::1", "x", "y", "10.0.0.1"])))
def test_nobody_sits_in_two_committees(hosts):
    places = [place_of(host) for host in hosts]
    found = committees(PARAMETERS, iter(range(len(hosts))), places, 3, 4)
    everybody = [one for committee in found for one in committee]
    assert len(everybody) == len(set(everybody))
    assert all(3 <= len(committee) <= 4 for committee in found)


@given(
    st.lists(st.sampled_from([f"10.0.{net}.{at}" for net in range(3) for at in range(4)])),
    st.integers(2, 9),
)
def test_none_who_waits_is_forgotten(hosts, members):
    places = [place_of(host) for host in hosts]
    parameters = PARAMETERS.model_copy(update={"committee_minimum": 2})
    order = iter(range(len(hosts)))
    found = committees(parameters, order, places, 3, members)
    if len(found) == 3:
        return
    # Too few are left: all were looked at, and who is out found no seat in the last committee.
    assert list(order) == []
