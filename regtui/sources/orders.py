"""What a run that trains here is told, by this process and by others, in the order in which it came."""

import queue
import time
from collections.abc import Callable
from pathlib import Path

from regtui.commands import Inbox
from regtui.core.events import Command

ORDERS_SECONDS = 0.1
"""How often a run looks for commands from other processes: a person does not notice a tenth of a second."""


class HandOver:
    """A request to leave the training to another process."""


class Orders:
    """The commands to one run, each given out once."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        """Name who is told why others are not obeyed: `say(sentence, level)`."""
        self._say = say
        self._queue: queue.SimpleQueue[Command | HandOver] = queue.SimpleQueue()
        self._inbox: Inbox | None = None
        self._look_at = 0.0

    def listen(self, log: Path, *, from_start: bool) -> None:
        """Look at the commands of other processes from now on; `from_start` as an Inbox has it."""
        self._inbox = Inbox(log, from_start=from_start)

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
