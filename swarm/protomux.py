"""Channels over one secret stream, as npm `protomux` frames them (WIRE.md section 7).

    frame     uint channel · uint kind · payload        the channel is the sender's own number
    control   channel 0, the kind says which:
      0 batch    uint channel · { uint length · kind · payload }...
                 length 0: a uint follows, the channel of what comes next
      1 open     uint channel · string protocol · buffer id · handshake (the rest)
      2 reject   uint channel, as the receiver of the reject numbered it
      3 close    uint channel, as the closer numbered it

A channel is up when both sides have sent an open for the same (protocol, id); opens pair in the
order they came. Messages may follow an open at once and wait here until our side opens or
rejects. One close ends both directions. Numbers grow by one at most and are used again once free.

Where npm's protomux would do without a bound, there is one here; where it closes a channel whose
open is unanswered at once, the close here waits for the answer, because npm's forgets a close that
overtakes its own open.

No I/O: `receive()` turns a frame into events, `flush()` yields the frames to send. For speed the
tables are mutable; they have one owner, and after `Malformed` the connection must end.
"""

from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from swarm.secret_stream import MAX_PLAINTEXT_BYTES
from wire.compact import Reader, put_buffer, put_string, put_uint
from wire.errors import Malformed, Unavailable
from wire.ports import ChannelMessage

MAX_CHANNELS = 1024
"""Channels up or pending from one peer; a hoster's peer needs one a feed. More are rejected."""

MAX_PENDING_OPENS = 64
"""Unanswered opens from one peer; each waits only until this side has looked at it."""

MAX_PROTOCOL_BYTES = 128
MAX_ID_BYTES = 64
MAX_HANDSHAKE_BYTES = 4096
"""No protocol in use needs a third of these; they bound what a pending open holds."""

MAX_BATCH_MESSAGES = 65536
"""A batch of 16 MiB could hold eight million one-byte messages, at 100 times their size here."""

MAX_PAYLOAD_BYTES = MAX_PLAINTEXT_BYTES - 32
"""The longest payload of one message: a plaintext without its channel, kind and lengths."""

BATCH_BYTES = 64 * 1024
"""Batches are cut here (npm's at 8 MiB): more would be a little faster between two of us, but npm
answers a batch all at once, and its reader then waits for chunks while we wait for requests."""

ENTRY_BYTES = 16
"""At most what a batch adds to a payload, so that no batch of ours has too many messages."""

MESSAGE_OVERHEAD_BYTES = 512
"""What npm counts for a waiting message beside its bytes; an empty one is not free."""

_BATCH, _OPEN, _REJECT, _CLOSE = range(4)
_FD, _FE = 0xFD, 0xFE


class Wanted(NamedTuple):
    """The other side opened a channel we have not: `open` the same, or `reject` the ticket."""

    ticket: int
    protocol: str
    id: bytes


class Opened(NamedTuple):
    """Our channel is up; `handshake` is the other side's."""

    channel: int
    handshake: bytes


class Messages(NamedTuple):
    """Messages for our channel, in order."""

    channel: int
    messages: list[ChannelMessage]


class Closed(NamedTuple):
    """The other side closed our channel, or rejected it before it was up."""

    channel: int
    rejected: bool


Event = Wanted | Opened | Messages | Closed
_Key = tuple[str, bytes]


class _Local:
    """A channel of ours, by our number. `remote` is the other side's number, 0 until it opens."""

    __slots__ = ("closing", "key", "remote")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.remote = 0
        self.closing = False


class _Remote:
    """A channel by the other side's number. `local` is our number, 0 until we open."""

    __slots__ = ("backlog", "handshake", "key", "local", "ticket")

    def __init__(self, key: _Key, handshake: bytes, ticket: int) -> None:
        self.key = key
        self.handshake = handshake
        self.ticket = ticket
        self.local = 0
        self.backlog: list[ChannelMessage] = []


