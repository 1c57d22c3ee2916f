"""The analysis on made-up curves, where the right answer follows from how the curve was made."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from regtui import analysis
from regtui.analysis.curve import middles, spreads
from regtui.analysis.guessing import guessing_loss, lowest_loss
from regtui.analysis.judge import judgement
from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Event, Metrics, RunEnded, RunStarted, StepEnded
from regtui.core.history import History


def states(history: History) -> list[str]:
    found = [judgement(history, row) for row in range(len(history.evaluations))]
    return [each.state for each in found if each is not None]


LN10 = math.log(10)
FALLING = np.exp(-np.arange(400) / 8)


def started(*, steps_per_epoch: int = 10, **given: Any) -> RunStarted:
    config = RunConfig.create(**{"dataset": "digits", "epochs": 40, **given})
    return RunStarted(run_id="made", config=config, environment={"steps_per_epoch": steps_per_epoch, "classes": 10})


def epochs(valid: Sequence[float | None], train: Sequence[float | None] | None = None, **more: Any) -> list[Event]:
    train = FALLING[: len(valid)].tolist() if train is None else train
    return [
        EpochEnded(
            epoch=number,
            step=10 * number,
            train=None if lost is None else Metrics(loss=lost),
            valid=None if seen is None else Metrics(loss=seen),
            running_loss=lost,
            **more,
        )
        for number, (seen, lost) in enumerate(zip(valid, train, strict=True), 1)
    ]


def folded(*events: Event) -> History:
    history = History()
    history.apply(events)
    return history


def run(valid: Sequence[float | None], train: Sequence[float | None] | None = None, **given: Any) -> History:
    return folded(started(**given), *epochs(valid, train))


def valley(turn: int = 12, length: int = 40, noise: float = 0.0, slope: float = 0.01) -> list[float]:
    """A validation loss that falls to 0.3 at epoch `turn` and rises from there."""
    x = np.arange(1, length + 1)
    curve = np.where(x < turn, 0.3 + 0.5 * (1 - x / turn) ** 2, 0.3 + slope * (x - turn))
    return (curve + noise * np.random.default_rng(0).normal(size=length)).tolist()


def test_the_gap_is_validation_minus_training_and_missing_where_one_is_missing() -> None:
    history = run([1.0, None, 0.5], [0.75, 0.5, None])
    np.testing.assert_array_equal(analysis.gap(history), [0.25, math.nan, math.nan])


def test_the_best_epoch_is_the_first_of_the_lowest() -> None:
    assert analysis.best_epoch(run([0.9, None, 0.4, math.nan, 0.4, 0.6], [1.0] * 6)) == 3


def test_without_a_validation_loss_there_is_no_best_epoch() -> None:
    assert analysis.best_epoch(run([None] * 8)) is None


def test_noise_is_the_standard_deviation_whatever_the_trend() -> None:
    rng = np.random.default_rng(1)
    trend = np.linspace(2, 0.5, 400)
    estimates = spreads(np.diff([trend + 0.03 * rng.normal(size=400) for _ in range(50)]))
    assert np.mean(estimates) == pytest.approx(0.03, rel=0.05)


def test_a_few_spikes_do_not_count_as_noise() -> None:
    values = 0.01 * np.random.default_rng(2).normal(size=60)
    values[[10, 30, 50]] += 5
    assert spreads(np.diff(values)[None])[0] < 0.02


@pytest.mark.parametrize("width", [1, 2, 3, 10, 13, 20])
def test_quick_medians_are_those_of_numpy_to_the_bit(width: int) -> None:
    windows = np.random.default_rng(width).normal(size=(50, width))
    np.testing.assert_array_equal(middles(windows), np.median(windows, axis=1))
    for missing in range(width):
        windows[missing :: width + 1, :missing] = math.nan
    np.testing.assert_array_equal(middles(windows), np.nanmedian(windows, axis=1))


def test_the_loss_of_guessing_is_the_logarithm_of_the_classes() -> None:
    assert guessing_loss(run([1.0])) == pytest.approx(LN10)


def test_without_a_number_of_classes_nobody_knows_what_guessing_costs() -> None:
    history = folded(StepEnded(step=1, loss=None), StepEnded(step=2, loss=2.5), *epochs([2.0]))
    assert math.isnan(guessing_loss(history))


def test_noisy_labels_leave_a_loss_that_cannot_be_learned_away() -> None:
    # Cross entropy of knowing which labels are likely: 20 % of them are drawn anew from all ten classes.
    shares = np.array([0.8 + 0.02, *[0.02] * 9])
    assert lowest_loss(run([1.0], label_noise=0.2)) == pytest.approx(-(shares * np.log(shares)).sum())


def test_a_valley_is_overfitting_since_its_lowest_epoch() -> None:
    found = analysis.verdict(run(valley(turn=12)))
    assert (found.state, found.since_epoch, found.words) == ("overfitting", 12, "overfitting since epoch 12")


def test_advice_against_overfitting_names_remedies_not_in_use_and_the_epoch_to_stop_at() -> None:
    found = analysis.verdict(run(valley(turn=12), dropout=0.0, l2=0.0))
    assert found.advice == "try dropout 0.4, l2 0.001, or stop at epoch 12: validation 0.300 there, 0.580 now"


def test_advice_does_not_name_a_remedy_already_in_full_use() -> None:
    found = analysis.verdict(run(valley(), dropout=0.4, l2=0.001))
    assert "try dropout 0.5, l2 0.003, or stop" in found.advice


def test_advice_follows_a_knob_turned_during_the_run() -> None:
    turned = Changed(step=55, epoch=6, what="dropout", old=0.0, new=0.5, cause="user")
    history = folded(started(), turned, *epochs(valley()))
    assert "try dropout 0.6, l2 0.001" in analysis.verdict(history).advice


def test_a_rise_of_both_losses_is_not_overfitting() -> None:
    rising = valley()
    assert analysis.verdict(run(rising, [loss * 0.9 for loss in rising])).state != "overfitting"


def test_a_single_spike_is_not_overfitting() -> None:
    values = (0.3 + 0.5 * np.exp(-np.arange(40) / 4)).tolist()
    values[30] = 3.0
    assert "overfitting" not in states(run(values))


@pytest.mark.parametrize(("length", "most"), [(60, 6), (200, 18)])
def test_white_noise_on_a_flat_curve_is_rarely_called_overfitting(length: int, most: int) -> None:
    rng = np.random.default_rng(3)
    x = np.arange(length)
    wrong = sum(
        "overfitting" in states(run((0.4 + 0.5 * np.exp(-x / 5) + 0.03 * rng.normal(size=length)).tolist()))
        for _ in range(100)
    )
    assert wrong <= most


def test_a_rise_of_five_times_the_noise_is_noticed_within_a_handful_of_epochs() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        curve = 0.3 + 0.4 * np.exp(-np.arange(40) / 3) + 0.02 * rng.normal(size=40)
        curve[25:] += 0.1 + 0.02 * np.arange(15)
        found = states(run(curve.tolist()))
        assert "overfitting" not in found[:25]
        assert found[31] == "overfitting"


def test_what_was_overfitting_has_recovered_when_the_loss_is_back() -> None:
    values = [*valley(turn=10, length=30), *[0.3] * 10]
    turned = Changed(step=300, epoch=31, what="dropout", old=0.0, new=0.4, cause="user")
    history = folded(started(), *epochs(values), turned)
    found = analysis.verdict(history)
    assert found.state == "recovered"
    assert found.since_epoch in (31, 32)
    assert found.advice == "keep dropout 0.4 (since epoch 31); best so far 0.300 at epoch 10"


def test_a_recovered_run_can_overfit_again() -> None:
    values = [*valley(turn=10, length=30), *[0.3] * 10, *(0.3 + 0.02 * np.arange(20)).tolist()]
    assert analysis.verdict(run(values)).state == "overfitting"


def test_too_few_epochs_are_not_judged_and_the_verdict_says_so() -> None:
    history = folded(started(), *epochs([0.6, 0.7]), RunEnded(status="finished", step=20, epoch=2))
    found = analysis.verdict(history)
    assert (found.state, found.overfitting_judged) == ("warming_up", False)
    assert found.cannot_judge == ("overfitting: 2 epochs evaluated, at least 5 are needed, and the run is over",)


def test_without_validation_nothing_is_said_about_overfitting() -> None:
    found = analysis.verdict(run([None] * 20))
    assert not found.overfitting_judged
    assert "overfitting: the log has no validation loss" in found.cannot_judge


def test_a_training_loss_that_stays_at_guessing_is_underfitting() -> None:
    flat = [LN10 + 0.001] * 12
    assert analysis.verdict(run(flat, flat)).state == "underfitting"


def test_a_training_loss_that_falls_slowly_is_underfitting_when_the_run_ends_too_soon() -> None:
    slow = (LN10 - 0.01 * np.arange(30)).tolist()
    found = analysis.verdict(run(slow, slow, epochs=30, optimizer="adam", learning_rate=1e-6))
    assert (found.state, found.advice) == ("underfitting", "try learning rate 0.001 instead of 1e-6")


def test_the_same_slow_fall_is_fitting_when_the_run_is_long_enough() -> None:
    slow = (LN10 - 0.01 * np.arange(30)).tolist()
    assert analysis.verdict(run(slow, slow, epochs=300)).state == "fitting"


def test_a_high_training_loss_on_noisy_labels_is_not_underfitting() -> None:
    train = [1.2] * 30  # at 50 % noise in ten classes nothing below 1.79 can be learned but by heart
    assert analysis.verdict(run([0.6] * 30, train, label_noise=0.5)).state == "fitting"


def test_underfitting_by_a_strong_penalty_is_blamed_on_the_penalty() -> None:
    flat = [LN10] * 10
    history = folded(started(l2=1.0), *epochs(flat, flat, weight_norms={"hidden_1": 0.1, "hidden_2": 0.1}))
    assert analysis.verdict(history).advice == "try l2 0.001 instead of 1: the penalty holds the weights near zero"


def test_a_loss_that_is_no_number_has_diverged_since_its_epoch() -> None:
    found = analysis.verdict(run([1.0, 0.9, None, None], [1.0, 0.8, None, None]))
    assert (found.state, found.since_epoch) == ("diverged", 3)


def test_a_batch_loss_that_is_no_number_is_told_before_the_epoch_ends() -> None:
    lost = [StepEnded(step=21, epoch=3, loss=1.0), StepEnded(step=22, epoch=3), StepEnded(step=23, epoch=3)]
    found = analysis.verdict(folded(started(), *epochs([0.9, 0.8]), *lost))
    assert (found.state, found.since_epoch) == ("diverged", 3)
    assert "step 22" in found.evidence


def test_a_training_loss_far_above_guessing_has_diverged() -> None:
    assert analysis.verdict(run([9.0] * 3, [8.0] * 3)).state == "diverged"


def test_a_validation_loss_far_above_guessing_is_overfitting_where_training_goes_well() -> None:
    assert analysis.verdict(run(valley(turn=8, slope=0.3))).state == "overfitting"


def test_an_epoch_that_was_not_evaluated_is_no_divergence() -> None:
    values = [loss if number % 3 == 0 else None for number, loss in enumerate(valley(turn=12, length=60))]
    history = folded(
        started(),
        *[
            EpochEnded(
                epoch=number,
                step=10 * number,
                train=None if seen is None else Metrics(loss=float(FALLING[number])),
                valid=None if seen is None else Metrics(loss=seen),
                running_loss=float(FALLING[number]),
            )
            for number, seen in enumerate(values, 1)
        ],
    )
    assert "diverged" not in states(history)
    assert analysis.verdict(history).state == "overfitting"


def test_the_verdict_at_an_epoch_is_the_one_that_was_given_then() -> None:
    events = [started(), *epochs(valley(turn=12, length=40, noise=0.01))]
    whole, growing = folded(*events), History()
    growing.apply(events[:1])
    for row, event in enumerate(events[1:]):
        growing.apply([event])
        assert analysis.verdict_at(whole, row) == analysis.verdict(growing)


def test_how_events_are_batched_does_not_change_any_state() -> None:
    events = [started(), *epochs(valley(turn=12, length=60, noise=0.02))]
    growing = History()
    for first in range(0, len(events), 7):
        growing.apply(events[first : first + 7])
        analysis.verdict(growing)
    assert states(growing) == states(folded(*events))


def test_a_new_run_in_the_same_log_starts_afresh() -> None:
    history = run(valley())
    assert analysis.verdict(history).state == "overfitting"
    history.apply([started(), *epochs([0.5, 0.4])])
    assert analysis.verdict(history).state == "warming_up"


def test_an_empty_history_has_a_verdict() -> None:
    found = analysis.verdict(History())
    assert (found.state, found.since_epoch, found.evidence) == ("warming_up", None, "no run yet")


def test_a_run_held_down_while_it_overfits_is_not_said_to_go_on_doing_so() -> None:
    """A penalty turned up late: both losses stand high, and the gap is gone."""
    valid = [*valley(turn=12, length=40), *[0.58] * 30]
    train = [*FALLING[:40].tolist(), *[0.95] * 30]
    before = analysis.verdict(run(valid[:40], train[:40]))
    after = analysis.verdict(run(valid, train))
    assert before.state == "overfitting"
    assert after.state not in ("overfitting", "recovered")


def test_a_curve_that_bends_does_not_jump() -> None:
    valid = [1.72, 1.08, 0.66, 0.45, 0.33, 0.27, 0.22, 0.20, 0.18, 0.158]
    found = analysis.verdict(run(valid, [1.1 * loss for loss in valid], epochs=10))
    assert "jump" not in found.advice
    assert not [gap for gap in found.cannot_judge if "jumps" in gap]


def test_a_loss_that_was_never_a_number_is_lost() -> None:
    found = analysis.verdict(run([math.nan] * 8, [math.nan] * 8))
    assert found.state == "diverged"


def test_a_run_that_ends_well_above_its_best_is_not_said_to_improve() -> None:
    rng = np.random.default_rng(0)
    falling = (0.3 + 0.5 * np.exp(-np.arange(16) / 4) + 0.01 * rng.normal(size=16)).tolist()
    history = folded(started(epochs=20), *epochs([*falling, 0.36, 0.40, 0.44, 0.46]), RunEnded(status="finished"))
    assert "still improving" not in analysis.verdict(history).advice
