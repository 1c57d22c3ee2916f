"""Measure the log: written, replayed headless to its final charts, and drawn, at a thousand and a million steps.

    python tests/benchmarks/logs.py [--steps 1000000] [--rounds 5]

Replay and the bare loop `for line in file: json.loads(line)` take turns over the same file in the same run, and
medians are compared, so that a busy machine slows both. Memory is that of a process of its own.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from regtui.charts import draw
from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, Event, Metrics, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.readers import LogWriter, read_history
from regtui.report import replay

CHUNK = 50
"""Steps that the training loop hands over at once: a fast net makes about so many in its 50 ms."""

EPOCHS = 100

MEMORY = """
import io, resource, sys
from regtui.report import replay
replay(sys.argv[1], size=(100, 40), out=io.StringIO())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

LIMITS = {"faster": 2.0, "megabytes": 300.0, "chart": 1.5, "write": 3.0}
"""What is promised: times as fast, peak memory, growth of the chart's time, microseconds a record."""


def events(steps: int) -> Iterator[list[Event]]:
    """Make a run of so many steps in chunks, with numbers as long as real ones."""
    yield [RunStarted(run_id="benchmark", time=1.7e9, config=RunConfig.create(), environment={"device": "cpu"})]
    per_epoch = max(steps // EPOCHS, 1)
    size = min(CHUNK, per_epoch)
    for step in range(0, steps, size):
        chunk: list[Event] = [
            StepEnded(
                step=number,
                epoch=(number - 1) // per_epoch + 1,
                loss=2.3 / (1 + number / 1e4) + number % 7 * 0.0123456789,
                penalty=0.0412345678 + number * 1e-9,
                learning_rate=0.2 * 0.999995**number,
                time=1.7e9 + number * 0.00123,
            )
            for number in range(step + 1, min(step + size, steps) + 1)
        ]
        number = step + len(chunk)
        if number // per_epoch > step // per_epoch:
            loss = 2.3 / (1 + number / 1e4)
            measured = {"train": Metrics(loss=loss, accuracy=0.9), "valid": Metrics(loss=loss + 0.1, accuracy=0.8)}
            chunk.append(EpochEnded(epoch=number // per_epoch, step=number, time=1.7e9 + number * 0.00123, **measured))
        yield chunk
    yield [RunEnded(status="finished", step=steps, epoch=EPOCHS)]


def write_log(path: Path, steps: int) -> float:
    """Write a log and give the microseconds a record, encoding included."""
    seconds, records = 0.0, 0
    with LogWriter(path) as writer:
        for chunk in events(steps):
            before = time.perf_counter()
            writer.write(chunk)
            seconds += time.perf_counter() - before
            records += len(chunk)
    return seconds / records * 1e6


def bare_loop(path: Path) -> None:
    """Read a log as anyone would."""
    with path.open() as file:
        for line in file:
            json.loads(line)


def seconds_of(action: Callable[[], object]) -> float:
    """Time one call."""
    before = time.perf_counter()
    action()
    return time.perf_counter() - before


def chart_seconds(histories: list[History], rounds: int) -> list[tuple[float, float]]:
    """Give for each history the seconds of its first chart and the median of those that follow, taken in turns."""
    first = [seconds_of(partial(draw, history, 100, 30)) for history in histories]
    turns = [[seconds_of(partial(draw, history, 100, 30)) for history in histories] for _ in range(rounds)]
    return list(zip(first, map(median, zip(*turns, strict=True)), strict=True))


def main() -> int:
    """Measure, print a table, and give 1 where a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "events.jsonl", Path(folder) / "small.jsonl"
        write_us = write_log(path, given.steps)
        write_log(small, 1000)
        ours, bare = [], []
        for _ in range(given.rounds):
            ours.append(seconds_of(lambda: replay(path, size=(100, 40), out=io.StringIO())))
            bare.append(seconds_of(lambda: bare_loop(path)))
        child = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
        megabytes = float(child.stdout)
        (few_first, few), (many_first, many) = chart_seconds([read_history(small), read_history(path)], 40)
        size = path.stat().st_size
    rows = [
        ("written, us a record", f"{write_us:.2f}", "", f"at most {LIMITS['write']:g}", write_us <= LIMITS["write"]),
        ("replayed to the charts, s", f"{median(ours):.2f}", f"{min(ours):.2f} to {max(ours):.2f}", "", True),
        ("bare json.loads loop, s", f"{median(bare):.2f}", f"{min(bare):.2f} to {max(bare):.2f}", "", True),
    ]
    faster = median(bare) / median(ours)
    rows += [
        ("times as fast", f"{faster:.2f}", "", f"at least {LIMITS['faster']:g}", faster >= LIMITS["faster"]),
        ("peak memory, MB", f"{megabytes:.0f}", "", f"under {LIMITS['megabytes']:g}", megabytes < LIMITS["megabytes"]),
        ("chart of 1,000 steps, ms", f"{few * 1e3:.2f}", f"first {few_first * 1e3:.2f}", "", True),
        ("chart of all steps, ms", f"{many * 1e3:.2f}", f"first {many_first * 1e3:.2f}", "", True),
        ("chart, all to 1,000", f"{many / few:.2f}", "", f"at most {LIMITS['chart']:g}", many / few <= LIMITS["chart"]),
    ]
    print(f"{given.steps:,} steps, {size / 1e6:.0f} MB, medians of {given.rounds}")
    for name, value, spread, limit, kept in rows:
        print(f"{name:<27}{value:>8}  {spread:<16}{limit:<14}{'' if kept else 'NOT KEPT'}".rstrip())
    return 0 if all(row[-1] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
