"""Numbers are written in one way, and keep their digits where they are compared."""

import math

import pytest

from regtui.core.text import cells, clock, number, short, signed, who


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
