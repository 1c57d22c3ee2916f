"""Pages of runs in the formats of others: what the log says is shown, what it does not say is not."""

import numpy as np
import pytest

from regtui.analysis.facts import learning_rates
from regtui.core.events import Event, Rows, RunStarted
from regtui.core.history import History
from regtui.report import render, result


def folded(*events: Event, **settings: object) -> History:
    history = History()
    history.apply([RunStarted(run_id="other", trainer="keras", open_end=True, settings=settings), *events])
    return history


def evaluations(count: int = 8, *, counted: bool = True, **columns: float) -> Rows:
    """Rows of a trainer that counts steps, or nothing but epochs."""
    number = np.arange(1.0, count + 1)
    return Rows(
        table="evaluations",
        step=100 * number if counted else np.full(count, np.nan),
        columns={"epoch": number, "valid/loss": 2 / number}
        | {name: np.full(count, value) for name, value in columns.items()},
    )


def steps(count: int = 8) -> Rows:
    number = np.arange(1.0, count + 1)
    return Rows(table="steps", step=100 * number - 50, columns={"step/loss": 2 / number, "learning_rate": 0.1 * number})


def test_the_rate_at_an_evaluation_is_that_of_the_last_step_before_it() -> None:
    history = folded(steps(), evaluations())
    assert learning_rates(history) == pytest.approx(0.1 * np.arange(1, 9))
    assert "0.800" in render(history, 100, 40).split("last")[0].splitlines()[-1]


def test_columns_and_strips_that_the_log_has_nothing_for_are_left_out() -> None:
    page = render(folded(evaluations()), 100, 40)
    assert not [word for word in ("LR", "acc", "learning rate", "killed", "Warning") if word in page]


def test_further_metrics_and_losses_stand_in_the_place_of_a_rate_that_is_not_there() -> None:
    assert "f1 0.7" in render(folded(evaluations(**{"valid/f1": 0.7})), 100, 40)
    assert "further losses" in render(folded(evaluations(**{"valid/box_loss": 1.7})), 100, 40)


def test_a_log_that_counts_epochs_alone_has_no_steps() -> None:
    found = result(folded(evaluations(counted=False)))
    assert (found["steps"], found["best_step"], found["best_epoch"]) == (None, None, 8)
    assert "step" not in render(folded(evaluations(counted=False)), 100, 40)


def test_a_log_of_batches_alone_is_at_a_step_and_asks_for_a_validation_loss() -> None:
    history = folded(steps())
    page = render(history, 100, 40)
    assert "other · keras · step 750" in page
    assert "log a validation loss" in page
    assert result(history)["cannot_judge"] == ["overfitting: the log has no validation loss"]


def test_settings_of_others_are_on_the_page_and_compared() -> None:
    from regtui.analysis.comparison import asked_differently

    ours, theirs = folded(evaluations(), dropout=0.4, width=3), folded(evaluations(), dropout=0.0, width=3)
    assert "dropout 0.4 · width 3" in render(ours, 100, 40)
    assert asked_differently(ours, theirs) == "dropout 0.4 (was 0.0)"
    assert asked_differently(ours, folded(evaluations())) == "what was asked for is not known"
