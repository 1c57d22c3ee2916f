"""What the recorders of a process do when it forks, ends, or sends one of them to another."""

import atexit
import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from regtui.core.events import RunStarted


class Living(Protocol):
    """A recorder, as far as it is told of its process."""

    def leave(self, error: BaseException | None) -> None:
        """End the run, by the error that ended the program or by none."""

    def forked(self) -> None:
        """Record nothing, here in the child."""


living: "weakref.WeakSet[Any]" = weakref.WeakSet()
"""The recorders that write in this process; each is a `Living`."""


def elsewhere(make: Callable[..., Any]) -> Any:
    """Make what arrives of a recorder that was sent to another process: one that records nothing."""
    recorder = make(RunStarted(run_id="run"), log=None, runs_dir=Path("runs"))
    recorder.forked()
    return recorder


def _at_exit() -> None:
    """End the runs that nobody has ended, when the interpreter goes; by the error it goes with, if any."""
    # At a prompt an error ends nothing, and may be an old one.
    error = None if hasattr(sys, "ps1") else getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    recorders: list[Living] = list(living)
    for recorder in recorders:
        recorder.leave(error)


def _after_fork() -> None:
    recorders: list[Living] = list(living)
    living.clear()
    for recorder in recorders:
        recorder.forked()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
