"""The gate for whole records: every text in one, whatever its kind and however deep, becomes printable."""

import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from regtui.core.text import LONGEST_TEXT, printable, shortened

T = TypeVar("T", bound=msgspec.Struct)

DEEPEST = 20
"""Levels of lists and names within a record; nobody's settings nest so far, and each level costs a stack frame."""

NUMBERS = (bool, int, float, types.NoneType, msgspec.UnsetType)
"""Types that hold no text."""


def passed(record: T) -> T:
    """Give a record whose texts are printable: its fields, the names and the values in them; itself where they are.

    Two names of one mapping that would be written alike are told apart by a number.
    """
    changed: dict[str, Any] = {}
    for name in _fields_with_text(type(record)):
        value = getattr(record, name)
        cleaned = _passed(value, DEEPEST)
        if cleaned is not value:
            changed[name] = cleaned
    return msgspec.structs.replace(record, **changed) if changed else record


def _passed(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, NUMBERS):
        return value
    if not levels:
        return "…"
    if isinstance(value, Mapping):
        return _mapping(value, levels - 1)
    if isinstance(value, list | tuple | set | frozenset):
        kept = [_passed(each, levels - 1) for each in value]
        return value if all(a is b for a, b in zip(kept, value, strict=True)) else cast(Any, type(value))(kept)
    return passed(value) if isinstance(value, msgspec.Struct) else value


def _mapping(values: Mapping[Any, Any], levels: int) -> Mapping[Any, Any]:
    kept: dict[Any, Any] = {}
    alike: dict[Any, int] = {}
    same = True
    for name, value in values.items():
        written, cleaned = _passed(name, 0), _passed(value, levels)
        first = written
        while written in kept:
            alike[first] = alike.get(first, 1) + 1
            tail = f" ({alike[first]})"
            written = shortened(f"{first}", LONGEST_TEXT - len(tail)) + tail
        kept[written] = cleaned
        same = same and written is name and cleaned is value
    return values if same else kept


@cache
def _fields_with_text(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Name the fields that can hold a text: of a step, of which there are millions, only one."""
    return tuple(field.name for field in msgspec.structs.fields(kind) if not _is_number(field.type))


def _is_number(hint: Any) -> bool:
    """Tell whether a type holds numbers or fixed words only, so that no text from outside comes in by it."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _is_number(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return all(map(_is_number, get_args(hint)))
    return origin is Literal or hint in NUMBERS
