"""Arrays in an .npz file: what they declare is held to limits before they are read, and they are read in blocks."""

import functools
import io
import operator
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from regtui.core.config import ConfigError
from regtui.datasets.disk import opened
from regtui.datasets.limits import HELD_BYTES, MOST_INPUTS, ROW_BYTES, Budget
from regtui.datasets.table import Array, Features, Held, Scale, Table, make_table, rows_at_once, shown, wrong

NAMES = ("x_train", "y_train", "x_test", "y_test")

LONGEST_HEADER = 10_000
"""Bytes of an array's header that numpy itself would read."""

LONGEST_LABEL = 1000
"""Signs: every label takes as much room as the longest, and a name for a class is short."""

MOST_AT_ONCE = 1 << 22
"""Bytes of one read: zipfile reads the list of what a file holds in one piece, however long it says that it is. This
one has room for 40,000 names, and four are needed."""

_PIECE = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How np.savez and np.savez_compressed pack."""

_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, NotImplementedError, RuntimeError,
    ValueError, TypeError, OverflowError, SyntaxError,
)  # fmt: skip
"""What zipfile and numpy's reader of headers raise for bytes that nobody wrote on purpose, or somebody did."""


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What an array says of itself."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_column: bool
    """In Fortran's order: no row lies in one piece."""

    @property
    def rows(self) -> int:
        return self.shape[0] if self.shape else 0

    @property
    def inputs(self) -> int:
        return _product(self.shape[1:])

    @property
    def bytes(self) -> int:
        return _product(self.shape) * self.dtype.itemsize

    @property
    def text(self) -> str:
        return f"{self.name} of shape {shown(self.shape)}"


def read_npz(path: Path, name: str | None = None, scale: Scale | None = None) -> Table:
    """Read x_train, y_train and, where they are there, x_test, y_test, each row flattened.

    Images and bytes share one range for all features, as pixels do; the columns of any other table have one each.
    """
    headers = _headers(path)
    if ("x_test" in headers) != ("y_test" in headers):
        there, missing = ("x_test", "y_test") if "x_test" in headers else ("y_test", "x_test")
        raise wrong(f"{path} has {there} but no {missing}")
    splits = ["train"]
    if "x_test" in headers and _product(headers["x_test"].shape):
        splits.append("test")
    for split in splits:
        _check_pair(path, headers[f"x_{split}"], headers[f"y_{split}"])
    x_train = headers["x_train"]
    if "test" in splits and headers["x_test"].shape[1:] != x_train.shape[1:]:
        raise wrong(
            f"{path} has rows of shape {_row(x_train)} in x_train "
            f"but {_row(headers['x_test'])} in x_test; they must be the same"
        )
    if "test" in splits and (headers["y_test"].dtype.kind == "U") != (headers["y_train"].dtype.kind == "U"):
        raise wrong(f"{path} has text in one of y_train and y_test and numbers in the other")
    held = [_is_held(headers[f"x_{split}"]) for split in splits]
    budget = Budget(path)
    for split, is_held in zip(splits, held, strict=True):
        _take(budget, headers[f"x_{split}"], headers[f"y_{split}"], is_held)
    labels = [_labels(path, headers[f"y_{split}"]) for split in splits]
    features: list[Features] = [
        _features(path, headers[f"x_{split}"], is_held) for split, is_held in zip(splits, held, strict=True)
    ]
    if scale is None:
        pixels = len(x_train.shape) > 2 or x_train.dtype == np.uint8
        scale = Scale(by="all" if pixels else "column")
    test = (features[1], labels[1]) if len(splits) > 1 else None
    return make_table(name or str(path), features[0], labels[0], scale, test)


def _product(shape: tuple[int, ...]) -> int:
    """Multiply as whole numbers, which have no end: an array may declare more than 64 bits count."""
    return functools.reduce(operator.mul, shape, 1)


