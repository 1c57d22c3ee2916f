"""Small real data for the backends, and the two ways of driving them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from regtui import backends
from regtui.core.config import RunConfig
from regtui.core.data import Data, Rows
from regtui.core.events import Event
from regtui.loop import train

MNIST = Path(__file__).parents[3] / "shared/data/mnist.npz"


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
def mnist() -> Data:
    """2,050 rows of MNIST, which 100 does not divide, 500 to validate and 300 to test."""
    if not MNIST.exists():
        pytest.skip(f"needs the MNIST file at {MNIST}")
    with np.load(MNIST) as file:
        features = (file["x_train"][:2850].reshape(-1, 784) / 255).astype(np.float32)
        labels = file["y_train"][:2850].astype(np.int64)

    def rows(start: int, end: int) -> Rows:
        return Rows(features=features[start:end], labels=labels[start:end])

    return Data(name="mnist", train=rows(0, 2050), valid=rows(2050, 2550), test=rows(2550, 2850), classes=10)


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
def log(make: Make) -> Log:
    """Train a configuration to its end and give the events."""

    def run(config: RunConfig, data: Data) -> list[Event]:
        chunks = train(config, make(config, data), data, run_id="test", clock=lambda: 0.0)
        return [event for chunk in chunks for event in chunk]

    return run


@pytest.fixture(params=backends.names())
def framework(request: pytest.FixtureRequest) -> str:
    """Each framework in turn."""
    if not backends.is_installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)
