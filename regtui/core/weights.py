"""The net's start: drawn once in numpy, so that every framework begins at the same weights."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regtui.core.config import RunConfig

Weights = list[NDArray[np.floating[Any]]]
"""Kernels (inputs, outputs) and biases (outputs,) in turn, first layer first."""

EVALUATED_ROWS = 10_000
"""Training rows measured after each epoch, at most."""


def layer_widths(config: RunConfig, inputs: int, classes: int) -> list[tuple[int, int]]:
    """Give inputs and outputs of each dense layer."""
    widths = [inputs, *config.hidden, classes]
    return list(pairwise(widths))


def layer_names(config: RunConfig) -> list[str]:
    """Name the dense layers as logs do: hidden_1, hidden_2, ..., output."""
    return [f"hidden_{number}" for number in range(1, len(config.hidden) + 1)] + ["output"]


def initial_weights(config: RunConfig, inputs: int, classes: int) -> Weights:
    """Draw He uniform kernels and zero biases by the configuration's seed, in float32 whatever the precision.

    So a run in float64 starts where its twin in float32 does: a backend widens the draw. A kernel is uniform in
    +-sqrt(6 / inputs), which keeps the variance of ReLU layers level (He et al. 2015, 'Delving deep into rectifiers').
    """
    # The loop shuffles epoch e by (seed, e) with e from 1; 0 is the start's.
    random = np.random.default_rng((config.seed, 0))
    weights: Weights = []
    for width_in, width_out in layer_widths(config, inputs, classes):
        limit = np.sqrt(6.0 / width_in)
        weights.append(random.uniform(-limit, limit, (width_in, width_out)).astype(np.float32))
        weights.append(np.zeros(width_out, np.float32))
    return weights


def evaluation_rows(config: RunConfig, rows: int) -> NDArray[np.int64] | None:
    """Choose the training rows that are measured after each epoch; None means all of them.

    At most 10,000, the same ones all through a run: enough to tell accuracies apart by 0.5 %, and the cost of an
    evaluation stays bounded.
    """
    if rows <= EVALUATED_ROWS:
        return None
    chosen = np.random.default_rng((config.seed, 0, 1)).permutation(rows)[:EVALUATED_ROWS]
    return np.sort(chosen).astype(np.int64)
