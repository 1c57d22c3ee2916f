"""The same configuration is the same run in both frameworks; where they truly differ, by how much."""

import math

import numpy as np
import pytest

from regtui.core.config import RunConfig
from regtui.core.data import Data
from regtui.core.events import Changed, EpochEnded, Event, StepEnded
from regtui.loop import shuffled

pytest.importorskip("torch")
pytest.importorskip("tensorflow")

POLICIES = {
    "exponential": {"lr_policy": "exponential", "lr_decay": 0.995, "lr_floor": 1e-6},
    # Short enough to fire several times in 609 steps.
    "plateau": {"lr_policy": "plateau", "patience": 25, "factor": 0.5},
    "step": {"lr_policy": "step", "every": 7, "gamma": 0.5},
    "cosine": {"lr_policy": "cosine", "lr_floor": 1e-4},
}
# 20 batches of 100 and one of 50 an epoch: 609 steps, every 21st short.
SHAPE = {"dataset": "mnist", "batch_size": 100, "epochs": 29, "learning_rate": 0.02, "device": "cpu"}


def both(log, data: Data, **given) -> tuple[list[Event], list[Event]]:
    first, second = (log(RunConfig.create(framework=name, **given), data) for name in ("torch", "tensorflow"))
    return first, second


def column(events: list[Event], name: str) -> np.ndarray:
    return np.array([getattr(event, name) for event in events if isinstance(event, StepEnded)])


def epochs(events: list[Event]) -> list[EpochEnded]:
    return [event for event in events if isinstance(event, EpochEnded)]


def smallest_input_of_a_unit(make, data: Data, rates: np.ndarray, at: int, **given) -> float:
    """Work out in float64 how close to 0 a hidden unit's input comes in update `at` (from 0) of a torch run."""
    config = RunConfig.create(framework="torch", **given)
    backend, step = make(config, data), 0
    for epoch in range(1, config.epochs + 1):
        order = shuffled(config, len(data.train), epoch)
        for start in range(0, len(order), config.batch_size):
            rows = order[start : start + config.batch_size]
            if step == at:
                signal, smallest = data.train.features[rows].astype(np.float64), math.inf
                weights = [part.astype(np.float64) for part in backend.weights()[:-2]]
                for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
                    signal = signal @ kernel + bias
                    smallest = min(smallest, float(np.abs(signal).min()))
                    signal = np.maximum(signal, 0)
                return smallest
            backend.train_steps(rows[None], rates[step : step + 1])
            step += 1
    raise AssertionError(f"the run has no update {at}")


def assert_same_losses(make, data: Data, ours: list[Event], theirs: list[Event], **given) -> bool:
    """Hold batch losses to 1e-5 of each other; tells whether that held to the end.

    The runs may part in one way only, which no framework can help: a ReLU unit whose input lies within float32's
    rounding of 0 is on in one and off in the other, which changes its gradient. Elsewhere the inputs nearest to 0
    are about 1e-5; the update before the runs part must have one below 5e-7.
    """
    apart = np.abs(column(ours, "loss") - column(theirs, "loss"))
    if apart.max() <= 1e-5:
        return True
    parted = int(np.argmax(apart > 1e-6))
    nearest = smallest_input_of_a_unit(make, data, column(ours, "learning_rate"), parted - 1, **given)
    assert nearest < 5e-7, f"losses part at update {parted + 1} by {apart[parted]:.1e} and no unit was at its kink"
    assert apart.max() < 0.05
    return False


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("l2", "seed", "hidden"), [(0.0, 0, (200, 100)), (1e-3, 1, (64,))], ids=["plain", "l2-other-seed-and-net"]
)
def test_sgd_gives_the_same_log_in_both_frameworks(log, make, mnist, policy, l2, seed, hidden):
    given = {**SHAPE, **POLICIES[policy], "optimizer": "sgd", "l2": l2, "seed": seed, "hidden": hidden}
    ours, theirs = both(log, mnist, **given)
    assert len(column(ours, "loss")) == len(column(theirs, "loss")) == 609
    if not assert_same_losses(make, mnist, ours, theirs, **given):
        return
    assert np.array_equal(column(ours, "learning_rate"), column(theirs, "learning_rate"))
    np.testing.assert_allclose(column(ours, "penalty"), column(theirs, "penalty"), rtol=1e-5)
    assert (column(ours, "penalty") > 0).all() == (l2 > 0)
    changes = [[event for event in events if isinstance(event, Changed)] for events in (ours, theirs)]
    assert changes[0] == changes[1]
    assert bool(changes[0]) == (policy in {"plateau", "step"})
    for left, right in zip(epochs(ours), epochs(theirs), strict=True):
        for one, other in ((left.train, right.train), (left.valid, right.valid)):
            assert one.loss == pytest.approx(other.loss, abs=1e-4)
            # A row whose two largest logits are equal but for rounding may fall to either side.
            assert one.accuracy == pytest.approx(other.accuracy, abs=1.5 / 500)
        assert left.penalty == pytest.approx(right.penalty, rel=1e-5)
        assert left.running_loss == pytest.approx(right.running_loss, abs=1e-5)
        assert left.weight_norms == pytest.approx(right.weight_norms, rel=1e-5)


