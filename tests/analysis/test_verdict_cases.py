"""The verdict's harder cases on made-up curves: penalties, mild rises, accuracy, improvement within the noise.

The real runs they were learned from are in tests/logs.
"""

import math
from typing import Any

import numpy as np
import pytest

from regtui import analysis
from regtui.analysis.judge import judgement
from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, RunEnded, RunStarted
from regtui.core.history import History


def states(history: History) -> list[str]:
    found = [judgement(history, row) for row in range(len(history.evaluations))]
    return [each.state for each in found if each is not None]


KEPT = {"hidden_1": 20.0, "hidden_2": 14.1, "output": 4.5}
"""Kernel norms of a net 200-100-10 as it starts."""
SHRUNK = {"hidden_1": 2.4, "hidden_2": 2.4, "output": 2.4}


def run(
    valid: Any, train: Any, accuracy: Any = None, *, norms: dict[str, float] = KEPT, rows: int = 1000, **given: Any
) -> History:
    """Fold a finished run of ten classes, evaluated at every epoch."""
    config = RunConfig.create(**{"dataset": "digits", "hidden": (200, 100), "epochs": len(valid), **given})
    said = {"steps_per_epoch": 10, "classes": 10, "valid_rows": rows}
    history = History()
    history.apply([RunStarted(run_id="made", config=config, environment=said)])
    right = [None] * len(valid) if accuracy is None else accuracy
    for number, (seen, lost, share) in enumerate(zip(valid, train, right, strict=True), 1):
        metrics = {"loss": float(seen)} | ({} if share is None else {"accuracy": float(share)})
        train_loss = float(lost)
        measured = {"train": {"loss": train_loss}, "valid": metrics, "running_loss": train_loss}
        history.apply([EpochEnded(epoch=number, step=10 * number, weight_norms=norms, **measured)])
    history.apply([RunEnded(status="finished", step=10 * len(valid), epoch=len(valid))])
    return history


def noise(length: int, size: float, seed: int = 0) -> Any:
    return size * np.random.default_rng(seed).normal(size=length)


FAST = 2.3 * np.exp(-np.arange(60) / 4)
"""A training loss that goes to a hundredth by epoch 19."""


def stuck(length: int = 30) -> Any:
    return 1.0 + 1.2 * np.exp(-np.arange(length)) + noise(length, 0.01)


def test_a_training_loss_that_stands_still_high_is_underfitting_though_validation_finds_new_lows() -> None:
    valid = 1.05 + 1.2 * np.exp(-np.arange(30)) - 0.0002 * np.arange(30)
    assert analysis.verdict(run(valid, stuck())).state == "underfitting"


def test_the_penalty_is_named_where_it_is_on_and_kernels_have_shrunk() -> None:
    advice = analysis.verdict(run(stuck(), stuck(), norms=SHRUNK, l2=0.05)).advice
    assert advice == "try l2 0.001 instead of 0.05: the penalty holds the weights at 12% of their start"


@pytest.mark.parametrize(("norms", "given"), [(KEPT, {"l2": 0.05}), (SHRUNK, {})])
def test_the_penalty_is_not_named_where_kernels_kept_their_norm_or_there_is_none(norms: Any, given: Any) -> None:
    found = analysis.verdict(run(stuck(), stuck(), norms=norms, **given))
    assert found.state == "underfitting"
    assert "penalty" not in found.advice
    assert "more epochs" not in found.advice


def test_a_training_loss_that_stands_still_at_what_noisy_labels_allow_is_fitting() -> None:
    train = 0.9 + np.exp(-np.arange(30))  # a fifth of the labels drawn anew leaves 0.87
    assert analysis.verdict(run(train - 0.4, train, label_noise=0.2)).state == "fitting"


def test_a_training_loss_that_falls_by_a_twentieth_in_ten_epochs_does_not_stand_still() -> None:
    train = 0.6 * np.exp(-np.arange(60) / 190)
    assert "underfitting" not in states(run(train + 0.05, train))


