"""Both ends of a session that two real npm protomux ends held, byte for byte."""

from collections.abc import Callable
from typing import Any

from swarm.protomux import Closed, Event, Messages, Opened, Protomux, Wanted
from wire.compact import Reader, put_buffer

Frames = list[dict[str, str]]


def buffer(value: bytes) -> bytes:
    """The recorder's encoding of handshakes and messages."""
    out = bytearray()
    put_buffer(out, value)
    return bytes(out)


class End:
    """One end, its events as the recording lists them, and the frames it sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mux = Protomux()
        self.protocols: dict[int, str] = {}
        self.tickets: list[int] = []
        self.log: list[dict[str, Any]] = []

    def open(self, protocol: str, id: bytes, handshake: bytes) -> int:
        number, events = self.mux.open(protocol, id, buffer(handshake))
        self.protocols[number] = protocol
        self.note(events)
        return number

    def send(self, *messages: tuple[int, dict[str, Any]]) -> None:
        for number, event in messages:
            self.mux.send(number, event["type"], buffer(bytes.fromhex(event["value"])))

    def reject(self) -> None:
        self.mux.reject(self.tickets.pop())

    def note(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Wanted(ticket):
                    self.tickets.append(ticket)
                case Opened(number, handshake):
                    self.add(number, event="open", handshake=Reader(handshake).buffer().hex())
                case Closed(number):
                    self.add(number, event="close", remote=True)
                case Messages(number, messages):
                    for kind, payload in messages:
                        value = Reader(payload).buffer().hex()
                        self.add(number, event="message", type=kind, value=value)

    def add(self, number: int, **entry: object) -> None:
        self.log.append({"at": self.name, "protocol": self.protocols[number], **entry})


def carry(sender: End, receiver: End, *, batch: bool = False) -> Frames:
    """Send what is queued; the frames as the recording lists them."""
    frames = sender.mux.flush(batch=batch)
    for frame in frames:
        receiver.note(receiver.mux.receive(frame))
    return [{"from": sender.name, "hex": frame.hex()} for frame in frames]


def id_in(step: dict[str, Any]) -> bytes:
    """The channel id of the step's first open."""
    reader = Reader(bytes.fromhex(step["frames"][0]["hex"]), 3)
    reader.string()
    return reader.buffer()


def test_a_recorded_session_is_reproduced_byte_for_byte(
    vectors: Callable[[str], Any],
) -> None:
    steps = vectors("protomux")["steps"]
    a, b = End("a"), End("b")

    def check(frames: Frames) -> None:
        step = steps[done]
        remote = [event for event in step["events"] if event.get("remote") is not False]
        assert frames == step["frames"]
        assert sorted(a.log + b.log, key=str) == sorted(remote, key=str)
        a.log, b.log = [], []

    def shake(at: str) -> bytes:
        """The handshake that the other end receives from `at`."""
        found = [e for e in steps[done]["events"] if e["event"] == "open" and e["at"] != at]
        return bytes.fromhex(found[0]["handshake"])

    done = 0
    a.open("proto/one", id_in(steps[0]), shake("a"))
    frames = carry(a, b)
    b.open("proto/one", id_in(steps[0]), shake("b"))
    check(frames + carry(b, a))

    done = 1
    frames = []
    for event in steps[1]["events"]:
        a.send((1, event))
        frames += carry(a, b)
    check(frames)

    done = 2
    b.send((1, steps[2]["events"][0]))
    check(carry(b, a))

    done = 3
    a.open("proto/two", b"", shake("a"))
    b.open("proto/two", b"", shake("b"))
    check(carry(b, a) + carry(a, b))

    done = 4
    numbers = {"proto/one": 1, "proto/two": 2}
    a.send(*((numbers[event["protocol"]], event) for event in steps[4]["events"]))
    check(carry(a, b, batch=True))

    done = 5
    a.send((1, steps[5]["events"][0]))
    check(carry(a, b, batch=True))

    done = 6
    a.open("proto/unknown", b"", b"hi")
    frames = carry(a, b)
    b.reject()
    check(frames + carry(b, a))

    done = 7
    a.mux.send(a.open("proto/three", b"", b"q"), 0, buffer(b"early"))
    frames = carry(a, b, batch=True)
    b.reject()
    check(frames + carry(b, a, batch=True))

    done = 8
    a.mux.send(a.open("proto/four", b"", b"q"), 1, buffer(b"early"))
    frames = carry(a, b, batch=True)
    b.open("proto/four", b"", b"r")
    check(frames + carry(b, a, batch=True))

    done = 9
    a.mux.close(2)
    check(carry(a, b))

    done = 10
    a.open("proto/one", id_in(steps[10]), shake("a"))
    frames = carry(a, b)
    b.open("proto/one", id_in(steps[10]), shake("b"))
    check(frames + carry(b, a))
