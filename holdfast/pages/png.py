"""A drawing as PNG, with nothing but zlib: rectangles, and capitals of five by seven dots."""

import struct
import zlib

from holdfast.pages.plot import Drawing, Rectangle, Text

SCALE = 2
"""Dots a unit of the drawing, so that it is not blurred on a dense screen."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:%()/-+?'"
_PER_BAND = 12
_BANDS = (
    """
    .###. ####. .###. ####. ##### ##### .###. #...# .###. ..### #...# #....
    #...# #...# #...# #...# #.... #.... #...# #...# ..#.. ...#. #..#. #....
    #...# #...# #.... #...# #.... #.... #.... #...# ..#.. ...#. #.#.. #....
    ##### ####. #.... #...# ####. ####. #.### ##### ..#.. ...#. ##... #....
    #...# #...# #.... #...# #.... #.... #...# #...# ..#.. ...#. #.#.. #....
    #...# #...# #...# #...# #.... #.... #...# #...# ..#.. #..#. #..#. #....
    #...# ####. .###. ####. ##### #.... .###. #...# .###. .##.. #...# #####
    """,
    """
    #...# #...# .###. ####. .###. ####. .#### ##### #...# #...# #...# #...#
    ##.## ##..# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# #...#
    #.#.# ##..# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# .#.#.
    #.#.# #.#.# #...# ####. #...# ####. .###. ..#.. #...# #...# #.#.# ..#..
    #...# #..## #...# #.... #.#.# #.#.. ....# ..#.. #...# .#.#. #.#.# .#.#.
    #...# #..## #...# #.... #..#. #..#. ....# ..#.. #...# .#.#. ##.## #...#
    #...# #...# .###. #.... .##.# #...# ####. ..#.. .###. ..#.. #...# #...#
    """,
    """
    #...# ##### .###. ..#.. .###. ##### ...#. ##### ..##. ##### .###. .###.
    #...# ....# #..## .##.. #...# ....# ..##. #.... .#... ....# #...# #...#
    .#.#. ...#. #.#.# ..#.. ....# ...#. .#.#. ####. #.... ...#. #...# #...#
    ..#.. ..#.. #.#.# ..#.. ...#. ..##. #..#. ....# ####. ...#. .###. .####
    ..#.. .#... #.#.# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....#
    ..#.. #.... ##..# ..#.. .#... #...# ...#. #...# #...# ..#.. #...# ...#.
    ..#.. ##### .###. .###. ##### .###. ...#. .###. .###. ..#.. .###. .##..
    """,
    """
    ..... ..... ..... ##..# ...#. .#... ....# ..... ..... .###. ..#..
    ..... ..... ..#.. ##.#. ..#.. ..#.. ...#. ..... ..#.. #...# ..#..
    ..... ..... ..... ...#. ..#.. ..#.. ...#. ..... ..#.. ....# .....
    ..... ..... ..... ..#.. ..#.. ..#.. ..#.. ##### ##### ...#. .....
    ..... ..... ..... .#... ..#.. ..#.. .#... ..... ..#.. ..#.. .....
    ..... ..#.. ..#.. .#.## ..#.. ..#.. .#... ..... ..#.. ..... .....
    ..#.. .#... ..... #..## ...#. .#... #.... ..... ..... ..#.. .....
    """,
)


def _glyphs() -> dict[str, tuple[str, ...]]:
    rows = [[line.split() for line in band.split("\n") if line.strip()] for band in _BANDS]
    return {
        letter: tuple(row[place % _PER_BAND] for row in rows[place // _PER_BAND])
        for place, letter in enumerate(_LETTERS)
    }


GLYPHS = _glyphs()
WIDTH, HEIGHT = 5, 7


def encode_png(drawing: Drawing) -> bytes:
    """The drawing as the bytes of a PNG file; text in capitals, what is no letter left blank."""
    canvas = _Canvas(drawing.width * SCALE, drawing.height * SCALE)
    for shape in drawing.shapes:
        if isinstance(shape, Rectangle):
            canvas.fill(shape.x, shape.y, shape.width, shape.height, shape.colour)
        else:
            canvas.write(shape)
    return canvas.encode()


class _Canvas:
    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._rows = [bytearray(b"\xff" * 3 * width) for _ in range(height)]

    def fill(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Paint a rectangle given in the drawing's units."""
        left, right = (round(SCALE * each) for each in (x, x + width))
        top, bottom = (round(SCALE * each) for each in (y, y + height))
        self._paint(left, top, max(right - left, 1), max(bottom - top, 1), colour)

    def write(self, text: Text) -> None:
        """Write a line whose baseline starts or ends at the text's place."""
        size = max(1, round(SCALE * text.size / 10))
        letters = text.text.upper()
        width = len(letters) * (WIDTH + 1) * size
        left = round(SCALE * text.x) - (width if text.end else 0)
        top = round(SCALE * text.y) - HEIGHT * size
        for place, letter in enumerate(letters):
            start = left + place * (WIDTH + 1) * size
            for down, row in enumerate(GLYPHS.get(letter, ())):
                for right, dot in enumerate(row):
                    if dot == "#":
                        x, y = start + right * size, top + down * size
                        self._paint(x, y, size, size, text.colour)

    def _paint(self, left: int, top: int, width: int, height: int, colour: str) -> None:
        begin, end = max(left, 0), min(left + width, self._width)
        line = bytes.fromhex(colour[1:]) * max(end - begin, 0)
        for row in self._rows[max(top, 0) : max(top + height, 0)]:
            row[3 * begin : 3 * max(end, begin)] = line

    def encode(self) -> bytes:
        """Signature, header, one block of rows (each preceded by filter 0), end."""
        header = struct.pack(">IIBBBBB", self._width, self._height, 8, 2, 0, 0, 0)
        rows = b"".join(b"\0" + row for row in self._rows)
        parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in parts
        )
