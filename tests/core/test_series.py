import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from regtui.core.series import Column, thin

VALUES = arrays.arrays(
    np.float64,
    st.integers(0, 3000),
    elements=st.floats(allow_nan=True, allow_infinity=True, width=64),
    fill=st.floats(-1, 1),
)


def finite(values):
    return np.where(np.isfinite(values), values, np.nan)


def extreme(values, pick):
    some = values[np.isfinite(values)]
    return pick(some) if len(some) else np.nan


@given(VALUES, st.data())
def test_extremes_of_any_ranges_are_those_of_the_values_themselves(values, data):
    cut = data.draw(st.integers(0, len(values)))
    edges = np.array(sorted(data.draw(st.lists(st.integers(0, len(values)), min_size=1, max_size=20))))
    column = Column()
    column.extend(values[:cut])
    assert len(column.bounds) == 2
    column.extend(values[cut:])
    lowest, highest = column.extremes(edges)
    for index, (start, stop) in enumerate(itertools.pairwise(edges)):
        np.testing.assert_equal(lowest[index], extreme(values[start:stop], np.min))
        np.testing.assert_equal(highest[index], extreme(values[start:stop], np.max))


@pytest.mark.parametrize("place", [0, 1, 31, 32, 500_000, 999_998, 999_999])
def test_one_spike_in_a_million_values_survives_the_thinning(place):
    values = np.zeros(1_000_000)
    values[place] = 7.0
    column, steps = Column(), Column()
    column.extend(values)
    steps.extend(np.arange(1.0, 1_000_001))
    lowest, highest = thin(column, steps, np.linspace(0, 1_000_000, 81))
    assert highest.max() == 7.0
    assert int(highest.argmax()) == min(int((place + 1) / 12_500), 79)
    assert lowest.max() == 0.0


def test_whatever_is_not_finite_is_kept_as_nan():
    column = Column([1.0, None, float("inf"), float("-inf"), 2.0])
    np.testing.assert_array_equal(column.values, [1.0, np.nan, np.nan, np.nan, 2.0])
    assert column.bounds == (1.0, 2.0)


def test_bounds_of_nothing_are_nan():
    assert np.isnan(Column().bounds).all()
    assert np.isnan(Column([None, None]).bounds).all()


@given(st.lists(st.floats(-1e6, 1e6) | st.none(), max_size=400), st.floats(0.01, 0.999), st.data())
def test_smoothing_is_the_debiased_exponential_mean_however_the_values_arrive(values, weight, data):
    cut = data.draw(st.integers(0, len(values)))
    column = Column(values[:cut])
    column.smoothed(weight)
    column.extend(values[cut:])
    mean, expected = 0.0, []
    count = 0
    for value in values:
        if value is None:
            expected.append(np.nan)
            continue
        count += 1
        mean = weight * mean + (1 - weight) * value
        expected.append(mean / (1 - weight**count))
    np.testing.assert_allclose(column.smoothed(weight).values, expected, rtol=1e-6, atol=1e-6)


def test_smoothing_of_the_largest_numbers_stays_finite():
    assert np.isfinite(Column([1.7e308] * 200 + [-1.7e308] * 200).smoothed(0.9).values).all()


def test_a_new_weight_starts_from_the_first_value_again():
    column = Column([1.0, 3.0])
    column.smoothed(0.9)
    np.testing.assert_allclose(column.smoothed(0.5).values, [1.0, (0.5 * 0.5 + 1.5) / 0.75])
