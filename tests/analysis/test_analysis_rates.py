"""Speed, time left, patience, drops and what is to come, on made-up runs."""

from typing import Any

import numpy as np
import pytest

from regtui import analysis
from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Event, Metrics, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.schedules.policies import make_schedule


def started(**given: Any) -> RunStarted:
    config = RunConfig.create(**{"dataset": "digits", "epochs": 20, **given})
    return RunStarted(run_id="made", config=config, environment={"steps_per_epoch": 10, "classes": 10})


def epoch(number: int, valid: float | None, **more: Any) -> Event:
    return EpochEnded(epoch=number, step=10 * number, valid=Metrics(loss=valid), **more)


def chunks(count: int, *, size: int = 5, seconds: float = 0.05, first: float = 2.0) -> list[Event]:
    """Steps whose times are those of their chunks, the first of which also compiles for `first` seconds."""
    return [
        StepEnded(step=size * chunk + i, loss=1.0, learning_rate=0.1, time=100 + first + chunk * seconds)
        for chunk in range(count)
        for i in range(1, size + 1)
    ]


def folded(*events: Event) -> History:
    history = History()
    history.apply(events)
    return history


def test_speed_leaves_the_first_chunk_and_its_compile_time_out() -> None:
    assert analysis.steps_per_second(folded(started(), *chunks(10))) == pytest.approx(100)


def test_a_pause_does_not_change_the_speed() -> None:
    later = [StepEnded(step=50 + i, loss=1.0, time=1000 + i * 0.01) for i in range(1, 21)]
    assert analysis.steps_per_second(folded(started(), *chunks(10), *later)) == pytest.approx(100)


def test_speed_is_unknown_until_there_is_more_than_a_first_chunk() -> None:
    assert analysis.steps_per_second(folded(started(), *chunks(1))) is None


def test_without_step_times_speed_comes_from_the_epochs_training_seconds() -> None:
    history = folded(started(), *[epoch(number, 1.0, seconds=5.0 if number == 1 else 0.2) for number in range(1, 6)])
    assert analysis.steps_per_second(history) == pytest.approx(50)


def test_time_left_is_the_steps_and_evaluations_to_come() -> None:
    # 10 of 20 epochs made: 100 steps at 100 a second and 10 evaluations of 0.5 s are left.
    history = folded(started(), *chunks(20), *[epoch(number, 1.0, evaluate_seconds=0.5) for number in range(1, 11)])
    assert analysis.eta_seconds(history, now=0.0) == pytest.approx(1 + 5)


def test_time_that_has_passed_since_the_last_record_is_taken_off() -> None:
    history = folded(started(), *chunks(10))
    latest = history.steps["time"].last
    assert analysis.eta_seconds(history, now=latest + 0.5) == pytest.approx(1.0)


def test_a_run_that_is_over_has_no_time_left() -> None:
    history = folded(started(), *chunks(10), RunEnded(status="stopped", step=50, epoch=5))
    assert analysis.eta_seconds(history, now=0.0) is None


def test_the_plateau_meter_is_that_of_the_schedule_itself() -> None:
    run = started(lr_policy="plateau", plateau_per="step", patience=7, learning_rate=0.1)
    schedule = make_schedule(run.config, steps_per_epoch=10)
    history = folded(run)
    losses = np.random.default_rng(0).exponential(size=120)
    for number, loss in enumerate(losses.tolist(), 1):
        schedule.observe([loss])
        history.apply([StepEnded(step=number, loss=loss, learning_rate=0.1)])
        assert analysis.meters(history).plateau == schedule.meter()


def test_a_plateau_of_epochs_counts_validation_losses() -> None:
    run = started(lr_policy="plateau", plateau_per="epoch", patience=5, learning_rate=0.01)
    history = folded(run, *[epoch(number, loss) for number, loss in enumerate([0.9, 0.5, 0.6, 0.7], 1)])
    meter = analysis.meters(history).plateau
    assert meter is not None
    assert (meter.bad, meter.patience, meter.best) == (2, 5, 0.5)
    assert analysis.meters(history).lines() == (
        "plateau 2/5 → LR 0.01 → 0.001 · best validation loss 0.500, better is below 0.500",
    )


