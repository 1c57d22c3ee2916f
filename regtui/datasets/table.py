"""A data set as it was found, before it is split, and the checks that every source of one shares."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from regtui.core.config import ConfigError
from regtui.core.text import beginning

FEWEST_ROWS = 10
"""Below this a fifth for validation is not even two rows."""

MOST_CLASSES = 100_000
"""Five times as many as the largest set of images has (ImageNet-21k); a last layer of so many outputs behind 200
units takes 320 MB to train."""

BLOCK_BYTES = 1 << 22
"""Features that are read, checked and scaled at once: few enough to stay in a cache, many enough for numpy."""

LONGEST_QUOTE = 40
"""Characters of a label or a cell that a sentence repeats."""

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How features come to lie in [0, 1]."""

    by: Literal["fixed", "all", "column"]
    """`fixed`: from 0 to `top`. By the training split's own range: one for `all` of them, or one a `column`."""
    top: float = 1.0
    """What becomes 1, with `fixed`."""


class Features(Protocol):
    """The features of a split: in memory, or in a file from which they are read as often as they are asked for."""

    @property
    def rows(self) -> int: ...

    @property
    def inputs(self) -> int:
        """Features of a row."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """What they are numbers of, before they are scaled."""

    def blocks(self) -> Iterator[Array]:
        """Yield the rows in order, some at a time, of shape (some, inputs), all finite.

        Together they are as many as `rows` says. Raises ConfigError for what cannot be read.
        """


@dataclass(frozen=True)
class Held:
    """Features in memory."""

    array: Array
    """Shape (rows, inputs)."""

    @property
    def rows(self) -> int:
        return len(self.array)

    @property
    def inputs(self) -> int:
        return int(self.array.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def blocks(self) -> Iterator[Array]:
        some = rows_at_once(self.array.dtype.itemsize * self.inputs)
        for start in range(0, self.rows, some):
            yield self.array[start : start + some]


def rows_at_once(row_bytes: int) -> int:
    """Say how many rows of so many bytes are worked on together."""
    return max(1, BLOCK_BYTES // max(row_bytes, 1))


@dataclass(frozen=True, kw_only=True)
class Table:
    """Features and labels of a data set, checked, but neither split nor scaled."""

    name: str
    """What it is called on screen."""
    features: Features
    """Numbers of any type."""
    labels: NDArray[np.int64]
    """Shape (rows,), classes from 0, in the order of the labels as they were written."""
    classes: int
    """How many there are."""
    scale: Scale
    """How the features are to be scaled."""
    test: tuple[Features, NDArray[np.int64]] | None = None
    """Features and labels kept apart by the data set itself, for the end of a run."""


def wrong(problem: str) -> ConfigError:
    """Make the error for a data set that cannot be used."""
    return ConfigError("dataset", problem)


def shown(label: object) -> str:
    """Write a label or a cell as a sentence repeats it, an endless one by its beginning."""
    text = f"{label:.15g}" if isinstance(label, float) else str(label)
    return beginning(text, LONGEST_QUOTE)


def make_table(
    name: str,
    features: Features,
    labels: Array,
    scale: Scale,
    test: tuple[Features, Array] | None = None,
    kinds: Sequence[Any] | None = None,
) -> Table:
    """Put a table together from flattened features and labels of any type; classes are numbered in order.

    Where `kinds` says what the classes are, in order, the labels are numbers of them already. Raises ConfigError for
    too few rows, a single class, too many of them, or a test label that no training row has.
    """
    if len(labels) < FEWEST_ROWS:
        raise wrong(f"{name} has {len(labels)} rows to train on; at least {FEWEST_ROWS} are needed")
    if kinds is None:
        found, labels = np.unique(labels, return_inverse=True)
        kinds = cast(Sequence[Any], found)
    if len(kinds) < 2:
        raise wrong(f"{name} has one class only, {shown(kinds[0])}; at least two are needed")
    if 2 * len(kinds) > len(labels):
        raise wrong(
            f"{name} has {len(kinds):,} different labels in {len(labels):,} rows, too many to be classes: "
            f"are these the labels?"
        )
    if len(kinds) > MOST_CLASSES:
        raise wrong(f"{name} has {len(kinds):,} different labels; {MOST_CLASSES:,} classes are the most")
    tested: tuple[Features, NDArray[np.int64]] | None = None
    if test is not None:
        unknown = np.setdiff1d(test[1], np.asarray(kinds))
        if len(unknown):
            raise wrong(f"{name} has the test label {shown(unknown[0])}, which no training row has")
        tested = test[0], np.searchsorted(np.asarray(kinds), test[1]).astype(np.int64)
    return Table(
        name=name,
        features=features,
        labels=labels.reshape(-1).astype(np.int64, copy=False),
        classes=len(kinds),
        scale=scale,
        test=tested,
    )
