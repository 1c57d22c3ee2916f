"""Rows of other trainers' logs, and runs that go on from an earlier point."""

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from regtui import analysis
from regtui.analysis.facts import completed_epochs
from regtui.core.events import EpochEnded, Evaluated, Event, Resumed, Rows, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.core.table import Table

NUMBERS = st.floats(-10, 10) | st.just(math.nan)
ROWS = st.lists(st.tuples(st.integers(1, 12), st.sampled_from("abc"), NUMBERS), max_size=20)


def folded(*events: Event) -> History:
    history = History()
    history.apply(events)
    return history


def rows(table: Any, step: list[float], **columns: list[float]) -> Rows:
    named = {name.replace("__", "/"): np.array(values, dtype=float) for name, values in columns.items()}
    return Rows(table=table, step=np.array(step, dtype=float), columns=named)


@given(st.lists(ROWS, max_size=6))
def test_rows_laid_in_any_order_make_the_table_that_a_dictionary_of_steps_would(batches):
    table, expected = Table(), {}
    for batch in batches:
        columns = {name: np.array([value if to == name else math.nan for _, to, value in batch]) for name in "abc"}
        table.put(np.array([float(step) for step, _, _ in batch]), columns)
        for step, name, value in batch:
            known = expected.setdefault(step, dict.fromkeys("abc", math.nan))
            known[name] = value if value == value else known[name]
    assert table.step.values.tolist() == sorted(expected)
    for name in "abc":
        np.testing.assert_array_equal(table[name].values, [expected[step][name] for step in sorted(expected)])


def test_a_table_says_whether_rows_were_only_added_at_its_end():
    table = Table()
    assert table.put(np.array([1.0, 2.0]), {"a": np.array([0.5, 0.4])})
    assert table.put(np.array([3.0]), {"b": np.array([0.3])})
    assert not table.put(np.array([2.0]), {"b": np.array([0.2])})
    np.testing.assert_array_equal(table["b"].values, [math.nan, 0.2, 0.3])


def test_extremes_of_a_table_that_was_filled_in_are_those_of_its_numbers():
    table = Table()
    table.put(np.arange(1.0, 5001), {"a": np.ones(5000)})
    assert table["a"].bounds == (1.0, 1.0)
    table.put(np.array([17.0]), {"a": np.array([-3.0])})
    assert table["a"].bounds == (-3.0, 1.0)


def test_rows_of_evaluations_are_judged_as_records_are():
    valley = [*(0.3 + 0.5 * np.exp(-np.arange(12) / 3)), *(0.33 + 0.01 * np.arange(28))]
    falling = [float(2 * np.exp(-n / 8)) for n in range(len(valley))]
    steps = [100.0 * n for n in range(1, len(valley) + 1)]
    found = analysis.verdict(
        folded(RunStarted(run_id="theirs"), rows("evaluations", steps, valid__loss=valley, step__loss=falling))
    )
    assert (found.state, found.since_step) == ("overfitting", 1200)
    assert any("running one (dropout on)" in gap for gap in found.cannot_judge)


def test_a_verdict_on_rows_that_come_late_is_that_on_rows_in_order():
    losses = [float(0.3 + 0.01 * abs(n - 8)) for n in range(30)]
    steps = [10.0 * n for n in range(1, 31)]
    whole = folded(rows("evaluations", steps, valid__loss=losses))
    late = folded(rows("evaluations", steps[:5] + steps[10:], valid__loss=losses[:5] + losses[10:]))
    analysis.verdict(late)
    late.apply([rows("evaluations", steps[5:10], valid__loss=losses[5:10])])
    assert analysis.verdict(late) == analysis.verdict(whole)


def test_where_nobody_counts_steps_the_epoch_is_the_place():
    history = folded(rows("evaluations", [math.nan] * 3, epoch=[1, 2, 3], valid__loss=[0.5, 0.3, 0.4]))
    assert (history.counts_steps, history.step_of(1), history.where(1)) == (False, None, "epoch 2")
    assert history.steps_per_epoch == 1


def test_an_epoch_that_is_logged_without_its_step_stands_at_itself():
    history = folded(EpochEnded(epoch=1, valid={"loss": 0.5}), EpochEnded(epoch=2, valid={"loss": 0.4}))
    assert history.evaluations.step.values.tolist() == [1, 2]
    assert not history.counts_steps


def test_a_run_that_goes_on_from_a_checkpoint_keeps_what_led_there_and_no_more():
    history = folded(
        *[StepEnded(step=step, loss=1 / step) for step in range(1, 21)],
        Evaluated(step=10, valid={"loss": 0.5}),
        Evaluated(step=20, valid={"loss": 0.4}),
        RunEnded(status="failed"),
        Resumed(step=10),
        StepEnded(step=11, loss=9.0),
    )
    assert history.steps.step.values.tolist() == [*range(1, 11), 11]
    assert history.steps["step/loss"].last == 9.0
    assert history.evaluations.step.values.tolist() == [10]
    assert (history.status, [mark.step for mark in history.resumed]) == ("running", [10])


def test_the_mean_of_the_batches_stands_for_a_training_loss_that_was_not_measured():
    history = folded(
        *[StepEnded(step=step, loss=float(step)) for step in range(1, 7)],
        Evaluated(step=2, valid={"loss": 1.0}),
        Evaluated(step=2, valid={"loss": 1.0}),
        Evaluated(step=6, valid={"loss": 1.0}),
    )
    np.testing.assert_allclose(analysis.training_loss(history), [1.5, 1.5, 4.5])
    np.testing.assert_allclose(analysis.gap(history), [-0.5, -0.5, -3.5])


def test_a_run_that_was_taken_up_again_thousands_of_times_is_folded():
    events: list[Event] = []
    for step in range(1, 5001):
        events += [rows("steps", [float(step)], step__loss=[1.0]), Resumed(step=step)]
    history = folded(*events)
    assert (len(history.steps), len(history.resumed)) == (5000, 5000)


def test_an_evaluation_that_does_not_say_its_epoch_leaves_the_count_where_it_was():
    history = folded(EpochEnded(epoch=3, step=30, valid={"loss": 0.5}), Evaluated(step=35, valid={"loss": 0.4}))
    assert completed_epochs(history) == 3