def _check_pair(path: Path, x: _Header, y: _Header) -> None:
    """Refuse features and labels of one split that cannot go together, by what they declare."""
    if x.dtype.kind not in "buif":
        raise wrong(f"{path}: {x.name} must hold numbers, not {shown(x.dtype)}")
    if not x.shape or not _product(x.shape):
        raise wrong(f"{path}: {x.name} holds no rows of numbers, its shape is {shown(x.shape)}")
    if x.inputs > MOST_INPUTS:
        raise wrong(f"{path}: {x.name} has {x.inputs:,} features in a row; {MOST_INPUTS:,} are the most")
    if len(y.shape) != 1 and y.shape[1:] != (1,):
        raise wrong(f"{path}: {y.name} must be one label a row, of shape ({x.rows},), not {shown(y.shape)}")
    if x.rows != y.rows:
        raise wrong(f"{path} has {x.rows} rows in {x.name} but {y.rows} labels in {y.name}")
    if y.dtype.itemsize > 4 * LONGEST_LABEL:
        raise wrong(f"{path}: {y.name} has labels of more than {LONGEST_LABEL:,} signs")
    if y.dtype.kind not in "buifU" or not y.dtype.itemsize:
        raise wrong(f"{path}: {y.name} must hold whole numbers or text, not {shown(y.dtype)}")


def _is_held(x: _Header) -> bool:
    return x.by_column or x.bytes <= HELD_BYTES


def _take(budget: Budget, x: _Header, y: _Header, is_held: bool) -> None:
    """Count a split: float32 and int64 for the run, and beside them what stays as it was read."""
    # Rows of columns by themselves are put in order once more where they are no table yet.
    copies = (2 if len(x.shape) > 2 else 1) if x.by_column else int(is_held)
    budget.take(x.text, 4 * x.rows * x.inputs + copies * x.bytes)
    # Labels are sorted to find the classes: a copy and a half.
    budget.take(y.text, ROW_BYTES * y.rows + 3 * y.bytes)


def _row(header: _Header) -> str:
    return shown("x".join(str(size) for size in header.shape[1:]) or "1")


def _headers(path: Path) -> dict[str, _Header]:
    """Read what the arrays that regtui knows declare; raises ConfigError where there is no x_train or y_train."""
    with _archive(path) as archive:
        names = archive.namelist()
        stems = [name.removesuffix(".npy") for name in names]
        for key in NAMES[:2]:
            if f"{key}.npy" not in names:
                held = ", ".join(shown(stem) for stem in sorted(stems)[:8]) or "nothing"
                more = f" and {len(stems) - 8:,} more" if len(stems) > 8 else ""
                raise wrong(f"{path} has no {key}; it holds {held}{more}")
        return {key: _header(path, archive, key) for key in NAMES if f"{key}.npy" in names}


def _header(path: Path, archive: zipfile.ZipFile, key: str) -> _Header:
    with _member(path, archive, key) as member:
        return _read_header(path, archive, key, member)


