"""Protobuf's wire format, as far as logs need it: fields by number, integers and lengths."""

from collections.abc import Iterator

LONGEST_VARINT = 10
"""Bytes of 64 bits, seven in each."""


class Broken(Exception):
    """Bytes are no message: a length beyond their end, or a wire type that does not exist."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give each field's number and its content: an integer, or bytes for all else. Raises Broken."""
    at, end = 0, len(message)
    while at < end:
        field, content, at = field_at(message, at)
        yield field, content


def field_at(message: bytes, at: int) -> tuple[int, int | bytes, int]:
    """Read one field: its number, its content and the place after it. Raises Broken."""
    tag, at = _varint(message, at)
    wire = tag & 7
    if wire == 0:
        value, at = _varint(message, at)
        return tag >> 3, value, at
    if wire == 2:
        size, at = _varint(message, at)
    elif wire in (1, 5):
        size = 8 if wire == 1 else 4
    else:
        raise Broken
    if at + size > len(message):
        raise Broken
    return tag >> 3, message[at : at + size], at + size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Read an integer and give the place after it."""
    if at < len(message) and message[at] < 128:
        return message[at], at + 1
    value = 0
    for index, byte in enumerate(message[at : at + LONGEST_VARINT]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, at + index + 1
    raise Broken


def number(content: int | bytes) -> int | None:
    """Give an integer; None for a field that is none."""
    return content if isinstance(content, int) else None


def text(content: bytes) -> str:
    """Read UTF-8, with a sign in the place of what is none."""
    return content.decode("utf-8", errors="replace")
