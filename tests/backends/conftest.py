"""Small real data for the backends, the two ways of driving them, and a net in plain numpy to check them against."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from regtui import backends
from regtui.core.config import RunConfig
from regtui.core.data import Data, Rows
from regtui.core.events import Event
from regtui.core.weights import initial_weights
from regtui.loop import train

MNIST = Path(__file__).parents[3] / "shared/data/mnist.npz"


@pytest.fixture(scope="session", autouse=True)
def _frameworks() -> None:
    """Import the frameworks as a run does, and leave what that made out of all later garbage collections.

    TensorFlow's backend collects when it is closed, which takes a third of a second over two frameworks' modules.
    """
    for name in backends.names():
        if backends.is_installed(name):
            backends.find(name)
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def digits() -> Data:
    """1,000 rows of scikit-learn's digits to train on, a fifth of their labels at random, and 797 clean ones."""
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    order = random.permutation(len(labels))
    features, labels = (features[order] / 16).astype(np.float32), labels[order].astype(np.int64)
    noisy = np.where(random.random(1000) < 0.2, random.integers(0, 10, 1000), labels[:1000])
    return Data(
        name="digits",
        train=Rows(features=features[:1000], labels=noisy),
        valid=Rows(features=features[1000:], labels=labels[1000:]),
        test=None,
        classes=10,
    )


@pytest.fixture(scope="session")
def pictures() -> Data:
    """Made pictures of 28 x 28: 2,050 to train on, which 100 does not divide, 500 to validate and 300 to test.

    Like MNIST's they are mostly black, of ten kinds that overlap; each is one kind's pattern with a good part of
    another's, so that a net learns them in some hundred updates and not at once.
    """
    random = np.random.default_rng(0)
    patterns = random.random((10, 784)) * (random.random((10, 784)) < 0.2)
    labels, others = random.integers(0, 10, (2, 2850))
    strength = random.uniform(0.4, 0.9, (2850, 1))
    drawn = strength * patterns[labels] + (1 - strength) * patterns[others] + random.normal(0, 0.2, (2850, 784))
    features = np.where(drawn > 0.3, np.clip(drawn, 0, 1), 0).astype(np.float32)
    return split(features, labels, "pictures")


def split(features: np.ndarray, labels: np.ndarray, name: str) -> Data:
    """Share 2,850 rows out."""

    def rows(start: int, end: int) -> Rows:
        return Rows(features=features[start:end], labels=labels[start:end])

    return Data(name=name, train=rows(0, 2050), valid=rows(2050, 2550), test=rows(2550, 2850), classes=10)


@pytest.fixture(scope="session", params=["digits", *(["mnist"] if MNIST.exists() else [])])
def real_data(request: pytest.FixtureRequest) -> Data:
    """The digits, and in addition as many rows of MNIST as there are made pictures, where its file is at hand."""
    if request.param == "digits":
        digits: Data = request.getfixturevalue("digits")
        return digits
    with np.load(MNIST) as file:
        features = (file["x_train"][:2850].reshape(-1, 784) / 255).astype(np.float32)
        return split(features, file["y_train"][:2850].astype(np.int64), "mnist")