class Protomux:
    """One end's table of channels, and the queue of messages to send."""

    def __init__(self) -> None:
        self.queued_bytes = 0
        """Bytes waiting for `flush()`."""
        self.backlog_bytes = 0
        """What messages on channels that wait for our open cost; the shell stops reading early."""
        self._locals: dict[int, _Local] = {}
        self._free: list[int] = []
        self._remotes: dict[int, _Remote] = {}
        self._remote_numbers = 0
        self._unanswered: dict[_Key, deque[int]] = {}
        self._pending: dict[_Key, deque[int]] = {}
        self._tickets: dict[int, int] = {}
        self._ticket = count(1)
        self._queue: list[tuple[int, int, bytes]] = []

    def open(
        self, protocol: str, id: bytes, handshake: bytes, aliases: Sequence[str] = ()
    ) -> tuple[int, list[Event]]:
        """Open a channel: its number, and events at once if the other side was first.

        An open of the other side under one of the `aliases` is answered under that name.
        """
        if len(self._locals) >= MAX_CHANNELS:
            raise Unavailable(f"{MAX_CHANNELS} channels are open on this connection already")
        names = [name for name in (protocol, *aliases) if (name, id) in self._pending]
        key = (names[0] if names else protocol, id)
        number = self._free.pop() if self._free else len(self._locals) + 1
        local = self._locals[number] = _Local(key)
        body = bytearray()
        put_uint(body, number)
        put_string(body, key[0])
        put_buffer(body, id)
        self._control(_OPEN, bytes(body) + handshake)
        waiting = self._pending.get(key)
        if not waiting:
            self._unanswered.setdefault(key, deque()).append(number)
            return number, []
        remote_number = _pop_left(self._pending, key)
        remote = self._remotes[remote_number]
        backlog = self._settle(remote)
        events = self._pair(number, local, remote_number, remote)
        if backlog:
            events.append(Messages(number, backlog))
        return number, events

    def reject(self, ticket: int) -> None:
        """Refuse what a `Wanted` asked for; nothing happens if it was answered meanwhile."""
        number = self._tickets.get(ticket)
        if number is None:
            return
        remote = self._remotes.pop(number)
        self._pending[remote.key].remove(number)
        if not self._pending[remote.key]:
            del self._pending[remote.key]
        self._settle(remote)
        self._control(_REJECT, _uint(number))

    def close(self, channel: int) -> None:
        """Close our channel; nothing happens if it is closed already."""
        local = self._locals.get(channel)
        if local is None or local.closing:
            return
        if local.remote:
            self._end(channel, local)
            self._control(_CLOSE, _uint(channel))
        else:
            local.closing = True

    def send(self, channel: int, kind: int, payload: bytes) -> None:
        """Queue one message; dropped if the channel has closed meanwhile."""
        assert len(payload) <= MAX_PAYLOAD_BYTES, "a message must fit one frame"
        local = self._locals.get(channel)
        if local is not None and not local.closing:
            self._queue.append((channel, kind, payload))
            self.queued_bytes += len(payload) + ENTRY_BYTES

    def flush(self, *, batch: bool = False, apart: bool = False) -> list[bytes]:
        """The frames that carry all that is queued; a lone message as a batch only if told so.

        `apart` gives each message a frame of its own, as npm's protomux does unless it is corked.
        """
        queue = self._queue
        if not queue:
            return []
        self._queue = []
        self.queued_bytes = 0
        if apart or (len(queue) == 1 and not batch):
            return [_uint(channel) + _uint(kind) + payload for channel, kind, payload in queue]
        return _batches(queue)

    def receive(self, frame: bytes) -> list[Event]:
        """The events of one frame; an empty frame has none."""
        events: list[Event] = []
        end = len(frame)
        if end >= 2 and frame[0] < _FD and frame[1] < _FD:
            channel, kind, position = frame[0], frame[1], 2
        elif frame:
            channel, position = _read_uint(frame, 0, end)
            kind, position = _read_uint(frame, position, end)
        else:
            return events
        if channel:
            self._deliver(channel, kind, frame[position:], events)
        elif kind == _BATCH:
            self._read_batch(frame, position, events)
        else:
            self._read_control(kind, Reader(frame, position), events)
        return events

    def _read_batch(self, frame: bytes, position: int, events: list[Event]) -> None:
        end = len(frame)
        channel, position = _read_uint(frame, position, end)
        for _ in range(MAX_BATCH_MESSAGES):
            if position == end:
                return
            size, position = _read_uint(frame, position, end)
            if not size:
                channel, position = _read_uint(frame, position, end)
                continue
            stop = position + size
            if stop > end:
                raise Malformed("a batch ends inside a message")
            kind, position = _read_uint(frame, position, stop)
            if channel:
                self._deliver(channel, kind, frame[position:stop], events)
            elif kind == _BATCH:
                raise Malformed("a batch holds a batch")
            else:
                self._read_control(kind, Reader(frame, position, stop), events)
            position = stop
        raise Malformed(f"a batch holds more than {MAX_BATCH_MESSAGES} messages")

    def _deliver(self, number: int, kind: int, payload: bytes, events: list[Event]) -> None:
        remote = self._remotes.get(number)
        if remote is None:
            return  # closed meanwhile: the message crossed our close
        message = ChannelMessage(kind, payload)
        if not remote.local:
            remote.backlog.append(message)
            self.backlog_bytes += len(payload) + MESSAGE_OVERHEAD_BYTES
            return
        if events:
            last = events[-1]
            if type(last) is Messages and last.channel == remote.local:
                last.messages.append(message)
                return
        events.append(Messages(remote.local, [message]))

    def _read_control(self, kind: int, body: Reader, events: list[Event]) -> None:
        if kind == _OPEN:
            self._read_open(body, events)
        elif kind == _REJECT:
            self._read_reject(body.uint(), events)
        elif kind == _CLOSE:
            self._read_close(body.uint(), events)

    def _read_open(self, body: Reader, events: list[Event]) -> None:
        number = body.uint()
        key = (body.string(), body.buffer())
        if len(key[0]) > MAX_PROTOCOL_BYTES or len(key[1]) > MAX_ID_BYTES:
            raise Malformed("an open with a protocol name or an id beyond the limits")
        if body.left > MAX_HANDSHAKE_BYTES:
            raise Malformed(f"an open with a handshake of {body.left} bytes")
        if number == 0:
            self._control(_REJECT, _uint(0))
            return
        if number > self._remote_numbers + 1 or number in self._remotes:
            raise Malformed(f"an open with number {number}, which is in use or too far out")
        self._remote_numbers = max(self._remote_numbers, number)
        remote = _Remote(key, body.rest(), next(self._ticket))
        if key in self._unanswered:
            local_number = _pop_left(self._unanswered, key)
            local = self._locals[local_number]
            events += self._pair(local_number, local, number, remote)
        elif len(self._tickets) >= MAX_PENDING_OPENS or len(self._remotes) >= MAX_CHANNELS:
            self._control(_REJECT, _uint(number))
        else:
            self._remotes[number] = remote
            self._pending.setdefault(key, deque()).append(number)
            self._tickets[remote.ticket] = number
            events.append(Wanted(remote.ticket, *key))

    def _read_reject(self, number: int, events: list[Event]) -> None:
        local = self._locals.get(number)
        if local is None or local.remote:
            raise Malformed(f"a reject of channel {number}, which waits for no answer")
        self._unanswered[local.key].remove(number)
        if not self._unanswered[local.key]:
            del self._unanswered[local.key]
        self._end(number, local)
        if not local.closing:
            events.append(Closed(number, rejected=True))

    def _read_close(self, number: int, events: list[Event]) -> None:
        remote = self._remotes.get(number)
        if remote is None:
            return  # both sides closed at once
        if not remote.local:
            # The closer waits for an answer before it uses the number again.
            self.reject(remote.ticket)
            return
        local_number = remote.local
        self._end(local_number, self._locals[local_number])
        events.append(Closed(local_number, rejected=False))

    def _pair(
        self, local_number: int, local: _Local, remote_number: int, remote: _Remote
    ) -> list[Event]:
        local.remote = remote_number
        remote.local = local_number
        self._remotes[remote_number] = remote
        if local.closing:
            local.closing = False
            self.close(local_number)
            return []
        return [Opened(local_number, remote.handshake)]

    def _settle(self, remote: _Remote) -> list[ChannelMessage]:
        """Take a pending open off the books and return what was held for it."""
        del self._tickets[remote.ticket]
        backlog, remote.backlog = remote.backlog, []
        for message in backlog:
            self.backlog_bytes -= len(message.payload) + MESSAGE_OVERHEAD_BYTES
        return backlog

    def _end(self, number: int, local: _Local) -> None:
        del self._locals[number]
        self._free.append(number)
        if local.remote:
            del self._remotes[local.remote]

    def _control(self, kind: int, body: bytes) -> None:
        self._queue.append((0, kind, body))
        self.queued_bytes += len(body) + ENTRY_BYTES


