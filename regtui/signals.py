"""The signals that tell a process to go."""

import signal

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


def status_of(received: signal.Signals) -> int:
    """Give the exit status by which shells know that a signal ended a process."""
    return 128 + received
