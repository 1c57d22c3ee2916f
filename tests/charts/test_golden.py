"""Charts compared, sign by sign, with the screens in tests/screens.

After a change that is meant to be seen, look at what

    REGTUI_WRITE_SCREENS=1 python -m pytest tests/charts/test_golden.py && git diff tests/screens

shows, and commit the new screens with the change.
"""

import math
import os
from pathlib import Path

import pytest

from regtui.charts import View, draw
from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Metrics, RunEnded, RunStarted, StepEnded, SystemSampled
from regtui.core.history import History

SCREENS = Path(__file__).parents[1] / "screens"
PER_EPOCH = 16


def run(epochs, until=None, *, dropout=False, drops=(), status=None):
    """Fold a made-up run like the overfit preset: validation falls, then climbs while training goes on falling."""
    policy = {"lr_policy": "plateau"} if drops else {}
    config = RunConfig.create("overfit", epochs=epochs, **policy)
    events = [RunStarted(run_id="a-run", config=config, environment={"steps_per_epoch": PER_EPOCH})]
    rate, step = config.learning_rate, 0
    for epoch in range(1, (until or epochs) + 1):
        train = 0.62 * math.exp(-epoch / (25 if dropout else 9)) + 0.03
        wobble = 0.01 * math.sin(epoch * 1.7)
        valid = 0.55 * math.exp(-epoch / 5) + 0.26 + wobble + (0 if dropout else 0.0055 * max(0, epoch - 18))
        for _ in range(PER_EPOCH):
            step += 1
            loss = (train + 2.3 * math.exp(-step / 20)) * (1.2 + 0.5 * math.sin(step * 2.1))
            events.append(StepEnded(step=step, epoch=epoch, loss=loss, penalty=0.03, learning_rate=rate))
        if epoch in drops:
            events.append(Changed(step=step, epoch=epoch, old=rate, new=rate / 10, cause="plateau"))
            rate /= 10
        events.append(
            EpochEnded(
                epoch=epoch,
                step=step,
                train=Metrics(loss=train, accuracy=1 - 0.3 * train),
                valid=Metrics(loss=valid, accuracy=0.97 - 0.2 * valid),
                running_loss=train * 1.2,
                penalty=0.03,
                learning_rate=rate,
                weight_norms={"hidden_1": 14 + 0.1 * epoch, "hidden_2": 11 + 0.05 * epoch, "output": 5.0},
            )
        )
    if status:
        events.append(RunEnded(status=status, step=step, epoch=until or epochs))
    history = History()
    history.apply(events)
    return history


def decayed():
    """Fold the first epochs of the exponential policy."""
    config = RunConfig.create("lr-decay", epochs=10)
    events = [RunStarted(run_id="a-run", config=config, environment={"steps_per_epoch": 391})]
    for step in range(1, 1200):
        loss = 0.3 + 2 * math.exp(-step / 150)
        events.append(StepEnded(step=step, epoch=step // 391 + 1, loss=loss, learning_rate=0.2 * 0.995 ** (step - 1)))
        if step % 391 == 0:
            metrics = Metrics(loss=loss)
            events.append(EpochEnded(epoch=step // 391, step=step, train=metrics, valid=metrics, running_loss=loss))
    history = History()
    history.apply(events)
    return history


def diverged():
    """Fold a run whose losses grow until they are no numbers."""
    config = RunConfig.create("overfit", epochs=20)
    events = [RunStarted(run_id="a-run", config=config, environment={"steps_per_epoch": PER_EPOCH})]
    for epoch in range(1, 9):
        loss = None if epoch > 7 else 2.0 + 0.02 * 3.0**epoch
        events += [
            StepEnded(step=(epoch - 1) * PER_EPOCH + step, epoch=epoch, loss=loss, learning_rate=1.0)
            for step in range(1, PER_EPOCH + 1)
        ]
        metrics = Metrics(loss=loss)
        events.append(EpochEnded(epoch=epoch, step=epoch * PER_EPOCH, train=metrics, valid=metrics, running_loss=loss))
    events.append(RunEnded(status="diverged", step=8 * PER_EPOCH, epoch=8))
    history = History()
    history.apply(events)
    return history


def sampled(gpus):
    """Fold a run whose machine was sampled: its GPUs wait for rows from the middle on."""
    history = run(60)
    samples = []
    for at in range(1, 240):
        step, share = at * 4, 0.95 if at < 120 else 0.35
        used = {f"gpu{gpu}/utilization": share + 0.04 * math.sin(at * 1.3 + gpu) - 0.05 * gpu for gpu in range(gpus)}
        busy = 3.2 if at < 120 else 7.5
        samples.append(SystemSampled(step=step, time=float(at), metrics={**used, "cpu": busy, "cores": 8.0}))
    history.apply(samples)
    return history


ALL = ("loss", "rate", "gap", "norms")
CASES = {
    "overfit-half-way": lambda: draw(run(60, 30), 80, 24, View(overfit_since=18 * PER_EPOCH)),
    "overfit-end": lambda: draw(run(60, status="finished"), 80, 24, View(overfit_since=18 * PER_EPOCH)),
    "overfit-ascii": lambda: draw(run(60, status="finished"), 80, 24, View(overfit_since=18 * PER_EPOCH, ascii=True)),
    "dropout-ghost": lambda: draw(run(60, 45, dropout=True), 120, 36, View(ghost=run(60, status="finished"))),
    "plateau-all-strips": lambda: draw(run(60, 40, drops=(12, 28)), 120, 40, View(strips=ALL, cursor=21)),
    "plateau-small": lambda: draw(run(60, 40, drops=(12, 28)), 40, 12),
    "smoothed-log-half": lambda: draw(run(60), 100, 30, View(smoothing=0.9, log_y=True, zoom="half")),
    "overfit-log": lambda: draw(run(60, status="finished"), 80, 24, View(overfit_since=18 * PER_EPOCH, log_y=True)),
    "penalty": lambda: draw(run(60), 80, 16, View(show_penalty=True)),
    "accuracy": lambda: draw(run(60, 40), 80, 24, View(strips=("loss", "accuracy"), overfit_since=18 * PER_EPOCH)),
    "machine": lambda: draw(sampled(1), 80, 24, View(strips=("loss", "machine"))),
    "machine-gpus": lambda: draw(sampled(6), 140, 40, View(strips=("loss", "rate", "machine"))),
    "machine-cpu": lambda: draw(sampled(0), 40, 12, View(strips=("machine",), ascii=True)),
    "decay-forecast": lambda: draw(decayed(), 80, 24),
    "decay-preview": lambda: draw(History(), 80, 24, preview=RunConfig.create("lr-decay")),
    "diverged": lambda: draw(diverged(), 80, 24),
    "empty": lambda: draw(History(), 60, 8),
}


@pytest.mark.parametrize("name", CASES)
def test_the_chart_is_the_golden_screen(name):
    text = "\n".join("".join(span.text for span in line).rstrip() for line in CASES[name]()) + "\n"
    path = SCREENS / f"charts-{name}.txt"
    if os.environ.get("REGTUI_WRITE_SCREENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
