"""Runs that regtui did not train: nothing is said of them that their log does not say."""

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from regtui.core.events import Changed, EpochEnded, Evaluated, Event, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.core.plan import Plan
from regtui.readers import LogWriter
from regtui.report import render, replay, result

DEFAULTS = ("torch", "digits", "adam", "0.001", "constant", "dropout 0", "200,100")
"""What a default configuration of ours would say."""


def valid(row: int) -> float:
    """A validation loss with its best at row 10 of 40, far above its noise afterwards."""
    return 0.9 + 1.4 * math.exp(-row / 3) + max(0, row - 10) * 0.03 + 0.004 * math.sin(row * 2.1)


def evaluations(count: int, *, every: int = 500, **more: float) -> Iterator[Event]:
    """A run of somebody's own loop, evaluated by steps."""
    for row in range(1, count + 1):
        train = 2.3 * math.exp(-row / 8)
        yield StepEnded(step=row * every, loss=train, learning_rate=3e-4)
        yield Evaluated(
            step=row * every, train={"loss": train}, valid={"loss": valid(row), "f1": 0.5 + row / 100}, **more
        )


def folded(*events: Event) -> History:
    history = History()
    history.apply(events)
    return history


def own_loop() -> list[Event]:
    return [RunStarted(run_id="llm-3", trainer="own loop", plan=Plan(total_steps=40_000)), *evaluations(40)]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12)])
def test_the_page_of_a_run_of_others_names_no_default_of_ours(size: tuple[int, int]) -> None:
    page = render(folded(*own_loop()), *size)
    assert not [word for word in DEFAULTS if word in page]


def test_a_log_without_a_run_record_is_drawn_and_named_no_default() -> None:
    page = render(folded(*evaluations(40)), 100, 36)
    assert not [word for word in DEFAULTS if word in page]
    assert "a run without a name" in page


def test_a_run_that_counts_no_epochs_has_its_places_in_steps() -> None:
    history = folded(*own_loop(), RunEnded(status="finished", step=20_000))
    page, found = render(history, 120, 40), result(history)
    assert "epoch" not in page
    assert "overfitting since step 5,000" in page.lower()
    assert (found["best_epoch"], found["best_step"], found["epochs"], found["steps"]) == (None, 5000, 0, 20_000)
    assert (found["verdict"]["since_epoch"], found["verdict"]["since_step"]) == (None, 5000)


def test_advice_for_a_run_without_settings_names_remedies_and_no_values_from_thin_air() -> None:
    advice = result(folded(*own_loop()))["verdict"]["advice"]
    assert "dropout" in advice
    assert not [word for word in ("0.4", "0.001", "1e-3") if word in advice]


def test_what_was_measured_is_listed_by_its_name_with_its_last_value() -> None:
    metrics = result(folded(*own_loop()))["metrics"]
    assert metrics["valid/f1"] == pytest.approx(0.9)
    assert metrics["valid/loss"] == pytest.approx(valid(40))
    assert "time" not in metrics


def test_framework_device_and_settings_that_nobody_said_are_null_and_empty() -> None:
    found = result(folded(*own_loop()))
    assert (found["framework"], found["device"], found["settings"]) == (None, None, {})
    assert (found["trainer"], found["format"], found["listens"]) == ("own loop", "regtui", [])


def test_an_evaluation_within_an_epoch_is_named_with_its_fraction() -> None:
    events = [Evaluated(step=100 * row, epoch=row * 0.4, valid={"loss": valid(row)}) for row in range(1, 41)]
    history = folded(*events)
    assert "epoch 4" in render(history, 100, 40)
    assert result(history)["best_step"] == 1000


def test_a_drop_in_a_run_without_epochs_is_told_by_its_step() -> None:
    events = own_loop()
    drop = Changed(step=8000, old=3e-4, new=3e-5, cause="")
    history = folded(*events[:33], drop, *events[33:])
    page = render(history, 120, 44)
    assert "at step 8,000" in page
    assert "epoch" not in page


def test_the_replay_of_a_log_of_others_is_json_with_the_same_keys(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    with LogWriter(log) as writer:
        writer.write(own_loop())
    out = io.StringIO()
    replay(log, as_json=True, out=out, err=io.StringIO())
    assert list(json.loads(out.getvalue())) == list(result(History()))


def test_a_log_of_ours_from_before_says_who_trained(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text('{"kind":"run","format":1,"run_id":"a"}\n{"kind":"epoch","epoch":1,"step":9,"valid":{"loss":0.4}}\n')
    out = io.StringIO()
    replay(log, as_json=True, out=out, err=io.StringIO())
    found = json.loads(out.getvalue())
    assert (found["trainer"], found["framework"], found["best_epoch"]) == (None, None, 1)
    assert isinstance(EpochEnded(epoch=1, step=9).metrics, dict)
