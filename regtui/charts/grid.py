"""A grid of character cells, written to by place and read out as lines."""

from itertools import groupby

from regtui.charts.view import Span, StyledLine

FAINT = frozenset({"blank", "rule", "rule-user", "zero", "running", "raw", "ghost", "future"})
"""Roles that a label may cover when nothing else is free."""


class Grid:
    """Signs and roles of `height` by `width` cells; writing outside them is cut off, never an error."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._signs = [[" "] * width for _ in range(height)]
        self._roles = [["blank"] * width for _ in range(height)]
        self._tinted = [[False] * width for _ in range(height)]

    def put(self, row: int, column: int, text: str, role: str) -> None:
        """Write text, over whatever stands there."""
        if not 0 <= row < self.height:
            return
        if column < 0:
            text, column = text[-column:], 0
        text = text[: max(self.width - column, 0)]
        self._signs[row][column : column + len(text)] = text
        self._roles[row][column : column + len(text)] = [role] * len(text)

    def role(self, row: int, column: int) -> str:
        """Give the role of a cell; '' outside the grid."""
        return self._roles[row][column] if 0 <= row < self.height and 0 <= column < self.width else ""

    def free(self, row: int, column: int, size: int, roles: frozenset[str] = frozenset({"blank"})) -> bool:
        """Say whether `size` cells from here on lie in the grid and hold nothing but these roles."""
        if not (0 <= row < self.height and column >= 0 and column + size <= self.width):
            return False
        return all(role in roles for role in self._roles[row][column : column + size])

    def rule(self, row: int, column: int, sign: str, role: str, under: frozenset[str]) -> None:
        """Write one sign of a rule where only faint things stand."""
        if self.role(row, column) in under:
            self.put(row, column, sign, role)

    def tint(self, row: int, first: int, last: int) -> None:
        """Colour the ground of the cells from the first up to the last, both included."""
        if 0 <= row < self.height:
            for column in range(max(first, 0), min(last + 1, self.width)):
                self._tinted[row][column] = True

    def lines(self) -> list[StyledLine]:
        """Join neighbouring cells that look alike into spans."""
        lines = []
        for signs, roles, tinted in zip(self._signs, self._roles, self._tinted, strict=True):
            spans, start = [], 0
            for (role, tint), cells in groupby(zip(roles, tinted, strict=True)):
                stop = start + sum(1 for _ in cells)
                spans.append(Span("".join(signs[start:stop]), role, tint))
                start = stop
            lines.append(tuple(spans))
        return lines
