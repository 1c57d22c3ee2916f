"""TensorBoard's event files, written: scalars as many records at once."""

import numpy as np
from numpy.typing import NDArray

from regtui.core.series import FloatArray
from regtui.readers.tensorboard.checksum import crc32c, crc32c_of_rows, masked, masked_rows

VERSION = b"\x1a\x0dbrain.Event:2"
"""What the first record of a file says, as a field of its event."""


def record(payload: bytes) -> bytes:
    """Frame one event."""
    length = len(payload).to_bytes(8, "little")
    return b"".join((length, _checksum(length), payload, _checksum(payload)))


def first_record(time: float) -> bytes:
    """Give what every event file begins with."""
    return record(b"\x09" + np.float64(time).tobytes() + VERSION)


def scalar_records(tag: str, step: FloatArray, time: FloatArray, value: FloatArray) -> list[bytes]:
    """Give a record for each number of a tag, as `SummaryWriter.add_scalar` writes it; arrays of shape (n,)."""
    steps = step.astype(np.int64)
    sizes = _varint_sizes(steps)
    records = np.empty(len(steps), dtype=object)
    for size in np.unique(sizes):
        some = sizes == size
        records[some] = _of_one_length(tag.encode(), int(size), steps[some], time[some], value[some])
    return list(records)


def _of_one_length(tag: bytes, size: int, steps: NDArray[np.int64], time: FloatArray, value: FloatArray) -> list[bytes]:
    """Lay records out as the rows of a matrix; `size` is that of each step as a varint, 0 for step 0, left out."""
    inner = b"\x0a" + _varint(len(tag)) + tag + b"\x15\0\0\0\0"
    summary = b"\x0a" + _varint(len(inner)) + inner
    place = b"\x10" + bytes(size) if size else b""
    payload = b"\x09" + bytes(8) + place + b"\x2a" + _varint(len(summary)) + summary
    length = len(payload).to_bytes(8, "little")
    frame = length + _checksum(length) + payload + bytes(4)
    rows = np.tile(np.frombuffer(frame, dtype=np.uint8), (len(steps), 1))
    inside = rows[:, 12:-4]
    inside[:, 1:9] = _as_bytes(time.astype("<f8"))
    for column in range(size):
        more = 0x80 if column < size - 1 else 0
        inside[:, 10 + column] = (steps >> 7 * column & 0x7F) | more
    with np.errstate(over="ignore"):
        inside[:, -4:] = _as_bytes(value.astype("<f4"))
    end = len(payload)
    differing = [*range(1, 9), *range(10, 10 + size), *range(end - 4, end)]
    rows[:, -4:] = _as_bytes(masked_rows(crc32c_of_rows(inside, differing)))
    joined, width = rows.tobytes(), rows.shape[1]
    return [joined[at : at + width] for at in range(0, len(joined), width)]


def _as_bytes(numbers: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(len(numbers), -1)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _varint_sizes(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the bytes of each number as a varint; none of 0, which protobuf leaves out."""
    sizes = np.zeros(len(values), dtype=np.int64)
    for bits in range(0, 56, 7):
        sizes += values >= (1 << bits)
    return sizes


def _checksum(message: bytes) -> bytes:
    return masked(crc32c(message)).to_bytes(4, "little")
