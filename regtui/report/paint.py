"""Styled lines as plain text, and as text for a terminal of 16 colours."""

import unicodedata
from collections.abc import Iterable, Mapping

from regtui.charts import STYLES as CHART_STYLES
from regtui.charts import StyledLine

STYLES: Mapping[str, str] = {
    **CHART_STYLES,
    "heading": "bold",
    "state-overfitting": "bold bright_red",
    "state-diverged": "bold bright_red",
    "state-underfitting": "bold bright_yellow",
    "state-fitting": "bold bright_green",
    "state-recovered": "bold bright_green",
    "state-warming_up": "bold",
    "warning": "bright_yellow",
    "text": "",
}
"""Role -> style, of the charts and of the report around them."""

COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
ATTRIBUTES = {"bold": 1, "dim": 2, "italic": 3, "underline": 4}
RESET = "\x1b[0m"


def codes(style: str) -> str:
    """Give the numbers of a style's escape sequence, such as `1;93` for `bold bright_yellow`."""
    numbers = []
    for word in style.split():
        if word in ATTRIBUTES:
            numbers.append(ATTRIBUTES[word])
        else:
            numbers.append((90 if word.startswith("bright_") else 30) + COLOURS.index(word.removeprefix("bright_")))
    return ";".join(str(number) for number in numbers)


def as_text(lines: Iterable[StyledLine], *, colour: bool) -> str:
    """Write lines as text; with `colour` for a terminal, without it free of any escape sequence."""
    if not colour:
        return "\n".join("".join(span.text for span in line).rstrip() for line in lines)
    return "\n".join("".join(_coloured(span.text, STYLES.get(span.role, "")) for span in line) for line in lines)


def _coloured(text: str, style: str) -> str:
    return f"\x1b[{codes(style)}m{text}{RESET}" if style and text else text


def cells(text: str) -> int:
    """Count the cells a text takes on a terminal; signs of East Asian scripts take two."""
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)
