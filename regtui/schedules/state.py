"""The state of a schedule, taken out as what JSON can hold and put back into one that was made anew.

Nobody writes it down for a schedule of his own: numbers, texts and lists of drops among its attributes are its state,
as are those of the parts that it is made of. What else it has must follow from its making alone; a kind of attribute
that is neither is refused, so that none is forgotten.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, is_dataclass
from typing import Any

State = dict[str, Any]
"""Attribute -> its value, or the state of the part that it holds; JSON can hold it, but for numbers that are not
finite."""

Plain = bool | int | float | str | None


def taken_out(part: Any, drop: type) -> State:
    """Give the state of a schedule or of a part of it; raises TypeError for an attribute of a kind unknown here."""
    state: State = {}
    # A field with a default is an attribute of the class until it is first set.
    names = [field.name for field in fields(part)] if is_dataclass(part) else list(vars(part))
    for name in names:
        value = getattr(part, name)
        if isinstance(value, Plain):
            state[name] = value
        elif isinstance(value, list):
            state[name] = [asdict(each) for each in value if _is_drop(each, drop, name)]
        elif not _follows(value):
            state[name] = value.state() if hasattr(value, "state") else taken_out(value, drop)
    return state


def put_back(part: Any, state: State, drop: type) -> None:
    """Put a state into a schedule that was made as the one it was taken from; raises ValueError for one of another."""
    expected = taken_out(part, drop)
    if expected.keys() != state.keys():
        raise ValueError(f"the schedule has {', '.join(expected)}, not {', '.join(map(str, state))}")
    for name, value in state.items():
        had = getattr(part, name)
        if isinstance(had, list):
            setattr(part, name, [drop(**_fitting(each, drop)) for each in value])
        elif isinstance(expected[name], dict):
            had.restore(value) if hasattr(had, "restore") else put_back(had, value, drop)
        elif isinstance(value, Plain):
            setattr(part, name, value)
        else:
            raise ValueError(f"the schedule's {name} is no {type(value).__name__}")


def _follows(value: Any) -> bool:
    """Tell whether an attribute follows from the making of a schedule; raises TypeError where that is not plain."""
    if isinstance(value, tuple | Callable | Iterator):
        return True
    if is_dataclass(value):
        return bool(getattr(value, "__dataclass_params__").frozen)  # noqa: B009 # typeshed does not know it
    if hasattr(value, "__dict__"):
        return False
    raise TypeError(f"a schedule keeps what changes in numbers, texts and lists of drops, not in a {type(value)}")


def _is_drop(value: Any, drop: type, name: str) -> bool:
    if not isinstance(value, drop):
        raise TypeError(f"a schedule's list {name} holds drops alone, not a {type(value)}")
    return True


def _fitting(each: Any, drop: type) -> dict[str, Any]:
    if not isinstance(each, dict) or each.keys() != {field.name for field in fields(drop)}:
        raise ValueError("a drop of the rate is not whole")
    return each
