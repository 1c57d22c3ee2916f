"""What checkpoints cost: the same run with none and with both, in turns, for nets of several sizes.

    python tests/benchmarks/checkpoints.py [--framework torch|tensorflow] [--seconds 20] [--rounds 3]

Whole runs in one process, set-up and the checkpoints at the end apart: seconds an epoch of the run that keeps both over
those of the run that keeps none, a round each in turns, so that a busy machine slows both. The first row has epochs of
some milliseconds, the last a net of ten million weights: what is written then takes longer than an epoch.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from regtui import backends
from regtui.checkpoints import keeper
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


def epoch_seconds(config: RunConfig, keep: str, seconds: float) -> float:
    """Give the seconds of an epoch, writing included."""
    watch = Watch(seconds)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        live = LiveRun(config, runs_dir=Path(folder), companions=[watch], checkpoint=keep)
        live.drive()
        if live.problem:
            raise SystemExit(live.problem)
    return watch.seconds / watch.epochs


def main() -> None:
    """Measure each framework."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", choices=backends.names())
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for framework in [options.framework] if options.framework else backends.names():
        print(f"\n{framework}: written at most every {keeper.LEAST_SECONDS:g} s and {keeper.COST:.0%} of the time")
        for name, given in CASES.items():
            config = RunConfig.create("overfit", **{"framework": framework, "epochs": 100_000, **given})
            ratios, none = [], []
            for _ in range(options.rounds):
                none.append(epoch_seconds(config, "none", options.seconds))
                ratios.append(epoch_seconds(config, "both", options.seconds) / none[-1] - 1)
            print(f"  {name:28} {median(none) * 1e3:8.2f} ms an epoch, checkpoints {median(ratios):+.1%}")


if __name__ == "__main__":
    main()
