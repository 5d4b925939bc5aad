"""Hypercore's binary encoding (npm compact-encoding 3), the only place that knows it.

    uint     n <= 0xfc: 1 byte | fd + 2 bytes | fe + 4 bytes | ff + 8 bytes, little-endian
    fixed    raw bytes of a known length
    buffer   uint length, bytes
    string   uint byte length, UTF-8
    array    uint count, then the elements

Written forms are the shortest; longer forms are accepted on reading, as Node does, so
messages must never be compared by their raw bytes. Source: WIRE.md section 1.
"""

from wire.errors import Malformed

MAX_UINT = 2**53 - 1
"""JavaScript's largest exact integer; npm compact-encoding refuses more on reading."""

MAX_ARRAY = 0x100000
"""The most elements npm compact-encoding accepts in one array."""


def put_uint(out: bytearray, value: int) -> None:
    """Append `value` in its shortest form; it must lie in 0..2^53-1."""
    if 0 <= value <= 0xFC:
        out.append(value)
    elif 0xFC < value <= 0xFFFF:
        out.append(0xFD)
        out += value.to_bytes(2, "little")
    elif 0xFFFF < value <= 0xFFFFFFFF:
        out.append(0xFE)
        out += value.to_bytes(4, "little")
    else:
        assert 0 <= value <= MAX_UINT, f"{value} does not fit a compact uint"
        out.append(0xFF)
        out += value.to_bytes(8, "little")


def put_buffer(out: bytearray, value: bytes) -> None:
    """Append a length-prefixed buffer."""
    put_uint(out, len(value))
    out += value


def put_string(out: bytearray, value: str) -> None:
    """Append a length-prefixed UTF-8 string."""
    put_buffer(out, value.encode())


class Reader:
    """Reads values off the front of a message; every method raises `Malformed` at its end."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    def uint(self) -> int:
        """An unsigned integer in any of its four widths."""
        position = self.position
        if position >= self.end:
            raise Malformed("message ends inside a uint")
        first = self.data[position]
        if first <= 0xFC:
            self.position = position + 1
            return first
        width = 2 if first == 0xFD else 4 if first == 0xFE else 8
        stop = position + 1 + width
        if stop > self.end:
            raise Malformed("message ends inside a uint")
        value = int.from_bytes(self.data[position + 1 : stop], "little")
        if value > MAX_UINT:
            raise Malformed(f"uint {value} is above 2^53-1")
        self.position = stop
        return value

    def fixed(self, length: int) -> bytes:
        """Exactly `length` raw bytes."""
        stop = self.position + length
        if stop > self.end:
            raise Malformed(f"message ends inside {length} fixed bytes")
        value = self.data[self.position : stop]
        self.position = stop
        return value

    def buffer(self) -> bytes:
        """A length-prefixed buffer."""
        return self.fixed(self.uint())

    def string(self) -> str:
        """A length-prefixed UTF-8 string."""
        try:
            return self.buffer().decode()
        except UnicodeDecodeError as error:
            raise Malformed("string is not UTF-8") from error

    def count(self) -> int:
        """The number of elements of the array that follows."""
        value = self.uint()
        if value > MAX_ARRAY:
            raise Malformed(f"array of {value} elements is above the limit of {MAX_ARRAY}")
        return value

    def rest(self) -> bytes:
        """All bytes up to the end of the message."""
        value = self.data[self.position : self.end]
        self.position = self.end
        return value

    @property
    def left(self) -> int:
        """How many bytes are still unread."""
        return self.end - self.position
