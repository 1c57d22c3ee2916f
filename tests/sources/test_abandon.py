"""A run that a leaving process abandons in the middle leaves a log that is whole, or none."""

import itertools
import threading
from pathlib import Path

from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, RunEnded
from regtui.sources.here import LiveRun
from regtui.sources.log import LogSource


class Hangs:
    """What a run calls while it trains, and what at some time does not come back to the thread that trains."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.hanging, self.over = threading.Event(), threading.Event()

    def hang(self) -> None:
        if threading.current_thread() is self.thread:
            self.hanging.set()
            self.over.wait()

    def start(self, live: LiveRun) -> None:
        self.thread = threading.Thread(target=live.drive)
        self.thread.start()
        assert self.hanging.wait(60)

    def end(self) -> None:
        self.over.set()
        assert self.thread is not None
        self.thread.join(60)
        assert not self.thread.is_alive()


def small() -> RunConfig:
    return RunConfig.create(framework="torch", hidden=(8,), epochs=100_000)


def test_a_run_in_the_middle_of_its_training_gets_its_end_and_nothing_after_it(tmp_path: Path) -> None:
    hangs = Hangs()
    asked = itertools.count()

    def clock() -> float:
        # Every record asks for the time.
        if next(asked) > 100:
            hangs.hang()
        return 1.0

    live = LiveRun(small(), runs_dir=tmp_path, clock=clock)
    hangs.start(live)
    live.abandon("told to go")
    hangs.end()
    *_, end = events = LogSource(live.log_path).poll()
    assert isinstance(end, RunEnded)
    assert (end.status, end.reason) == ("stopped", "told to go")
    assert end.epoch == sum(isinstance(event, EpochEnded) for event in events) > 0


def test_a_run_that_has_not_begun_leaves_neither_log_nor_folder(tmp_path: Path) -> None:
    hangs = Hangs()
    live = LiveRun(small(), runs_dir=tmp_path, on_news=lambda: live.stage == "importing torch" and hangs.hang())
    hangs.start(live)
    live.abandon("told to go")
    assert list(tmp_path.iterdir()) == []
    hangs.end()
    assert list(tmp_path.iterdir()) == []
    assert not live.begun
