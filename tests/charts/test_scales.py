"""Axes carry round numbers, written exactly, wherever the values lie."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regtui.charts.scales import LABEL, XAxis, count, linear, logarithmic, round_step

LOSSES = st.floats(-1e4, 1e4) | st.floats(0, 10) | st.floats(allow_nan=False, allow_infinity=False)


@given(LOSSES, LOSSES, st.integers(1, 60))
def test_a_linear_axis_holds_its_values_between_its_ends(one, other, rows):
    low, high = min(one, other), max(one, other)
    scale = linear(low, high, rows)
    assert scale.low < scale.high
    places = scale.place(np.clip(np.array([low, high]), -1e300, 1e300))
    assert -1e-6 <= places[0] <= places[1] <= 1 + 1e-6


@given(LOSSES, LOSSES, st.integers(1, 60))
def test_each_number_on_a_linear_axis_stands_at_its_own_value(one, other, rows):
    scale = linear(min(one, other), max(one, other), rows)
    span = scale.high - scale.low
    assume(math.isfinite(span))
    for place, text in scale.ticks:
        assert len(text) <= LABEL
        if text:
            assert abs(scale.low + place * span - float(text)) <= 1e-3 * span


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300), st.integers(1, 60))
def test_each_number_on_a_log_axis_stands_at_its_own_value(one, other, rows):
    scale = logarithmic(min(one, other), max(one, other), rows)
    assert scale is not None
    for place, text in scale.ticks:
        assert len(text) <= LABEL
        assert text or len(scale.ticks) == 1
        # One value has the axis to itself, and 1.04e16 is written 1e16.
        assert not text or float(scale.place(np.array([float(text)]))[0]) == pytest.approx(place, abs=0.04)


def test_a_log_axis_of_nothing_above_zero_is_none():
    assert logarithmic(-2.0, 0.0, 10) is None
    assert logarithmic(math.nan, math.nan, 10) is None


def test_a_rate_that_never_moves_stands_in_the_middle_of_its_axis_with_its_own_number():
    assert logarithmic(0.003, 0.003, 10).ticks == ((0.5, "0.003"),)


@pytest.mark.parametrize(("rate", "text"), [(0.00025, "2.5e-4"), (3.42e-5, "3.4e-5"), (0.003, "0.003")])
def test_a_rate_that_does_not_fit_beside_the_axis_is_written_shorter(rate, text):
    assert logarithmic(rate, rate, 10).ticks == ((0.5, text),)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (800, "800"), (1500, "1.5k"), (20_000, "20k"), (1234, "1234"), (3_000_000, "3M")]
)
def test_counts_are_written_in_few_characters(value, text):
    assert count(value) == text


@given(st.floats(1e-200, 1e200), st.floats(1, 100))
def test_a_round_step_cuts_a_span_into_no_more_parts_than_wanted(span, parts):
    step = round_step(span, parts)
    assert span / step <= parts * (1 + 1e-6)
    assert f"{step:.0e}"[0] in "125"


@given(st.integers(1, 2**40), st.integers(1, 10_000), st.integers(1, 200))
def test_ticks_of_the_x_axis_stand_in_the_column_of_the_epoch_they_name(steps, per_epoch, columns):
    axis = XAxis(0.0, float(steps), columns, float(per_epoch))
    ticks, unit = axis.ticks()
    assert unit == ("epochs" if steps >= per_epoch else "steps")
    assert [column for column, _ in ticks] == sorted(column for column, _ in ticks)
    assert len(ticks) <= columns / 9 + 2
    for column, text in ticks:
        if text.isdigit():
            step = int(text) * (per_epoch if unit == "epochs" else 1)
            assert column == min(int(step / steps * columns), columns - 1)
