"""What is sent of a screen draws the same as the whole of it, in as few bytes as can be."""

from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regtui.tui.cells import PLAIN, Picture, change_of_pen, pen_of

COLUMNS, ROWS = 12, 4

PENS = [
    "0", "1", "2", "7", "4", "31", "1;38;2;1;2;3;48;2;4;5;6", "38;2;9;9;9;48;2;4;5;6", "38;5;17;48;5;3", "97;100",
    "3;48;2;4;5;6",
]  # fmt: skip

TEXTS = ["a", "ab", "  ", " c ", "⣿⡀", "───", "é", "x y z"]


def frame(parts: list[tuple[int, int, str, str]]) -> str:
    """Write parts as Textual does: a place, then a pen, a text and a reset."""
    return "".join(f"\x1b[{y + 1};{x + 1}H\x1b[{pen}m{text}\x1b[0m" for x, y, pen, text in parts)


def fitting(part: tuple[int, int, str, str]) -> bool:
    """Tell whether a part stays within its row, as all that Textual draws does."""
    return part[0] + len(part[3]) <= COLUMNS


parts = st.tuples(
    st.integers(0, COLUMNS - 1), st.integers(0, ROWS - 1), st.sampled_from(PENS), st.sampled_from(TEXTS)
).filter(fitting)


class Seen:
    """What a terminal shows: signs and, where they can be seen, colours."""

    def __init__(self) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.Stream(self.screen)

    def after(self, text: str) -> list[Any]:
        self.stream.feed(text)
        return [self._cell(self.screen.buffer[y][x]) for y in range(ROWS) for x in range(COLUMNS)]

    def _cell(self, cell: Any) -> tuple[object, ...]:
        lined = cell.underscore or cell.strikethrough or cell.reverse
        if cell.data == " " and not lined:
            return (" ", cell.bg)
        return (cell.data, cell.fg, cell.bg, cell.bold, cell.italics, cell.underscore, cell.reverse)


@given(st.lists(st.lists(parts, min_size=1, max_size=6), min_size=1, max_size=5), st.sets(st.integers(0, 4)))
def test_a_terminal_that_missed_frames_shows_what_one_shows_that_got_them_all(
    frames: list[list[tuple[int, int, str, str]]], missed: set[int]
) -> None:
    blank_first = frame([(0, y, "0", " " * COLUMNS) for y in range(ROWS)])
    all_of_them, ours, picture = Seen(), Seen(), Picture(COLUMNS, ROWS)
    picture.put(blank_first)
    whole = all_of_them.after(blank_first)
    drawn = ours.after(picture.changes())
    for number, one in enumerate(frames):
        picture.put(frame(one))
        whole = all_of_them.after(frame(one))
        if number not in missed:
            drawn = ours.after(picture.changes())
    drawn = ours.after(picture.changes())
    assert drawn == whole


def test_what_is_left_of_a_wide_sign_is_a_blank_and_its_row_is_sent_whole() -> None:
    picture = Picture(COLUMNS, ROWS)
    picture.put(frame([(0, 0, "31", "漢字" + " " * 8)]))
    assert "漢字" in picture.changes()
    picture.put(frame([(0, 0, "31", "a")]))
    assert "a" + " 字" in picture.changes()
    picture.put(frame([(3, 0, "31", "b")]))
    assert "a" + "  b" in picture.changes()


def test_what_is_there_already_is_not_sent_again() -> None:
    picture = Picture(COLUMNS, ROWS)
    picture.put(frame([(0, 0, "31", "abc")]))
    assert "abc" in picture.changes()
    picture.put(frame([(0, 0, "31", "abc")]))
    assert picture.changes() == ""
    picture.put(frame([(0, 0, "31", "abd")]))
    assert "ab" not in picture.changes()


def test_all_is_sent_again_once_the_terminal_is_not_known() -> None:
    picture = Picture(COLUMNS, ROWS)
    picture.put(frame([(0, 0, "31", "abc")]))
    picture.changes()
    picture.forget()
    assert "abc" in picture.changes()


def test_what_does_not_fit_on_the_screen_is_cut() -> None:
    picture = Picture(COLUMNS, ROWS)
    picture.put(frame([(COLUMNS - 1, 0, "31", "xyz"), (0, ROWS, "31", "below")]))
    changes = picture.changes()
    assert "x" in changes
    assert "y" not in changes
    assert "below" not in changes


@pytest.mark.parametrize("written", ["\x1b]8;;http://x\x07link\x1b]8;;\x07", "\x1b[?2026hlink", "li\x07nk"])
def test_nothing_but_text_and_its_pens_is_taken_from_a_frame(written: str) -> None:
    picture = Picture(COLUMNS, ROWS)
    picture.put(f"\x1b[1;1H{written}")
    assert picture.changes() == "\x1b[1;1Hlink\x1b[1;1H"


def test_a_pen_changes_by_what_differs() -> None:
    bold = pen_of("1;38;2;1;2;3;48;2;4;5;6")
    assert change_of_pen(bold, pen_of("38;2;1;2;3;48;2;4;5;6")) == "\x1b[22m"
    assert change_of_pen(bold, pen_of("1;38;2;1;2;3;48;2;9;9;9")) == "\x1b[48;2;9;9;9m"
    assert change_of_pen(bold, pen_of("1;38;2;1;2;3")) == "\x1b[49m"
    assert change_of_pen(bold, PLAIN) == "\x1b[m"
    assert change_of_pen(pen_of("1;31"), pen_of("2;31")) in {"\x1b[22;2m"}


def test_each_colour_is_named_once_a_frame_however_often_it_comes() -> None:
    picture = Picture(COLUMNS, ROWS)
    picture.put(frame([(x, y, f"3{x % 2 + 1}", "a") for y in range(ROWS) for x in range(0, COLUMNS, 3)]))
    changes = picture.changes()
    assert changes.count("\x1b[31m") == changes.count("\x1b[32m") == 1
    assert changes.count("a") == ROWS * COLUMNS // 3
