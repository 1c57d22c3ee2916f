"""A grid of character cells, written to by place and read out as lines."""

from collections.abc import Iterable
from itertools import pairwise

from regtui.charts.view import Span, StyledLine

BLANK = frozenset({"blank"})

FAINT = frozenset({"blank", "rule", "rule-user", "zero"})
"""Roles that may be covered when nothing else is free: all that are no data."""

RULED = frozenset({"rule", "rule-user"})


class Grid:
    """Signs and roles of `height` by `width` cells; writing outside them is cut off, never an error."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._signs = [[" "] * width for _ in range(height)]
        self._roles = [["blank"] * width for _ in range(height)]
        self._tints = [(0, 0)] * height
        self._written: set[tuple[int, int]] = set()

    def put(self, row: int, column: int, text: str, role: str) -> None:
        """Write signs, over whatever stands there."""
        if not 0 <= row < self.height:
            return
        if column < 0:
            text, column = text[-column:], 0
        text = text[: max(self.width - column, 0)]
        self._signs[row][column : column + len(text)] = text
        self._roles[row][column : column + len(text)] = [role] * len(text)

    def write(self, row: int, column: int, text: str, role: str) -> None:
        """Write words, which nothing covers or runs through from then on, with a blank beside them over faint signs."""
        for beside in (column - 1, column + len(text)):
            self.put_behind(row, beside, " ", "blank", FAINT - RULED)
        self.put(row, column, text, role)
        self._written.update((row, column + index) for index in range(len(text)))

    def put_cells(self, top: int, left: int, cells: Iterable[tuple[int, int, str, str]]) -> None:
        """Write cells given as row, column, sign and role from a corner that lies, with all of them, in the grid."""
        signs, roles = self._signs, self._roles
        for row, column, sign, role in cells:
            signs[top + row][left + column] = sign
            roles[top + row][left + column] = role

    def role(self, row: int, column: int) -> str:
        """Give the role of a cell; '' outside the grid."""
        return self._roles[row][column] if 0 <= row < self.height and 0 <= column < self.width else ""

    def free(self, row: int, column: int, size: int, roles: frozenset[str] = BLANK) -> bool:
        """Say whether `size` cells from here on lie in the grid and hold nothing but these roles."""
        if not (0 <= row < self.height and column >= 0 and column + size <= self.width):
            return False
        if not roles.issuperset(self._roles[row][column : column + size]):
            return False
        return not any((row, place) in self._written for place in range(column, column + size))

    def put_behind(self, row: int, column: int, sign: str, role: str, over: frozenset[str] = FAINT) -> None:
        """Write one sign where nothing but these roles stands."""
        if self.role(row, column) in over and (row, column) not in self._written:
            self.put(row, column, sign, role)

    def clear_word(self, row: int, column: int, size: int) -> None:
        """Clear these cells, and those beside them that belong to the same words."""
        first, after = column, column + size
        while self.role(row, first) not in ("blank", "") and self.role(row, first - 1) == self.role(row, first):
            first -= 1
        while self.role(row, after - 1) not in ("blank", "") and self.role(row, after) == self.role(row, after - 1):
            after += 1
        self.put(row, first, " " * (after - first), "blank")

    def tint(self, row: int, first: int, last: int) -> None:
        """Colour the ground of the cells from the first up to the last, both included."""
        if 0 <= row < self.height:
            self._tints[row] = (max(first, 0), min(last + 1, self.width))

    def lines(self) -> list[StyledLine]:
        """Join neighbouring cells that look alike into spans."""
        lines = []
        for signs, roles, (first, after) in zip(self._signs, self._roles, self._tints, strict=True):
            cuts = {column for column in range(1, self.width) if roles[column] != roles[column - 1]}
            cuts |= {first, after} if first < after else set()
            edges = sorted(cuts | {0, self.width})
            text = "".join(signs)
            lines.append(
                tuple(Span(text[start:stop], roles[start], first <= start < after) for start, stop in pairwise(edges))
            )
        return lines