def test_a_thinned_log_cannot_count_bad_steps_and_says_so() -> None:
    run = started(lr_policy="plateau", plateau_per="step")
    history = folded(run, *[StepEnded(step=step, loss=1.0) for step in range(3, 40, 3)])
    found = analysis.meters(history)
    assert found.plateau is None
    assert found.cannot_judge == ("plateau: the log keeps only some of the steps, so bad ones cannot be counted",)


def test_early_stopping_counts_epochs_since_the_best() -> None:
    history = folded(started(early_stopping=10), *[epoch(n, v) for n, v in enumerate([0.9, 0.4, 0.5, 0.4, 0.6], 1)])
    meter = analysis.meters(history).early_stopping
    assert meter is not None
    assert (meter.waited, meter.patience, meter.best, meter.best_epoch) == (3, 10, 0.4, 2)
    assert "early stop 3/10" in analysis.meters(history).lines()[0]


def dropped(before: list[float], after: list[float], **more: Any) -> analysis.DropEffect:
    change = Changed(step=10 * len(before), epoch=len(before), old=0.1, new=0.01, cause="step", **more)
    values = [*before, *after]
    [effect] = analysis.drop_effects(folded(started(), change, *[epoch(n, v) for n, v in enumerate(values, 1)]))
    return effect


def test_a_drop_after_which_a_flat_loss_falls_has_helped() -> None:
    effect = dropped([0.61, 0.60, 0.62, 0.61, 0.60], [0.50, 0.45, 0.42, 0.41, 0.40])
    assert effect.helped is True
    assert effect.line.startswith("LR 0.1 → 0.01 at epoch 5 (step): helped; validation loss fell by")


def test_a_drop_that_ends_spikes_has_helped() -> None:
    assert dropped([1.4, 0.7, 1.9, 0.8, 1.1], [0.40, 0.41, 0.39, 0.40, 0.40]).helped is True


def test_a_drop_that_slows_a_falling_loss_has_not_helped() -> None:
    effect = dropped([1.0, 0.9, 0.8, 0.7, 0.6], [0.59, 0.585, 0.58, 0.575, 0.57])
    assert effect.helped is False
    assert effect.slope_before == pytest.approx(-0.1)


def test_a_drop_without_a_difference_beyond_noise_cannot_be_judged() -> None:
    effect = dropped([0.50, 0.52, 0.49, 0.51, 0.50], [0.51, 0.49, 0.52, 0.50, 0.50])
    assert effect.helped is None
    assert "no more than its noise" in effect.reason


def test_a_drop_just_made_waits_for_epochs() -> None:
    effect = dropped([0.5, 0.5, 0.5], [0.4])
    assert (effect.helped, effect.reason) == (None, "only 1 epoch evaluated since")


def test_a_rise_of_the_rate_is_no_drop() -> None:
    change = Changed(step=30, epoch=3, old=0.01, new=0.02, cause="user")
    assert analysis.drop_effects(folded(started(), change, *[epoch(n, 0.5) for n in range(1, 9)])) == []


def test_effects_of_drops_are_the_same_however_the_log_grows() -> None:
    rng = np.random.default_rng(5)
    events: list[Event] = [started(epochs=100)]
    for number in range(1, 100):
        events.append(epoch(number, float(1 / number + 0.01 * rng.normal())))
        if number % 12 == 0:
            events.append(Changed(step=10 * number, epoch=number, old=0.5**number, new=0.4**number, cause="step"))
    growing = History()
    for event in events:
        growing.apply([event])
        analysis.drop_effects(growing)
    assert analysis.drop_effects(growing) == analysis.drop_effects(folded(*events))
    assert len(analysis.drop_effects(growing)) == 8


def test_the_forecast_is_the_rates_that_the_schedule_will_give() -> None:
    run = started(lr_policy="cosine", learning_rate=0.1)
    schedule = make_schedule(run.config, steps_per_epoch=10)
    found = analysis.forecast(folded(run, *chunks(12, size=5)), points=1000)
    assert found is not None
    np.testing.assert_array_equal(found.steps, np.arange(61, 201))
    np.testing.assert_allclose(found.rates, [schedule.plan(step, 1)[0] for step in range(60, 200)])
    assert found.certain


