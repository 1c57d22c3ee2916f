"""What a record of TensorBoard holds: an event, taken apart byte by byte.

It is a protobuf message: wall time, step, and a summary of values, each a tag and a number, a tensor or what a plug-in
keeps (tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

LONGEST_TAG = 1024
"""Bytes; a longer name is none."""

TEXTS = frozenset({b"args/text_summary", b"keras"})
"""Tags of the texts that are read: arguments of transformers; the model of Keras, by which it is known."""

LONGEST_TEXT = 1 << 20
"""Bytes; settings are shorter."""

Span = tuple[int, int]


class Malformed(Exception):
    """Bytes that are no protobuf message."""


class Value(NamedTuple):
    """One number of an event, and where its bytes are in the record."""

    tag: bytes
    tag_span: Span
    number: float
    at: int
    """Where the number's bytes begin; 0 where they do not stand for themselves."""
    kind: str
    """`<f4` or `<f8`."""


class Extra(NamedTuple):
    """What a plug-in keeps of a run: a text, or its hyperparameters."""

    tag: str
    content: bytes


@dataclass
class Layout:
    """One event taken apart."""

    size: int = 0
    """Bytes."""
    time: float = 0.0
    time_at: int = -1
    step: int = 0
    step_span: Span = (0, 0)
    version: bool = False
    """Whether it is the first record of a file, which says its version."""
    values: list[Value] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)

    @property
    def regular(self) -> bool:
        """Tell whether the numbers of other records can be found where this one has them."""
        start, stop = self.step_span
        return bool(self.values) and self.time_at > 0 and stop - start < 9 and all(each.at for each in self.values)


def fields(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Give the fields of a message: number, the value of a varint (else 0), and where its bytes begin and end."""
    while start < stop:
        key, start = varint(data, start, stop)
        wire = key & 7
        value, begin = 0, start
        if wire == 0:
            value, start = varint(data, start, stop)
        elif wire == 1:
            start += 8
        elif wire == 2:
            size, begin = varint(data, start, stop)
            start = begin + size
        elif wire == 5:
            start += 4
        else:
            raise Malformed
        if start > stop:
            raise Malformed
        yield key >> 3, value, begin, start


def varint(data: bytes, start: int, stop: int) -> tuple[int, int]:
    """Read a number of up to ten bytes; gives it and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        if start >= stop:
            raise Malformed
        byte = data[start]
        value |= (byte & 0x7F) << shift
        start += 1
        if byte < 0x80:
            return value, start
    raise Malformed


def read_event(data: bytes) -> Layout:
    """Take one event apart; raises Malformed."""
    event = Layout(size=len(data))
    for number, value, begin, end in fields(data, 0, len(data)):
        if number == 1 and end - begin == 8:
            event.time, event.time_at = struct.unpack_from("<d", data, begin)[0], begin
        elif number == 2:
            event.step, event.step_span = value, (begin, end)
        elif number == 3:
            event.version = True
        elif number == 5:
            for inner, _, inner_begin, inner_end in fields(data, begin, end):
                if inner == 1:
                    _read_value(data, inner_begin, inner_end, event)
    return event


def _read_value(data: bytes, start: int, stop: int, event: Layout) -> None:
    """Read one value of a summary: a number, or what a plug-in keeps; all else is passed over."""
    tag: Span = (0, 0)
    simple, tensor, metadata = 0, None, None
    for number, _, begin, end in fields(data, start, stop):
        if number == 1:
            tag = (begin, end)
        elif number == 2 and end - begin == 4:
            simple = begin
        elif number == 8:
            tensor = (begin, end)
        elif number == 9:
            metadata = (begin, end)
    name = data[tag[0] : min(tag[1], tag[0] + LONGEST_TAG + 1)]
    if not name or len(name) > LONGEST_TAG:
        return
    plugin, content = _plugin(data, *metadata) if metadata else ("", b"")
    if simple:
        event.values.append(Value(name, tag, struct.unpack_from("<f", data, simple)[0], simple, "<f4"))
    elif plugin == "hparams":
        event.extras.append(Extra(name.decode(errors="replace"), content[:LONGEST_TEXT]))
    elif tensor is not None:
        kept = _tensor(data, *tensor, text=name in TEXTS)
        if isinstance(kept, bytes):
            event.extras.append(Extra(name.decode(errors="replace"), kept))
        elif kept is not None and plugin in ("", "scalars"):
            event.values.append(Value(name, tag, *kept))


def _plugin(data: bytes, start: int, stop: int) -> tuple[str, bytes]:
    """Give the name of the plug-in that a value is for, and what it keeps there."""
    name, content = "", b""
    for number, _, begin, end in fields(data, start, stop):
        if number == 1:
            for inner, _, inner_begin, inner_end in fields(data, begin, end):
                if inner == 1:
                    name = data[inner_begin : min(inner_end, inner_begin + 64)].decode(errors="replace")
                elif inner == 2:
                    content = data[inner_begin:inner_end]
    return name, content


DTYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "<u1", 5: "<i2", 6: "<i1", 9: "<i8", 10: "<u1", 17: "<u2", 19: "<f2", 22: "<u4",
    23: "<u8",
}  # fmt: skip
"""Types of a tensor (tensorflow/core/framework/types.proto) -> numpy's."""

FIXED = {5: "<f4", 6: "<f8"}
"""Fields of a tensor whose numbers are stored as they are."""

COUNTED = (7, 10, 11, 16, 17)
"""Fields of a tensor whose numbers are varints: int, int64, bool, uint32, uint64."""

HALF_VALUES = 13


def _tensor(data: bytes, start: int, stop: int, *, text: bool) -> tuple[float, int, str] | bytes | None:
    """Give the number of a tensor without dimensions, where its bytes begin, and how; or its text."""
    dtype, dimensions, at = 0, 0, None
    for number, value, begin, end in fields(data, start, stop):
        if number == 1:
            dtype = value
        elif number == 2:
            dimensions += sum(1 for inner, *_ in fields(data, begin, end) if inner == 2)
        elif number == 8 and text:
            return data[begin : min(end, begin + LONGEST_TEXT)]
        elif number == 4 or number in FIXED or number in COUNTED or number == HALF_VALUES:
            at = number, value, begin, end
    kind = DTYPES.get(dtype)
    if kind is None or dimensions:
        return None
    if at is None:
        return 0.0, 0, kind  # a zero is left out
    number, value, begin, end = at
    if number in COUNTED or number == HALF_VALUES:
        if begin < end and data[begin - 1] == end - begin:  # several in one field, here one
            value, _ = varint(data, begin, end)
        if number == HALF_VALUES:
            return float(np.array(value & 0xFFFF, dtype=np.uint16).view(np.float16)), 0, kind
        return float(value - (1 << 64) if value >> 63 and dtype in (3, 5, 6, 9) else value), 0, kind
    kind = FIXED.get(number, kind)
    if end - begin != np.dtype(kind).itemsize:
        return None
    found = float(np.frombuffer(data, dtype=kind, count=1, offset=begin)[0])
    return found, begin if kind in ("<f4", "<f8") else 0, kind