class _Bounded(io.BufferedReader):
    """A file that is never read in one piece, whatever its own directory asks for."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_AT_ONCE:
            raise zipfile.BadZipFile("its list of contents is too long")
        return super().read(MOST_AT_ONCE if size is None or size < 0 else size)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with opened(path) as file, _Bounded(file) as bounded:
        try:
            archive = zipfile.ZipFile(bounded)
        except _DAMAGE:
            raise wrong(f"{path} is not a whole .npz file: cut off, damaged, or of another kind") from None
        with archive:
            yield archive


@contextmanager
def _member(path: Path, archive: zipfile.ZipFile, key: str) -> Iterator[BinaryIO]:
    """Open an array for reading; what is wrong with its bytes, then or later, is a ConfigError that names it."""
    entries = [entry for entry in archive.infolist() if entry.filename == f"{key}.npy"]
    if len(entries) > 1:
        raise wrong(f"{path} holds {key} {len(entries)} times")
    (entry,) = entries
    if entry.flag_bits & 1:
        raise wrong(f"{path}: {key} is encrypted")
    if entry.compress_type not in _METHODS:
        raise wrong(f"{path}: {key} is packed in a way that np.savez and np.savez_compressed do not use")
    try:
        with archive.open(entry) as member:
            yield member  # type: ignore[misc]  # typeshed's IO[bytes] is what this is
    except ConfigError:
        raise
    except (*_DAMAGE, RecursionError, MemoryError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise wrong(f"{path} cannot be read: {key} is damaged ({shown(said)})") from None


def _read_header(path: Path, archive: zipfile.ZipFile, key: str, member: BinaryIO) -> _Header:
    """Read an array's header, and hold the size it declares to the one that the file's directory does."""
    version = npy.read_magic(member)
    count = {1: 2}.get(version[0], 4)
    packed = _exactly(member, count)
    length = int.from_bytes(packed, "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes")
    text = _exactly(member, length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy tells of headers that Python 2 wrote
        read = npy.read_array_header_1_0 if version[0] == 1 else npy.read_array_header_2_0
        try:
            shape, by_column, dtype = read(io.BytesIO(packed + text))
        except (ValueError, SyntaxError, tokenize.TokenError):
            raise ValueError("its header cannot be read") from None
    if dtype.hasobject:
        raise wrong(f"{path} holds Python objects in {key}: save it as an array of numbers")
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"a shape of {shown(shape)}")
    header = _Header(name=key, shape=shape, dtype=dtype, by_column=bool(by_column))
    there = archive.getinfo(f"{key}.npy").file_size - (len(npy.magic(*version)) + count + length)
    if header.bytes != there:
        raise ValueError(f"it declares {header.bytes:,} bytes and holds {there:,}")
    return header


def _exactly(member: BinaryIO, count: int) -> bytes:
    data = bytearray(count)
    _fill(member, data)
    return bytes(data)


def _fill(member: BinaryIO, array: Any) -> None:
    """Read as many bytes as an array has room for; raises EOFError where there are fewer."""
    buffer = memoryview(array)
    at = 0
    while at < len(buffer):
        piece = member.read(min(_PIECE, len(buffer) - at))
        if not piece:
            raise EOFError("it ends too early")
        buffer[at : at + len(piece)] = piece
        at += len(piece)


def _whole(path: Path, header: _Header) -> Array:
    """Read an array in one piece."""
    with _archive(path) as archive, _again(path, archive, header) as member:
        array = np.empty(header.bytes, dtype=np.uint8)
        _fill(member, array)
        return array.view(header.dtype).reshape(header.shape, order="F" if header.by_column else "C")


@contextmanager
def _again(path: Path, archive: zipfile.ZipFile, header: _Header) -> Iterator[BinaryIO]:
    """Open an array whose header is known, after its header."""
    with _member(path, archive, header.name) as member:
        if _read_header(path, archive, header.name, member) != header:
            raise wrong(f"{path} was changed while it was read")
        yield member


def _features(path: Path, header: _Header, is_held: bool) -> Features:
    if not is_held:
        return _Streamed(path, header)
    array = _whole(path, header).reshape(header.rows, -1)
    _check_finite(path, header.name, array, 0)
    return Held(array)


@dataclass(frozen=True)
class _Streamed:
    """Features that stay in their file."""

    path: Path
    header: _Header

    @property
    def rows(self) -> int:
        return self.header.rows

    @property
    def inputs(self) -> int:
        return self.header.inputs

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.header.dtype

    def blocks(self) -> Iterator[Array]:
        row_bytes = self.inputs * self.dtype.itemsize
        some = rows_at_once(row_bytes)
        with _archive(self.path) as archive, _again(self.path, archive, self.header) as member:
            for start in range(0, self.rows, some):
                block = np.empty(min(some, self.rows - start) * row_bytes, dtype=np.uint8)
                _fill(member, block)
                rows = block.view(self.dtype).reshape(-1, self.inputs)
                _check_finite(self.path, self.header.name, rows, start)
                yield rows


def _check_finite(path: Path, name: str, rows: Array, first: int) -> None:
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        row = first + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise wrong(f"{path}: {name} holds a value that is not finite (NaN or infinite) in row {row}")


def _labels(path: Path, header: _Header) -> Array:
    """Read labels: whole numbers or text."""
    y = _whole(path, header).reshape(-1)
    if y.dtype.kind == "f":
        fractions = np.flatnonzero(~(np.isfinite(y) & (y == np.round(y))))
        if len(fractions):
            row = int(fractions[0])
            raise wrong(f"{path}: the label {y[row]:g} in row {row} of {header.name} is not a whole number")
    if y.dtype.kind == "b":
        y = y.view(np.uint8) != 0  # any byte may stand for true in a file
    if y.dtype.kind == "U":
        y = y.astype(y.dtype.newbyteorder("="), copy=False)
        if (y.view(np.uint32) > 0x10FFFF).any():
            raise wrong(f"{path}: {header.name} holds text that is none")
    return y