def test_a_rise_of_a_tenth_is_overfitting_when_the_training_rows_are_known_by_heart() -> None:
    valid = 0.1 + 0.3 * np.exp(-np.arange(60) / 3) + 0.0003 * np.arange(60).clip(20) + noise(60, 0.0005)
    found = analysis.verdict(run(valid, FAST))
    assert found.state == "overfitting"
    assert analysis.verdict(run(valid, FAST + 0.1)).state == "fitting"


def test_a_rise_that_one_validation_row_can_make_is_none() -> None:
    valid = 0.1 + 0.3 * np.exp(-np.arange(60) / 3) + 0.0003 * np.arange(60).clip(20) + noise(60, 0.0005)
    assert analysis.verdict(run(valid, FAST, rows=60)).state == "fitting"


def test_a_wandering_of_a_twentieth_is_no_mild_rise() -> None:
    valid = 0.1 + 0.3 * np.exp(-np.arange(60) / 3) + 0.005 * np.sin(np.arange(60) / 10)
    assert "overfitting" not in states(run(valid, FAST + 0.001))


RISING = 0.3 + 0.5 * np.exp(-np.arange(40) / 2) + 0.01 * np.arange(40).clip(8)


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (np.linspace(0.92, 0.95, 40), "; overconfident: accuracy rises (92.6% → 94.9%)"),
        (np.full(40, 0.92), "; overconfident: accuracy holds (92.0% → 92.0%)"),
        (np.linspace(0.92, 0.8, 40), "; accuracy falls, too (89.5% → 80.3%)"),
        (None, "training 0.311 → 0.000172"),
    ],
)
def test_the_evidence_of_a_rise_says_what_accuracy_does_meanwhile(accuracy: Any, said: str) -> None:
    assert analysis.verdict(run(RISING, FAST[:40], accuracy)).evidence.endswith(said)


def test_the_advice_says_which_epoch_to_keep_for_what_where_loss_and_accuracy_disagree() -> None:
    advice = analysis.verdict(run(RISING, FAST[:40], np.linspace(0.92, 0.95, 40))).advice
    assert "or stop at epoch 9 for probabilities (loss 0.389, now 0.690), at epoch 40 for right answers" in advice
    assert advice.endswith("(accuracy 95.0%)")


def test_an_accuracy_that_falls_or_is_one_row_better_is_not_advised() -> None:
    for accuracy in (np.linspace(0.92, 0.8, 40), [*np.full(39, 0.92), 0.921]):
        advice = analysis.verdict(run(RISING, FAST[:40], accuracy)).advice
        assert advice.endswith("stop at epoch 9: validation 0.389 there, 0.690 now")


def test_a_loss_that_is_stale_while_accuracy_rises_is_advised_on_for_both() -> None:
    flat = 0.3 + 0.5 * np.exp(-np.arange(30) / 2) + 0.0003 * np.arange(30).clip(8)
    advice = analysis.verdict(run(flat, FAST[:30] + 0.1, np.linspace(0.92, 0.95, 30))).advice
    assert "but accuracy rises" in advice
    assert advice.endswith("for probabilities, at epoch 30 for right answers (accuracy 95.0%)")


def test_a_new_low_within_the_noise_is_no_improvement() -> None:
    valid = 0.4 + 0.5 * np.exp(-np.arange(40) / 3) + noise(40, 0.01, seed=2)
    valid[39] = valid.min() - 0.001
    advice = analysis.verdict(run(valid, FAST[:40])).advice
    assert advice.startswith("hardly better since epoch")


def test_a_slow_fall_within_the_noise_of_single_epochs_is_an_improvement() -> None:
    valid = 0.6 - 0.004 * np.arange(40) + noise(40, 0.01, seed=3)
    valid[39] = valid.min() - 0.001
    assert analysis.verdict(run(valid, valid - 0.3)).advice == "still improving: try more than 40 epochs"


def test_nothing_that_is_said_holds_a_number_that_is_none() -> None:
    found = analysis.verdict(run([math.nan] * 8, FAST[:8], [math.nan] * 8))
    assert "nan" not in found.evidence + found.advice
