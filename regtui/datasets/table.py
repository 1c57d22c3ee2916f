"""A data set as it was found, before it is split, and the checks that every source of one shares."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regtui.core.config import ConfigError

FEWEST_ROWS = 10
"""Below this a fifth for validation is not even two rows."""

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How features come to lie in [0, 1]."""

    by: Literal["fixed", "all", "column"]
    """`fixed`: from 0 to `top`. By the training split's own range: one for `all` of them, or one a `column`."""
    top: float = 1.0
    """What becomes 1, with `fixed`."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Features and labels of a data set, checked, but neither split nor scaled."""

    name: str
    """What it is called on screen."""
    features: Array
    """Shape (rows, inputs), numbers of any type, all finite."""
    labels: NDArray[np.int64]
    """Shape (rows,), classes from 0, in the order of the labels as they were written."""
    classes: int
    """How many there are."""
    scale: Scale
    """How the features are to be scaled."""
    test: tuple[Array, NDArray[np.int64]] | None = None
    """Features and labels kept apart by the data set itself, for the end of a run."""


def wrong(problem: str) -> ConfigError:
    """Make the error for a data set that cannot be used."""
    return ConfigError("dataset", problem)


def make_table(
    name: str, features: Array, labels: Array, scale: Scale, test: tuple[Array, Array] | None = None
) -> Table:
    """Put a table together from flattened features and labels of any type; classes are numbered in order.

    Raises ConfigError for too few rows, a single class, or a test label that no training row has.
    """
    if len(labels) < FEWEST_ROWS:
        raise wrong(f"{name} has {len(labels)} rows to train on; at least {FEWEST_ROWS} are needed")
    kinds, numbered = np.unique(labels, return_inverse=True)
    if len(kinds) < 2:
        raise wrong(f"{name} has one class only, {_shown(kinds[0])}; at least two are needed")
    if 2 * len(kinds) > len(labels):
        raise wrong(
            f"{name} has {len(kinds):,} different labels in {len(labels):,} rows, too many to be classes: "
            f"are these the labels?"
        )
    tested: tuple[Array, NDArray[np.int64]] | None = None
    if test is not None:
        unknown = np.setdiff1d(test[1], kinds)
        if len(unknown):
            raise wrong(f"{name} has the test label {_shown(unknown[0])}, which no training row has")
        tested = test[0], np.searchsorted(kinds, test[1]).astype(np.int64)
    return Table(
        name=name,
        features=features,
        labels=numbered.reshape(-1).astype(np.int64),
        classes=len(kinds),
        scale=scale,
        test=tested,
    )


def _shown(label: Any) -> str:
    return f"{label:.15g}" if isinstance(label, float) else str(label)
