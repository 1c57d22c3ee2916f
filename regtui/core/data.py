"""The rows a run learns from and is measured on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "valid", "test"]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Features and labels of one split."""

    features: NDArray[np.float32]
    """Shape (rows, inputs), scaled to [0, 1]."""
    labels: NDArray[np.int64]
    """Shape (rows,), classes from 0."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set, split as one configuration asks."""

    name: str
    """What it is called on screen."""
    train: Rows
    """What is learned from; its labels may carry noise."""
    valid: Rows
    """What the run is judged by; its labels are never touched."""
    test: Rows | None
    """Measured once, at the end; None where the data has none."""
    classes: int
    """Width of the last layer."""

    @property
    def inputs(self) -> int:
        """Width of the first layer."""
        return int(self.train.features.shape[1])
