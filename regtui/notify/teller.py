"""Tells of a run that trains here, beside it: a thread looks after what is recorded, and training waits for nothing."""

import queue
import threading
import time
from collections.abc import Callable, Sequence

from regtui.core.events import Noted, Record, StepEnded
from regtui.core.failing import failure
from regtui.core.history import History
from regtui.notify.audience import Audience
from regtui.notify.lookout import Lookout
from regtui.sources.here import LiveRun

LOOK_SECONDS = 1.0
"""How often it is looked whether a run has stalled."""

PACE_SECONDS = 0.25
"""Time between two looks at what came: judging takes a millisecond at most, which is then less than half a percent."""

END_SECONDS = 1.0
"""How long the last look may take, after which the run is over; it takes milliseconds."""


class Teller:
    """A companion of one run: what is worth telling goes to an audience, and what went wrong with that into the log."""

    def __init__(
        self, audience: Audience, known: History | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Name who is told; `known` is what is known of a run that goes on, which is this teller's from then on."""
        self._audience = audience
        self._known = known
        self._clock = clock
        self._run: LiveRun | None = None
        self._come: queue.SimpleQueue[list[Record]] = queue.SimpleQueue()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, run: LiveRun) -> None:
        self._run = run
        self._thread = threading.Thread(target=self._follow, name="lookout", daemon=True)
        self._thread.start()

    def see(self, events: Sequence[Record]) -> None:
        """Take what was recorded: of a chunk's steps the last, and those whose loss was lost."""
        kept = [event for event in events if type(event) is not StepEnded or event.loss is None]
        if events and type(events[-1]) is StepEnded and events[-1].loss is not None:
            kept.append(events[-1])
        if kept:
            self._come.put(kept)

    def end(self) -> None:
        """Take the last look; what is then under way to the audience, that waits for itself."""
        self._over.set()
        self._come.put([])
        if self._thread is not None:
            self._thread.join(END_SECONDS)

    def _follow(self) -> None:
        try:
            self._look_on()
        except Exception as error:  # a fault of ours ends no training
            if self._run is not None:
                self._run.say(f"nobody is told any more of this run: {failure(error)}", "error")

    def _look_on(self) -> None:
        history, lookout = self._known or History(), Lookout(from_start=self._known is None)
        if self._known is not None:
            # What was told of it before is no news.
            lookout.look(history, self._clock())
        paused = over = False
        while not over:
            # Asked first: what is taken after its end is all of it.
            over = self._over.is_set()
            come = self._take(0.0 if over else LOOK_SECONDS)
            for event in come:
                if isinstance(event, Noted) and event.level == "state":
                    paused = event.text == "paused"
            history.apply(come)
            self._audience.tell(lookout.look(history, self._clock(), paused=paused))
            if not over and self._run is not None:
                # After the end nothing is written any more: then whoever waits for the audience says it.
                for problem in self._audience.problems():
                    self._run.say(problem, "warning")
            self._over.wait(PACE_SECONDS)

    def _take(self, seconds: float) -> list[Record]:
        """Give all that has come, and wait so long for the first of it."""
        come: list[Record] = []
        try:
            come += self._come.get(timeout=seconds) if seconds else self._come.get_nowait()
            while True:
                come += self._come.get_nowait()
        except queue.Empty:
            return come