Make = Callable[..., backends.Backend]
Log = Callable[[RunConfig, Data], list[Event]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Build backends that are closed at the end of the test."""
    made: list[backends.Backend] = []

    def build(config: RunConfig, data: Data) -> backends.Backend:
        made.append(backends.find(config.framework)(config, data))
        return made[-1]

    yield build
    for backend in made:
        backend.close()


@pytest.fixture
def log() -> Log:
    """Train a configuration to its end and give the events; the clock stands still."""

    def run(config: RunConfig, data: Data) -> list[Event]:
        backend = backends.find(config.framework)(config, data)
        try:
            chunks = train(config, backend, data, run_id="test", clock=lambda: 0.0)
            return [event for chunk in chunks for event in chunk]
        finally:
            backend.close()

    return run


@pytest.fixture(params=backends.names())
def framework(request: pytest.FixtureRequest) -> str:
    """Each framework in turn."""
    if not backends.is_installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


class NumpyNet:
    """The same net and its updates written out in float64, with the knobs as plain attributes."""

    def __init__(self, config: RunConfig, data: Data) -> None:
        self.data = data
        self.framework, self.optimizer = config.framework, config.optimizer
        self.l1, self.l2, self.weight_decay = config.l1, config.l2, config.weight_decay
        self.weights = [part.astype(np.float64) for part in initial_weights(config, data.inputs, data.classes)]
        self.state = [(np.zeros_like(part), np.zeros_like(part)) for part in self.weights]
        self.updates = 0

    def penalty(self) -> float:
        kernels = self.weights[::2]
        return sum(self.l2 * (k**2).sum() + self.l1 * np.abs(k).sum() for k in kernels)

    def measure(self, rows: Rows) -> tuple[float, float]:
        """Give loss and accuracy."""
        logits = self._forward(rows.features.astype(np.float64))[-1]
        return float(_losses(logits, rows.labels).mean()), float((logits.argmax(1) == rows.labels).mean())

    def update(self, batch: np.ndarray, rate: float) -> tuple[float, float]:
        """Make one update; gives the data loss and the penalty at the weights before it."""
        labels = self.data.train.labels[batch]
        signals = self._forward(self.data.train.features[batch].astype(np.float64))
        loss, penalty = float(_losses(signals[-1], labels).mean()), self.penalty()
        delta = _softmax(signals.pop())
        delta[np.arange(len(batch)), labels] -= 1
        delta /= len(batch)
        gradients: list[np.ndarray] = []
        for number in range(len(self.weights) - 2, -1, -2):
            signal, kernel = signals.pop(), self.weights[number]
            gradients[:0] = [signal.T @ delta + 2 * self.l2 * kernel + self.l1 * np.sign(kernel), delta.sum(0)]
            delta = (delta @ kernel.T) * (signal > 0)
        self.updates += 1
        for number, gradient in enumerate(gradients):
            if number % 2 == 0:
                self.weights[number] -= rate * self.weight_decay * self.weights[number]
            self.weights[number] -= self._change(number, gradient, rate)
        return loss, penalty

    def distance_from_a_kink(self, features: np.ndarray) -> np.ndarray:
        """Give, a row, how near to 0 the input of any of its hidden units comes; a ReLU has its kink there."""
        signal, nearest = features.astype(np.float64), np.full(len(features), np.inf)
        for kernel, bias in zip(self.weights[:-2:2], self.weights[1:-2:2], strict=True):
            signal = signal @ kernel + bias
            nearest = np.minimum(nearest, np.abs(signal).min(1))
            signal = np.maximum(signal, 0)
        return nearest

    def _change(self, number: int, gradient: np.ndarray, rate: float) -> np.ndarray:
        first, second = self.state[number]
        if self.optimizer == "sgd":
            return rate * gradient
        if self.optimizer == "momentum" and self.framework == "torch":
            first[:] = 0.9 * first + gradient
            return rate * first
        if self.optimizer == "momentum":
            first[:] = 0.9 * first + rate * gradient
            return first
        if self.optimizer not in {"adam", "adamw"}:
            raise NotImplementedError(f"write {self.optimizer} out here: what the backends do is held against it")
        first[:] = 0.9 * first + 0.1 * gradient
        second[:] = 0.999 * second + 0.001 * gradient**2
        unbias, unbias_square = 1 - 0.9**self.updates, np.sqrt(1 - 0.999**self.updates)
        if self.framework == "torch":
            return rate / unbias * first / (np.sqrt(second) / unbias_square + 1e-8)
        return rate * unbias_square / unbias * first / (np.sqrt(second) + 1e-7)

    def _forward(self, signal: np.ndarray) -> list[np.ndarray]:
        """Give the input of each layer, and the logits."""
        signals = [signal]
        for number in range(0, len(self.weights), 2):
            signal = signals[-1] @ self.weights[number] + self.weights[number + 1]
            signals.append(np.maximum(signal, 0) if number < len(self.weights) - 2 else signal)
        return signals


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return -np.log(_softmax(logits)[np.arange(len(labels)), labels])


@pytest.fixture
def numpy_net() -> type[NumpyNet]:
    """The net in plain numpy."""
    return NumpyNet
