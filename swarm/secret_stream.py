"""Encrypted frames over a byte stream, as npm `@hyperswarm/secret-stream` sends them over TCP.

    every message on the socket   u24 length (little-endian) · that many bytes
      first                       the Noise XX handshake: 32, 96, 64 bytes (`swarm.noise`)
      then, once from each side   stream id (32 bytes) · secretstream header (24 bytes)
      then                        one secretstream push each: plaintext + 17 bytes

The stream id is `BLAKE2b-256(key = handshake hash, NS_INITIATOR or NS_RESPONDER)` of its sender.
Messages are XChaCha20-Poly1305 secretstream pushes with tag 0. There is no end mark: the stream
ends with the connection, so whoever can cut the connection can cut off the end unseen, and the
layers above must know when they have everything. An empty plaintext keeps the line open. Source:
WIRE.md section 6.

No I/O here: the shell reads from its socket straight into `writable()`, says how much came by
`wrote()`, and sends what `start()`, `take_answers()` and `seal()` yield. For speed the stream keeps
mutable buffers; it has one owner, and after an error it must not be used again.
"""

from collections.abc import Callable
from hashlib import blake2b

from swarm.noise import RECEIVED_SIZES, Established, Handshake
from swarm.seal import HEADER_BYTES, SEAL_BYTES, Opener, Sealer
from wire.errors import Malformed, Unavailable
from wire.keys import KeyPair
from wire.primitives import blake2b_256

MAX_FRAME_BYTES = 2**24 - 1
"""The longest frame that three bytes of length can announce; Node accepts all of it."""

MAX_PLAINTEXT_BYTES = MAX_FRAME_BYTES - SEAL_BYTES

HEADER_MESSAGE_BYTES = 32 + HEADER_BYTES

_SETUP_BUFFER_BYTES = 512
"""Room for all messages of a handshake: a stranger costs no more before it is known."""

_BUFFER_BYTES = 256 * 1024
"""Read buffer of a working stream: four frames of 64 KiB, and what uvloop reads at once."""


def _namespace(name: str, count: int) -> list[bytes]:
    base = blake2b_256(name.encode())
    return [blake2b_256(base, bytes([index])) for index in range(count)]


_NS_INITIATOR, _NS_RESPONDER, _ = _namespace("hyperswarm/secret-stream", 3)


def stream_id(handshake_hash: bytes, *, initiator: bool) -> bytes:
    """The 32 bytes with which the initiator's, or the responder's, header message begins."""
    data = _NS_INITIATOR if initiator else _NS_RESPONDER
    return blake2b(data, digest_size=32, key=handshake_hash).digest()


