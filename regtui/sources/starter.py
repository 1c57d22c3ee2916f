"""Who waits for how the set-up of a run goes: the thread beside it, or the process that has started this one for it.

Between two processes it is a socket that goes with the first record of the run, or before, where the one that started
it does not wait so long: lines of JSON come from the run, and one byte goes back where a problem was heard.
"""

import contextlib
import faulthandler
import os
import signal
import socket

import msgspec

from regtui.core.config import ConfigError
from regtui.readers import LogError
from regtui.signals import SIGNALS

ENVIRONMENT = "REGTUI_DETACHED"
"""Environment: what a process that is started for a detached run is told, and no process that it starts itself."""

HEARD = b"."
"""The answer to a problem: whoever started the run says it, and takes back what was made for it."""

HEARING_SECONDS = 2.0
"""How long an answer is waited for: an app that draws, or a machine that is busy, gives it within some hundredths."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is told that is started for a detached run."""

    fd: int
    """The socket on which it says how its set-up goes."""
    run_id: str
    commands_from: int
    """Where in the file of commands begins what is sent to it, in bytes."""


class Word(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run says while it is set up; one line."""

    stage: str = ""
    """What it does now."""
    checked: bool = False
    """The data is there and fits; next comes the framework, whose import takes seconds."""
    problem: str = ""
    """Why it cannot be set up, in one sentence; the last word."""
    field: str = ""
    """The field of the configuration that this is about, if it is: `problem` is then said of its value."""


class Starter:
    """Who started a run in this process, and reads its stage and its problem himself."""

    run_id = ""
    """The name of the run, where it has one already."""
    commands_from: int | None = None
    """Where in the file of commands begins what is sent to it; None: behind what is there when it looks first."""
    keeps = False
    """What is not even set up is in the log, too, unless the problem was heard."""

    def say(self, word: Word) -> None:
        """Tell how the set-up goes."""

    def hears(self, problem: ConfigError | LogError) -> bool:  # noqa: ARG002 # what another process needs
        """Tell why the run cannot be set up; gives whether somebody has heard that."""
        return True

    def let_go(self) -> None:
        """Say nothing more: the run is set up, or not to be."""


class OtherProcess(Starter):
    """The process that started this one for a run that outlives it."""

    keeps = True

    def __init__(self, told: Told) -> None:
        self.run_id, self.commands_from = told.run_id, told.commands_from
        self._socket: socket.socket | None = socket.socket(fileno=told.fd)
        self._socket.set_inheritable(False)
        self._socket.settimeout(HEARING_SECONDS)

    def say(self, word: Word) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendall(msgspec.json.encode(word) + b"\n")
        except OSError:
            # It did not wait, or is no more.
            self.let_go()

    def hears(self, problem: ConfigError | LogError) -> bool:
        if isinstance(problem, ConfigError):
            self.say(Word(problem=problem.problem, field=problem.field))
        else:
            self.say(Word(problem=str(problem)))
        heard = b""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                heard = self._socket.recv(1)
        self.let_go()
        return heard == HEARD

    def let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def find_starter() -> Starter:
    """Say who started this process, and see to it that what it is told goes no further than here.

    For a detached run the process forgets what it has of a terminal's or a script's ways: a hang-up is nothing to it,
    and the signals that end a run do so even where whoever started it had them ignored.
    """
    said = os.environ.pop(ENVIRONMENT, "")
    try:
        starter = OtherProcess(msgspec.json.decode(said, type=Told)) if said else Starter()
    except (msgspec.MsgspecError, OSError):
        # Not from us: a variable that somebody has set by hand.
        return Starter()
    if said:
        for number in SIGNALS:
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # Where a library brings the process down, the lines of Python that were at work are in its output.
        faulthandler.enable(os.dup(2))
    return starter
