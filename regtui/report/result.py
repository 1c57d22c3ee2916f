"""The result of a run: one object for scripts, an exit status, a line an epoch."""

import json
import math
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np

from regtui.analysis import Verdict, best_row, drop_effects, forecast, meters, training_loss, verdict
from regtui.analysis.checkpoints import nearest
from regtui.analysis.comparison import last_evaluated
from regtui.analysis.facts import completed_epochs, device, framework, learning_rates
from regtui.analysis.machine import highest, means, newest, waiting
from regtui.core.history import History
from regtui.core.metrics import LEARNING_RATE, PENALTY

FAILED = 1
"""Exit status of a run that failed, diverged or, asked for, overfits."""

CANNOT_JUDGE = 2
"""Exit status of a check on a run that is too short, or has no validation loss."""


def result(
    history: History, skipped_lines: int = 0, log_format: str = "regtui", log_problem: str | None = None
) -> dict[str, Any]:
    """Give what a run came to; numbers that are missing or not finite are None.

    Losses and accuracies are those of the last evaluation, rate and penalty the last that are known. A run and the
    replay of its log give the same object; `log_format` is the name of the log's reader, and `log_problem` says what a
    run could not keep in its log, which then has another replay. The keys up to
    `skipped_lines` are promised, in this order; those after it hold what the screen says beside. A run that counts
    no epochs has its places in steps: `best_epoch` and `verdict.since_epoch` are None there.
    """
    table = history.evaluations
    row, best = last_evaluated(history), best_row(history)
    found = verdict(history)
    losses = {
        "train_loss": _at(training_loss(history), row),
        "valid_loss": _at(table["valid/loss"].values, row),
        "train_accuracy": _at(table["train/accuracy"].values, row),
        "valid_accuracy": _at(table["valid/accuracy"].values, row),
    }
    train, valid = losses["train_loss"], losses["valid_loss"]
    return {
        "run_id": history.run.run_id if history.run else None,
        "status": history.status,
        "framework": framework(history),
        "device": device(history),
        "epochs": completed_epochs(history),
        "steps": history.step if history.counts_steps else None,
        **losses,
        "best_epoch": None if best is None else history.epoch_of(best),
        "best_valid_loss": _at(table["valid/loss"].values, best),
        "generalization_gap": None if train is None or valid is None else valid - train,
        "learning_rate": history.newest(LEARNING_RATE),
        "penalty": history.newest(PENALTY),
        "verdict": _verdict(found),
        "changes": [_step_if_counted(history, change) for change in history.changes],
        "skipped_lines": skipped_lines,
        **_beside(history, found),
        "trainer": history.trainer,
        "format": log_format,
        "settings": _finite(msgspec.to_builtins(dict(history.settings))),
        "best_step": None if best is None else history.step_of(best),
        "metrics": last_metrics(history),
        "listens": list(history.run.listens) if history.run else [],
        "log_problem": log_problem or None,
        "checkpoint": _checkpoint(history, best),
        "system": _system(history),
    }


def _system(history: History) -> dict[str, Any] | None:
    """Give what the machine showed, by name, and whether its GPU waits; None where nothing was sampled."""
    if not len(history.system):
        return None
    waits = waiting(history)
    found: dict[str, Any] = _finite(
        {
            "samples": len(history.system),
            "last": newest(history),
            "mean": means(history),
            "highest": highest(history),
            "waiting": msgspec.to_builtins(waits) if waits is not None else None,
        }
    )
    return found


def _checkpoint(history: History, best: int | None) -> dict[str, Any] | None:
    """Give the checkpoint nearest to the lowest validation loss; None where none was saved."""
    kept = None if best is None else nearest(history, best)
    return None if kept is None else {**msgspec.to_builtins(kept.checkpoint), "exact": kept.exact}