class SecretStream:
    """One end of one secret stream.

    `ephemeral_seed` (32 bytes) and `header` (24 bytes) are fresh entropy for this stream alone.
    `admit` is asked about the remote static key as soon as it is proven; on False the stream
    raises `Unavailable` before the initiator has shown its own key.
    """

    def __init__(
        self,
        key: KeyPair,
        *,
        initiator: bool,
        ephemeral_seed: bytes,
        header: bytes,
        admit: Callable[[bytes], bool] | None = None,
        frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        assert len(header) == HEADER_BYTES and frame_bytes <= MAX_FRAME_BYTES
        self.initiator = initiator
        self.established: Established | None = None
        self.ready = False
        """Whether the other side's header came: from here on frames carry plaintext."""
        self._handshake = Handshake(key, initiator=initiator, ephemeral_seed=ephemeral_seed)
        self._header = header
        self._admit = admit
        self._frame_bytes = frame_bytes
        self._sizes = [*RECEIVED_SIZES[initiator], HEADER_MESSAGE_BYTES]
        self._answers: list[bytes] = []
        self._sealer: Sealer
        self._opener: Opener
        self._buffer = memoryview(bytearray(_SETUP_BUFFER_BYTES))
        self._start = 0
        self._end = 0
        self._wanted = 3

    def start(self) -> bytes:
        """What the initiator sends first; empty for a responder."""
        first = self._handshake.start()
        return _framed(first) if first else b""

    def take_answers(self) -> list[bytes]:
        """What the handshake wants sent, to be asked for after `wrote()`."""
        answers, self._answers = self._answers, []
        return answers

    def seal(self, plaintext: bytes) -> bytes | bytearray:
        """The frame that carries `plaintext` on the socket."""
        assert self.established is not None and len(plaintext) <= MAX_PLAINTEXT_BYTES
        return self._sealer.seal(plaintext)

    def writable(self) -> memoryview:
        """Where the next bytes from the socket belong; never empty."""
        size = len(self._buffer)
        free = size - self._end
        cramped = self._start > 0 and (self._start + self._wanted > size or free < size // 4)
        misfit = self.ready and size != _BUFFER_BYTES >= self._wanted
        if not free or cramped or misfit:
            self._make_room()
        return self._buffer[self._end :]

    def wrote(self, count: int) -> list[bytes]:
        """`count` bytes came into `writable()`: the plaintexts of the frames now complete.

        Raises `Malformed` on what no honest peer sends, `Unavailable` on a key not admitted.
        """
        buffer = self._buffer
        start, end = self._start, self._end + count
        frames: list[bytes] = []
        wanted = 3
        while end - start >= 3:
            size = buffer[start] | buffer[start + 1] << 8 | buffer[start + 2] << 16
            if not self.ready:
                if size != self._sizes[0]:
                    raise Malformed(f"a frame of {size} bytes has no place in a handshake")
            elif not SEAL_BYTES <= size <= self._frame_bytes:
                raise Malformed(f"a frame of {size} bytes is outside the limits")
            stop = start + 3 + size
            if stop > end:
                wanted = 3 + size
                break
            if self.ready:
                frames.append(self._opener.open(buffer[start + 3 : stop]))
            else:
                self._set_up(bytes(buffer[start + 3 : stop]))
            start = stop
        if start == end:
            start = end = 0
        self._start, self._end, self._wanted = start, end, wanted
        return frames

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes that were read elsewhere: `writable()` and `wrote()` in one."""
        frames: list[bytes] = []
        view = memoryview(data)
        while view:
            room = self.writable()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            frames += self.wrote(count)
            view = view[count:]
        return frames

    def _make_room(self) -> None:
        """Move the unread bytes to the front, of a larger or smaller buffer if that fits better.

        It grows by doubling and only when full, so that announcing a long frame costs the
        announcer as many bytes as it costs us.
        """
        held = self._end - self._start
        size = len(self._buffer)
        if self.ready and self._wanted <= _BUFFER_BYTES:
            size = _BUFFER_BYTES
        elif held == size:
            size = min(2 * size, self._wanted)
        target = self._buffer
        if size != len(target):
            target = memoryview(bytearray(size))
        target[:held] = self._buffer[self._start : self._end]
        self._buffer, self._start, self._end = target, 0, held

    def _set_up(self, message: bytes) -> None:
        self._sizes.pop(0)
        if self.established is not None:
            self._read_header(self.established, message)
            return
        answer = self._handshake.receive(message)
        established = self._handshake.established
        if established and self._admit and not self._admit(established.remote_key):
            raise Unavailable(f"the key {established.remote_key.hex()} is not admitted")
        if answer:
            self._answers.append(_framed(answer))
        if established:
            self.established = established
            self._sealer = Sealer(established.send_key, self._header)
            own_id = stream_id(established.handshake_hash, initiator=self.initiator)
            self._answers.append(_framed(own_id + self._header))

    def _read_header(self, established: Established, message: bytes) -> None:
        expected = stream_id(established.handshake_hash, initiator=not self.initiator)
        if message[:32] != expected:
            raise Malformed("the header message names another stream")
        self._opener = Opener(established.receive_key, message[32:])
        self.ready = True


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(3, "little") + message