def _batches(queue: list[tuple[int, int, bytes]]) -> list[bytes]:
    """The queue as batch frames of about `BATCH_BYTES`; a longer message has one for itself."""
    frames: list[bytes] = []
    parts: list[bytes] = []
    size, current = 0, -1
    for channel, kind, payload in queue:
        if parts and size + len(payload) + ENTRY_BYTES > BATCH_BYTES:
            frames.append(b"".join(parts))
            parts, size = [], 0
        if not parts:
            parts += (b"\x00\x00", _uint(channel))
            current = channel
        elif channel != current:
            parts += (b"\x00", _uint(channel))
            current = channel
        head = _uint(kind)
        parts += (_uint(len(head) + len(payload)), head, payload)
        size += len(payload) + ENTRY_BYTES
    frames.append(b"".join(parts))
    return frames


_SMALL_UINTS = [bytes([value]) for value in range(_FD)]


def _uint(value: int) -> bytes:
    if value < _FD:
        return _SMALL_UINTS[value]
    out = bytearray()
    put_uint(out, value)
    return bytes(out)


def _read_uint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A uint and the position behind it: `Reader.uint` for the loops where its cost counts."""
    if position < end:
        first = data[position]
        if first < _FD:
            return first, position + 1
        if first == _FD and position + 3 <= end:
            return data[position + 1] | data[position + 2] << 8, position + 3
    reader = Reader(data, position, end)
    return reader.uint(), reader.position


def _pop_left(table: dict[_Key, deque[int]], key: _Key) -> int:
    numbers = table[key]
    number = numbers.popleft()
    if not numbers:
        del table[key]
    return number
