"""The same configuration is the same run in both frameworks; where they truly differ, by how much."""

from dataclasses import replace

import numpy as np
import pytest

from regtui import backends
from regtui.core.config import RunConfig
from regtui.core.data import Data, Rows
from regtui.core.events import Changed, Command, EpochEnded, Event, RunEpoch, SetKnob, StepEnded
from regtui.core.policies import policies
from regtui.loop import train
from regtui.preparation import shuffled

pytestmark = pytest.mark.skipif(
    not all(backends.is_installed(name) for name in ("torch", "tensorflow")), reason="compares both frameworks"
)

POLICIES = {
    "exponential": {"lr_decay": 0.998, "lr_floor": 1e-6},
    # Short enough to fire several times in 609 steps.
    "plateau": {"patience": 25, "factor": 0.7},
    "step": {"every": 7, "gamma": 0.5},
    "cosine": {"lr_floor": 1e-4, "restart_every": 9},
    "inverse_time": {"lr_decay": 0.01},
}
"""Policy -> what suits so short a run better than its defaults; one that is not here runs with those."""

# 20 batches of 20 and one of 10 an epoch: 609 steps, every 21st short.
SHAPE = {"dataset": "mnist", "batch_size": 20, "epochs": 29, "learning_rate": 0.05, "hidden": (24,), "device": "cpu"}
EXACT = {**SHAPE, "optimizer": "sgd", "precision": "float64"}

TURNS = {7: [SetKnob("l2", 2e-3)], 14: [SetKnob("weight_decay", 0.2)], 21: [SetKnob("l2", 0.0)]}
"""Epoch -> knobs turned at its end: a quarter of a run is plain, one has L2, one L2 and decay, one decay alone."""


@pytest.fixture(scope="module")
def few(pictures) -> Data:
    """The first 410 rows, so that 29 epochs are made in a second."""
    return first(pictures, 410)


def first(data: Data, rows: int) -> Data:
    return replace(data, train=Rows(features=data.train.features[:rows], labels=data.train.labels[:rows]))


def both(log, data: Data, **given) -> tuple[list[Event], list[Event]]:
    ours, theirs = (log(RunConfig.create(framework=name, **given), data) for name in ("torch", "tensorflow"))
    return ours, theirs


def column(events: list[Event], name: str) -> np.ndarray:
    return np.array([getattr(event, name) for event in events if isinstance(event, StepEnded)])


def of(kind: type, events: list[Event]) -> list:
    return [event for event in events if isinstance(event, kind)]


def turned(make, config: RunConfig, data: Data) -> list[Event]:
    """Train to the end, epoch by epoch, and turn the knobs of TURNS on the way."""
    chunks = train(config, make(config, data), data, run_id="test", clock=lambda: 0.0)
    events, waiting = next(chunks), {epoch: list(knobs) for epoch, knobs in TURNS.items()}
    command: Command | None = RunEpoch()
    try:
        while True:
            told = chunks.send(command)
            events += told or []
            knobs = waiting.get(len(of(EpochEnded, events)), [])
            # None is told at the end of an epoch, where the run waits.
            command = None if told is not None else knobs.pop(0) if knobs else RunEpoch()
    except StopIteration:
        return events


def assert_same_runs(ours: list[Event], theirs: list[Event]) -> None:
    """Hold two logs to 1e-9 of each other, and to the same rates and changes at the same steps."""
    assert len(column(ours, "loss")) == len(column(theirs, "loss")) == 609
    np.testing.assert_allclose(column(ours, "loss"), column(theirs, "loss"), rtol=0, atol=1e-9)
    np.testing.assert_allclose(column(ours, "penalty"), column(theirs, "penalty"), rtol=0, atol=1e-9)
    # A policy that follows the losses has drops at the same steps, or rates would differ by far.
    np.testing.assert_allclose(column(ours, "learning_rate"), column(theirs, "learning_rate"), rtol=1e-15)
    changes = [[(c.step, c.what, c.cause) for c in of(Changed, events)] for events in (ours, theirs)]
    assert changes[0] == changes[1]
    for left, right in zip(of(EpochEnded, ours), of(EpochEnded, theirs), strict=True):
        for one, other in ((left.train, right.train), (left.valid, right.valid)):
            assert one == pytest.approx(other, abs=1e-9)
        assert left.penalty == pytest.approx(right.penalty, abs=1e-9)
        assert left.running_loss == pytest.approx(right.running_loss, abs=1e-9)
        assert left.weight_norms == pytest.approx(right.weight_norms, rel=1e-9)


