"""The scalars of many of TensorBoard's records at once.

Records of one length that agree in every byte but those of time, step, tags and numbers have one layout: it is worked
out from the first of them, byte by byte, and the others are columns of a matrix. Whatever has no such layout is taken
apart by itself.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regtui.core.series import FloatArray, IntArray
from regtui.readers.tensorboard.checksum import Bytes, Checksums, crc32c, crc32c_of_rows, masked, masked_rows
from regtui.readers.tensorboard.event import Extra, Layout, Malformed, read_event

MOST_STEPS = 2**53
"""Every count of steps up to here is exact as a float."""

TAGS_COMPARED = 6
"""Tags of one length told apart by comparing whole columns; the rest are looked up one by one, which takes some ten
times as long a record, and no longer however many tags there are."""

LONGEST_IN_BULK = 1024
"""Bytes; a record with scalars alone is shorter."""

Bools = NDArray[np.bool_]


class Rows:
    """Records of one length, each payload and checksum, as the rows of a matrix."""

    def __init__(self, words: NDArray[np.uint64], size: int) -> None:
        """Take the rows, shape (n, whole words), of which the first `size` bytes are the record."""
        self.words = words
        self.size = size
        self._bytes: Bytes = words.view(np.uint8)

    @classmethod
    def gathered(cls, data: Bytes, offsets: IntArray, size: int) -> "Rows":
        """Gather records of one size out of a block, which has eight bytes more than its records."""
        width = -(-size // 8) * 8
        sliding = np.ndarray((len(data) - width + 1,), dtype=f"V{width}", buffer=data, strides=(1,))
        return cls(sliding[offsets].view(np.uint64).reshape(len(offsets), width // 8), size)

    @property
    def payloads(self) -> Bytes:
        return self._bytes[:, : self.size - 4]

    def chosen(self, rows: Bools | IntArray) -> "Rows":
        return Rows(self.words[rows], self.size)

    def record(self, row: int) -> bytes:
        return self._bytes[row, : self.size].tobytes()

    def like_the_first(self, mask: NDArray[np.uint64]) -> Bools:
        """Tell which rows agree with the first in every bit of a mask."""
        alike = np.ones(len(self.words), dtype=bool)
        for column in np.flatnonzero(mask):
            alike &= (self.words[:, column] ^ self.words[0, column]) & mask[column] == 0
        return alike

    def checksums(self) -> Checksums:
        at = self.size - 4
        return np.ascontiguousarray(self._bytes[:, at : self.size]).view("<u4")[:, 0]

    def numbers(self, at: int, kind: str) -> FloatArray:
        """Read a number out of each row."""
        found = np.ascontiguousarray(self._bytes[:, at : at + np.dtype(kind).itemsize]).view(kind)[:, 0]
        return found.astype(np.float64)

    def texts(self, start: int, stop: int) -> list[bytes]:
        """Give some bytes of each row."""
        joined, size = np.ascontiguousarray(self._bytes[:, start:stop]).tobytes(), stop - start
        return [joined[at : at + size] for at in range(0, len(joined), size)]


class Tags:
    """The tags of one folder's files, by their numbers among all of a run."""

    def __init__(self, prefix: str, every: list[str], most: int) -> None:
        """Name what stands before each tag, the names of the run so far, and how many it may have."""
        self._prefix = prefix
        self._every = every
        self._most = most
        self._numbers: dict[bytes, int] = {}
        self.refused = False
        """Whether there were more."""

    def number(self, tag: bytes) -> int:
        """Give the number of a tag, a new one for a new tag; -1 for one too many."""
        known = self._numbers.get(tag)
        if known is None:
            if len(self._every) >= self._most:
                self.refused = self._most > 0
                return -1
            known = self._numbers[tag] = len(self._every)
            self._every.append(self._prefix + tag.decode(errors="replace"))
        return known


class Scalars(NamedTuple):
    """Numbers in the order in which they were written, each column of shape (n,)."""

    tag: IntArray
    step: FloatArray
    time: FloatArray
    value: FloatArray

    def part(self, start: int, stop: int) -> "Scalars":
        return self.at(slice(start, stop))

    def where(self, chosen: Bools) -> "Scalars":
        return self if chosen.all() else self.at(chosen)

    def at(self, rows: "slice | Bools | IntArray") -> "Scalars":
        return Scalars(self.tag[rows], self.step[rows], self.time[rows], self.value[rows])

    @classmethod
    def joined(cls, parts: "list[Scalars]") -> "Scalars":
        return cls(
            np.concatenate([part.tag for part in parts]),
            np.concatenate([part.step for part in parts]),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.value for part in parts]),
        )


NO_SCALARS = Scalars(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0), np.empty(0))


