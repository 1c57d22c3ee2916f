"""What a run that trains here is told, by this process and by others, in the order in which it came."""

import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from regtui.commands import Inbox
from regtui.core.events import Command

ORDERS_SECONDS = 0.1
"""How often a run looks for commands from other processes: a person does not notice a tenth of a second."""


class HandOver:
    """A request to leave the training to another process."""


class Left(NamedTuple):
    """What was sent to a run before it was over in this process, and not obeyed here."""

    commands_from: int | None
    """Where in the file of commands its heir is to begin; None where nobody has looked into it."""
    commands: list[Command]
    """What had been taken out of it by then, or came from this process."""


class Orders:
    """The commands to one run, each given out once."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        """Name who is told why others are not obeyed: `say(sentence, level)`."""
        self._say = say
        self._queue: queue.SimpleQueue[Command | HandOver] = queue.SimpleQueue()
        self._inbox: Inbox | None = None
        self._look_at = 0.0

    def listen(self, log: Path, begin: int | None = None) -> None:
        """Look at the commands of other processes from now on; `begin` as an Inbox has it."""
        self._inbox = Inbox(log, begin=begin)

    def put(self, order: Command | HandOver) -> None:
        """Add one, from any thread."""
        self._queue.put(order)

    def next(self, patience: float = 0.0) -> Command | HandOver | None:
        """Give the next, waiting so many seconds for one; None where none has come."""
        self._look()
        try:
            return self._queue.get(timeout=patience) if patience else self._queue.get_nowait()
        except queue.Empty:
            return None

    def leave(self) -> Left:
        """Give what is left to do for whoever goes on with the run; once it is over here."""
        commands = []
        while not self._queue.empty():
            order = self._queue.get_nowait()
            if not isinstance(order, HandOver):
                commands.append(order)
        return Left(self._inbox.left_at if self._inbox is not None else None, commands)

    def _look(self) -> None:
        now = time.monotonic()
        if self._inbox is None or now < self._look_at:
            return
        self._look_at = now + ORDERS_SECONDS
        for command in self._inbox.poll():
            self._queue.put(command)
        if self._inbox.refused:
            self._say(self._inbox.refused, "warning")
            self._inbox.refused = ""