@pytest.mark.parametrize("policy", policies())
def test_in_float64_sgd_is_the_same_run_in_both_frameworks_with_and_without_l2_and_decay(make, few, policy):
    given = {**EXACT, "lr_policy": policy, **POLICIES.get(policy, {})}
    ours, theirs = (turned(make, RunConfig.create(framework=name, **given), few) for name in ("torch", "tensorflow"))
    assert_same_runs(ours, theirs)
    penalties = column(ours, "penalty").reshape(29, 21)
    assert (penalties[7:21] > 0).all(), "L2 must be on where it is meant to be"
    assert not penalties[:7].any()
    assert not penalties[21:].any()
    norms = [epoch.weight_norms["hidden_1"] for epoch in of(EpochEnded, ours)]
    assert norms[28] < 0.9 * norms[13], "and decay must show in the weights"
    assert any(change.cause != "user" for change in of(Changed, ours)) == (policy in {"plateau", "step", "cosine"})


def test_in_float64_real_data_with_l2_and_decay_all_along_gives_the_same_run_too(log, real_data):
    given = {**EXACT, "seed": 3, "hidden": (32, 16), "l2": 1e-3, "weight_decay": 0.1}
    assert_same_runs(*both(log, first(real_data, 410), **given))


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_in_float32_every_update_is_that_of_exact_arithmetic_from_the_same_weights(make, numpy_net, few, framework):
    """Each update is worked out in float64 from the weights that the framework had before it.

    Half of 1e-6 from exact arithmetic for each is 1e-6 between the two. Rows are left out of a batch where a unit
    stands within 1e-5 of its kink: float32 cannot tell which side it is on, and no framework can be held to one.
    """
    config = RunConfig.create(framework=framework, **{**SHAPE, "optimizer": "sgd"})
    backend, net = make(config, few), numpy_net(config, few)
    left_out = 0
    for epoch in range(1, 13):
        for knob in TURNS.get(2 * epoch + 1, []):
            backend.set_knob(knob.knob, knob.value)
            setattr(net, knob.knob, knob.value)
        for rows in shuffled(config, 400, epoch).reshape(-1, 20):
            clear = rows[net.distance_from_a_kink(few.train.features[rows]) > 1e-5]
            left_out += len(rows) - len(clear)
            rate = 0.05 / epoch
            made = backend.train_steps(clear[None], np.full(1, rate))
            expected = net.update(clear, rate)
            assert (made.data_loss[0], made.penalty[0]) == pytest.approx(expected, abs=5e-7)
            for now, meant in zip(backend.weights(), net.weights, strict=True):
                np.testing.assert_allclose(now, meant, rtol=0, atol=5e-7)
            net.weights = [part.astype(np.float64) for part in backend.weights()]
    assert left_out < 0.01 * 12 * 400


# Ten epochs: 210 updates.
SHORT = {**SHAPE, "epochs": 10, "lr_policy": "exponential", "lr_decay": 0.995}


@pytest.mark.parametrize("given", [
    {"optimizer": "adam"},
    {"optimizer": "adam", "l2": 1e-3, "l1": 1e-5},
    {"optimizer": "adamw", "weight_decay": 0.1},
], ids=lambda given: "-".join(given))  # fmt: skip
def test_adam_and_adamw_agree_within_three_percent(log, few, given):
    """Keras folds the bias correction into the step size, so its epsilon acts elsewhere than torch's."""
    ours, theirs = both(log, few, **{**SHORT, "learning_rate": 1e-3, "precision": "float64"}, **given)
    left, right = column(ours, "loss"), column(theirs, "loss")
    assert len(left) == 210
    # Single batches of 10 rows jump; what is compared is the level, over an epoch's batches.
    level = [np.convolve(losses, np.ones(21) / 21, "valid") for losses in (left, right)]
    np.testing.assert_allclose(*level, rtol=0.03)
    np.testing.assert_allclose(column(ours, "penalty"), column(theirs, "penalty"), rtol=0.03)


def test_momentum_agrees_while_the_rate_stands_and_parts_when_it_falls(log, few):
    """torch multiplies the rate onto the whole velocity, Keras onto each gradient before it enters."""
    steady = {**EXACT, "epochs": 5, "learning_rate": 0.005, "optimizer": "momentum"}
    ours, theirs = both(log, few, **steady)
    np.testing.assert_allclose(column(ours, "loss"), column(theirs, "loss"), rtol=0, atol=1e-9)
    falling = both(log, few, **steady, lr_policy="exponential", lr_decay=0.9, lr_floor=1e-6)
    apart = np.abs(column(falling[0], "loss") - column(falling[1], "loss"))
    assert apart.max() > 0.01


def test_dropout_masks_are_each_frameworks_own(log, few):
    ours, theirs = both(log, few, **{**SHORT, "epochs": 1}, optimizer="sgd", dropout=0.4)
    apart = np.abs(column(ours, "loss") - column(theirs, "loss"))
    assert apart[0] > 1e-3
    ours_valid, theirs_valid = (of(EpochEnded, events)[0].valid["loss"] for events in (ours, theirs))
    assert ours_valid == pytest.approx(theirs_valid, abs=0.1)
