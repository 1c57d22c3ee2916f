"""What is worth keeping from one frame to the next, kept on the History that it was made from."""

from collections.abc import Callable, Hashable
from typing import TypeVar

from regtui.core.history import History

Value = TypeVar("Value")


class _Kept:
    """The newest of each kind of thing, with what it was made from."""

    def __init__(self, history: History) -> None:  # noqa: ARG002 # it goes with the run, and knows nothing of it
        self.made: dict[str, tuple[Hashable, object]] = {}


def kept(history: History, name: str, key: Hashable, make: Callable[[], Value]) -> Value:
    """Give what `make` gave when it was last called under this name, if that was for an equal key."""
    made = history.derived(_Kept).made
    found = made.get(name)
    if found is None or found[0] != key:
        found = made[name] = key, make()
    return found[1]  # type: ignore[return-value] # each name has values of one type
