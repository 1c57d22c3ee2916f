"""The verdict on runs that regtui did not train: it says what their logs show, and takes nothing else for granted."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from regtui import analysis
from regtui.analysis.judge import judgement
from regtui.core.events import EpochEnded, Evaluated, Event, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.core.plan import Plan


def states(history: History) -> list[str]:
    found = [judgement(history, row) for row in range(len(history.evaluations))]
    return [each.state for each in found if each is not None]


VALLEY = [*(0.3 + 0.5 * np.exp(-np.arange(12) / 3)), *(0.33 + 0.01 * np.arange(28))]
"""A validation loss that is lowest at the twelfth evaluation and rises from there."""
LOWEST = 12


def started(*, settings: Mapping[str, Any] | None = None, **plan: Any) -> RunStarted:
    return RunStarted(run_id="theirs", trainer="keras", settings=dict(settings or {}), plan=Plan(**plan))


def evaluations(valid: Sequence[float], *, every: int = 100, of: str = "step") -> list[Event]:
    """Evaluate at steps, with the batch losses between them falling."""
    events: list[Event] = []
    for number, loss in enumerate(valid, 1):
        for part in (0.25, 0.5, 0.75):
            step = int((number - 1 + part) * every)
            events.append(StepEnded(step=step, loss=float(2 * np.exp(-step / every / 8))))
        if of == "step":
            events.append(Evaluated(step=number * every, valid={"loss": float(loss)}))
        else:
            events.append(EpochEnded(epoch=number, step=number * every, valid={"loss": float(loss)}))
    return events


def batches(losses: Sequence[float]) -> list[Event]:
    return [StepEnded(step=10 * number, loss=float(loss)) for number, loss in enumerate(losses, 1)]


def folded(*events: Event) -> History:
    history = History()
    history.apply(events)
    return history


def noisy(levels: Sequence[float], share: float = 0.2) -> list[float]:
    return (np.asarray(levels) * np.exp(share * np.random.default_rng(0).normal(size=len(levels)))).tolist()


def test_a_run_that_counts_no_epochs_overfits_since_a_step() -> None:
    found = analysis.verdict(folded(started(), *evaluations(VALLEY)))
    assert (found.state, found.since_epoch, found.since_step) == ("overfitting", None, 100 * LOWEST)
    assert found.words == "overfitting since step 1,200"
    assert "epoch" not in found.evidence + found.advice


def test_a_run_evaluated_within_epochs_overfits_since_a_fraction_of_one() -> None:
    events = [Evaluated(step=40 * n, epoch=0.4 * n, valid={"loss": float(loss)}) for n, loss in enumerate(VALLEY, 1)]
    found = analysis.verdict(folded(started(), *events))
    assert (found.words, found.since_epoch) == ("overfitting since epoch 4.8", None)
    assert "at epoch 4.8" in found.evidence


def test_a_run_under_way_that_was_not_evaluated_yet_is_promised_no_epoch() -> None:
    found = analysis.verdict(folded(started(), *batches(noisy([1.0] * 40))))
    assert found.evidence.startswith("nothing has been evaluated; training loss ")
    assert found.advice.endswith(": a verdict needs 5 evaluations")


def test_advice_names_remedies_without_values_where_the_run_shows_no_settings() -> None:
    advice = analysis.verdict(folded(started(), *evaluations(VALLEY))).advice
    assert advice.startswith("try dropout, weight decay, or stop at step 1,200: validation")


def test_advice_gives_values_to_the_knobs_that_the_run_has() -> None:
    settings = {"dropout": 0.1, "optimizer": "AdamW", "weight_decay": 0.001}
    advice = analysis.verdict(folded(started(settings=settings), *evaluations(VALLEY))).advice
    assert advice.startswith("try dropout 0.4, weight decay 0.003, or stop")


@pytest.mark.parametrize("value", ["0.1", None, math.nan, True, [0.1], -1])
def test_a_setting_that_is_no_number_is_no_knob(value: Any) -> None:
    advice = analysis.verdict(folded(started(settings={"dropout": value}), *evaluations(VALLEY))).advice
    assert advice.startswith("try dropout, weight decay, or stop")


def test_a_rise_is_judged_by_itself_where_no_training_loss_is_logged() -> None:
    events = [Evaluated(step=100 * number, valid={"loss": float(loss)}) for number, loss in enumerate(VALLEY, 1)]
    found = analysis.verdict(folded(started(), *events))
    assert found.state == "overfitting"
    assert "whether the training loss falls meanwhile: the log has none" in found.cannot_judge


def test_a_healthy_run_of_few_classes_is_not_underfitting_for_its_first_loss() -> None:
    # Two classes: guessing costs 0.69, and the first loss of a net that was trained before may be 0.5.
    losses = (0.3 + 0.2 * np.exp(-np.arange(30) / 4)).tolist()
    history = folded(started(), StepEnded(step=1, loss=0.5), *evaluations(losses, of="epoch"))
    assert set(states(history)) <= {"warming_up", "fitting"}
    assert "underfitting: the log does not say how many classes there are" in analysis.verdict(history).cannot_judge


def test_a_running_loss_that_stands_still_is_no_underfitting() -> None:
    events = [
        EpochEnded(epoch=number, step=10 * number, running_loss=0.9, valid={"loss": 0.2 + 0.1 / number})
        for number in range(1, 41)
    ]
    assert "underfitting" not in states(folded(started(classes=10), *events))


def test_batches_that_climb_far_above_their_start_have_diverged_without_any_evaluation() -> None:
    climb = noisy([*np.linspace(1.4, 0.9, 40), *np.linspace(0.9, 7.5, 120)], 0.1)
    history = folded(started(), *batches(climb))
    found = analysis.verdict(history)
    assert (found.state, found.since_epoch) == ("diverged", None)
    assert found.since_step is not None
    assert 900 < found.since_step < 1300  # where the climb passes 4.2, three times the start
    assert found.words == f"diverged since step {found.since_step:,}"
    assert found.advice == "try a lower learning rate"


def test_a_running_loss_that_climbs_has_diverged_without_any_evaluation() -> None:
    climb = np.linspace(1.4, 7.5, 12)
    events = [EpochEnded(epoch=n, step=10 * n, running_loss=float(loss)) for n, loss in enumerate(climb, 1)]
    found = analysis.verdict(folded(started(), *events))
    assert found.state == "diverged"
    assert found.evidence == "training loss 7.500 in epoch 12; lowest 1.400 at epoch 1"


def test_one_bad_epoch_is_no_divergence() -> None:
    losses = [*np.linspace(2.3, 0.4, 12), 5.0, *np.linspace(0.5, 0.3, 12)]
    events = [EpochEnded(epoch=n, step=10 * n, running_loss=float(loss)) for n, loss in enumerate(losses, 1)]
    assert "diverged" not in states(folded(started(classes=10), *events))


def test_batches_that_only_jump_have_not_diverged() -> None:
    # A net that was trained before begins low, and single batches cost three times as much.
    history = folded(started(), *batches(noisy([0.1] * 400, 0.6)))
    assert analysis.verdict(history).state == "warming_up"


def test_a_run_that_evaluated_nothing_is_asked_for_a_validation_loss_when_it_is_over() -> None:
    learning = noisy(2.3 * np.exp(-np.arange(100) / 30))
    found = analysis.verdict(folded(started(), *batches(learning), RunEnded(status="finished", step=1000)))
    assert found.state == "warming_up"
    assert found.advice == "log a validation loss to see whether the run overfits"
    assert found.evidence.startswith("nothing was evaluated; training loss 0.0")


def test_a_loss_that_is_lost_in_batches_alone_names_its_step() -> None:
    lost = [*batches([1.0, 0.9, 0.8]), StepEnded(step=40, loss=None), StepEnded(step=50, loss=None)]
    found = analysis.verdict(folded(started(), *lost))
    assert (found.state, found.since_epoch, found.since_step) == ("diverged", None, 40)
    assert found.evidence == "the loss is not a finite number at step 40"


def test_a_lower_rate_than_the_one_that_was_logged_is_advised() -> None:
    rate = {"learning_rate": 0.5}
    climb = [
        EpochEnded(epoch=n, step=10 * n, running_loss=loss, **rate) for n, loss in enumerate([2.0, 2.2, 9.0, 9.5], 1)
    ]
    assert analysis.verdict(folded(started(classes=10), *climb)).advice == "try learning rate 0.05 instead of 0.5"


def test_idle_evaluations_are_counted_where_an_epoch_holds_many() -> None:
    falling = [*(0.3 + 0.5 * np.exp(-np.arange(12) / 3)), *[0.32] * 14]
    events: list[Event] = [
        Evaluated(step=100 * n, epoch=n / 10, valid={"loss": float(loss)}) for n, loss in enumerate(falling, 1)
    ]
    assert "no better since epoch 1.2" in analysis.verdict(folded(started(), *events)).advice


def test_sparse_batches_between_evaluations_are_no_lost_loss() -> None:
    events: list[Event] = [StepEnded(step=1, loss=2.0)]
    events += [Evaluated(step=100 * n, valid={"loss": 1 / n}) for n in range(1, 20)]
    assert "diverged" not in states(folded(started(), *events))
