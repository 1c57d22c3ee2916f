"""What is torch's own: its weight decay, its gradients, its plateau loop, and updates replayed from a recording."""

import numpy as np
import pytest

from regtui.core.config import RunConfig
from regtui.core.events import StepEnded
from regtui.preparation import shuffled

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - only where torch is
from torch.nn import functional  # noqa: E402

from regtui.backends.torch.graph import Recorder  # noqa: E402
from regtui.core.weights import initial_weights  # noqa: E402

BATCHES = np.random.default_rng(3).integers(0, 1000, (10, 32)).astype(np.int32)


def config_of(**given) -> RunConfig:
    return RunConfig.create("overfit", **{"framework": "torch", "hidden": (24, 12), "device": "cpu", **given})


def as_its_users_write_it(config: RunConfig, data) -> nn.Sequential:
    """Build the tutorial's net from the start's weights."""
    widths = [data.inputs, *config.hidden, data.classes]
    layers: list[nn.Module] = []
    weights = initial_weights(config, data.inputs, data.classes)
    for number in range(len(widths) - 1):
        linear = nn.Linear(widths[number], widths[number + 1])
        linear.weight.data = torch.from_numpy(weights[2 * number].T.copy())
        linear.bias.data = torch.from_numpy(weights[2 * number + 1].copy())
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def test_weight_decay_gives_the_gradient_of_the_loss_written_out(make, digits):
    """With SGD the change of a weight over the rate is its gradient."""
    config = config_of(optimizer="sgd", l2=0.01, l1=0.003)
    model = as_its_users_write_it(config, digits)
    kernels = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    features = torch.from_numpy(digits.train.features[BATCHES[0]])
    loss = functional.cross_entropy(model(features), torch.from_numpy(digits.train.labels[BATCHES[0]]))
    penalty = 0.01 * sum((kernel**2).sum() for kernel in kernels) + 0.003 * sum(k.abs().sum() for k in kernels)
    (loss + penalty).backward()
    backend = make(config, digits)
    before = backend.weights()
    made = backend.train_steps(BATCHES[:1], np.array([0.5]))
    assert made.data_loss[0] == pytest.approx(loss.item(), rel=1e-6)
    assert made.penalty[0] == pytest.approx(penalty.item(), rel=1e-6)
    for old, new, parameter in zip(before, backend.weights(), model.parameters(), strict=True):
        np.testing.assert_allclose((old - new) / 0.5, parameter.grad.numpy().T, atol=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        {"optimizer": "adam", "l2": 1e-3, "dropout": 0.3},
        {"optimizer": "sgd", "weight_decay": 0.2, "l1": 1e-4},
        {"optimizer": "momentum", "l2": 1e-3},
        {"optimizer": "adamw", "weight_decay": 0.1},
    ],
    ids=lambda given: given["optimizer"],
)
def test_updates_replayed_from_a_recording_are_those_made_one_by_one(make, digits, given):
    """The path that CUDA takes, with a recorder that keeps the update itself instead of its kernels.

    The update must find its rows and rates by the cursor alone, since a graph sees nothing else change; a knob must
    make a new recording, and so must a batch of another size or a larger room.
    """
    config = config_of(**given)
    rates = np.linspace(0.01, 0.02, 10)
    recordings = []

    def record(update):
        recordings.append(update)
        return update

    def losses_of(backend) -> np.ndarray:
        made = [backend.train_steps(BATCHES[:4], rates[:4]), backend.train_steps(BATCHES[4:7], rates[4:7])]
        backend.set_knob("l2", 0.02)
        made.append(backend.train_steps(BATCHES[7:8, :5], rates[7:8]))
        made.append(backend.train_steps(np.repeat(BATCHES, 2, 0), np.repeat(rates, 2)))
        return np.concatenate([part for losses in made for part in losses])

    eager = losses_of(make(config, digits))
    replaying = make(config, digits)
    replaying._recorder = Recorder(replaying._update, "cpu", record)
    # The device's rates are float32.
    np.testing.assert_allclose(losses_of(replaying), eager, rtol=1e-6)
    # One for batches of 32 before the knob and one after; the 5 rows came once, which is less than a warm-up.
    assert len(recordings) == 2


def test_what_cannot_be_recorded_is_made_one_by_one(make, digits):
    config = config_of(optimizer="adam", learning_rate=0.01)
    rates = np.full(10, 0.01)

    def refuse(update):
        raise RuntimeError("operation not permitted when stream is capturing")

    eager, refused = make(config, digits).train_steps(BATCHES, rates), make(config, digits)
    refused._recorder = Recorder(refused._update, "cpu", refuse)
    np.testing.assert_allclose(refused.train_steps(BATCHES, rates).data_loss, eager.data_loss, rtol=1e-6)


def test_the_tutorials_plateau_loop_has_the_same_losses_and_rates(log, pictures):
    """Adam, and ReduceLROnPlateau stepped with the loss of every batch."""
    config = RunConfig.create("plateau", framework="torch", patience=15, factor=0.3, epochs=6, device="cpu")
    model = as_its_users_write_it(config, pictures)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=15, factor=0.3)
    losses, rates = [], []
    for epoch in range(1, 7):
        order = shuffled(config, len(pictures.train), epoch)
        for start in range(0, len(order), 128):
            rows = order[start : start + 128]
            loss = functional.cross_entropy(
                model(torch.from_numpy(pictures.train.features[rows])), torch.from_numpy(pictures.train.labels[rows])
            )
            optimizer.zero_grad()
            loss.backward()
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step(loss.item())
            losses.append(loss.item())
    steps = [event for event in log(config, pictures) if isinstance(event, StepEnded)]
    np.testing.assert_allclose([step.loss for step in steps], losses, atol=1e-5)
    np.testing.assert_allclose([step.learning_rate for step in steps], rates, rtol=1e-12)
    assert len(set(rates)) >= 3, "the plateau must fire for this to show anything"
