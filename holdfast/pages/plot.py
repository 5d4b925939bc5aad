"""Bars as a small picture: rectangles and lines of text, as SVG here and as PNG in `png.py`."""

from dataclasses import dataclass
from html import escape

from holdfast.simulation.result import Bar, Result

WIDTH = 720
MARGIN = 20
LABEL_WIDTH = 210
NUMBER_WIDTH = 90
BAR_HEIGHT = 18
ROW_HEIGHT = 30
TOP = 78

LONG_TITLE = 70
"""Letters of the large size that fit."""

INK, FAINT, GRID = "#1f2328", "#656d76", "#d0d7de"
BAD, GOOD = "#cf222e", "#1a7f37"
ATTACKED = 0.05
"""A bar that is more than this and its own error above luck is drawn as a success of the attack."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A filled rectangle; x and y are of its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Text:
    """One line; x and y are where its baseline starts, or where it ends."""

    x: float
    y: float
    size: int
    text: str
    colour: str = INK
    end: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on white, the later ones above the earlier ones."""

    width: int
    height: int
    shapes: tuple[Rectangle | Text, ...]


def draw(result: Result) -> Drawing:
    """A horizontal bar for each rule, from 0 to 100 %, and a tick where luck alone would end."""
    left, scale = MARGIN + LABEL_WIDTH, WIDTH - 2 * MARGIN - LABEL_WIDTH - NUMBER_WIDTH
    bottom = TOP + ROW_HEIGHT * len(result.bars)
    shapes: list[Rectangle | Text] = [
        Text(MARGIN, 30, 16 if len(result.title) <= LONG_TITLE else 12, result.title),
        Text(MARGIN, 50, 12, result.question, FAINT),
    ]
    for percent in range(0, 101, 25):
        x = left + scale * percent / 100
        shapes.append(Rectangle(x, TOP - 8, 1, bottom - TOP + 8, GRID))
        shapes.append(Text(x - 8, bottom + 16, 11, f"{percent} %", FAINT))
    for place, bar in enumerate(result.bars):
        shapes += _row(bar, TOP + ROW_HEIGHT * place, left, scale)
    shapes.append(Text(MARGIN, bottom + 36, 11, f"black tick: {result.tick}", FAINT))
    return Drawing(WIDTH, bottom + 50, tuple(shapes))


def _row(bar: Bar, y: float, left: float, scale: float) -> list[Rectangle | Text]:
    baseline = y + BAR_HEIGHT - 5
    colour = BAD if bar.bias > ATTACKED + bar.error else GOOD
    return [
        Text(left - 8, baseline, 12, bar.label, end=True),
        Rectangle(left, y, max(scale * min(bar.share, 1.0), 1), BAR_HEIGHT, colour),
        Rectangle(left + scale * bar.chance, y - 3, 2, BAR_HEIGHT + 6, INK),
        Text(WIDTH - MARGIN, baseline, 12, f"{bar.hits} of {bar.runs}", end=True),
    ]


def encode_svg(drawing: Drawing) -> str:
    """The drawing as the text of an SVG file."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{drawing.width}" '
        f'height="{drawing.height}" viewBox="0 0 {drawing.width} {drawing.height}" '
        f'font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{drawing.width}" height="{drawing.height}" fill="#ffffff"/>',
    ]
    for shape in drawing.shapes:
        if isinstance(shape, Rectangle):
            lines.append(
                f'<rect x="{shape.x:g}" y="{shape.y:g}" width="{shape.width:g}" '
                f'height="{shape.height:g}" fill="{shape.colour}"/>'
            )
        else:
            anchor = ' text-anchor="end"' if shape.end else ""
            lines.append(
                f'<text x="{shape.x:g}" y="{shape.y:g}" font-size="{shape.size}" '
                f'fill="{shape.colour}"{anchor}>{escape(shape.text)}</text>'
            )
    return "\n".join([*lines, "</svg>"]) + "\n"
