"""What checkpoints cost while a run trains: the share of its time that goes into copies and into writing.

    python tests/benchmarks/checkpoints.py [--framework torch|tensorflow] [--seconds 20]

Whole runs in one process that keep both checkpoints, of nets of several sizes; a stopwatch around all that the keeper
does between chunks, from the first epoch's end on, divided by the time of the run since then. What is written at the
very end is not in it. The first row has epochs of some milliseconds; a writing of the last takes longer than an epoch.
"""

import argparse
import tempfile
import time
from pathlib import Path

from regtui import backends
from regtui.checkpoints import Keeper, keeper
from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, Stop
from regtui.sources.here import LiveRun

CASES = {
    "digits, 1 step an epoch": {"hidden": (16,), "batch_size": 1000, "train_rows": 1000},
    "digits, 32 steps an epoch": {"hidden": (200, 100), "batch_size": 32, "train_rows": 1000},
    "digits, 10 million weights": {"hidden": (3000, 3000), "batch_size": 128, "train_rows": 1000},
}


class Watch:
    """Stops a run after so many seconds of its epochs, and has timed them; writing is timed by itself."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.epochs = 0.0, 0
        self._limit = seconds
        self._began = 0.0

    def begin(self, run: LiveRun) -> None:
        """Take the run."""
        self._run = run

    def see(self, events: list) -> None:
        """Count the epochs from the first one's end, since that one builds graphs."""
        ended = sum(isinstance(event, EpochEnded) for event in events)
        if not ended:
            return
        now = time.perf_counter()
        if not self._began:
            self._began = now
            return
        self.epochs += ended
        self.seconds = now - self._began
        if self.seconds > self._limit:
            self._run.send(Stop())

    def end(self) -> None:
        """Let go of the run."""


def cost(config: RunConfig, seconds: float) -> tuple[float, float, int]:
    """Give seconds of an epoch, the share of the time that goes into checkpoints, and how often they were written."""
    watch, spent, written = Watch(seconds), [0.0], [0]
    after_chunk, write_all = Keeper.after_chunk, Keeper._write_all

    def timed(self: Keeper, log_is_whole: bool = True) -> None:
        began = time.perf_counter()
        after_chunk(self, log_is_whole)
        spent[0] += time.perf_counter() - began

    def counted(self: Keeper, **given: bool) -> None:
        written[0] += 1
        write_all(self, **given)

    Keeper.after_chunk, Keeper._write_all = timed, counted  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            live = LiveRun(config, runs_dir=Path(folder), companions=[watch], checkpoint="both")
            live.drive()
    finally:
        Keeper.after_chunk, Keeper._write_all = after_chunk, write_all  # type: ignore[method-assign]
    if live.problem:
        raise SystemExit(live.problem)
    return watch.seconds / watch.epochs, spent[0] / watch.seconds, written[0]


def main() -> None:
    """Measure each framework."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", choices=backends.names())
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run")
    options = parser.parse_args()
    for framework in [options.framework] if options.framework else backends.names():
        print(f"\n{framework}: written at most every {keeper.LEAST_SECONDS:g} s and {keeper.COST:.0%} of the time")
        for name, given in CASES.items():
            config = RunConfig.create("overfit", **{"framework": framework, "epochs": 100_000, **given})
            epoch, share, times = cost(config, options.seconds)
            print(f"  {name:28} {epoch * 1e3:8.2f} ms an epoch, checkpoints {share:.2%}, written {times} times")


if __name__ == "__main__":
    main()