def _beside(history: History, found: Verdict) -> dict[str, Any]:
    """Give what else the screen says: the end, what could not be judged, drops, patience and what is to come."""
    end, planned, patience = history.end, forecast(history), meters(history)
    floor = None
    if planned is not None and planned.floor is not None:
        floor = {"rate": planned.floor, "step": planned.floor_step, "epoch": planned.floor_epoch}
    kept: dict[str, Any] = _finite(
        {
            "reason": end.reason if end else "",
            "test": {"loss": None, "accuracy": None, **end.test} if end and end.test else None,
            "cannot_judge": [*found.cannot_judge, *patience.cannot_judge],
            "drops": [_step_if_counted(history, effect) for effect in drop_effects(history)],
            "meters": {
                "plateau": asdict(patience.plateau) if patience.plateau else None,
                "early_stopping": msgspec.to_builtins(patience.early_stopping),
            },
            "floor": floor,
        }
    )
    return kept


def to_json(found: dict[str, Any]) -> str:
    """Write a result as strict JSON, one key a line, in ASCII: any terminal and any pipe can take it."""
    return json.dumps(found, indent=2, allow_nan=False)


def check_status(history: History) -> int:
    """Give the exit status of `--check`.

    1 for a run that failed, diverged or overfits, 2 for one that cannot be judged yet, else 0.
    """
    found = verdict(history)
    if run_status(history) or found.state in {"overfitting", "diverged"}:
        return FAILED
    return 0 if found.overfitting_judged else CANNOT_JUDGE


def run_status(history: History) -> int:
    """Give the exit status of a run: 1 when it failed or diverged, also where it was told to go on, else 0."""
    return FAILED if history.status in {"failed", "diverged"} or verdict(history).state == "diverged" else 0


def epoch_line(history: History) -> str:
    """Put the newest epoch into one line of numbers that keep their place."""
    table = history.evaluations
    if not len(table):
        return "no epoch yet"
    parts = [_place(history)]
    if table["measured"].last:
        parts += [f"valid {table['valid/loss'].last:7.4f}", f"train {training_loss(history)[-1]:7.4f}"]
        parts += [f"accuracy {table['valid/accuracy'].last:6.2%}"]
    else:
        parts += [f"running {table['step/loss'].last:7.4f}"]
    parts += [f"LR {learning_rates(history)[-1]:<8.3g}"]
    if math.isfinite(table["seconds"].last):
        parts += [f"{table['seconds'].last:6.2f} s"]
    return "  ".join(parts).replace("nan", "  -").rstrip()


def _place(history: History) -> str:
    """Say where the newest evaluation is, of how much, at a width that stays."""
    if not history.counts_epochs:
        total = history.plan.total_steps
        return f"step {history.step:{len(str(total or history.step))}}" + (f"/{total}" if total else "")
    planned, done = history.plan.epochs, completed_epochs(history)
    digits = len(str(max(planned or 0, done)))
    return f"epoch {done:{digits}}" + (f"/{planned}" if planned else "")


NOT_METRICS = frozenset({"epoch", "measured", "time", "seconds", "evaluate_seconds"})
"""Columns of the evaluations that say where and when, not what was measured."""


def last_metrics(history: History) -> dict[str, float]:
    """Give the last known number of everything that was measured, by name."""
    found: dict[str, float] = {}
    for table in (history.steps, history.evaluations):
        for name in table.names:
            known = np.flatnonzero(np.isfinite(table[name].values))
            if name not in NOT_METRICS and len(known):
                found[name] = float(table[name].values[known[-1]])
    return found


def _at(values: Any, row: int | None) -> float | None:
    if row is None or not math.isfinite(values[row]):
        return None
    return float(values[row])


def _verdict(found: Verdict) -> dict[str, Any]:
    return {
        "state": found.state,
        "since_epoch": found.since_epoch,
        "evidence": found.evidence,
        "advice": found.advice,
        "since_step": found.since_step,
    }


def _step_if_counted(history: History, struct: msgspec.Struct) -> Any:
    """Give what has a step as JSON has it; where nobody counts steps it has none."""
    found = _finite(msgspec.to_builtins(struct))
    return found if history.counts_steps else {**found, "step": None}


def _finite(value: Any) -> Any:
    """Put None in the place of numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list) else value
