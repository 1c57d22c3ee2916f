"""What the recorder cannot do is said once, and never raised into the training."""

import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from regtui.core.failing import failure

P = ParamSpec("P")
R = TypeVar("R")


class Warned:
    """The warnings of one recorder, each kind given once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, kind: str, text: str) -> None:
        """Warn, unless there has been a warning of that kind."""
        if kind in self._said:
            return
        self._said.add(kind)
        try:
            warnings.warn(f"regtui: {text}", RuntimeWarning, stacklevel=_level())
        except RuntimeWarning:
            # Whoever turns warnings into errors has not asked his training to end because of a log.
            print(f"regtui: {text}", file=sys.stderr)


class _Warns(Protocol):
    warned: Warned


S = TypeVar("S", bound=_Warns)


def harmless(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R | None]:
    """Make a method that warns where it would raise, and gives None."""

    @wraps(method)
    def call(self: S, /, *arguments: P.args, **named: P.kwargs) -> R | None:
        try:
            return method(self, *arguments, **named)
        except Exception as error:
            self.warned.say(method.__name__, f"{method.__name__}() was not recorded: {failure(error)}")
            return None

    return call


def _level() -> int:
    """Give the number of calls from `say` up to the code that is not ours, which the warning is to name."""
    frame: Any = sys._getframe(1)
    level = 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("regtui."):
        frame, level = frame.f_back, level + 1
    return level
