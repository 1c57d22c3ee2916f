"""The cells of a terminal: as they are wanted, as they are, and the few bytes between the two."""

import re
from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len

TOKEN = re.compile(
    r"\x1b\[(?P<y>\d+);(?P<x>\d+)H"
    r"|\x1b\[(?P<pen>[\d;]*)m"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
    # Line breaks, which a place always follows, links, and whether what comes is to be shown at once.
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[?\d;]*[a-zA-Z]|[\x00-\x1f\x7f]"
)
"""What Textual's frames are made of."""

NARROW = re.compile(
    r"[\x20-\x7e\xa0-\xac\xae-\u02ff\u2010-\u2027\u2190-\u21ff\u2500-\u259f\u25a0-\u25fc\u2800-\u28ff]*\Z"
)
"""Signs that are surely one cell wide: those of curves, rules and text in Latin letters."""

NEAR = 4
"""Cells up to which it takes fewer bytes to write what is there already than to jump over it."""


class Pen(NamedTuple):
    """How a sign is drawn: SGR parameters."""

    marks: tuple[str, ...] = ()
    """Bold, dim, italic, underlined, reversed ..."""
    front: str = ""
    ground: str = ""
    """Colours; empty for the terminal's own."""

    @property
    def shows_blanks(self) -> bool:
        """Tell whether a blank looks different with another front colour."""
        return not {"4", "7", "9", "21", "53"}.isdisjoint(self.marks)


PLAIN = Pen()

ENDS = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "8": "28", "9": "29"}
"""SGR parameter -> the one that takes it back."""

BRIGHT_GROUNDS = frozenset(f"10{colour}" for colour in range(8))

Cell = tuple[str, Pen]
"""A sign with all that is put on top of it, and its pen; the second cell of a wide sign is empty."""


class Piece(NamedTuple):
    """What one pen draws without a gap."""

    y: int
    begun: int
    end: int
    """Column behind it."""
    text: str


@lru_cache(maxsize=4096)
def pen_of(parameters: str) -> Pen:
    """Read SGR parameters that follow a reset."""
    marks, front, ground = [], "", ""
    left = parameters.split(";")
    while left:
        code = left.pop(0)
        if code in {"38", "48"}:
            take = 4 if left[:1] == ["2"] else 2
            colour = ";".join([code, *left[:take]])
            del left[:take]
            front, ground = (colour, ground) if code == "38" else (front, colour)
        elif len(code) == 2 and code[0] in "39":
            front = code
        elif (len(code) == 2 and code[0] == "4") or code in BRIGHT_GROUNDS:
            ground = code
        elif code not in {"", "0"}:
            marks.append(code)
    return Pen(tuple(sorted(marks)), "" if front == "39" else front, "" if ground == "49" else ground)


@lru_cache(maxsize=4096)
def change_of_pen(before: Pen, after: Pen) -> str:
    """Give the shortest SGR sequence from one pen to another."""
    if after == PLAIN:
        return "" if before == PLAIN else "\x1b[m"
    gone = {ENDS.get(mark, "0") for mark in before.marks if mark not in after.marks}
    if "0" in gone:
        return f"\x1b[{';'.join(filter(None, ['0', *after.marks, after.front, after.ground]))}m"
    # Bold and dim end with the same parameter.
    marks = [mark for mark in after.marks if mark not in before.marks or ENDS.get(mark) in gone]
    front = (after.front or "39") if after.front != before.front else ""
    ground = (after.ground or "49") if after.ground != before.ground else ""
    parts = ";".join(filter(None, [*gone, *marks, front, ground]))
    return f"\x1b[{parts}m" if parts else ""


@lru_cache(maxsize=4096)
def pen_for_blank(pen: Pen, its: Pen) -> Pen:
    """Give the pen for a blank: the one in hand, where what it does to signs does not show on the blank."""
    if pen.shows_blanks or its.shows_blanks:
        return its
    return pen._replace(ground=its.ground)


@lru_cache(maxsize=4096)
def blank(pen: Pen) -> Cell:
    """Give a blank without what does not show on one, so that blanks that look the same are the same."""
    return " ", pen if pen.shows_blanks else Pen(ground=pen.ground)


