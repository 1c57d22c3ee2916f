"""Measure `regtui runs` over thousands of runs: seen for the first time, and again.

    python tests/benchmarks/runs.py [--runs 5000] [--rounds 3]

The runs are those of tests/logs with the steps that were left out there put back, 134 kB each as a mean, in a temporary
folder. In each round they are listed cold (no summaries kept) and warm (all kept), by a process of its own, and the
bare loop `for line in file: json.loads(line)` reads one log in twenty-five, in turns, so that a busy machine slows all
of them; the loop's time is multiplied up to all logs, and medians are compared. Memory is the peak of the command and
of the largest process that it starts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from regtui.core.events import Event, RunStarted, StepEnded, encode_lines
from regtui.readers import LOG_NAME, open_log
from regtui.runs.kept import FILE_NAME
from regtui.runs.workers import cores

LOGS = Path(__file__).parent.parent / "logs"

LOG_BYTES = 158_000
"""Length of most logs; with those that end early the mean is 134 kB, as of runs of the default lab."""

STEP_BYTES = 140
"""Length of the record of a step."""

BARE = 25
"""One log in so many is read by the bare loop."""

LIMITS = {"cold": 1.4, "warm": 0.07, "megabytes": 300.0}
"""What is promised: processor time as a share of the bare loop's over all logs, and peak memory. Where that takes 14 s
for 5,000 runs, two cores that have nothing else to do list them cold in 9 s, and any warm in 1 s."""

LISTING = """
import os, resource, sys
from regtui.cli import main
sys.argv = ["regtui", "runs", sys.argv[1]]
sys.stdout = open(os.devnull, "w")
try:
    main()
finally:
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        print(resource.getrusage(who).ru_maxrss / 1024, file=sys.__stdout__)
"""
"""The command as a person runs it; prints megabytes."""


def lengthened(events: Sequence[Event], size: int) -> list[Event]:
    """Put steps between those that a log has, their losses on the way from one to the next, up to a length."""
    steps = [event for event in events if isinstance(event, StepEnded)]
    missing = (size - len(encode_lines(events))) // STEP_BYTES
    last = max((event.step for event in events if isinstance(getattr(event, "step", None), int)), default=0)
    if len(steps) < 4 or missing < 1:
        return list(events)
    known = {event.step for event in steps}
    at = [event.step for event in steps]
    losses = [event.loss if event.loss is not None else np.nan for event in steps]
    wanted = [int(step) for step in np.unique(np.linspace(1, last, missing + len(steps)).astype(int))]
    generator = np.random.default_rng(last)
    made = [
        StepEnded(
            step=step,
            epoch=steps[place].epoch,
            loss=float(np.interp(step, at, losses) * generator.uniform(0.7, 1.3)),
            penalty=steps[place].penalty,
            learning_rate=steps[place].learning_rate,
            time=steps[place].time,
        )
        for step in wanted
        if step not in known
        for place in [max(0, int(np.searchsorted(at, step, "right")) - 1)]
    ]
    made = [step if step.loss == step.loss else StepEnded(step=step.step, epoch=step.epoch) for step in made]
    return _merged(events, made)


def _merged(events: Sequence[Event], steps: list[StepEnded]) -> list[Event]:
    merged: list[Event] = []
    place = 0
    for event in events:
        until = event.step if not isinstance(event, RunStarted) else 0
        while place < len(steps) and steps[place].step <= until:
            merged.append(steps[place])
            place += 1
        merged.append(event)
    return merged


def make_runs(folder: Path, count: int, size: int = LOG_BYTES) -> int:
    """Write so many runs into a folder; gives their bytes."""
    texts = [encode_lines(lengthened(open_log(log).poll(), size)) for log in sorted(LOGS.glob("[!.]*.jsonl"))]
    written = 0
    for number in range(count):
        text = texts[number % len(texts)]
        run_id = f"2026{number:06}-torch"
        head, _, rest = text.partition(b"\n")
        record = json.loads(head)
        log = folder / run_id / LOG_NAME
        log.parent.mkdir(parents=True)
        written_head = json.dumps({**record, "run_id": run_id}, separators=(",", ":")).encode()
        log.write_bytes(written_head + b"\n" + rest)
        written += log.stat().st_size
    return written


def listing(folder: Path) -> tuple[float, float, float]:
    """List the runs by a process of its own; gives seconds, those of all its processors, and peak memory in MB."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", LISTING, str(folder)], capture_output=True, text=True, check=True)
    after, seconds = os.times(), time.perf_counter() - began
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, worked, max(float(peak) for peak in done.stdout.split()[-2:])


def bare_loop(logs: Sequence[Path]) -> float:
    """Read logs as anyone would; gives seconds of the processor."""
    before = time.process_time()
    for log in logs:
        with log.open() as file:
            for line in file:
                json.loads(line)
    return time.process_time() - before


def main() -> int:
    """Measure, print a table, and give 1 where a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {"cold": [], "warm": []}
    worked: dict[str, list[float]] = {"cold": [], "warm": []}
    bare, peaks = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make_runs(folder, given.runs)
        time.sleep(3)  # what was written a moment ago is not kept
        some = sorted(folder.glob(f"*/{LOG_NAME}"))[::BARE]
        share = size / sum(log.stat().st_size for log in some)
        for _ in range(given.rounds):
            (folder / FILE_NAME).unlink(missing_ok=True)
            for state in seconds:
                passed, work, peak = listing(folder)
                seconds[state].append(passed)
                worked[state].append(work)
                peaks.append(peak)
            bare.append(bare_loop(some) * share)
    rows: list[tuple[str, float, list[float], float | None]] = [
        ("bare json.loads, processor s", median(bare), bare, None)
    ]
    for state in seconds:
        rows += [
            (f"{state}, s", median(seconds[state]), seconds[state], None),
            (f"{state}, processor s", median(worked[state]), worked[state], None),
            (f"{state} to bare", median(worked[state]) / median(bare), [], LIMITS[state]),
        ]
    rows.append(("peak of a process, MB", max(peaks), peaks, LIMITS["megabytes"]))
    print(f"{given.runs:,} runs, {size / 1e6:.0f} MB, {cores()} cores, medians of {given.rounds}")
    for label, value, each, limit in rows:
        spread = f"{min(each):.2f} to {max(each):.2f}" if each else ""
        promised = "" if limit is None else f"at most {limit:g}" + ("" if value <= limit else "  NOT KEPT")
        print(f"{label:<30}{value:>8.2f}  {spread:<18}{promised}".rstrip())
    return 0 if all(limit is None or value <= limit for _, value, _, limit in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
