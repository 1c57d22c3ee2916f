"""Numbers are written in one way, and keep their digits where they are compared."""

import math
import unicodedata

import pytest

from regtui.core.text import LONGEST_TEXT, as_on_terminal, cells, clock, number, printable, short, signed, who


@pytest.mark.parametrize(
    ("value", "measured", "given"),
    [
        (0.2834, "0.283", "0.283"),
        (0.5, "0.500", "0.5"),
        (1.0, "1.000", "1"),
        (2.302585, "2.303", "2.3"),
        (9.99999, "10.0", "10"),
        (26.0, "26.0", "26"),
        (174.6, "175", "175"),
        (1234.0, "1234", "1234"),
        (0.0164, "0.0164", "0.0164"),
        (0.00238, "0.00238", "0.00238"),
        (0.0003, "0.0003", "0.0003"),
        (1e-7, "1e-7", "1e-7"),
        (3.42e-5, "3.42e-5", "3.42e-5"),
        (2.5e7, "2.5e7", "2.5e7"),
        (0.0, "0", "0"),
        (-0.25, "-0.250", "-0.25"),
        (math.nan, "—", "—"),
        (-math.inf, "—", "—"),
    ],
)
def test_what_was_measured_keeps_decimals_and_what_was_set_is_short(value: float, measured: str, given: str) -> None:
    assert number(value) == measured
    assert short(value) == given


@pytest.mark.parametrize(
    "value", [0.0, 1e-7, 1.234e-5, 0.0123456, 0.0999999, 0.1234567, 9.99999, 12.345, 123.4, 99999.4, 1e5, 1e300, -0.5,
              -0.0123, -12.3, math.nan, math.inf]
)  # fmt: skip
def test_a_number_in_cells_takes_the_same_room_whatever_it_is(value: float) -> None:
    assert len(cells(value, 7)) == 7


def test_as_many_digits_as_there_is_room_for_are_read_out() -> None:
    assert (cells(0.28346, 6), cells(-0.28346, 6), cells(-0.28346, 7)) == ("0.2835", "-0.283", "-0.2835")


def test_a_difference_always_tells_its_sign() -> None:
    assert (signed(0.538), signed(-0.006), signed(0.0), signed(math.nan)) == ("+0.538", "-0.006", "+0", "—")


def test_durations_are_clocks() -> None:
    assert (clock(7), clock(59.6), clock(3605), clock(None), clock(math.nan)) == ("0:07", "1:00", "1:00:05", "—", "—")


def test_a_hand_is_a_hand_everywhere() -> None:
    assert (who("user"), who("plateau"), who("")) == ("by hand", "plateau", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with `signs` [and] markup", "plain, with `signs` [and] markup"),
        ("two\nlines,\ttab\xa0and\u3000odd\u2028spaces\u2800", "two lines, tab and odd spaces "),
        ("\x1b]52;c;x\x07\x00\x7f", r"\x1b]52;c;x\x07\x00\x7f"),
        ("\x9b2J\x9d", r"\x9b2J\x9d"),
        ("\u202eabc\u2066 \u200b\ufeff\xad", r"\u202eabc\u2066 \u200b\ufeff\xad"),
        ("\udc9b \ue000 \U000e0041", r"\udc9b \ue000 \U000e0041"),
        ("\u3164\u115f\U000e0100", r"\u3164\u115f\U000e0100"),
        ("a\u0301\u0301\u0301\u0301\u0301", "a\u0301\u0301\u0301\u0301" + r"\u0301"),
        ("\u0301a", r"\u0301a"),
        ("❤\ufe0f", "❤"),
        (
            "Größe 数据 한글 \u1112\u1161\u11ab मिनट שָׁלוֹם e\u0301",
            "Größe 数据 한글 \u1112\u1161\u11ab मिनट שָׁלוֹם e\u0301",
        ),
        ("x" * 4_000_000, "x" * (LONGEST_TEXT - 513) + "…" + "x" * 512),
    ],
)
def test_a_text_from_outside_becomes_signs_that_stay_where_they_are_put(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown


def test_no_sign_of_unicode_passes_that_takes_no_place_of_its_own():
    for code in (*range(0x32000), *range(0xE0000, 0xF0010)):  # between and after them nothing is assigned
        sign = chr(code)
        shown = printable(f"a{sign}")
        assert shown.isprintable()
        assert printable(shown) == shown
        if shown == f"a{sign}":
            assert unicodedata.category(sign)[0] not in "CZ" or sign == " "


def test_a_text_that_is_printable_is_given_back_itself():
    for text in ("plain", "Größe"):
        assert printable(text) is text


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\r 10%|#   |\r 50%|##  |\r100%|####|", "100%|####|"),
        ("\r 50%|##  |\r", "50%|##  |"),
        ("\x1b[1;32mgreen\x1b[0m \x1b]0;title\x07text\r\n", "green text"),
        ("\x1b]52;c;unended", ""),
        ("epoch 1\x1b[K\x08\x08 done \u202e", r"epoch 1 done \u202e"),
        ("\x1bP1$r\x1b\\after \x9b2Jit", "after it"),
    ],
)
def test_of_a_printed_line_is_left_what_a_terminal_would_show(printed, shown):
    assert as_on_terminal(printed) == shown
