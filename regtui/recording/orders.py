"""What a recorded loop is asked to do, done in the thread that trains."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, get_args

from regtui.core.config import ConfigError, fields
from regtui.core.events import Changed, Command, Knob, Pause, Resume, RunEpoch, SetKnob, Stop
from regtui.core.failing import failure
from regtui.core.fields import check
from regtui.numbers import number_of

LISTENS = ("pause", "resume", "epoch", "stop")
"""Commands that every recorded loop obeys, as far as it asks `should_stop`; `knob` where one is registered."""

NOT_ASKED = "nothing in this loop has asked should_stop so far: it may not end by itself"
"""Said where a stop comes to a loop that may never look."""

WAIT_SECONDS = 0.05
"""How often a paused loop looks whether it may go on: commands come to it twice a second."""


class Loop(Protocol):
    """What is asked of the recorder."""

    @property
    def recording(self) -> bool:
        """Whether the run is recorded, so that commands can come."""

    @property
    def rate(self) -> Any:
        """The learning rate of the newest update, None where it is not known."""

    def note(self, text: str, level: str = "info") -> None:
        """Put a line into the log."""

    def change(self, what: str, old: float | None, new: float) -> None:
        """Record that a knob was turned."""


class Orders:
    """The commands to one loop, and what has come of them; any of its threads may obey, and all of them wait."""

    def __init__(self) -> None:
        self.called = False
        """There is something to do, or to wait for; looked at after each step."""
        self.paused = False
        self.stopping = False
        self.asked = False
        """The loop has looked whether it should stop."""
        self.reason = ""
        """What the stop was asked for by."""
        self.waited_seconds = 0.0
        """Time spent in pauses so far, in the thread that was paused longest."""
        self._commands: deque[Command] = deque()
        self._at_epoch = False
        self._setters: dict[str, Callable[[float], object]] = {}
        self._known: dict[str, float] = {}
        """Knob -> its newest value."""

    @property
    def listens(self) -> tuple[str, ...]:
        """Names of the commands that are obeyed."""
        return (*LISTENS, "knob") if self._setters else LISTENS

    def give(self, commands: list[Command]) -> None:
        """Lay commands in front of the loop; from any thread."""
        if commands:
            self._commands.extend(commands)
            self.called = True

    def register(self, name: str, setter: Callable[[float], object], value: Any) -> None:
        """Let a knob be turned; raises ValueError for one that there is none of."""
        if name not in get_args(Knob):
            raise ValueError(f"{name} is no knob that can be turned: {', '.join(get_args(Knob))}")
        self._setters[name] = setter
        number = number_of(value)
        if number is not None:
            self._known[name] = number

    def epoch_ended(self) -> None:
        """Pause now, if that was asked for at the end of the epoch."""
        if self._at_epoch:
            self._at_epoch = False
            self._commands.appendleft(Pause())
            self.called = True

    def obey(self, loop: Loop) -> None:
        """Do what was asked for, and wait while the run is paused."""
        began = time.monotonic()
        waited = False
        while True:
            try:
                command = self._commands.popleft()
            except IndexError:
                if not self.paused or not loop.recording:
                    break
                waited = True
                time.sleep(WAIT_SECONDS)
                continue
            self._do(command, loop)
        # In this order: what comes in between is not overlooked.
        self.called = False
        if self._commands or self.paused:
            self.called = True
        if waited:
            self.waited_seconds += time.monotonic() - began

    def _do(self, command: Command, loop: Loop) -> None:
        match command:
            case Pause():
                # What the loop does already has been obeyed, too: whoever asked for it waits to hear so.
                loop.note("paused", "state")
                self.paused, self._at_epoch = True, False
            case Resume() | RunEpoch():
                loop.note("training", "state")
                self.paused, self._at_epoch = False, isinstance(command, RunEpoch)
            case Stop(reason=reason):
                loop.note("stopping", "state")
                if not (self.stopping or self.asked):
                    loop.note(NOT_ASKED, "warning")
                self.stopping, self.reason, self.paused = True, reason, False
            case SetKnob():
                self._turn(command, loop)

    def _turn(self, turn: SetKnob, loop: Loop) -> None:
        """Turn a knob; one that cannot be, or whose new value is out of its range, is refused with a note."""
        setter, before = self._setters.get(turn.knob), self._known.get(turn.knob)
        if turn.knob == "learning_rate" and (rate := number_of(loop.rate)) is not None:
            before = rate
        value = turn.value if not turn.scale else turn.value * before if before is not None else None
        if setter is None or value is None:
            why = "it is no knob of this run" if setter is None else "its value is not known"
            loop.note(f"{turn.knob} was not changed: {why}", "warning")
            return
        try:
            check(fields()[turn.knob], value)
            setter(value)
        except Exception as error:
            why = error.problem if isinstance(error, ConfigError) else failure(error)
            loop.note(f"{turn.knob} was not changed: {why}", "warning")
            return
        self._known[turn.knob] = value
        loop.change(turn.knob, before, value)


def changed(step: int, epoch: int, what: str, old: float | None, new: float) -> Changed:
    """Make the record of a knob that a person has turned."""
    how: Any = {"how": "hold"} if what == "learning_rate" else {}
    return Changed(step=step, epoch=epoch, what=what, old=old, new=new, cause="user", time=time.time(), **how)
