"""Measure the readers of other trainers' logs: opened to the final picture, against what people read them with.

    python tests/benchmarks/readers.py [--steps 1000000] [--rounds 3] [--keep FOLDER]

A log of so many steps and three numbers each is written once. Each side is a whole process of its own, start
included; they take turns, so that a busy machine slows both, and medians are compared. Memory is the highest that the
process had. Ours draws what it has read; the others only read.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from regtui.readers.tensorboard.writer import first_record, scalar_records

BEGUN = 1.7e9

ROWS_AT_ONCE = 50_000

OURS = (sys.executable, "-m", "regtui", "--size", "100x40", "--replay")

EVENT_ACCUMULATOR = """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
print(sum(len(events.Scalars(tag)) for tag in events.Tags()["scalars"]))
"""
"""All scalars kept, as `size_guidance` asks; without it a random ten thousand of each tag are."""

WITHOUT_TENSORFLOW = "import sys, types; sys.modules['tensorboard.compat.notf'] = types.ModuleType('notf')"
"""What TensorBoard's own builds have where TensorFlow is not to be loaded: then it reads records in Python."""

WITH_TENSORFLOW = "import sys"
"""Its C++ reader of records is used where TensorFlow is installed."""

MEGABYTES = 300.0
"""The most memory that is promised for a million steps."""


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    seconds: float
    processor_seconds: float
    megabytes: float


@dataclass(frozen=True)
class Rival:
    """A log and who else reads it."""

    name: str
    write: Callable[[Path, int], None]
    """Writes so many steps to a path."""
    file_name: str
    command: tuple[str, ...]
    """What reads the path that is put behind it."""
    faster: float = 40.0
    """How many times as fast ours is promised to be for a million steps, by processor time."""


def columns(start: int, stop: int) -> dict[str, np.ndarray]:
    """Give the numbers of some steps, as long as real ones."""
    step = np.arange(start, stop, dtype=float)
    return {
        "train/loss": 2.3 / (1 + step / 1e4) + step % 7 * 0.0123456789,
        "train/learning_rate": 0.2 * 0.999995**step,
        "train/grad_norm": 1 + np.sin(step) / 2,
    }


def write_event_file(path: Path, steps: int) -> None:
    """Write it as `SummaryWriter.add_scalar` does, step by step."""
    with path.open("wb") as file:
        file.write(first_record(BEGUN))
        for start in range(0, steps, ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, steps)
            step = np.arange(start, stop, dtype=float)
            tags = [scalar_records(tag, step, BEGUN + step / 100, of) for tag, of in columns(start, stop).items()]
            file.write(b"".join(record for row in zip(*tags, strict=True) for record in row))


EVENT_FILE = "events.out.tfevents.1700000000.host.1.0"

RIVALS = (
    Rival(
        name="TensorBoard against EventAccumulator",
        write=write_event_file,
        file_name=EVENT_FILE,
        command=(sys.executable, "-c", WITHOUT_TENSORFLOW + EVENT_ACCUMULATOR),
    ),
    Rival(
        name="TensorBoard against EventAccumulator with TensorFlow's reader",
        write=write_event_file,
        file_name=EVENT_FILE,
        command=(sys.executable, "-c", WITH_TENSORFLOW + EVENT_ACCUMULATOR),
        faster=15.0,
    ),
)
"""The rows of the table."""


def run(command: tuple[str, ...], path: Path) -> Cost:
    """Run a process to its end, and say what it took; raises CalledProcessError where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(seconds, used.ru_utime + used.ru_stime, peak_megabytes(used))


def peak_megabytes(used: resource.struct_rusage) -> float:
    """Give the highest memory of a process; Linux counts it in kilobytes, macOS in bytes."""
    return used.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def middle(costs: list[Cost]) -> Cost:
    return Cost(
        median(cost.seconds for cost in costs),
        median(cost.processor_seconds for cost in costs),
        max(cost.megabytes for cost in costs),
    )


def compare(rival: Rival, folder: Path, steps: int, rounds: int) -> tuple[Cost, Cost]:
    """Give what ours and the other took."""
    path = folder / rival.file_name
    rival.write(path, steps)
    print(f"{rival.name}: {steps:,} steps, {path.stat().st_size / 1e6:,.0f} MB, {rounds} rounds", flush=True)
    ours, others = [], []
    for _ in range(rounds):
        ours.append(run(OURS, path))
        others.append(run(rival.command, path))
    return middle(ours), middle(others)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="write the logs to this folder and leave them there")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        for rival in RIVALS:
            ours, other = compare(rival, folder, options.steps, options.rounds)
            print(f"  {'':10} {'seconds':>9} {'processor':>10} {'MB':>6}")
            for name, cost in (("regtui", ours), ("the other", other)):
                print(f"  {name:10} {cost.seconds:9.2f} {cost.processor_seconds:10.2f} {cost.megabytes:6.0f}")
            faster, least = other.seconds / ours.seconds, other.processor_seconds / ours.processor_seconds
            print(f"  {faster:.1f} times as fast, {least:.1f} times by processor time")
            short = options.steps >= 1_000_000 and (least < rival.faster or ours.megabytes > MEGABYTES)
            failed = failed or short
            print("  short of what is promised" if short else "  as promised, where a million steps were read")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
