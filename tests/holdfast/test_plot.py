"""Pictures of results: well-formed SVG, and PNG that says what its drawing says."""

import struct
import zlib
from xml.etree import ElementTree

import pytest

from holdfast.pages.plot import BAD, GOOD, Drawing, Rectangle, Text, draw, encode_svg
from holdfast.pages.png import GLYPHS, HEIGHT, SCALE, WIDTH, encode_png
from holdfast.simulation.result import Bar, Result

RESULT = Result(
    title="A title with <signs> & more",
    question="share of runs",
    bars=(Bar("the attack", 90, 100, 0.5), Bar("the defence", 51, 100, 0.5)),
    document={},
)


def pixels(data: bytes) -> list[list[tuple[int, int, int]]]:
    """The rows of a PNG as we write them: one block of data, eight bits, no filters."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, place = {}, 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        assert checksum == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert form == [8, 2, 0, 0, 0]
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == height * (1 + 3 * width)
    lines = [rows[1 + y * (1 + 3 * width) :][: 3 * width] for y in range(height)]
    return [[(*line[x : x + 3],) for x in range(0, 3 * width, 3)] for line in lines]  # type: ignore[misc]


def test_a_bar_is_as_long_as_its_share_and_tells_success_by_its_colour() -> None:
    bars = [
        shape
        for shape in draw(RESULT).shapes
        if isinstance(shape, Rectangle) and shape.colour in (BAD, GOOD)
    ]
    assert [bar.colour for bar in bars] == [BAD, GOOD]
    assert bars[0].width / bars[1].width == pytest.approx(90 / 51)


def test_the_svg_is_well_formed_and_escapes_what_it_says() -> None:
    root = ElementTree.fromstring(encode_svg(draw(RESULT)))
    said = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert RESULT.title in said and "90 of 100" in said


def test_a_rectangle_and_a_letter_are_painted_where_they_stand() -> None:
    drawing = Drawing(
        40, 20, (Rectangle(30, 10, 5, 5, "#ff0000"), Text(0, HEIGHT, 10, "i", "#0000ff"))
    )
    rows = pixels(encode_png(drawing))
    assert len(rows) == 20 * SCALE and len(rows[0]) == 40 * SCALE
    red = {(x, y) for y, row in enumerate(rows) for x, dot in enumerate(row) if dot == (255, 0, 0)}
    assert red == {(x, y) for x in range(60, 70) for y in range(20, 30)}
    blue = {(x, y) for y, row in enumerate(rows) for x, dot in enumerate(row) if dot == (0, 0, 255)}
    dots = {(x, y) for y, row in enumerate(GLYPHS["I"]) for x, dot in enumerate(row) if dot == "#"}
    assert {(x // SCALE, y // SCALE) for x, y in blue} == dots


def test_every_letter_is_drawn_whole_and_unlike_the_others() -> None:
    assert len(set(GLYPHS.values())) == len(GLYPHS)
    for rows in GLYPHS.values():
        assert len(rows) == HEIGHT and {len(row) for row in rows} == {WIDTH}


def test_what_a_result_says_can_be_written() -> None:
    for module in ("rushing", "abort", "copying"):
        source = __import__(f"holdfast.simulation.{module}", fromlist=["run"])
        result = source.run(1, 1, lambda *_: None)
        for shape in draw(result).shapes:
            if isinstance(shape, Text):
                assert not set(shape.text.upper()) - {" "} - GLYPHS.keys(), shape.text
        pixels(encode_png(draw(result)))
