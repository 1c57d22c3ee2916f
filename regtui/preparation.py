"""What is settled before a run's first update: what it says of itself, how often it measures, the order of its rows."""

import math
import platform
from typing import Any

import numpy as np

from regtui import __version__
from regtui.backends import Backend, IntArray
from regtui.core.config import RunConfig
from regtui.core.data import Data
from regtui.core.plan import Plan
from regtui.core.weights import EVALUATED_ROWS

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


def shuffled(config: RunConfig, rows: int, epoch: int) -> IntArray:
    """Give the order of the training rows in one epoch, the same in every framework."""
    return np.random.default_rng((config.seed, epoch)).permutation(rows).astype(np.int32)
