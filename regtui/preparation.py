"""What is settled before a run's first update: what it says of itself, how often it measures, the order of its rows."""

import contextlib
import math
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from regtui import __version__
from regtui.backends import Backend, IntArray
from regtui.core.config import ConfigError, RunConfig
from regtui.core.data import Data
from regtui.core.events import COMMANDS, FORMAT, RunStarted
from regtui.core.optimizers import OPTIMIZERS
from regtui.core.plan import Plan
from regtui.core.weights import EVALUATED_ROWS, layer_widths
from regtui.datasets.limits import size

MOST_STEP_RECORDS = 20_000
"""Longer runs write every k-th step only."""
FEWEST_EVALUATIONS = 20
"""A curve of fewer points tells little; so many evaluations are affordable whatever they cost."""
STEP_OVERHEAD_ROWS = 64
"""What an update costs beyond its rows, in rows: it takes about as long with 1 row as with this many."""


def describe(config: RunConfig, backend: Backend, data: Data) -> dict[str, Any]:
    """Say where and on what a run trains."""
    return {
        "regtui": __version__,
        "python": platform.python_version(),
        "framework": backend.name,
        "framework_version": backend.version,
        "device": backend.device,
        "train_rows": len(data.train),
        "valid_rows": len(data.valid),
        "classes": data.classes,
        "parameters": backend.parameters,
        "steps_per_epoch": math.ceil(len(data.train) / config.batch_size),
    }


def plan_of(config: RunConfig, data: Data) -> Plan:
    """Say how long a run is to be and what it learns from."""
    per_epoch = math.ceil(len(data.train) / config.batch_size)
    return Plan(
        epochs=config.epochs,
        total_steps=per_epoch * config.epochs,
        steps_per_epoch=per_epoch,
        classes=data.classes,
        train_rows=len(data.train),
        valid_rows=len(data.valid),
    )


def started(
    config: RunConfig, backend: Backend, data: Data, run_id: str, now: float, environment: dict[str, Any] | None = None
) -> RunStarted:
    """Make a run's first record."""
    return RunStarted(
        format=FORMAT,
        run_id=run_id,
        time=now,
        trainer="regtui",
        config=config,
        plan=plan_of(config, data),
        listens=tuple(COMMANDS),
        environment={**describe(config, backend, data), **(environment or {})},
    )


def record_every(total_steps: float) -> int:
    """Say how many steps apart the recorded ones of a run are."""
    return math.ceil(total_steps / MOST_STEP_RECORDS)


def evaluate_every(config: RunConfig, data: Data) -> int:
    """Say how many epochs apart evaluations are, from row counts alone, so that the same config gives the same log.

    A forward pass costs about a third of an update's forward and backward pass per row. Every epoch is evaluated
    unless that took longer than the epoch's training, which happens when few rows are trained on and many validated;
    then so seldom that it does not. Never fewer than 20 evaluations a run, and every epoch where early stopping or
    a plateau counted in epochs waits for them.
    """
    if config.early_stopping or config.plateau_per == "epoch":
        return 1
    steps = math.ceil(len(data.train) / config.batch_size)
    trained = len(data.train) + steps * STEP_OVERHEAD_ROWS
    measured = (min(len(data.train), EVALUATED_ROWS) + len(data.valid)) / 3
    return max(1, min(math.ceil(measured / trained), config.epochs // FEWEST_EVALUATIONS))


def evaluated_seldom(epochs: int, data: Data) -> str:
    """Say why only every so many epochs are measured."""
    return (
        f"evaluated every {epochs} epochs: measuring {len(data.valid):,} validation rows "
        f"takes longer than training on {len(data.train):,}"
    )


def check_fits(config: RunConfig, data: Data, memory: int | None = None) -> None:
    """Raise ConfigError for a net or a batch that this machine cannot hold, before either is made.

    `memory` stands in for the machine's own. What a framework and its kernels add is not counted: what is refused here
    could not be trained on any framework.
    """
    memory = machine_memory() if memory is None else memory
    weights, units = weights_bytes(config, data), units_bytes(config, data)
    if memory is None or weights + units <= memory:
        return
    if weights >= units:
        widths = ",".join(str(width) for width in (data.inputs, *config.hidden, data.classes))
        raise ConfigError("hidden", f"makes a net of {widths} units, which takes {_of(weights, memory)}")
    raise ConfigError("batch_size", f"of {config.batch_size:,} rows takes {_of(weights + units, memory)}")


def weights_bytes(config: RunConfig, data: Data) -> int:
    """Count what weights, their gradients and the optimizer's moments take while a net is trained."""
    each = 8 if config.precision == "float64" else 4
    layers = layer_widths(config, data.inputs, data.classes)
    count = sum((wide + 1) * high for wide, high in layers)
    largest = max(wide * high for wide, high in layers)
    # While the net is made: the draw in float32, the net itself, and the largest kernel as it is drawn, in float64.
    return max(count * each * (2 + OPTIMIZERS[config.optimizer].moments), count * (4 + each) + 8 * largest)


def units_bytes(config: RunConfig, data: Data) -> int:
    """Count what the units of one batch take: what comes out of each layer and the gradient of that."""
    each = 8 if config.precision == "float64" else 4
    return 2 * each * min(config.batch_size, len(data.train)) * (sum(config.hidden) + data.classes)


def machine_memory() -> int | None:
    """Give the bytes of memory that this process may use, as far as its machine says: all of it, or its container's."""
    said = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        said.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # `max`, where there is none
            said.append(int(Path(file).read_text(encoding="ascii")))
    return min((count for count in said if count > 0), default=None)


CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says what a container may use, by the second and the first version of its control groups."""


def _of(needed: int, memory: int) -> str:
    return f"at least {size(needed)} of memory to train; this machine has {size(memory)}"


def shuffled(config: RunConfig, rows: int, epoch: int) -> IntArray:
    """Give the order of the training rows in one epoch, the same in every framework."""
    return np.random.default_rng((config.seed, epoch)).permutation(rows).astype(np.int32)
