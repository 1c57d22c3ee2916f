"""How large a screen may be said to be: COLUMNS, LINES and a terminal's own answer are text from outside, too."""

MOST_CELLS = 1000
"""Columns or lines; no screen has more, and a slip such as 80x2400 would draw for minutes."""

UNSAID = (80, 24)
"""Columns and lines of a terminal that does not know its size, as one made by `ssh -tt` says 0x0: those of a VT100."""

LONGEST_COUNT = 9
"""Digits of a count of columns or lines that are looked at: with more, nobody has said a size."""


def said_cells(text: str | None) -> int:
    """Read columns or lines that somebody says; 0 where nobody has said any."""
    # By hand: Python's own raises on digits of other scripts.
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= LONGEST_COUNT else 0


def sound_size(columns: int, lines: int, unsaid: tuple[int, int] = UNSAID) -> tuple[int, int]:
    """Give columns and lines that can be drawn on, from 1 to `MOST_CELLS`; each that is not said from `unsaid`."""
    return min(columns if columns > 0 else unsaid[0], MOST_CELLS), min(lines if lines > 0 else unsaid[1], MOST_CELLS)
