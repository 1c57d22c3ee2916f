"""The data sets: found or fetched, split by seed, scaled, their training labels made noisy where asked."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regtui.core.config import ConfigError, RunConfig
from regtui.core.data import Data, Rows
from regtui.datasets import disk, files, named
from regtui.datasets.table import Array, Features, Table, wrong

NAMES: tuple[str, ...] = tuple(named.LOADERS)
"""The data sets that are known by name; anything else is a path."""

MOST_VALID_ROWS = 10_000
"""Enough to tell accuracies apart by half a percent; more only cost time."""

VALID_SHARE = 5
"""Without a number of training rows, one row in so many is for validation."""

# The seed is shared with the start of the net (seed, 0) and the order of rows (seed, epoch); these two numbers keep
# the draws of this file apart from those.
_SPLIT_STREAM = (0, 2)
_NOISE_STREAM = (0, 3)


def load(
    config: RunConfig, *, progress: Callable[[int, int], None] | None = None, cache_dir: Path | None = None
) -> Data:
    """Give the data a configuration asks for, split, scaled to [0, 1], with its label noise.

    `progress` is told the bytes that have come and the bytes in all when something is downloaded; `cache_dir`
    stands in for regtui's cache folder. Raises ConfigError naming `dataset`, `train_rows` or `label_noise`.
    """
    try:
        return _load(config, _table(config.dataset, progress, cache_dir))
    except MemoryError:
        raise wrong(f"{config.dataset} does not fit into memory") from None


def _load(config: RunConfig, table: Table) -> Data:
    train, valid = split(len(table.labels), config.train_rows, config.seed, table.name)
    scale = _scaler(table, train)
    features = _placed(table.features, np.concatenate([train, valid]), scale)
    labels = table.labels[train]
    return Data(
        name=table.name if config.dataset in NAMES else Path(config.dataset).name,
        train=Rows(
            features=features[: len(train)], labels=add_noise(labels, config.label_noise, table.classes, config.seed)
        ),
        valid=Rows(features=features[len(train) :], labels=table.labels[valid]),
        test=_test_rows(table, scale),
        classes=table.classes,
    )


def split(
    rows: int, train_rows: int | None, seed: int, name: str = "the data set"
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose the rows to train on and those to validate with, by seed.

    All rows are shuffled once; training rows are taken from the front and validation rows from the back. So the
    validation rows are the same for every `train_rows` that leaves enough of them, and a smaller training split is
    part of a larger one: runs that differ in `train_rows` can be compared.

    Raises ConfigError when there are not that many rows and one more to validate with.
    """
    if train_rows is not None and train_rows >= rows:
        raise ConfigError(
            "train_rows", f"must be below {rows:,}, the rows of {name}, as some must be left to validate with"
        )
    valid_rows = min(MOST_VALID_ROWS, max(rows // VALID_SHARE, 1) if train_rows is None else rows - train_rows)
    order = np.random.default_rng((seed, *_SPLIT_STREAM)).permutation(rows)
    first_valid = rows - valid_rows
    return order[: first_valid if train_rows is None else train_rows], order[first_valid:]


def add_noise(labels: NDArray[np.int64], share: float, classes: int, seed: int) -> NDArray[np.int64]:
    """Replace round(share * rows) labels, each by a class drawn from all of them, all equally likely.

    So one replaced label in `classes` is right by chance: 20 % noise on ten classes makes 18 % of the labels wrong.
    Of the two readings of 'replaced at random' this one meets the figures of the default lab (validation loss at its
    best and at epoch 60, medians of 12 seeds: 0.31 and 0.49; drawing from the other classes alone: 0.34 and 0.59).

    The labels replaced at a smaller share are among those replaced, by the same classes, at a larger one.
    """
    count = round(share * len(labels))
    if not count:
        return labels
    random = np.random.default_rng((seed, *_NOISE_STREAM))
    chosen = random.permutation(len(labels))[:count]
    noisy = labels.copy()
    noisy[chosen] = random.integers(0, classes, len(labels))[:count]
    return noisy


def check(dataset: str) -> None:
    """Raise ConfigError for a data set that cannot be there, without reading it: quick enough while one types."""
    if dataset not in NAMES:
        disk.check(_path(dataset))


def note(dataset: str) -> str:
    """Say what must be fetched first, where this machine has not got a data set yet: 'mnist: 11 MB, not here yet'."""
    size = named.bytes_to_fetch(dataset)
    return f"{dataset}: {size / 1e6:.0f} MB, not here yet" if size else ""


def _table(dataset: str, progress: Callable[[int, int], None] | None, cache_dir: Path | None) -> Table:
    return named.LOADERS[dataset](progress, cache_dir) if dataset in NAMES else files.read(_path(dataset))


def _path(dataset: str) -> Path:
    path = Path(dataset)
    with contextlib.suppress(RuntimeError):  # ~somebody who does not exist
        path = path.expanduser()
    if path.suffix.lower() not in files.SUFFIXES and not disk.is_folder(path):
        raise wrong(f"must be {', '.join(NAMES)}, or the path of an .npz or .csv file, not {dataset!r}")
    return path


Scaler = Callable[[Array], NDArray[np.float32]]


def _placed(features: Features, order: NDArray[np.intp], scale: Scaler) -> NDArray[np.float32]:
    """Scale the rows that `order` names and lay them down in its order, holding no more than a block beside them."""
    places = np.full(features.rows, -1, dtype=np.intp)
    places[order] = np.arange(len(order))
    placed = np.empty((len(order), features.inputs), dtype=np.float32)
    for start, block in _numbered(features):
        to = places[start : start + len(block)]
        wanted = to >= 0
        placed[to[wanted]] = scale(block if wanted.all() else block[wanted])
    return placed


def _numbered(features: Features) -> Iterator[tuple[int, Array]]:
    """Yield the blocks with the number of the first row of each."""
    start = 0
    for block in features.blocks():
        yield start, block
        start += len(block)


def _test_rows(table: Table, scale: Scaler) -> Rows | None:
    if table.test is None:
        return None
    features, labels = table.test
    return Rows(features=_placed(features, np.arange(features.rows), scale), labels=labels)


def _range(table: Table, train: NDArray[np.intp]) -> tuple[Array, Array]:
    """Give the lowest and the highest of the training rows' features, of all or of each column."""
    axis = 0 if table.scale.by == "column" else None
    seen = np.zeros(table.features.rows, dtype=bool)
    seen[train] = True
    low: Any = None
    high: Any = None
    for start, block in _numbered(table.features):
        trained = block[seen[start : start + len(block)]]
        if len(trained):
            lowest, highest = trained.min(axis=axis), trained.max(axis=axis)
            low = lowest if low is None else np.minimum(low, lowest)
            high = highest if high is None else np.maximum(high, highest)
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)


def _scaler(table: Table, train: NDArray[np.intp]) -> Scaler:
    """Make the function that brings features to [0, 1] by the training split's range; other splits may leave it."""
    how = table.scale
    if how.by == "fixed":
        top = np.float32(how.top)
        return lambda features: features.astype(np.float32) / top
    low, high = _range(table, train)
    with np.errstate(over="ignore"):
        span = high - low
    # A column with a single value says nothing: it becomes 0 rather than a division by 0.
    span = np.where(span == 0, 1.0, span)
    # Bytes and 16-bit numbers are exact in float32: images need not pass through arrays twice as large.
    width: Any = np.float32 if table.features.dtype.itemsize <= 2 else np.float64
    low, span = low.astype(width), span.astype(width)

    def scale(features: Array) -> NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):
            scaled: NDArray[np.float32] = ((features.astype(width) - low) / span).astype(np.float32, copy=False)
        if not (np.isfinite(span).all() and np.isfinite(scaled).all()):
            raise wrong(f"{table.name} has features too far apart to be scaled")
        return scaled

    return scale
