"""Whole runs in each framework: the same seed gives the same log, and no run disturbs another."""

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
from regtui.core.events import EpochEnded, Event, Noted, StepEnded, encode_lines
from regtui.loop import train
from regtui.readers import open_log


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


@pytest.fixture(scope="session")
def first_logs(digits) -> dict[str, bytes]:
    """The log of `config_of` in each framework installed, made before any other here."""
    logs = {}
    for name in filter(backends.is_installed, backends.names()):
        backend = backends.find(name)(config_of(name), digits)
        chunks = train(config_of(name), backend, digits, run_id="test", clock=lambda: 0.0)
        logs[name] = without_durations([event for chunk in chunks for event in chunk])
        backend.close()
    return logs


def test_the_same_seed_gives_the_same_log_though_other_runs_come_between(framework, log, digits, first_logs):
    assert without_durations(log(config_of(framework, seed=4), digits)) != first_logs[framework]
    assert without_durations(log(config_of(framework), digits)) == first_logs[framework]


@pytest.mark.parametrize("seconds", [0.0, 10.0], ids=["one step a chunk", "an epoch a chunk as soon as growth allows"])
def test_the_log_does_not_depend_on_how_steps_were_cut_into_chunks(
    framework, log, digits, first_logs, monkeypatch, seconds
):
    monkeypatch.setattr(loop, "CHUNK_SECONDS", seconds)
    assert without_durations(log(config_of(framework), digits)) == first_logs[framework]


@pytest.fixture(scope="module", params=backends.names())
def trained_elsewhere(request, tmp_path_factory) -> tuple[str, str, list[Event]]:
    """A run of the command line in a process of its own: its framework, what it said on stderr, and its log."""
    framework = request.param
    if not backends.is_installed(framework):
        pytest.skip(f"{framework} is not installed")
    path = tmp_path_factory.mktemp("elsewhere") / "events.jsonl"
    command = [sys.executable, "-m", "regtui", "train", "--preset", "overfit", "--log", str(path)]
    for name in ("framework", "epochs", "dropout", "l2", "device", "seed"):
        command += [f"--{name}", str(getattr(config_of(framework), name))]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return framework, done.stderr, open_log(path).poll()


def numbers(events: list[Event]) -> list[list[float | None]]:
    """Give all losses, penalties and rates of a log."""
    steps = [[e.loss, e.penalty, e.learning_rate] for e in events if isinstance(e, StepEnded)]
    return steps + [[e.valid["loss"], e.train["loss"], e.running_loss] for e in events if isinstance(e, EpochEnded)]


def test_the_same_seed_gives_the_same_numbers_in_another_process(trained_elsewhere, log):
    framework, _, events = trained_elsewhere
    config = config_of(framework)
    assert numbers(events) == numbers(log(config, datasets.load(config)))


def test_a_gpu_that_is_not_there_is_no_error_on_stderr_or_in_the_log(trained_elsewhere):
    """TensorFlow said `E0000 ... failed call to cuInit` on every machine without a GPU."""
    _, stderr, events = trained_elsewhere
    said = [stderr, *(event.text for event in events if isinstance(event, Noted))]
    assert not [text for text in said if "cuInit" in text or text.startswith("E0000")]


def test_an_epochs_averages_are_those_of_its_weights_and_batches(framework, make, pictures, numpy_net):
    """Measured against numpy on exported weights; the short last batch weighs as many rows as it has."""
    config = RunConfig.create(
        "l2+dropout", framework=framework, hidden=(32,), epochs=2, batch_size=100, device="cpu", optimizer="sgd"
    )
    backend, net = make(config, pictures), numpy_net(config, pictures)
    events = [event for chunk in train(config, backend, pictures, run_id="test") for event in chunk]
    epoch = next(event for event in reversed(events) if isinstance(event, EpochEnded))
    net.weights = [part.astype(np.float64) for part in backend.weights()]
    for metrics, rows in (
        (epoch.train, pictures.train),
        (epoch.valid, pictures.valid),
        (events[-1].test, pictures.test),
    ):
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