def test_the_forecast_says_when_the_floor_is_reached() -> None:
    run = started(lr_policy="exponential", learning_rate=0.2, lr_decay=0.9, lr_floor=0.001)
    found = analysis.forecast(folded(run, *chunks(1)))
    assert found is not None
    # 0.2 * 0.9^51 is the first below 0.001
    assert (found.floor_step, found.floor_epoch) == (51, 5.1)
    assert found.line(step=5) == "LR reaches its floor 0.000928 at epoch 5.1 (step 51)"
    assert found.line(step=60) == "LR reached its floor 0.000928 at epoch 5.1 (step 51)"


def test_a_plateau_is_foreseen_at_its_present_rate() -> None:
    run = started(lr_policy="plateau", plateau_per="epoch", learning_rate=0.1)
    fell = Changed(step=50, epoch=5, old=0.1, new=0.01, cause="plateau")
    found = analysis.forecast(folded(run, *chunks(10, size=5), fell))
    assert found is not None
    assert not found.certain
    assert set(found.rates.tolist()) == {0.01}


def test_a_rate_scaled_by_hand_goes_on_scaled() -> None:
    run = started(lr_policy="linear", learning_rate=0.1)
    schedule = make_schedule(run.config, steps_per_epoch=10)
    turned = Changed(step=50, epoch=6, old=schedule.plan(50, 1)[0], new=schedule.plan(50, 1)[0] / 2, cause="user")
    later = [StepEnded(step=s, loss=1.0, learning_rate=schedule.plan(s - 1, 1)[0] / 2) for s in range(51, 61)]
    found = analysis.forecast(folded(run, *chunks(10, size=5), turned, *later), points=1000)
    assert found is not None
    np.testing.assert_allclose(found.rates, [schedule.plan(step, 1)[0] / 2 for step in range(60, 200)])


def test_a_rate_held_by_hand_is_foreseen_to_stay() -> None:
    run = started(lr_policy="linear", learning_rate=0.1)
    turned = Changed(step=50, epoch=6, old=0.075, new=0.05, cause="user")
    later = [StepEnded(step=s, loss=1.0, learning_rate=0.05) for s in range(51, 61)]
    found = analysis.forecast(folded(run, *chunks(10, size=5), turned, *later))
    assert found is not None
    assert set(found.rates.tolist()) == {0.05}


DECAYING = {"lr_policy": "exponential", "learning_rate": 0.2, "lr_decay": 0.9, "lr_floor": 1e-9}
"""A rate that moves at each step, so that held and scaled part at once."""


def turned(how: str, new: float, *, step: int = 50) -> History:
    """A run whose rate was turned by hand after a step, with nothing recorded since."""
    run = started(**DECAYING)
    old = 0.2 * 0.9**step
    change = Changed(step=step, epoch=6, old=old, new=new, cause="user", how=how)
    return folded(run, *chunks(10, size=5), change)


def test_a_rate_held_by_hand_is_foreseen_to_stay_before_any_step_shows_it() -> None:
    found = analysis.forecast(turned("hold", 3e-3))
    assert found is not None
    assert set(found.rates.tolist()) == {3e-3}


def test_a_held_rate_that_is_scaled_stays_held() -> None:
    history = turned("hold", 3e-3)
    history.apply([Changed(step=50, epoch=6, old=3e-3, new=1.5e-3, cause="user", how="scale")])
    found = analysis.forecast(history)
    assert found is not None
    assert set(found.rates.tolist()) == {1.5e-3}


@pytest.mark.parametrize("how", ["hold", "scale"])
def test_the_forecast_is_what_a_schedule_steered_so_gives(how: str) -> None:
    run = started(**DECAYING)
    assert run.config is not None
    schedule = make_schedule(run.config, steps_per_epoch=10)
    schedule.observe(range(50))
    drop = schedule.hold(3e-3) if how == "hold" else schedule.scale(0.5)
    change = Changed(step=50, epoch=6, old=drop.old, new=drop.new, cause="user", how=how)
    found = analysis.forecast(folded(run, *chunks(10, size=5), change), points=1000)
    assert found is not None
    np.testing.assert_allclose(found.rates, schedule.plan(50, 150))


def test_a_log_without_a_plan_has_no_forecast() -> None:
    assert analysis.forecast(folded(epoch(1, 0.5))) is None


def test_a_run_that_is_over_has_nothing_to_come() -> None:
    found = analysis.forecast(folded(started(), *chunks(10), RunEnded(status="stopped", step=50, epoch=5)))
    assert found is not None
    assert len(found.steps) == 0
