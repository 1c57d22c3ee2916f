"""The signals that tell a process to go, and the exit statuses by which others know how it went."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    # What batch systems send some time before they kill.
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
"""All that end a process which does not catch them, and that a person, a shell or a batch system sends."""

FAULT = 1
"""Exit status where regtui itself is at fault, as of any program in Python."""

Caught = dict[signal.Signals, Any]
"""Signal -> what answered it before."""


def status_of(received: signal.Signals) -> int:
    """Give the exit status by which shells know that a signal ended a process."""
    return 128 + received


@contextmanager
def caught(answer: Callable[[signal.Signals, Caught], None]) -> Iterator[Caught]:
    """Have a function answer the signals meanwhile, in the main thread; it is told which ones it answers by then.

    Which ones they are is told to the block, too. A signal that whoever started us has set to be ignored, as nohup
    does, stays ignored.
    """
    before: Caught = {}

    def handle(number: int, _frame: Any) -> None:
        answer(signal.Signals(number), before)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            # One at a time: the next one may come before the others are caught.
            before[number] = signal.signal(number, handle)
    try:
        yield before
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