class Picture:
    """A screen of cells: frames are put into it, and what the terminal lacks of them is taken out.

    Each cell is sent when it differs from what the terminal has, however often it was drawn again meanwhile.
    """

    def __init__(self, columns: int, rows: int) -> None:
        """Begin with nothing wanted and nothing known of the terminal."""
        self.size = columns, rows
        self._wanted: list[list[Cell | None]] = [[None] * columns for _ in range(rows)]
        self._there: list[list[Cell | None]] = [[None] * columns for _ in range(rows)]
        self._rows: set[int] = set()
        """Rows that may differ."""
        self._cursor = 0, 0

    def forget(self) -> None:
        """Take nothing for granted of what the terminal shows."""
        columns, rows = self.size
        self._there = [[None] * columns for _ in range(rows)]
        self._rows = set(range(rows))

    def put(self, frame: str) -> None:
        """Draw what Textual writes: places, pens and text."""
        columns, rows = self.size
        x, y, pen = 0, 0, PLAIN
        for token in TOKEN.finditer(frame):
            kind = token.lastgroup
            if kind == "text":
                if y < rows:
                    x = self._put_text(y, x, token[0], pen)
            elif kind == "pen":
                pen = pen_of(token["pen"])
            elif kind == "x":
                y, x = int(token["y"]) - 1, int(token["x"]) - 1
                self._cursor = min(x, columns - 1), min(y, rows - 1)

    def _put_text(self, y: int, x: int, text: str, pen: Pen) -> int:
        """Put a text into a row and give the column behind it."""
        cells: list[Cell | None]
        if NARROW.match(text):
            space = blank(pen)
            cells = [space if sign == " " else (sign, pen) for sign in text]
        else:
            cells = []
            for sign in text:
                width = cell_len(sign)
                if not width and cells and (last := cells[-1]) is not None:
                    cells[-1] = last[0] + sign, pen
                elif width:
                    cells += [(sign, pen), ("", pen)][:width]
        row = self._wanted[y]
        end = x + len(cells)
        # What is left of a wide sign whose other half is written over is a blank.
        if 0 < x < len(row) and (first := row[x]) is not None and not first[0]:
            row[x - 1] = blank(first[1])
        if end < len(row) and (after := row[end]) is not None and not after[0]:
            row[end] = blank(after[1])
        row[x:end] = cells[: max(len(row) - x, 0)]
        del row[self.size[0] :]
        self._rows.add(y)
        return end

    def changes(self) -> str:
        """Give what the terminal lacks, as if it had it from now on.

        All that one pen draws comes together: to go elsewhere takes half of what a colour takes.
        """
        written: list[str] = []
        pieces: defaultdict[Pen, list[Piece]] = defaultdict(list)
        pen = PLAIN
        for y in sorted(self._rows):
            wanted, there = self._wanted[y], self._there[y]
            if wanted != there:
                if _has_wide(wanted) or _has_wide(there):
                    part, pen = self._wide_row(y, pen)
                    written += part
                else:
                    _cut(y, wanted, there, pieces)
                there[:] = wanted
        self._rows.clear()
        at = -1, -1
        for its in sorted(pieces, key=_likeness):
            written.append(change_of_pen(pen, its))
            pen = its
            for piece in pieces[its]:
                written += _way(at, piece), piece.text
                at = piece.y, piece.end
        if written:
            x, y = self._cursor
            written.append(change_of_pen(pen, PLAIN) + f"\x1b[{y + 1};{x + 1}H")
        return "".join(written)

    @property
    def differs(self) -> bool:
        """Tell whether the terminal may lack something."""
        return bool(self._rows)

    def _wide_row(self, y: int, pen: Pen) -> tuple[list[str], Pen]:
        """Write a row that has a sign of two cells: whole, for terminals clear one half when the other is written."""
        written = []
        row = self._wanted[y]
        at = -1
        for x, cell in enumerate(row):
            if cell is None or (None in row and cell == self._there[y][x]):
                continue
            if x != at:
                written.append(f"\x1b[{y + 1};{x + 1}H")
            sign, its = cell
            its = pen_for_blank(pen, its) if sign == " " else its
            written += change_of_pen(pen, its), sign
            pen, at = its, x + 1
        return written, pen


def _has_wide(row: list[Cell | None]) -> bool:
    """Tell whether a row has a sign of two cells."""
    return any(cell is not None and not cell[0] for cell in row)


def _likeness(pen: Pen) -> tuple[str, tuple[str, ...], str]:
    """Order pens so that few parameters change from one to the next."""
    return pen.ground, pen.marks, pen.front


def _cut(y: int, wanted: list[Cell | None], there: list[Cell | None], pieces: defaultdict[Pen, list[Piece]]) -> None:
    """Cut what differs in a row into pieces of one pen each."""
    pen, text, begun, end = PLAIN, "", -1, -1
    for x, cell in enumerate(wanted):
        if cell is None or cell == there[x]:
            continue
        sign, its = cell
        if text:
            its = pen_for_blank(pen, its) if sign == " " else its
            between = _between(wanted, end, x, pen) if its == pen else None
            if between is not None:
                text, end = text + between + sign, x + 1
                continue
            pieces[pen].append(Piece(y, begun, end, text))
        pen, text, begun, end = its, sign, x, x + 1
    if text:
        pieces[pen].append(Piece(y, begun, end, text))


def _between(row: list[Cell | None], start: int, end: int, pen: Pen) -> str | None:
    """Give what stands between two pieces where a pen may as well draw it again; None where it is left out."""
    if end - start > NEAR:
        return None
    text = ""
    for cell in row[start:end]:
        if cell is None or (cell[1] != pen and (cell[0] != " " or pen_for_blank(pen, cell[1]) != pen)):
            return None
        text += cell[0]
    return text


def _way(at: tuple[int, int], piece: Piece) -> str:
    """Give what moves the cursor from behind one piece to the next."""
    y, x = at
    if y != piece.y or x > piece.begun:
        return f"\x1b[{piece.y + 1};{piece.begun + 1}H"
    cells = piece.begun - x
    return "" if not cells else f"\x1b[{cells if cells > 1 else ''}C"
