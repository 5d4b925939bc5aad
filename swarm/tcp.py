"""Encrypted sockets over TCP, and dialling a peer.

    connection = await dial("example.org", 4001, key, expected_remote=their_key)

A peer that misbehaves, floods, falls silent or does not read is dropped with a `Drop` reason and a
log line, and no other connection notices. `swarm.server` listens.
"""

import asyncio
from collections.abc import Callable
from secrets import token_bytes

import structlog

from swarm.health import Health
from swarm.noise import Established
from swarm.peers import Drop, Limits
from swarm.seal import HEADER_BYTES
from swarm.secret_stream import SecretStream
from swarm.session import OnOpen, Spawn, TcpConnection
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.keys import KeyPair
from wire.zbase32 import encode

CLOSE_TIMEOUT_S = 5.0
"""For what was sent to leave on a clean close; then the connection is cut."""

_TELLING = frozenset(Drop) - {
    Drop.CLOSED_HERE,
    Drop.CLOSED_THERE,
    Drop.SUPERSEDED,
    Drop.CROWDED,
    Drop.CROWDED_ADDRESS,
    Drop.TOO_FAST,
}
"""Reasons worth a line in the log; the others are ordinary, or as many as a stranger likes."""

log = structlog.get_logger(__name__)


class EncryptedSocket(asyncio.BufferedProtocol):
    """One TCP socket with a secret stream on it; the `Line` of one `TcpConnection`.

    The event loop calls it as bytes come; it owns no task.
    """

    def __init__(
        self,
        key: KeyPair,
        limits: Limits,
        *,
        initiator: bool,
        admit: Callable[[bytes], bool],
        on_open: OnOpen | None,
        spawn: Spawn | None,
    ) -> None:
        self.peer = "?"
        self.initiator = initiator
        self.dropped: Drop | None = None
        self.connection = TcpConnection(self, limits, on_open=on_open, spawn=spawn)
        self._detail = ""
        self._limits = limits
        self._stream = SecretStream(
            key,
            initiator=initiator,
            ephemeral_seed=token_bytes(32),
            header=token_bytes(HEADER_BYTES),
            admit=admit,
            frame_bytes=limits.frame_bytes,
        )
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._established = asyncio.Event()
        self._lost = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._health = Health(limits, self._loop.time())
        self._wanted = True
        self._throttled = False
        self._reading = True
        self._timer: asyncio.TimerHandle | None = None

    @property
    def established(self) -> Established | None:
        """What the handshake yielded, once it has."""
        return self._stream.established

    async def wait_established(self) -> None:
        """Wait for the handshake; raises what ended the line if that came first."""
        await self._established.wait()
        if self.dropped:
            raise self.error()

    def write(self, plaintexts: list[bytes]) -> None:
        """Send frames; nothing happens once the line is over."""
        if self.dropped or self._transport is None or self.established is None:
            return
        self._transport.writelines([self._stream.seal(plaintext) for plaintext in plaintexts])
        self._health.sent(self._loop.time())
        if self._transport.get_write_buffer_size() > self._limits.send_limit_bytes:
            self.drop(Drop.STALLED, "too much waits to be sent")

    def set_wanted(self, wanted: bool) -> None:
        """Whether more frames are wanted at the moment."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._steer()

    @property
    def congested(self) -> bool:
        """Whether `drain` would wait."""
        return not self._writable.is_set()

    async def drain(self) -> None:
        """Wait until the socket takes more; `Unavailable` once it never will."""
        if not self._writable.is_set():
            await self._writable.wait()
        if self.dropped:
            raise self.error()

    def drop(self, reason: Drop, detail: str = "") -> None:
        """Cut the line and say why; the first reason stays."""
        if self.dropped:
            return
        self._stop(reason, detail)
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Let what was written leave, then close; closing twice is harmless."""
        self._stop(Drop.CLOSED_HERE, "")
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._lost.wait()
        except TimeoutError:
            self._transport.abort()
            await self._lost.wait()

    def error(self) -> HoldfastError:
        """What ended the line, to be raised to who used it."""
        reason = f"{self.peer}: {self.dropped}{self._detail and f' ({self._detail})'}"
        return Malformed(reason) if self.dropped is Drop.MALFORMED else Unavailable(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected; a refused arrival is already dropped."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass
        assert self._transport is not None
        host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
        self.peer = f"{host}:{port}"
        self.arrived(host)
        if self.dropped:
            return
        self._transport.set_write_buffer_limits(high=self._limits.send_buffer_bytes)
        first = self._stream.start()
        if first:
            self._transport.write(first)
        timeout_s = self._limits.handshake_timeout_s
        self._timer = self._loop.call_later(timeout_s, self.drop, Drop.HANDSHAKE_TIMEOUT)

    def arrived(self, host: str) -> None:
        """Called with the peer's address before anything is exchanged; may drop."""

    def proved(self) -> None:
        """Called once the peer's key is proven and admitted; may drop."""

    def left(self) -> None:
        """Called once, when the socket is closed."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the event loop puts what it reads."""
        return self._stream.writable()

    def buffer_updated(self, nbytes: int) -> None:
        """The event loop has read so many bytes."""
        if self.dropped:
            return
        try:
            was_ready = self._stream.ready
            frames = self._stream.wrote(nbytes)
            if not was_ready:
                self._continue_handshake()
            self._receive(frames, nbytes)
        except Malformed as error:
            self.drop(Drop.MALFORMED, str(error))
        except Unavailable as error:
            self.drop(Drop.NOT_ADMITTED, str(error))

    def eof_received(self) -> None:
        """The peer sends no more: both directions end."""
        self._stop(Drop.CLOSED_THERE, "")

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is closed."""
        self._stop(Drop.CLOSED_THERE, str(error or ""))
        self._lost.set()
        self.left()

    def pause_writing(self) -> None:
        """The send buffer is over its high-water mark."""
        self._writable.clear()
        self._health.stalled(self._loop.time())

    def resume_writing(self) -> None:
        """The send buffer is below its low-water mark."""
        self._writable.set()
        self._health.flowing()

    def _continue_handshake(self) -> None:
        assert self._transport is not None
        answers = self._stream.take_answers()
        if answers:
            self._transport.write(b"".join(answers))
        established = self._stream.established
        if established and not self._established.is_set():
            self.peer = f"{self.peer} ({encode(established.remote_key)[:8]})"
            self._established.set()
            self.proved()
        if self._stream.ready and not self.dropped:
            if self._timer is not None:
                self._timer.cancel()
            self._health = Health(self._limits, self._loop.time())
            self._timer = self._loop.call_later(self._limits.keepalive_s, self._tick)

    def _receive(self, frames: list[bytes], nbytes: int) -> None:
        now_s = self._loop.time()
        self._health.heard(nbytes, len(frames), now_s)
        if not frames or self.dropped:
            return
        load = self.connection.receive(frames)
        wait_s = self._health.spend(load.messages, load.opens, now_s)
        if wait_s > 0 and not self._throttled:
            self._throttled = True
            self._loop.call_later(wait_s, self._release)
            self._steer()

    def _release(self) -> None:
        self._throttled = False
        self._steer()

    def _steer(self) -> None:
        reading = self._wanted and not self._throttled
        if reading == self._reading or self.dropped or self._transport is None:
            return
        self._reading = reading
        if reading:
            self._health.resumed(self._loop.time())
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _tick(self) -> None:
        now_s = self._loop.time()
        checkup = self._health.check(reading=self._reading, now_s=now_s)
        if checkup.drop is not None:
            self.drop(checkup.drop)
            return
        if checkup.keepalive:
            self.write([b""])
        self._timer = self._loop.call_later(checkup.again_s, self._tick)

    def _stop(self, reason: Drop, detail: str) -> None:
        """No bytes in or out from here on; wake everybody who waits."""
        if self.dropped:
            return
        self.dropped, self._detail = reason, detail
        level = log.info if reason in _TELLING else log.debug
        level("connection ended", peer=self.peer, reason=reason.value, detail=detail)
        if self._timer is not None:
            self._timer.cancel()
        self._established.set()
        self._writable.set()
        self.connection.end()


async def dial(
    host: str,
    port: int,
    key: KeyPair,
    *,
    expected_remote: bytes | None = None,
    on_open: OnOpen | None = None,
    spawn: Spawn | None = None,
    limits: Limits | None = None,
) -> TcpConnection:
    """Connect to a peer and prove both keys; the caller closes the connection.

    With `expected_remote`, any other key is refused before ours is shown. `on_open` needs `spawn`
    (as `TaskGroup.create_task`), which runs what it returns; without it, what the peer opens and we
    do not is soon rejected.
    Raises `Unavailable`, or `Malformed` if the other side is no such peer at all.
    """
    limits = limits or Limits()
    socket = EncryptedSocket(
        key,
        limits,
        initiator=True,
        admit=lambda remote: expected_remote in (None, remote),
        on_open=on_open,
        spawn=spawn,
    )
    try:
        async with asyncio.timeout(limits.handshake_timeout_s):
            await asyncio.get_running_loop().create_connection(lambda: socket, host, port)
            await socket.wait_established()
    except TimeoutError as error:
        socket.drop(Drop.HANDSHAKE_TIMEOUT)
        raise Unavailable(f"{host}:{port} did not answer in time") from error
    except OSError as error:
        raise Unavailable(f"cannot reach {host}:{port}: {error.strerror or error}") from error
    except ValueError as error:
        # What no name can be: strangers choose the hosts that they are to be dialled at.
        socket.drop(Drop.CLOSED_HERE)
        raise Unavailable(f"{host!r} is no host: {error}") from error
    except BaseException:
        socket.drop(Drop.CLOSED_HERE)
        raise
    return socket.connection
