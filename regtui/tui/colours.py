"""What is shown on a terminal of 256 or 16 colours: for each colour the nearest that it has, near as the eye sees it.

Rich rounds each of red, green and blue by itself, which makes pink of a warm white and teal of a dark grey.
"""

import math
from collections.abc import Mapping

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.color import Color as TrueColor
from textual.filter import LineFilter

Rgb = tuple[int, int, int]
Lab = tuple[float, float, float]

_STEPS = (0, 95, 135, 175, 215, 255)

CUBE_AND_GREYS: Mapping[int, Rgb] = {
    **{
        16 + 36 * r + 6 * g + b: (_STEPS[r], _STEPS[g], _STEPS[b]) for r in range(6) for g in range(6) for b in range(6)
    },
    **{232 + at: (8 + 10 * at,) * 3 for at in range(24)},
}
"""Colours 16 to 255, which every terminal of 256 shows alike; the first 16 are its owner's."""

SIXTEEN: Mapping[int, Rgb] = dict(enumerate([
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255),
    (255, 255, 255),
]))  # fmt: skip
"""xterm's; other terminals have others, but the same names."""

PALETTES: Mapping[str, Mapping[int, Rgb]] = {"256": CUBE_AND_GREYS, "standard": SIXTEEN}
"""Rich's name of a colour system -> the colours it has."""


class FewerColours(LineFilter):
    """Show each colour as the nearest of a palette."""

    def __init__(self, palette: Mapping[int, Rgb]) -> None:
        super().__init__()
        self._palette = {number: lab(colour) for number, colour in palette.items()}
        self._numbers: dict[Rgb, Color] = {}
        self._styles: dict[Style, Style] = {}

    def apply(self, segments: list[Segment], background: TrueColor) -> list[Segment]:  # noqa: ARG002 # Textual's
        return [Segment(text, self._style(style) if style else None, control) for text, style, control in segments]

    def _style(self, style: Style) -> Style:
        found = self._styles.get(style)
        if found is None:
            found = style + Style(color=self._colour(style.color), bgcolor=self._colour(style.bgcolor))
            self._styles[style] = found
        return found

    def _colour(self, colour: Color | None) -> Color | None:
        if colour is None or colour.triplet is None:
            return colour
        wanted = (colour.triplet.red, colour.triplet.green, colour.triplet.blue)
        if wanted not in self._numbers:
            self._numbers[wanted] = Color.from_ansi(self.nearest(wanted))
        return self._numbers[wanted]

    def nearest(self, colour: Rgb) -> int:
        """Find the number of the colour that looks most like this one; a grey does not become a tint for it."""
        wanted = lab(colour)
        return min(self._palette, key=lambda number: _difference(wanted, self._palette[number]))


def _difference(wanted: Lab, found: Lab) -> float:
    """Measure in CIE76, with colour that was not asked for counted twice: on a large ground it is seen first."""
    lightness, green, blue = (a - b for a, b in zip(wanted, found, strict=True))
    more = max(_chroma(found) - _chroma(wanted), 0.0)
    return math.hypot(lightness, green, blue, more)


def _chroma(colour: Lab) -> float:
    return math.hypot(colour[1], colour[2])


def lab(colour: Rgb) -> Lab:
    """Give a colour of sRGB in CIELAB under daylight (D65): lightness 0 to 100, green to red, blue to yellow."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (each / 255 for each in colour)
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.0889
    fx, fy, fz = (each ** (1 / 3) if each > 0.008856 else 7.787 * each + 16 / 116 for each in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