# Ten epochs: 210 updates.
SHORT = {**SHAPE, "epochs": 10, "lr_policy": "exponential", "lr_decay": 0.995}


def test_decoupled_weight_decay_with_sgd_is_the_same_in_both_frameworks(log, make, mnist):
    given = {**SHORT, "optimizer": "sgd", "weight_decay": 0.5}
    ours, theirs = both(log, mnist, **given)
    assert_same_losses(make, mnist, ours, theirs, **given)
    start, end = epochs(ours)[0].weight_norms["hidden_1"], epochs(ours)[-1].weight_norms["hidden_1"]
    assert end < 0.7 * start, "a decay this strong must show in the weights"
    assert not column(ours, "penalty").any()
    assert not column(theirs, "penalty").any()


@pytest.mark.parametrize("given", [
    {"optimizer": "adam"},
    {"optimizer": "adam", "l2": 1e-3},
    {"optimizer": "adamw", "weight_decay": 0.1},
    {"optimizer": "adam", "weight_decay": 0.1, "l1": 1e-5},
], ids=lambda given: "-".join(given))  # fmt: skip
def test_adam_and_adamw_agree_within_three_percent(log, mnist, given):
    """Keras folds the bias correction into the step size, so its epsilon acts elsewhere than torch's."""
    ours, theirs = both(log, mnist, **{**SHORT, "learning_rate": 1e-3}, **given)
    left, right = column(ours, "loss"), column(theirs, "loss")
    assert len(left) == 210
    # Single batches of 50 rows jump; what is compared is the level, over an epoch's batches.
    level = [np.convolve(losses, np.ones(21) / 21, "valid") for losses in (left, right)]
    np.testing.assert_allclose(*level, rtol=0.03)
    np.testing.assert_allclose(column(ours, "penalty"), column(theirs, "penalty"), rtol=0.03)


def test_momentum_agrees_while_the_rate_stands_and_parts_when_it_falls(log, make, mnist):
    """torch multiplies the rate onto the whole velocity, Keras onto each gradient before it enters."""
    steady = {**SHAPE, "epochs": 5, "learning_rate": 0.005, "optimizer": "momentum"}
    assert_same_losses(make, mnist, *both(log, mnist, **steady), **steady)
    falling = both(log, mnist, **steady, lr_policy="exponential", lr_decay=0.9, lr_floor=1e-6)
    apart = np.abs(column(falling[0], "loss") - column(falling[1], "loss"))
    assert apart.max() > 0.01


def test_dropout_masks_are_each_frameworks_own(log, mnist):
    ours, theirs = both(log, mnist, **{**SHORT, "epochs": 1}, optimizer="sgd", dropout=0.4)
    apart = np.abs(column(ours, "loss") - column(theirs, "loss"))
    assert apart[0] > 1e-3
    assert epochs(ours)[0].valid["loss"] == pytest.approx(epochs(theirs)[0].valid["loss"], abs=0.1)
