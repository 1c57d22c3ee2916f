"""Styled lines as an SVG picture that looks the same everywhere: nothing is fetched, and curves need no font.

Letters stand on a grid of cells; braille, of which curves are made, is drawn as the dots that it means, since most
monospaced fonts have no braille and borrow it in another width.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from regtui.charts import StyledLine
from regtui.report.paint import ATTRIBUTES, STYLES, cells

CELL = (10, 20)
"""Width and height of a cell, in units of the picture; letters of 16.6 units are 10 wide in DejaVu and Menlo."""

BASELINE = 15
"""How far below a cell's top its letters stand."""

MARGIN = 10
"""Ground around the cells, on each side."""

GROUND, TEXT, TINT = "#11151c", "#c9d1d9", "#2c1f27"
"""The screen, plain text on it, and the ground of the region that overfits."""

COLOURS: Mapping[str, str] = {
    "black": "#11151c", "red": "#e5534b", "green": "#57ab5a", "yellow": "#c69026", "blue": "#4c86d6",
    "magenta": "#a673d9", "cyan": "#39a6b3", "white": "#c9d1d9", "bright_black": "#6e7681", "bright_red": "#ff7b72",
    "bright_green": "#7ee787", "bright_yellow": "#f2cc60", "bright_blue": "#79b8ff", "bright_magenta": "#d2a8ff",
    "bright_cyan": "#76e3ea", "bright_white": "#ffffff",
}  # fmt: skip
"""The 16 colours of a dark terminal, each but black at least 3.9 to 1 against the ground."""

DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each dot of a braille sign, by the bits of its code."""

DOT = 3
"""Side of a dot; a cell is 2 by 4 of them, 5 units apart."""

WORDS = re.compile("[^\\s\u2800-\u28ff]+(?: [^\\s\u2800-\u28ff]+)*")
"""Text whose blanks no viewer can lose: single ones, inside."""


def as_svg(lines: Sequence[StyledLine], width: int, title: str) -> str:
    """Draw lines as a picture of `width` cells."""
    grounds: list[str] = []
    texts: dict[str, list[str]] = defaultdict(list)
    dots: dict[str, list[str]] = defaultdict(list)
    wide, high = CELL
    for row, line in enumerate(lines):
        column = 0
        for span in line:
            style, top = STYLES.get(span.role, ""), row * high
            if span.tinted:
                grounds.append(f"M{column * wide} {top}h{cells(span.text) * wide}v{high}h-{cells(span.text) * wide}z")
            for found in WORDS.finditer(span.text):
                left = (column + cells(span.text[: found.start()])) * wide
                place = f'x="{left}" y="{top + BASELINE}" textLength="{cells(found[0]) * wide}"'
                texts[style].append(f"<text {place}>{escape(found[0])}</text>")
            dots[style] += _dots(span.text, column * wide, top)
            column += cells(span.text)
    tint = "".join(grounds)
    frame = (-MARGIN, -MARGIN, width * wide + 2 * MARGIN, max(len(lines), 1) * high + 2 * MARGIN)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="{} {} {} {}">'.format(*frame),
        f"<title>{escape(title)}</title>",
        '<rect x="{}" y="{}" width="{}" height="{}" fill="{ground}"/>'.format(*frame, ground=GROUND),
        f'<path fill="{TINT}" d="{tint}"/>' if tint else "",
        '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="16.6">',
    ]
    parts += [f"<g {_look(style)}>" + "".join(found) + "</g>" for style, found in texts.items()]
    parts.append("</g>")
    parts += [f'<path {_look(style)} d="' + "".join(found) + '"/>' for style, found in dots.items() if found]
    return "\n".join([*(part for part in parts if part), "</svg>\n"])


def _dots(text: str, left: int, top: int) -> Iterator[str]:
    """Give a square for each dot of the braille in a text."""
    wide, high = CELL
    for at, sign in enumerate(text):
        bits = ord(sign) - 0x2800
        if 0 < bits < 256:
            for bit, (across, down) in enumerate(DOTS):
                if bits >> bit & 1:
                    x, y = left + (at * 2 + across) * wide // 2 + 1, top + down * high // 4 + 1
                    yield f"M{x} {y}h{DOT}v{DOT}h-{DOT}z"


def _look(style: str) -> str:
    """Write a style such as `bold bright_yellow` as attributes."""
    words = style.split()
    colour = next((COLOURS[word] for word in words if word not in ATTRIBUTES), TEXT)
    weight = ' font-weight="bold"' if "bold" in words else ""
    slant = ' font-style="italic"' if "italic" in words else ""
    return f'fill="{colour}"{weight}{slant}'
