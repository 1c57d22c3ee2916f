"""Where events come from and commands go: a run that trains here, or a log, finished or growing.

Whoever drives a run (a worker thread of the app, the main thread of `regtui train`) never touches a screen; whoever
polls never waits. A screen asks a source what it does and what it obeys, and never what it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from regtui.core.config import ConfigError
from regtui.core.events import Command, Event
from regtui.core.history import History
from regtui.core.text import printable
from regtui.sources.sent import Sent


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a run is doing, beside what its History knows."""

    stage: str = ""
    """For a person: 'importing tensorflow', 'training', 'paused'; empty where the source cannot tell."""
    alive: bool = False
    """More events may come."""
    growing: bool = False
    """Somebody trains or writes now; a log that was cut off is alive and does not grow."""
    problem: str = ""
    """Why it could not be set up or broke off, in one sentence."""
    refused: ConfigError | None = None
    """The field of the configuration that it could not be set up with, where the problem is one of those."""
    log: Path | None = None
    """Its log, where others can look at it."""
    log_problem: str = ""
    """What its log lacks, or where it has gone, in one sentence; empty again once it is whole."""
    log_words: str = "log incomplete"
    """The same in two words, where there is a problem."""

    def __post_init__(self) -> None:
        """Let what any source says of itself through the gate: it may quote paths and systems."""
        object.__setattr__(self, "stage", printable(self.stage))
        object.__setattr__(self, "problem", printable(self.problem))
        object.__setattr__(self, "log_problem", printable(self.log_problem))


class Source(Protocol):
    """Something that events come from, and commands may go to."""

    @property
    def activity(self) -> Activity:
        """What it is doing now; of a log the system is asked, so that this is for once a frame."""

    @property
    def behind(self) -> bool:
        """The last look at it did not come to the end of what is there."""

    @property
    def warnings(self) -> Sequence[str]:
        """What could not be read, a sentence each; it only ever grows."""

    @property
    def listens(self) -> frozenset[type]:
        """The commands it obeys; none for a log that nobody writes."""

    def poll(self, limit: int | None = None) -> list[Event]:
        """Take what has come since the last call, at most `limit` events, without waiting."""

    def send(self, command: Command) -> None:
        """Give it a command, from any thread; one that it does not listen to is lost.

        Raises OSError where a command to another process cannot be written.
        """


class Nothing:
    """The source before there is one."""

    activity = Activity()
    behind = False
    warnings: Sequence[str] = ()
    listens: frozenset[type] = frozenset()

    def poll(self, limit: int | None = None) -> list[Event]:  # noqa: ARG002 # the protocol's
        return []

    def send(self, command: Command) -> None:
        """Lose the command."""


@dataclass(kw_only=True, eq=False)
class Watched:
    """A run that is looked at: where its events come from, and what is known of it so far."""

    source: Source
    history: History = field(default_factory=History)
    activity: Activity = Activity()
    """What it was doing when it was last asked."""
    told_warnings: int = 0
    """How many of its warnings have been given out."""
    told_log_problem: str = ""
    """What has been said of its log."""
    told_left_out: int = 0
    """How many sentences on what its History does not keep have been shown."""
    open: bool = True
    """Its end has not been taken in yet."""
    behind: bool = False
    """More waits than was taken at the last look."""
    tells: bool = False
    """Its own process tells the services that are asked for: here only the terminal is told."""
    sent: list[Sent] = field(default_factory=list)
    """What was sent to its process and not answered yet, oldest first."""
    told_silent: bool = False
    """It has been said that nobody answers; said again once somebody had."""

    def ask(self) -> Activity:
        """Ask the source what it does; asked before its events are taken, what it said is shown with all of them."""
        self.activity = self.source.activity
        self.open = self.open or self.activity.alive
        return self.activity

    def new_warnings(self) -> list[str]:
        """Give what could not be read since the last call; printable, whatever source says it."""
        warnings = self.source.warnings
        news, self.told_warnings = warnings[self.told_warnings :], len(warnings)
        return list(map(printable, news))

    def take(self, limit: int) -> list[Event]:
        """Fold the next events in, at most so many, and give them."""
        events = self.source.poll(limit)
        self.behind = len(events) == limit or self.source.behind
        self.history.apply(events)
        if self.sent and events:
            self._see_answers(events)
        return events

    def send(self, command: Command, now: float) -> None:
        """Send a command to the process that trains, and keep it until that has answered; raises OSError."""
        self.source.send(command)
        self.sent.append(Sent(command=command, at=now))

    def _see_answers(self, events: Sequence[Event]) -> None:
        """Take each event as the answer to the first command that it can be one to; the end answers all."""
        for event in events:
            answered = next((sent for sent in self.sent if sent.is_answered_by(event)), None)
            if answered is not None:
                self.sent.remove(answered)
                self.told_silent = False
        if self.history.end is not None:
            self.sent.clear()
