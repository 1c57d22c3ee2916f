"""The y axis uses its rows for what is compared now, and keeps still while a run grows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regtui.charts import View
from regtui.charts.layout import x_axis
from regtui.charts.span import lifted, start_of
from regtui.charts.strip import Sight
from regtui.charts.strips import STRIPS
from regtui.core.events import EpochEnded, StepEnded
from regtui.core.history import History

PER_EPOCH = 32
RNG = np.random.default_rng(7)
NOISE = RNG.standard_normal(200)


def growing(losses, view=None):
    """Give the two ends of the loss axis after each epoch of a run that measured these validation losses."""
    history, ends = History(), []
    for number, loss in enumerate(losses, 1):
        step = number * PER_EPOCH
        history.apply(
            StepEnded(step=step - PER_EPOCH + at, loss=1.2 * loss, learning_rate=0.1) for at in range(1, PER_EPOCH + 1)
        )
        history.apply([EpochEnded(epoch=number, step=step, valid={"loss": loss}, train={"loss": 0.9 * loss})])
        scale = content(history, view).scale
        ends.append((scale.low, scale.high) if scale else None)
    return ends


def content(history, view=None):
    axis = x_axis(history, view or View(), 80)
    return STRIPS["loss"].draw(Sight(history, view or View(), axis, 12))


def falling(epochs, first=2.3, last=0.3):
    return [last + (first - last) * math.exp(-number / 2) + 0.005 * NOISE[number] for number in range(epochs)]


def share_of_rest(losses, ends):
    """Give the share of the axis between the lowest loss and the highest of the last three quarters of the epochs."""
    later = losses[len(losses) // 4 :]
    return (max(later) - min(0.9 * loss for loss in losses)) / (ends[1] - ends[0])


def test_the_start_of_a_finished_run_leaves_the_rows_to_the_rest():
    losses = falling(60)
    low, high = growing(losses)[-1]
    assert high < 0.6
    assert share_of_rest([loss + 0.3 * (at > 15) * (at - 15) / 45 for at, loss in enumerate(losses)], (low, high)) > 0.5


def test_a_start_that_takes_less_than_a_third_stays():
    losses = [1.0 - 0.01 * number for number in range(60)]
    assert growing(losses)[-1][1] >= 1.0


@pytest.mark.parametrize(
    "losses",
    [[1.0], [2.0, 1.0], [2.0, 0.3, 0.29], [0.5] * 40, [0.1 + 0.05 * at for at in range(40)]],
    ids=["one", "two", "three", "flat", "rising"],
)
def test_short_flat_and_rising_runs_are_shown_whole(losses):
    low, high = growing(losses)[-1]
    assert low <= min(losses)
    assert high >= max(losses)


def test_a_run_that_diverges_at_its_end_is_shown_whole():
    losses = [*falling(40), 2.0, 9.0, 80.0]
    assert growing(losses)[-1][1] >= 80.0


@pytest.mark.parametrize("gaps", [(0,), (5,), (39,), tuple(range(10, 20))])
def test_values_that_are_no_numbers_do_not_move_the_axis(gaps):
    losses = [0.3 + 0.5 * math.exp(-at / 4) for at in range(40)]
    broken = [math.nan if at in gaps else loss for at, loss in enumerate(losses)]
    for ends in growing(broken):
        assert ends is None or (math.isfinite(ends[0]) and math.isfinite(ends[1]))
    assert growing(broken)[-1][1] == pytest.approx(growing(losses)[-1][1], rel=0.5)


@pytest.mark.parametrize("seed", range(5))
def test_the_axis_moves_a_few_times_in_a_hundred_epochs_and_not_with_each(seed):
    noise = np.random.default_rng(seed).standard_normal(100)
    losses = [0.3 + 2 * math.exp(-at / 6) + 0.02 * noise[at] + 0.004 * max(at - 30, 0) for at in range(100)]
    ends = growing(losses)
    moves = [at for at in range(1, 100) if ends[at] != ends[at - 1]]
    assert len(moves) <= 14
    assert len([at for at in moves if at > 16]) <= 6


def test_what_has_left_at_the_top_is_still_there_on_a_log_axis():
    losses = falling(60)
    assert growing(losses, View(log_y=True))[-1][1] >= max(losses)


def test_the_start_of_an_earlier_run_leaves_by_the_same_rule():
    ghost = History()
    ghost.apply(
        EpochEnded(epoch=at + 1, step=32 * at + 32, valid={"loss": loss}) for at, loss in enumerate(falling(60))
    )
    assert growing([0.4] * 60, View(ghost=ghost))[-1][1] < 0.8


@given(st.floats(4, 1e15))
def test_the_start_is_an_eighth_to_a_quarter_of_the_steps(steps):
    assert steps / 8 < start_of(steps) <= steps / 4


@given(st.floats(-1e300, 1e300), st.floats(0, 1e300), st.floats(0, 1e300))
def test_what_is_let_in_takes_at_most_a_third_of_the_height(low, height, more):
    top = low + height
    for part in (False, True):
        new = lifted(top, low, top + more, part=part)
        assert new >= top
        assert new / 3 - top / 3 <= new / 9 - low / 9 + 1e-9 * max(abs(new), abs(low), 1)
