"""TensorBoard's event files: where their records are, read a block at a time while they grow.

A record is a length (8 bytes), its checksum (4), the payload, and that of the payload (4). Lengths repeat from step to
step, so a pattern of them is looked for, and as far as it holds nothing is looked at record by record.
"""

import os
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from regtui.core.series import IntArray
from regtui.readers.opening import opened
from regtui.readers.tensorboard.checksum import Bytes, crc32c, crc32c_of_rows, masked, masked_rows
from regtui.readers.tensorboard.event import Malformed, read_event
from regtui.readers.tensorboard.rows import Found, Rows, Tags, is_sound

HEADER, AROUND = 12, 16
"""Bytes before a payload, and all that a record takes beside it."""

LONGEST_RECORD = 2**31
"""Protobuf's own limit: a longer one is none."""

BLOCK = 4 << 20
"""Bytes read at once: ninety thousand scalars, which fill a few megabytes as columns."""

LONGEST_READ = 16 << 20
"""A longer record holds a graph or a film and no scalar, and is passed over without being read."""

MOST_SEARCHED = 64 << 20
"""Bytes looked through for the next sound record behind a broken one; then the rest of the file is given up."""

WALKED = 64
"""Records walked one by one before a pattern of their lengths is looked for."""

MOST_WALKED = 4096

SPARE = 8
"""Bytes behind a block, so that its last record can be read as whole words."""

LOST = 1 << 62
"""Where a file goes on that has been given up: behind its end."""

LONGEST_PATTERN = 32
"""Records; most loops write fewer tags a step, and a step of more is walked."""


class Block(NamedTuple):
    """What a block of bytes holds: where the payloads of whole records begin, their lengths, where the rest begins."""

    offsets: IntArray
    lengths: IntArray
    end: int
    broken: bool
    """Whether what stands at the end is no header of a record."""


class Headers:
    """The lengths that sound headers have, so that each is checked once."""

    def __init__(self) -> None:
        self._lengths: dict[bytes, int] = {}

    def length(self, header: bytes) -> int | None:
        """Give the length that a header says; None for one that is broken."""
        known = self._lengths.get(header)
        if known is None and len(header) == HEADER:
            length = int.from_bytes(header[:8], "little")
            if length < LONGEST_RECORD and masked(crc32c(header[:8])) == int.from_bytes(header[8:], "little"):
                known = length
                if len(self._lengths) < MOST_WALKED:
                    self._lengths[header] = length
        return known


def split(data: memoryview, headers: Headers) -> Block:
    """Find the records of a block, which begins with one."""
    offsets: list[IntArray] = []
    lengths: list[IntArray] = []
    at, patience = 0, WALKED
    while True:
        walked, at, ended = _walk(data, at, patience, headers)
        if walked:
            sizes = np.array(walked, dtype=np.int64)
            lengths.append(sizes)
            offsets.append(at - np.cumsum((sizes + AROUND)[::-1])[::-1] + HEADER)
        if ended:
            break
        pattern = _pattern(walked)
        rows = _repeated(data, at, pattern) if pattern else 0
        if rows:
            sizes = np.array(pattern, dtype=np.int64)
            begins = np.cumsum(sizes + AROUND) - (sizes + AROUND) + HEADER
            stride = int((sizes + AROUND).sum())
            offsets.append((at + begins + stride * np.arange(rows)[:, None]).ravel())
            lengths.append(np.tile(sizes, rows))
            at += rows * stride
        patience = WALKED if rows > WALKED else min(2 * patience, MOST_WALKED)
    none = np.empty(0, dtype=np.int64)
    broken = len(data) - at >= HEADER and headers.length(bytes(data[at : at + HEADER])) is None
    return Block(np.concatenate([none, *offsets]), np.concatenate([none, *lengths]), at, broken)


def _walk(data: memoryview, at: int, most: int, headers: Headers) -> tuple[list[int], int, bool]:
    """Go from record to record; gives their lengths, where the next begins, and whether none can be read there."""
    lengths: list[int] = []
    known, size = headers._lengths, len(data)
    for _ in range(most):
        header = bytes(data[at : at + HEADER])
        length = known.get(header)
        if length is None:
            length = headers.length(header)
        if length is None or at + AROUND + length > size:
            return lengths, at, True
        lengths.append(length)
        at += AROUND + length
    return lengths, at, False


