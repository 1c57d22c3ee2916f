"""Data sets of one's own: .npz and .csv files. Nothing is ever unpickled; every error names the file."""

import csv
import stat
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from regtui.datasets.table import Array, Scale, Table, make_table, wrong

SUFFIXES = (".npz", ".csv")


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder; one that cannot be looked at is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check(path: Path) -> None:
    """Raise ConfigError for what is no file with something in it, without reading it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise wrong(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise wrong(f"{path} cannot be read: {reason(error)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise wrong(f"{path} is a folder, not an .npz or .csv file")
    if not stat.S_ISREG(status.st_mode):
        raise wrong(f"{path} is not a regular file")
    if not status.st_size:
        raise wrong(f"{path} is empty")


def read(path: Path) -> Table:
    """Read a data set from an .npz or .csv file; raises ConfigError saying what is wrong with it, and where."""
    check(path)
    try:
        return read_csv(path) if path.suffix.lower() == ".csv" else read_npz(path)
    except OSError as error:
        raise wrong(f"{path} cannot be read: {reason(error)}") from None
    except MemoryError:
        raise wrong(f"{path} does not fit into memory") from None


def reason(error: Exception) -> str:
    """Say what went wrong in the system's own words, without its numbers and paths."""
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__


def read_npz(path: Path, name: str | None = None, scale: Scale | None = None) -> Table:
    """Read x_train, y_train and, where they are there, x_test, y_test, each row flattened.

    Images and bytes share one range for all features, as pixels do; the columns of any other table have one each.
    """
    arrays = dict(_arrays(path))
    for key in ("x_train", "y_train"):
        if key not in arrays:
            raise wrong(f"{path} has no {key}; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    if ("x_test" in arrays) != ("y_test" in arrays):
        there, missing = ("x_test", "y_test") if "x_test" in arrays else ("y_test", "x_test")
        raise wrong(f"{path} has {there} but no {missing}")
    x_train, y_train = _pair(path, arrays, "train")
    test = None
    if "x_test" in arrays and arrays["x_test"].size:
        test = _pair(path, arrays, "test")
        if arrays["x_test"].shape[1:] != arrays["x_train"].shape[1:]:
            raise wrong(
                f"{path} has rows of shape {_shape(arrays['x_train'])} in x_train "
                f"but {_shape(arrays['x_test'])} in x_test; they must be the same"
            )
        if (test[1].dtype.kind == "U") != (y_train.dtype.kind == "U"):
            raise wrong(f"{path} has text in one of y_train and y_test and numbers in the other")
    if scale is None:
        pixels = arrays["x_train"].ndim > 2 or arrays["x_train"].dtype == np.uint8
        scale = Scale(by="all" if pixels else "column")
    return make_table(name or str(path), x_train, y_train, scale, test)


def _arrays(path: Path) -> Iterator[tuple[str, Array]]:
    """Yield the named arrays of an .npz file that regtui reads, and the names of all others with empty ones."""
    if not zipfile.is_zipfile(path):
        raise wrong(f"{path} is not a whole .npz file: cut off, damaged, or of another kind")
    key = "it"
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                known = key in {"x_train", "y_train", "x_test", "y_test"}
                yield key, np.asarray(archive[key]) if known else np.empty(0)
    except ValueError as error:
        if "pickle" in str(error):
            raise wrong(f"{path} holds Python objects in {key}: save it as an array of numbers") from None
        raise wrong(f"{path} cannot be read: {key} is damaged ({error})") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        raise wrong(f"{path} cannot be read: {key} is damaged ({reason(error)})") from None


def _pair(path: Path, arrays: dict[str, Array], split: str) -> tuple[Array, Array]:
    """Check the features and labels of one split, and flatten each row of the features."""
    x_name, y_name = f"x_{split}", f"y_{split}"
    x, y = arrays[x_name], arrays[y_name]
    if x.dtype.kind not in "buif":
        raise wrong(f"{path}: {x_name} must hold numbers, not {x.dtype}")
    if x.ndim < 1 or x.size == 0:
        raise wrong(f"{path}: {x_name} holds no rows of numbers, its shape is {x.shape}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise wrong(f"{path}: {y_name} must be one label a row, of shape ({len(x)},), not {y.shape}")
    if len(x) != len(y):
        raise wrong(f"{path} has {len(x)} rows in {x_name} but {len(y)} labels in {y_name}")
    x = x.reshape(len(x), -1)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
        raise wrong(f"{path}: {x_name} holds a value that is not finite (NaN or infinite) in row {row}")
    if y.dtype.kind == "f":
        fractions = np.flatnonzero(~(np.isfinite(y) & (y == np.round(y))))
        if len(fractions):
            row = int(fractions[0])
            raise wrong(f"{path}: the label {y[row]:g} in row {row} of {y_name} is not a whole number")
    elif y.dtype.kind not in "buiU":
        raise wrong(f"{path}: {y_name} must hold whole numbers or text, not {y.dtype}")
    return x, y


def _shape(array: Array) -> str:
    return "x".join(str(size) for size in array.shape[1:]) or "1"


def read_csv(path: Path) -> Table:
    """Read lines of numbers with the label last, text or whole numbers; the first line may name the columns.

    Blank lines are skipped. Each column has a range of its own.
    """
    values = array("d")
    labels: list[str] = []
    numbers: list[int] = []
    width = 0
    for line, cells in _lines(path):
        if not width:
            width = len(cells)
            if width < 2:
                raise wrong(f"{path}: line {line} has one cell; features and then the label are needed, with commas")
            if not any(_is_number(cell) for cell in cells[:-1]):
                continue  # names of columns
        if len(cells) != width:
            raise wrong(f"{path}: line {line} has {len(cells)} cells where the lines before have {width}")
        try:
            values.extend(map(float, cells[:-1]))
        except ValueError:
            column, cell = next((at, cell) for at, cell in enumerate(cells, 1) if not _is_number(cell))
            raise wrong(f"{path}: line {line}, column {column}: {cell!r} is not a number") from None
        label = cells[-1].strip()
        if not label:
            raise wrong(f"{path}: line {line} has no label; it stands in the last column")
        labels.append(label)
        numbers.append(line)
    if len(labels) > 1 and not _is_number(labels[0]) and all(_is_number(label) for label in labels[1:]):
        # Columns named 0, 1, 2, ..., label: numbers, but a header all the same.
        del values[: width - 1], labels[0], numbers[0]
    if not labels:
        raise wrong(f"{path} has no rows")
    features = np.frombuffer(values, dtype=np.float64).reshape(len(labels), width - 1)
    broken = np.argwhere(~np.isfinite(features))
    if len(broken):
        row, column = broken[0].tolist()
        raise wrong(f"{path}: line {numbers[row]}, column {column + 1}: {features[row, column]} is not a finite number")
    return make_table(str(path), features, _csv_labels(path, labels, numbers), Scale(by="column"))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line that is not blank."""
    try:
        # utf-8-sig: spreadsheets put a byte order mark in front of the first cell.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            try:
                for cells in reader:
                    if any(cell.strip() for cell in cells):
                        yield reader.line_num, cells
            except csv.Error as error:
                raise wrong(f"{path}: line {reader.line_num} is not CSV: {error}") from None
    except UnicodeDecodeError:
        raise wrong(f"{path} is not text in UTF-8") from None


def _csv_labels(path: Path, labels: list[str], lines: list[int]) -> Array:
    """Read labels as whole numbers where all are numbers, else as text."""
    if not all(_is_number(label) for label in labels):
        return np.array(labels)
    numbers = [float(label) for label in labels]
    for number, label, line in zip(numbers, labels, lines, strict=True):
        if not number.is_integer():
            raise wrong(f"{path}: line {line}: the label {label} is not a whole number")
    return np.array(numbers)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
