"""Styled lines as plain text, as text for a terminal of 16 colours, and as an SVG picture."""

import io
from collections.abc import Iterable, Mapping, Sequence

from regtui.charts import STYLES as CHART_STYLES
from regtui.charts import TINTS, StyledLine

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

SVG_FORMAT = """<svg viewBox="0 0 {terminal_width} {terminal_height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
<rect width="{terminal_width}" height="{terminal_height}" fill="#10141a"/>
<g clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""The bare screen, without a window around it; fonts are those of the machine, nothing is fetched."""


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


def as_svg(lines: Sequence[StyledLine], width: int, title: str) -> str:
    """Draw lines as an SVG picture."""
    from rich.console import Console
    from rich.text import Text

    console = Console(
        record=True,
        width=width,
        height=max(len(lines), 1),
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
        emoji=False,
        markup=False,
        highlight=False,
    )
    for line in lines:
        text = Text(no_wrap=True, overflow="crop", end="\n")
        for span in line:
            style = STYLES.get(span.role, "")
            text.append(span.text, style=f"{style} {TINTS['dark']}".strip() if span.tinted else style)
        console.print(text)
    return console.export_svg(title=title, code_format=SVG_FORMAT, unique_id="regtui")