class Found:
    """What was found in the records of one block."""

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._parts: list[Scalars] = []
        self._order: list[IntArray] = []
        self._singles: list[tuple[int, int, float, float, float]] = []
        self.extras: list[Extra] = []
        self.broken: list[int] = []
        """Which records are no events, or have another checksum than they say."""

    def scalars(self) -> Scalars:
        """Give the numbers in the order of their records; of an event's tags a number for each."""
        if self._singles:
            order, tag, step, time, value = (np.array(column) for column in zip(*self._singles, strict=True))
            self._order.append(order)
            self._parts.append(Scalars(tag, step, time, value))
            self._singles = []
        if not self._parts:
            return NO_SCALARS
        every = Scalars.joined(self._parts)
        order = np.argsort(np.concatenate(self._order), kind="stable")
        order = order[every.tag[order] >= 0]
        return every.at(order)

    def take(self, rows: Rows, order: IntArray) -> None:
        """Take in records of one length, and which records they are."""
        if rows.size > LONGEST_IN_BULK:
            for row, number in enumerate(order):
                self.take_one(rows.record(row), int(number))
            return
        left = np.arange(len(order))
        rounds = 0
        while len(left):
            some = rows if len(left) == len(order) else rows.chosen(left)
            layout = self._layout(some.record(0), int(order[left[0]]))
            if layout is None or not layout.regular:
                if layout is not None:
                    self._add(layout, int(order[left[0]]))
                left = left[1:]
                continue
            rounds += 1
            same_tags = rounds <= TAGS_COMPARED
            alike = some.like_the_first(_mask(layout, some.words.shape[1], same_tags=same_tags))
            whole = bool(alike.all())
            chosen = left if whole else left[alike]
            self._take_alike(layout, some if whole else some.chosen(alike), order[chosen], same_tags=same_tags)
            left = left[:0] if whole else left[~alike]

    def take_one(self, record: bytes, number: int) -> None:
        """Take in one record, payload and checksum."""
        layout = self._layout(record, number)
        if layout is not None:
            self._add(layout, number)

    def _layout(self, record: bytes, number: int) -> Layout | None:
        """Take a record apart; None for one that is broken."""
        try:
            return read_event(record[:-4])
        except Malformed:
            self.broken.append(number)
            return None

    def _add(self, event: Layout, number: int) -> None:
        self.extras += event.extras
        if 0 <= event.step <= MOST_STEPS:
            for value in event.values:
                tag = self._tags.number(value.tag)
                self._singles.append((number, tag, float(event.step), event.time, value.number))

    def _take_alike(self, layout: Layout, rows: Rows, order: IntArray, *, same_tags: bool) -> None:
        """Take in records of one layout."""
        spans = [*_numbers_of(layout), *([] if same_tags else _tags_of(layout))]
        differing = [column for span in spans for column in range(*span)]
        sound = rows.checksums() == masked_rows(crc32c_of_rows(rows.payloads, differing))
        if not sound.all():
            self.broken += order[~sound].tolist()
            if not sound.any():
                return
            rows, order = rows.chosen(sound), order[sound]
        step = np.zeros(len(order))
        for place, column in enumerate(range(*layout.step_span)):
            step += (rows.payloads[:, column] & 0x7F) * float(1 << 7 * place)
        time = rows.numbers(layout.time_at, "<f8")
        for value in layout.values:
            if same_tags:
                tag = np.full(len(order), self._tags.number(value.tag))
            else:
                tag = np.array([self._tags.number(name) for name in rows.texts(*value.tag_span)])
            kept = step <= MOST_STEPS
            part = Scalars(tag, step, time, rows.numbers(value.at, value.kind))
            self._parts.append(part.where(kept))
            self._order.append(order if kept.all() else order[kept])


def _numbers_of(layout: Layout) -> Iterator[tuple[int, int]]:
    """Name the bytes that hold time, step and numbers."""
    yield layout.time_at, layout.time_at + 8
    yield layout.step_span
    for value in layout.values:
        yield value.at, value.at + np.dtype(value.kind).itemsize


def _tags_of(layout: Layout) -> Iterator[tuple[int, int]]:
    return (value.tag_span for value in layout.values)


def _mask(layout: Layout, words: int, *, same_tags: bool) -> NDArray[np.uint64]:
    """Set the bits in which records of one layout agree: all but those of time, step and numbers, perhaps of tags."""
    mask = np.zeros(8 * words, dtype=np.uint8)
    mask[: layout.size] = 0xFF
    for start, stop in (*_numbers_of(layout), *([] if same_tags else _tags_of(layout))):
        mask[start:stop] = 0
    start, stop = layout.step_span
    mask[start:stop] = 0x80  # set where a varint goes on
    return mask.view(np.uint64)


def is_sound(record: bytes) -> bool:
    """Tell whether one record, payload and checksum, has the checksum that it says."""
    return masked(crc32c(record[:-4])) == int.from_bytes(record[-4:], "little")