def _pattern(lengths: list[int]) -> list[int]:
    """Find what the newest lengths repeat: nothing where they do not."""
    for size in range(1, min(LONGEST_PATTERN, len(lengths) // 2) + 1):
        if lengths[-size:] == lengths[-2 * size : -size]:
            return lengths[-size:]
    return []


def _repeated(data: memoryview, at: int, pattern: list[int]) -> int:
    """Count how many times a pattern of lengths is repeated from a place on, headers checked."""
    stride = sum(pattern) + AROUND * len(pattern)
    rows = (len(data) - at) // stride
    for length in pattern:
        if not rows:
            return 0
        said = np.ndarray((rows,), dtype="<u8", buffer=data, offset=at, strides=(stride,))
        crc = np.ndarray((rows,), dtype="<u4", buffer=data, offset=at + 8, strides=(stride,))
        same = (said == length) & (crc == masked(crc32c(length.to_bytes(8, "little"))))
        if not same.all():
            rows = int(np.argmin(same))
        at += AROUND + length
    return rows


def next_sound(data: Bytes, start: int = 0) -> int | None:
    """Find where the next header stands whose checksum is right; None where there is none in the block."""
    if len(data) - start < HEADER:
        return None
    words = np.ndarray((len(data) - start - 7,), dtype="<u8", buffer=data, offset=start, strides=(1,))
    # An event has a time, and a length of 0 is what holes in a file are full of.
    places = np.flatnonzero((words[:-4] < LONGEST_RECORD) & (words[:-4] > 8))
    if not len(places):
        return None
    rows = np.ascontiguousarray(words[places]).view(np.uint8).reshape(-1, 8)
    said = np.ndarray((len(data) - start - 3,), dtype="<u4", buffer=data, offset=start, strides=(1,))[places + 8]
    sound = places[masked_rows(crc32c_of_rows(rows, range(8))) == said]
    return start + int(sound[0]) if len(sound) else None


def begins_as_log(path: Path) -> bool:
    """Tell whether a file begins with a sound record that is an event."""
    with opened(path) as fd:
        length = Headers().length(os.pread(fd, HEADER, 0))
        if length is None or not 0 < length <= 4096:
            return False
        record = os.pread(fd, length + 4, HEADER)
    try:
        event = read_event(record[:-4])
    except Malformed:
        return False
    return len(record) == length + 4 and is_sound(record) and (event.version or event.time_at == 1)


class EventFile:
    """One event file, read as far as it has been written."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read yet."""
        self.path = path
        self._file = os.fspath(path)
        self._seen = 0, 0, 0
        """What its status was when there was nothing left to read."""
        self._now = 0, 0, 0
        self._inode = 0
        self._at = 0
        self._needed = 0
        """Bytes of the next record, where a block is too small for it."""
        self._records = 0
        self._headers = Headers()
        self._searched = -1
        """Bytes looked through for the next sound record behind a broken one; -1 where none is looked for."""
        self.broken: list[int] = []
        """Numbers of the records that could not be read, from 1, since they were last taken away."""

    def look(self) -> Literal["same", "grown", "replaced"]:
        """Tell whether there is something to read, from the file's status alone."""
        try:
            status = os.stat(self._file)  # noqa: PTH116 # a Path takes longer than all else here
        except OSError:
            return "same"
        self._now = status.st_ino, status.st_size, status.st_mtime_ns
        if self._now == self._seen:
            return "same"
        read = self._seen[1] if self._at == LOST else self._at
        if self._at and (status.st_size < read or status.st_ino != self._inode):
            return "replaced"
        if self._at == LOST:
            self._seen = self._now
            return "same"
        return "grown"

    def read(self, tags: Tags, most: int = BLOCK) -> Found | None:
        """Read the next block of what `look` saw; None where that has been read."""
        if self._now == self._seen:
            return None
        before, (self._inode, size, _) = self._at, self._now
        data = np.zeros(max(min(max(most, self._needed), size - before), 0) + SPARE, dtype=np.uint8)
        try:
            with opened(self.path) as fd:
                read = os.preadv(fd, [data.data[:-SPARE]], before) if len(data) > SPARE else 0
        except OSError:
            self._seen = self._now
            return None
        self._needed = 0
        searching = self._searched
        found = self._take(data[: read + SPARE], tags)
        more = self._needed or (self._at < size if before + read < size else self._searched >= 0 > searching)
        if not more or not read:
            self._seen = self._now
        return found

    def _take(self, data: Bytes, tags: Tags) -> Found:
        """Take in what a block holds, and go to where the next begins."""
        found = Found(tags)
        size, start = len(data) - SPARE, 0
        if self._searched >= 0:
            sound = next_sound(data[:size])
            if sound is None:
                passed = max(size - HEADER + 1, 0)
                self._searched += passed
                self._at = self._at + passed if self._searched < MOST_SEARCHED else LOST
                return found
            self._searched, start = -1, sound
        block = split(data.data[start:size], self._headers)
        for length in _distinct(block.lengths):
            some = np.flatnonzero(block.lengths == length)
            found.take(Rows.gathered(data, start + block.offsets[some], length + 4), some + self._records + 1)
        self._records += len(block.offsets)
        self.broken += found.broken
        self._at += start + block.end
        if block.broken:
            self._records += 1
            self.broken.append(self._records)
            self._searched = 0
            self._at += 1
        elif not len(block.offsets) and size - start >= HEADER:
            self._pass_over(AROUND + (self._headers.length(data[start : start + HEADER].tobytes()) or 0))
        return found

    def _pass_over(self, size: int) -> None:
        """Ask for all of a record that a block does not hold, or go behind one that is too large for a scalar."""
        if self._at + size > self._now[1]:
            return  # not whole yet
        if size <= LONGEST_READ:
            self._needed = size
        else:
            self._at += size
            self._records += 1


def _distinct(lengths: IntArray) -> list[int]:
    """Give each length once; counting is faster than sorting, where they are short."""
    if not len(lengths) or lengths.max() > BLOCK:
        return [int(length) for length in np.unique(lengths)]
    return [int(length) for length in np.flatnonzero(np.bincount(lengths))]
