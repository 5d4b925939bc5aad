"""The binary encoding, against npm compact-encoding."""

import pytest

from wire.compact import MAX_UINT, Reader, put_buffer, put_string, put_uint
from wire.errors import Malformed


def _uint_array(reader):
    return [reader.uint() for _ in range(reader.count())]


READ = {
    "uint": lambda reader: reader.uint(),
    "buffer": lambda reader: reader.buffer().hex(),
    "optionalBuffer": lambda reader: reader.buffer().hex() or None,
    "raw": lambda reader: reader.rest().hex(),
    "string": lambda reader: reader.string(),
    "bool": lambda reader: reader.uint() == 1,
    "fixed32": lambda reader: reader.fixed(32).hex(),
    "fixed64": lambda reader: reader.fixed(64).hex(),
    "array(uint)": _uint_array,
    "array(fixed32)": lambda reader: [reader.fixed(32).hex() for _ in range(reader.count())],
    "uint32array": lambda reader: [
        int.from_bytes(reader.fixed(4), "little") for _ in range(reader.uint())
    ],
}


def _put_array(out, values):
    put_uint(out, len(values))
    for value in values:
        put_uint(out, value)


WRITE = {
    "uint": put_uint,
    "bool": put_uint,
    "buffer": lambda out, value: put_buffer(out, bytes.fromhex(value)),
    "optionalBuffer": lambda out, value: put_buffer(out, bytes.fromhex(value or "")),
    "string": put_string,
    "array(uint)": _put_array,
}


def test_values_are_read_as_by_node(vectors):
    file = vectors("compact-encoding")
    for row in file["rows"] + file["decodeOnly"]:
        if row["enc"] in READ:
            reader = Reader(bytes.fromhex(row["hex"]))
            assert READ[row["enc"]](reader) == row["value"], row
            assert reader.left == 0


def test_values_are_written_as_by_node(vectors):
    for row in vectors("compact-encoding")["rows"]:
        if row["enc"] in WRITE:
            out = bytearray()
            WRITE[row["enc"]](out, row["value"])
            assert out.hex() == row["hex"], row


def test_what_node_refuses_is_malformed(vectors):
    for row in vectors("compact-encoding")["errors"]:
        if row["enc"] in READ and row["error"]:
            with pytest.raises(Malformed):
                READ[row["enc"]](Reader(bytes.fromhex(row["hex"])))


@pytest.mark.parametrize("value", [0, 0xFC, 0xFD, 0xFFFF, 0x10000, 2**32 - 1, 2**32, MAX_UINT])
def test_a_uint_is_read_back_and_no_prefix_of_it_is(value):
    out = bytearray()
    put_uint(out, value)
    assert Reader(bytes(out)).uint() == value
    for end in range(len(out)):
        with pytest.raises(Malformed):
            Reader(bytes(out[:end])).uint()


def test_a_reader_stays_within_its_bounds():
    reader = Reader(b"\x05\x01\x02\x03", position=1, end=3)
    assert (reader.left, reader.uint(), reader.rest(), reader.left) == (2, 1, b"\x02", 0)
    with pytest.raises(Malformed):
        reader.uint()


def test_a_string_that_is_not_utf_8_is_malformed():
    with pytest.raises(Malformed):
        Reader(b"\x01\xff").string()
