"""How many attestors of one committee may be reached in one place.

Whoever has one machine can register many attestors, but not many networks to reach them in. An
address is an account's own word, and a member that is not where it says has no coin to flip.
"""

from collections import Counter, deque
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from chain.genesis import Parameters

IPV4, IPV4_NETWORK, IPV6_SUBNET, IPV6_NETWORK, NAMES = 4, 3, 8, 6, 0
"""Bytes of what is counted: an address, its /24, its /64, its /48; all names are one place."""


def place_of(host: str) -> bytes:
    """The place that a host counts for: an IPv4 address, an IPv6 /64, or empty for any name.

    A name may lead anywhere, and tomorrow elsewhere. An IPv4 address in an IPv6 one is itself.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return b""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    return address.packed[:IPV6_SUBNET]


class Seats:
    """Who still fits into one committee. Mutable: one draw owns it."""

    def __init__(self, parameters: Parameters) -> None:
        self._most = {
            NAMES: parameters.committee_per_address,
            IPV4: parameters.committee_per_address,
            IPV4_NETWORK: parameters.committee_per_network,
            IPV6_SUBNET: parameters.committee_per_subnet,
            IPV6_NETWORK: parameters.committee_per_network,
        }
        self._taken: Counter[bytes] = Counter()

    def take(self, place: bytes) -> bool:
        """Seat one more from a place, unless it or its network has its share already."""
        counted = [place] if not place else [place, place[: _network_bytes(place)]]
        if any(self._taken[prefix] >= self._most[len(prefix)] for prefix in counted):
            return False
        self._taken.update(counted)
        return True


def _network_bytes(place: bytes) -> int:
    return IPV4_NETWORK if len(place) == IPV4 else IPV6_NETWORK


def committees(
    parameters: Parameters, order: Iterator[int], places: list[bytes], count: int, members: int
) -> list[list[int]]:
    """`count` committees of up to `members` from the candidates in `order`, by their places.

    Whom one committee has no seat for is first in line for the next. Where too few fit, there are
    fewer committees, none smaller than the network's least.
    """
    seated: list[list[int]] = []
    passed_over: list[int] = []
    for _ in range(count):
        seats, committee, waiting = Seats(parameters), list[int](), deque(passed_over)
        passed_over = []
        # All who wait are asked: what shut them out has fewer seats than a committee.
        while len(committee) < members:
            candidate = waiting.popleft() if waiting else next(order, None)
            if candidate is None:
                break
            (committee if seats.take(places[candidate]) else passed_over).append(candidate)
        if len(committee) < parameters.committee_minimum:
            break
        seated.append(committee)
    return seated
