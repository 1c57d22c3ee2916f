"""Runs of a known shape for the report's tests."""

import math
from collections.abc import Callable

import pytest

from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Event, Metrics, RunEnded, RunStarted, StepEnded
from regtui.readers import LogWriter


def overfitting_run(epochs: int = 40, *, run_id: str = "20261123-141502-torch-k3", status: str = "finished"):
    """Make a run whose validation loss turns at epoch 10 and whose rate drops once, after epoch 20."""
    config = RunConfig.create(epochs=40, learning_rate=0.1)
    environment = {"framework": "torch", "framework_version": "2.13.0", "device": "cpu", "train_rows": 1000}
    events: list[Event] = [RunStarted(run_id=run_id, time=1000.0, config=config, environment=environment)]
    for epoch in range(1, epochs + 1):
        rate = 0.1 if epoch <= 20 else 0.01
        train = 2.3 * math.exp(-epoch / 8)
        valid = train + 0.3 if epoch <= 10 else 0.96 + 0.03 * (epoch - 10)
        for step in range(epoch * 4 - 3, epoch * 4 + 1):
            time = 1000.0 + step / 4
            events.append(  # the loop makes more than one kind of record
                StepEnded(step=step, epoch=epoch, loss=train, penalty=0.01, learning_rate=rate, time=time)
            )
        measured = {"train": Metrics(loss=train, accuracy=0.9), "valid": Metrics(loss=valid, accuracy=0.8)}
        rest = {"running_loss": train + 0.1, "penalty": 0.02, "learning_rate": rate, "seconds": 0.5}
        events.append(EpochEnded(epoch=epoch, step=epoch * 4, time=1000.0 + epoch, **measured, **rest))
        if epoch == 20:
            events.append(Changed(step=80, epoch=20, old=0.1, new=0.01, cause="plateau", time=1020.0))
    if status:
        events.append(RunEnded(status=status, step=epochs * 4, epoch=epochs, time=1000.0 + epochs))
    return events


@pytest.fixture
def run() -> Callable[..., list[Event]]:
    """Give the maker of runs."""
    return overfitting_run


@pytest.fixture
def log_of(tmp_path):
    """Give a function that writes events into a run's folder and names the log."""

    def write(events: list[Event], name: str = "run"):
        path = tmp_path / name / "events.jsonl"
        with LogWriter(path) as writer:
            writer.write(events)
        return path

    return write
