"""Who may connect, how often and how much: the decisions, without the sockets.

A stranger is known by its address only until its static key is proven, and addresses are shared
(one router, one test machine), so an address is limited but never banned. A proven key that sends
nonsense is banned for a while, longer each time. Keys cost nothing to make: a ban protects from
broken peers and among listed members, the limits protect from the rest. Time is an argument, in
seconds of any steady clock.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, TypeVar

from swarm.secret_stream import MAX_FRAME_BYTES

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

BAN_FIRST_S = 60.0
"""A peer updated after a fault is back within a minute."""

BAN_LONGEST_S = 3600.0
"""Twice as long each time, up to here."""

MAX_REMEMBERED = 4096
"""Addresses and keys remembered; beyond it the longest untouched is forgotten."""


class Drop(StrEnum):
    """Why a connection ended; log lines and counters carry it."""

    CLOSED_HERE = "closed here"
    CLOSED_THERE = "closed by the other side"
    HANDSHAKE_TIMEOUT = "handshake timed out"
    IDLE = "nothing heard for too long"
    STALLED = "does not read what it is sent"
    MALFORMED = "sent what no honest peer sends"
    NOT_ADMITTED = "key not admitted"
    CROWDED = "too many connections"
    CROWDED_ADDRESS = "too many connections from one address"
    TOO_FAST = "too many new connections from one address"
    SUPERSEDED = "replaced by a newer connection of the same peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one operator may choose, with defaults that fit a hoster on a small machine."""

    connections: int = 512
    """All accepted connections; each may hold one frame and its buffers."""
    connections_per_address: int = 128
    """Many honest peers can sit behind one address."""
    handshaking: int = 64
    """Connections whose key is not proven yet; the oldest gives way to the next."""
    arrivals_per_s: float = 32.0
    """New connections from one address; a handshake costs this side about a millisecond."""
    arrivals_burst: float = 256.0
    """A whole test network, restarted, comes at once."""
    handshake_timeout_s: float = 10.0
    """Two round trips on the worst of lines."""
    keepalive_s: float = 5.0
    """What npm hypercore uses: an empty frame after so long without another."""
    idle_timeout_s: float = 20.0
    """Four keepalives lost: the peer is gone."""
    stall_timeout_s: float = 60.0
    """A peer may pause its reading, but what waits for it costs us memory."""
    open_timeout_s: float = 10.0
    """For the answer to an open; it needs one round trip."""
    unclaimed_open_s: float = 1.0
    """For this side to open what the other side opened first, before it is rejected."""
    frame_bytes: int = MAX_FRAME_BYTES
    """The longest frame accepted; npm hypercore needs all that the format allows."""
    messages_per_s: float = 1_000_000.0
    """More than one process can handle: a flood of empty messages is slowed, honest peers never."""
    opens_per_s: float = 256.0
    opens_burst: float = 4096.0
    """Opens are answered even when refused; a peer may open a channel for each of many feeds."""
    receive_bytes: int = 4 * 1024 * 1024
    """Messages of one channel that wait for their reader; beyond it nothing more is read."""
    send_buffer_bytes: int = 1024 * 1024
    """Unsent bytes beyond which `drain()` waits: a good line's bandwidth times its delay."""
    send_limit_bytes: int = 64 * 1024 * 1024
    """Unsent bytes beyond which the peer is dropped, for senders that do not drain."""


class Bucket:
    """Allows `per_s` on average and `burst` at once; what is beyond is a debt to wait out."""

    __slots__ = ("_burst", "_level", "_now_s", "_per_s")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._level = burst
        self._now_s = now_s

    def spend(self, amount: float, now_s: float) -> float:
        """Take `amount` and return how many seconds to wait before taking more, often 0."""
        self._refill(now_s)
        self._level -= amount
        return 0.0 if self._level >= 0 else -self._level / self._per_s

    def try_spend(self, amount: float, now_s: float) -> bool:
        """Take `amount` if it is there now."""
        self._refill(now_s)
        if self._level < amount:
            return False
        self._level -= amount
        return True

    def _refill(self, now_s: float) -> None:
        self._level = min(self._burst, self._level + (now_s - self._now_s) * self._per_s)
        self._now_s = now_s


class Arrival(NamedTuple):
    """The answer to a new connection: refused, or let in and another one to be dropped for it."""

    refused: Drop | None = None
    evict: int | None = None


class _Ban(NamedTuple):
    until_s: float
    length_s: float


class PeerBook:
    """Counts the connections of one listener and remembers who misbehaved.

    A connection is any number its owner does not use twice.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._origin: dict[int, str] = {}
        self._per_origin: Counter[str] = Counter()
        self._handshaking: dict[int, None] = {}
        self._arrivals: OrderedDict[str, Bucket] = OrderedDict()
        self._bans: OrderedDict[bytes, _Ban] = OrderedDict()

    def arrive(self, connection: int, address: str, now_s: float) -> Arrival:
        """A connection came from `address`; unless refused it counts until `leave`."""
        limits = self._limits
        origin = origin_of(address)
        bucket = self._arrivals.get(origin)
        if bucket is None:
            bucket = Bucket(limits.arrivals_per_s, limits.arrivals_burst, now_s)
        _remember(self._arrivals, origin, bucket)
        if not bucket.try_spend(1, now_s):
            return Arrival(refused=Drop.TOO_FAST)
        if self._per_origin[origin] >= limits.connections_per_address:
            return Arrival(refused=Drop.CROWDED_ADDRESS)
        full = len(self._origin) >= limits.connections
        evict = None
        if full or len(self._handshaking) >= limits.handshaking:
            evict = next(iter(self._handshaking), None)
            if evict is None:
                return Arrival(refused=Drop.CROWDED)
            self.leave(evict)
        self._origin[connection] = origin
        self._per_origin[origin] += 1
        self._handshaking[connection] = None
        return Arrival(evict=evict)

    def prove(self, connection: int) -> None:
        """The connection's key is proven: it no longer gives way to newcomers."""
        self._handshaking.pop(connection, None)

    def leave(self, connection: int) -> None:
        """The connection is over; a second call is harmless."""
        self._handshaking.pop(connection, None)
        origin = self._origin.pop(connection, None)
        if origin is not None:
            self._per_origin[origin] -= 1
            if not self._per_origin[origin]:
                del self._per_origin[origin]

    def offend(self, key: bytes, now_s: float) -> None:
        """A peer of this proven key sent what no honest peer sends."""
        earlier = self._bans.get(key)
        length_s = min(BAN_LONGEST_S, earlier.length_s * 2) if earlier else BAN_FIRST_S
        _remember(self._bans, key, _Ban(now_s + length_s, length_s))

    def banned(self, key: bytes, now_s: float) -> bool:
        """Whether this key is to be refused now."""
        ban = self._bans.get(key)
        return ban is not None and now_s < ban.until_s


def origin_of(address: str) -> str:
    """What is counted as one address: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(IPv6Network((parsed, 64), strict=False))
    return str(parsed)


def _remember(table: "OrderedDict[_Key, _Value]", key: _Key, value: _Value) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > MAX_REMEMBERED:
        table.popitem(last=False)
