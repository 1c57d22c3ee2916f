"""This run beside the one before it. Pure functions of both."""

from collections.abc import Mapping

from regtui.analysis.comparison import asked_differently, compared
from regtui.charts import Span, StyledLine
from regtui.core.history import History
from regtui.tui.canvas import clip, span, width_of, wrapped

SHORTER: Mapping[str, str] = {"best validation loss": "best", "final gap": "gap"}
"""Name of a compared number -> the same in few cells."""


def comparison_lines(history: History, ghost: History, width: int) -> list[StyledLine]:
    """Put this run beside the one before it: two columns of the numbers that a remedy changes, then what differs."""
    columns = [span(f"{'this run':>10}", "valid"), span(f"{'previous':>10}", "ghost")]
    lines: list[StyledLine] = [(span(f" {'':<12}"), *columns)]
    lines += [
        (span(f" {SHORTER.get(name, name):<12}", "muted"), span(_cell(ours), "strong"), span(_cell(theirs)))
        for name, ours, theirs in compared(history, ghost)
    ]
    return lines + wrapped(asked_differently(history, ghost), width)


def _cell(text: str) -> str:
    """Set a compared number to the right of its column; a place that fills it is written without its unit."""
    return f"{text if len(text) < 10 else text.removeprefix('epoch ').removeprefix('step '):>10}"


def comparison_rows(history: History, ghost: History, width: int) -> list[StyledLine]:
    """Put the same on as few rows as it takes, for a narrow screen: the numbers of the run before in brackets."""
    pieces: list[list[Span]] = []
    for name, ours, theirs in compared(history, ghost):
        title = {"at": "at ", "time": ""}.get(name, f"{SHORTER.get(name, name)} ")
        here, there = (text.removeprefix("epoch ") for text in (ours, theirs))
        pieces.append([span(f"  {title}", "muted"), span(here, "strong"), span(f" ({there})", "ghost")])
    asked = f"  {asked_differently(history, ghost)}"
    # On one row where it fits, else without a gap: rows are few.
    pieces += [[span(asked)]] if len(asked) <= width else [[span(f" {word}")] for word in asked[1:].split(" ")]
    rows: list[list[Span]] = [[span(" (previous)", "ghost")]]
    for piece in pieces:
        if width_of(rows[-1]) + width_of(piece) > width:
            rows.append([])
        rows[-1] += piece
    return [clip(row, width) for row in rows]
