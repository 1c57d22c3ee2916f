"""What there is to say of one run in a row: a record small enough to be kept for thousands of them."""

import math
from pathlib import Path
from typing import Annotated, Any

import msgspec

from regtui.analysis import best_row, training_loss, verdict
from regtui.analysis.comparison import last_evaluated
from regtui.analysis.facts import completed_epochs, device, framework
from regtui.core.history import History
from regtui.core.metrics import LEARNING_RATE
from regtui.core.series import FloatArray
from regtui.core.text import beginning

LONGEST_TEXT = 256
"""Characters that are kept of a text: more than a row shows, and a bound on what a log can make others hold."""

MOST_SETTINGS = 64
"""Settings that are kept; regtui has half as many."""

LARGEST = 2**53
"""Whole numbers up to it are exact in every JSON reader; no count or setting is larger."""

EARLIEST = 1e8
"""Seconds since the epoch of Unix in 1973; what is less was counted from a run's start, as some trainers do."""

Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Name = Text | None
Setting = bool | int | float | Text | tuple[int, ...] | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run, as its log says it; None for what it does not say. Losses are in nats."""

    run_id: Name
    """What the run calls itself; the folder it lies in may have another name."""
    status: Text
    """`running` where the log has no end (whoever lists it must see if that is so), `empty`, or the end's."""
    reason: Text
    """Why it ended, where the status alone does not say."""
    trainer: Name
    format: Text
    """The log's format, as people call it."""
    framework: Name
    device: Name
    dataset: Name
    """A data set's name, or the last part of its path."""
    settings: dict[Text, Setting]
    """What was set, by name: numbers, words and widths; what is longer or deeper than a row is left out."""
    epochs: int
    """Epochs completed; 0 where they are not counted."""
    planned_epochs: int | None
    steps: int | None
    """Updates completed; None where nobody counts them."""
    planned_steps: int | None
    train_loss: float | None
    """At the last evaluation; so the three that follow."""
    valid_loss: float | None
    train_accuracy: float | None
    valid_accuracy: float | None
    best_epoch: int | None
    """Epoch of the lowest validation loss, the first on ties; None also where epochs are not counted."""
    best_step: int | None
    best_valid_loss: float | None
    best: Text
    """Where it was, in words: `epoch 16`, `step 4,000`; empty where there is none."""
    learning_rate: float | None
    """The last one known."""
    verdict: Text
    """State of the verdict."""
    since_epoch: int | None
    since_step: int | None
    verdict_words: Text
    """The same as one says it: `overfitting since epoch 24`."""
    started: float | None
    """Seconds since the epoch of Unix, on the machine that trained."""
    ended: float | None
    """When the newest of its records was made."""


def summarize(history: History, log_format: str = "regtui") -> Summary:
    """Sum a run up; `log_format` is the name of the log's reader."""
    run, end, config, table = history.run, history.end, history.config, history.evaluations
    row, best, found = last_evaluated(history), best_row(history), verdict(history)
    total = history.total_steps
    return Summary(
        run_id=_name(run.run_id if run else None),
        status=_text(history.status),
        reason=_text(end.reason if end else ""),
        trainer=_name(history.trainer),
        format=_text(log_format),
        framework=_name(framework(history)),
        device=_name(device(history)),
        dataset=_name(Path(config.dataset).name if config else None),
        settings=_settings(history),
        epochs=min(completed_epochs(history), LARGEST),
        planned_epochs=_count(history.plan.epochs),
        steps=min(history.step, LARGEST) if history.counts_steps else None,
        planned_steps=_count(round(total)) if math.isfinite(total) else None,
        train_loss=_at(training_loss(history), row),
        valid_loss=_at(table["valid/loss"].values, row),
        train_accuracy=_at(table["train/accuracy"].values, row),
        valid_accuracy=_at(table["valid/accuracy"].values, row),
        best_epoch=None if best is None else _count(history.epoch_of(best)),
        best_step=None if best is None else _count(history.step_of(best)),
        best_valid_loss=_at(table["valid/loss"].values, best),
        best="" if best is None else _text(history.where(best)),
        learning_rate=history.newest(LEARNING_RATE),
        verdict=found.state,
        since_epoch=_count(found.since_epoch),
        since_step=_count(found.since_step),
        verdict_words=_text(found.words),
        started=_finite(run.time if run else None),
        ended=_last_time(history),
    )


def _settings(history: History) -> dict[str, Setting]:
    kept: dict[str, Setting] = {}
    for name, value in history.settings.items():
        if len(kept) == MOST_SETTINGS:
            break
        if len(name) <= LONGEST_TEXT and _is_short(value):
            kept[name] = tuple(value) if isinstance(value, list | tuple) else value
    return kept


def _is_short(value: Any) -> bool:
    match value:
        case str():
            return len(value) <= LONGEST_TEXT
        case int():  # bool, too
            return abs(value) <= LARGEST
        case float():
            return math.isfinite(value)
        case list() | tuple():
            return len(value) <= MOST_SETTINGS and all(isinstance(each, int) and _is_short(each) for each in value)
    return value is None


def _last_time(history: History) -> float | None:
    times = (
        history.steps["time"].last,
        history.evaluations["time"].last,
        _finite(history.end.time if history.end else None),
    )
    return max((time for time in times if time is not None and math.isfinite(time) and time > EARLIEST), default=None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _at(values: FloatArray, row: int | None) -> float | None:
    return None if row is None else _finite(float(values[row]))


def _count(number: int | None) -> int | None:
    return None if number is None else max(-LARGEST, min(number, LARGEST))


def _name(text: str | None) -> str | None:
    return None if text is None else _text(text)


def _text(text: str) -> str:
    return beginning(text, LONGEST_TEXT)
