"""Signals that tell the process to go: it goes cleanly where it can, and within two seconds in any case."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from regtui.signals import Caught, caught, status_of

PATIENCE_SECONDS = 1.5
"""How long leaving may take: a chunk and the measuring of the test split fit; whoever waits for us still waits."""


class Left(BaseException):
    """A signal has told the process to go, and nothing was to be put away first but the screen."""

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(received.name)
        self.received = received


@contextmanager
def leaving(
    begin: Callable[[signal.Signals], None], at_last: Callable[[signal.Signals], None] = lambda _received: None
) -> Iterator[None]:
    """Call `begin` in the main thread at the first signal; the process should then leave by itself.

    If it has not when its time is up, or a second signal comes, `at_last` is called and the process ends there. A
    signal that whoever started us has set to be ignored, as nohup does, stays ignored.
    """

    def first(received: signal.Signals, answered: Caught) -> None:
        def last(_number: int, _frame: Any) -> NoReturn:
            # Once more, and the system itself ends the process.
            for number in answered:
                signal.signal(number, signal.SIG_DFL)
            leave(received, at_last)

        for number in answered:
            signal.signal(number, last)
        signal.signal(signal.SIGALRM, last)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
        begin(received)

    with caught(first):
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def leave(received: signal.Signals, at_last: Callable[[signal.Signals], None] = lambda _received: None) -> NoReturn:
    """End the process here and now: other threads, a framework's teardown and unread buffers are not waited for."""
    try:
        at_last(received)
    finally:
        os._exit(status_of(received))
