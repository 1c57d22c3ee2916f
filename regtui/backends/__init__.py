"""What every framework must do for a run, and where to find the ones there are.

A framework is a folder of this one, named as the package it drives. Its `__init__.py` declares `FRAMEWORK`, what the
framework says of itself, and imports nothing heavy; its `backend.py` has the class `Backend` that satisfies the
protocol below, and is not imported until the framework is chosen. A file whose name starts with `_` is shared.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from regtui.core.config import ConfigError, RunConfig
from regtui.core.data import Data, Split
from regtui.core.events import Knob, Metrics
from regtui.core.weights import Weights

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Framework:
    """What a framework says of itself without being imported."""

    label: str
    """How its users call what they write in."""
    l2_given: Callable[[RunConfig], str]
    """What it is given for a configuration's L2 weight, so that the same weight means the same in all."""


Snapshot = Any
"""A framework's own copy of a training's state, good for the backend that made it."""


class StepLosses(NamedTuple):
    """What k updates left."""

    data_loss: FloatArray
    """Shape (k,): the mean loss of each batch as trained, dropout on, without the penalty."""
    penalty: FloatArray
    """Shape (k,): the L2 and L1 terms at the weights that each batch was computed with."""


class Backend(Protocol):
    """A framework holding one model, its optimizer and its data on one device.

    It knows nothing of epochs, schedules, logs or screens.
    """

    name: str
    """The framework's package name."""
    version: str
    """The framework's version."""
    device: str
    """Where it computes: `cpu`, `cuda` or `mps`."""
    parameters: int
    """Trainable numbers in the model."""

    def __init__(self, config: RunConfig, data: Data) -> None:
        """Build the model from `core.weights` and move the data to the device, both in the precision asked for.

        Raises ConfigError for a device that is not here, and for an optimizer it has no case for.
        """

    def train_steps(self, rows: IntArray, learning_rates: FloatArray) -> StepLosses:
        """Make k updates: `rows` (k, batch) are indices into the training split, `learning_rates` (k,)."""

    def evaluate(self, split: Split) -> Metrics:
        """Measure a split with dropout off and without penalty, each row weighing the same."""

    def set_knob(self, knob: Knob, value: float) -> None:
        """Turn l2, l1, weight_decay or dropout from the next update on; raises ValueError for any other."""

    def penalty(self) -> float:
        """Give the L2 and L1 terms at the present weights."""

    def weight_norms(self) -> dict[str, float]:
        """Give the L2 norm of each kernel: hidden_1, hidden_2, ..., output."""

    def weights(self) -> Weights:
        """Copy the kernels and biases out, in the run's precision."""

    def snapshot(self) -> Snapshot:
        """Copy what the updates so far have made, on the device: weights, optimizer, generators of dropout's masks.

        With the knobs and the data, that is all that the next update depends on.
        """

    def restore(self, snapshot: Snapshot) -> None:
        """Put a snapshot back, of this backend: what comes after it is the same to the bit, on the CPU."""

    def save(self, snapshot: Snapshot, folder: Path) -> None:
        """Write a snapshot into files of a folder, in exact precision; raises whatever the framework raises."""

    def load(self, folder: Path) -> None:
        """Put back what `save` wrote, of a backend of the same configuration; unpickles nothing but tensors.

        Raises ValueError where the files are not whole, or those of another net.
        """

    def close(self) -> None:
        """Give the device's memory back."""


class BackendMissing(ConfigError):
    """The framework that was asked for is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__("framework", f"{name} is not installed: run {install_command(name)}")


def names() -> tuple[str, ...]:
    """Name the frameworks that regtui can drive, installed or not."""
    found = [module.name for module in pkgutil.iter_modules(__path__) if module.ispkg]
    return tuple(sorted(found, key=lambda name: name != "torch"))


def is_installed(name: str) -> bool:
    """Tell whether a framework can be imported, without importing it."""
    return find_spec(name) is not None


def install_command(name: str) -> str:
    return f"pip install 'regtui[{name}]'"


def check(name: str) -> None:
    """Raise ConfigError for a name that no file has, BackendMissing for a framework that is not installed."""
    if name not in names():
        raise ConfigError("framework", f"must be one of {', '.join(names())}, not {name!r}")
    if not is_installed(name):
        raise BackendMissing(name)


def find(name: str) -> type[Backend]:
    """Import a framework's backend; raises as `check` does."""
    check(name)
    backend: type[Backend] = import_module(f"regtui.backends.{name}.backend").Backend
    return backend


def notes(config: RunConfig) -> list[str]:
    """Say, a line a framework, what each is given for the L2 weight; nothing where there is none."""
    if not config.l2:
        return []
    declared: list[Framework] = [import_module(f"regtui.backends.{name}").FRAMEWORK for name in names()]
    return [f"{framework.label} {framework.l2_given(config)}" for framework in declared]


def unknown_optimizer(optimizer: str, framework: str) -> ConfigError:
    """Make the error of a backend that has no case for an optimizer."""
    return ConfigError("optimizer", f"{optimizer} is not one that regtui can drive in {framework}")
