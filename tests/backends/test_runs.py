"""Whole runs in each framework: the same seed gives the same log, and no run disturbs another."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from regtui import backends, datasets, loop
from regtui.core.config import RunConfig
from regtui.core.data import Data
from regtui.core.events import EpochEnded, Event, StepEnded, encode_lines
from regtui.loop import train


def config_of(framework: str, **given) -> RunConfig:
    # Everything random at once: dropout's masks, the start, the order of rows, the split, the noise.
    given = {"framework": framework, "epochs": 4, "dropout": 0.3, "l2": 1e-4, "device": "cpu", "seed": 3, **given}
    return RunConfig.create("overfit", **given)


def without_durations(events: list[Event]) -> bytes:
    """Write a log as bytes, but for what a stopwatch says."""
    return encode_lines(
        msgspec.structs.replace(event, seconds=0.0, evaluate_seconds=0.0) if isinstance(event, EpochEnded) else event
        for event in events
    )


def test_the_same_seed_gives_the_same_log_though_other_runs_come_between(framework, log, digits):
    other = next(name for name in backends.names() if name != framework)
    first = without_durations(log(config_of(framework), digits))
    log(config_of(framework, seed=4, optimizer="momentum"), digits)
    if backends.is_installed(other):
        log(config_of(other), digits)
    assert without_durations(log(config_of(framework), digits)) == first
    assert without_durations(log(config_of(framework, seed=4), digits)) != first


def test_the_log_does_not_depend_on_how_steps_were_cut_into_chunks(framework, log, digits, monkeypatch):
    expected = without_durations(log(config_of(framework), digits))
    for seconds in (0.0, 10.0):  # one step a chunk, and an epoch a chunk as soon as growth allows
        monkeypatch.setattr(loop, "CHUNK_SECONDS", seconds)
        assert without_durations(log(config_of(framework), digits)) == expected


ELSEWHERE = """
import hashlib, json, sys
import msgspec
from regtui import backends, datasets
from regtui.core.config import RunConfig
from regtui.core.events import StepEnded, EpochEnded
from regtui.loop import train
config = msgspec.convert(json.loads(sys.argv[1]), RunConfig)
data = datasets.load(config)
backend = backends.find(config.framework)(config, data)
events = [event for chunk in train(config, backend, data, run_id="x") for event in chunk]
numbers = [[e.loss, e.penalty, e.learning_rate] for e in events if isinstance(e, StepEnded)]
numbers += [[e.valid["loss"], e.train["loss"], e.running_loss] for e in events if isinstance(e, EpochEnded)]
print(hashlib.sha256(json.dumps(numbers).encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_numbers_in_another_process(framework):
    config = config_of(framework)
    data = datasets.load(config)
    backend = backends.find(framework)(config, data)
    events = [event for chunk in train(config, backend, data, run_id="x") for event in chunk]
    backend.close()
    numbers = [[e.loss, e.penalty, e.learning_rate] for e in events if isinstance(e, StepEnded)]
    numbers += [[e.valid["loss"], e.train["loss"], e.running_loss] for e in events if isinstance(e, EpochEnded)]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps(msgspec.to_builtins(config))],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == hashlib.sha256(json.dumps(numbers).encode()).hexdigest()


def test_an_epochs_averages_are_those_of_its_weights_and_batches(framework, make, mnist, numpy_net):
    """Measured against numpy on exported weights; the short last batch weighs as many rows as it has."""
    config = RunConfig.create(
        "l2+dropout", framework=framework, hidden=(32,), epochs=2, batch_size=100, device="cpu", optimizer="sgd"
    )
    backend, net = make(config, mnist), numpy_net(config, mnist)
    events = [event for chunk in train(config, backend, mnist, run_id="test") for event in chunk]
    epoch = next(event for event in reversed(events) if isinstance(event, EpochEnded))
    net.weights = [part.astype(np.float64) for part in backend.weights()]
    for metrics, rows in ((epoch.train, mnist.train), (epoch.valid, mnist.valid), (events[-1].test, mnist.test)):
        loss, accuracy = net.measure(rows)
        assert metrics["loss"] == pytest.approx(loss, rel=1e-5)
        assert metrics["accuracy"] == pytest.approx(accuracy, abs=1.5 / len(rows))
    assert epoch.penalty == pytest.approx(net.penalty(), rel=1e-5)
    assert epoch.weight_norms["output"] == pytest.approx(np.linalg.norm(net.weights[2]), rel=1e-5)
    losses = [event.loss for event in events if isinstance(event, StepEnded) and event.epoch == 2]
    assert epoch.running_loss == pytest.approx((100 * sum(losses[:-1]) + 50 * losses[-1]) / 2050, rel=1e-9)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_default_lab_shows_overfitting_and_dropout_its_remedy(framework, log, dropout):
    config = RunConfig.create("overfit", framework=framework, dropout=dropout, device="cpu")
    data: Data = datasets.load(config)
    losses = [event.valid["loss"] for event in log(config, data) if isinstance(event, EpochEnded)]
    assert len(losses) == 60
    risen = losses[-1] / min(losses) - 1
    assert risen <= 0.15 if dropout else risen >= 0.25


def test_a_rate_far_too_large_ends_as_diverged(framework, log, digits):
    config = config_of(framework, optimizer="sgd", learning_rate=1000.0, dropout=0.0, l2=0.0)
    events = log(config, digits)
    assert events[-1].status == "diverged"
    assert f"step {events[-1].step}, learning rate 1000" in events[-1].reason
    assert not any(isinstance(event, EpochEnded) for event in events)


def test_keep_going_draws_gaps_after_divergence(framework, log, digits):
    config = config_of(framework, optimizer="sgd", learning_rate=1e6, l2=1.0, keep_going=True, epochs=2)
    events = log(config, digits)
    assert events[-1].status == "finished"
    assert b'"loss":null' in encode_lines(events)


@pytest.mark.parametrize("given", [{"hidden": ()}, {"hidden": (3, 4, 5, 6)}, {"batch_size": 5000}, {"batch_size": 1}])
def test_nets_and_batches_of_any_shape_train(framework, log, digits, given):
    rows = {"features": digits.train.features[:130], "labels": digits.train.labels[:130]}
    data = replace(digits, train=replace(digits.train, **rows))
    events = log(config_of(framework, epochs=2, **given), data)
    assert events[-1].status == "finished"
    assert len([event for event in events if isinstance(event, EpochEnded)]) == 2
