"""What it costs to open a table or JSON lines of a million rows, beside pandas and a bare loop.

    python tests/benchmarks/tables.py [ROWS]

Whole processes, one after the other in turns, so that a busy machine is busy for all of them: `--replay` draws the
final page; the others only read. Medians of the seconds on the clock and of the processor, and the peak of memory.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
"""An odd number of turns: the middle one is a turn that was."""


def write(folder: Path, rows: int) -> tuple[Path, Path]:
    """Write the same run as a table and as JSON lines."""
    draw = random.Random(0)
    table, lines = folder / "run.csv", folder / "run.jsonl"
    with table.open("w") as csv, lines.open("w") as jsonl:
        csv.write("step,loss,learning_rate,grad_norm\n")
        for step in range(1, rows + 1):
            loss, rate, norm = 2 / (1 + step / 1e5) + draw.random() / 10, 1e-3 * (1 - step / 2 / rows), draw.random()
            csv.write(f"{step},{loss},{rate},{norm}\n")
            jsonl.write(json.dumps({"step": step, "loss": loss, "lr": rate, "grad_norm": norm}) + "\n")
    return table, lines


def run(command: list[str]) -> tuple[float, float, float]:
    """Run a process; gives seconds on the clock, seconds of the processor, and the peak of its memory in MB."""
    started = time.perf_counter()
    process = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        table, lines = write(Path(folder), rows)
        python = sys.executable
        replay = [python, "-m", "regtui", "--size", "80x24", "--replay"]
        bare = f"import json; [json.loads(line) for line in open({str(lines)!r})]"
        commands = {
            "CSV, regtui --replay": [*replay, str(table)],
            "CSV, pandas.read_csv": [python, "-c", f"import pandas; pandas.read_csv({str(table)!r})"],
            "JSON lines, regtui --replay": [*replay, str(lines)],
            "JSON lines, json.loads a line": [python, "-c", bare],
        }
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                found[name].append(run(command))
    print(f"{rows:,} rows of 4 numbers, {ROUNDS} turns, {os.cpu_count()} cores")
    for name, each in found.items():
        seconds, processor, peak = (statistics.median(column) for column in zip(*each, strict=True))
        print(f"{name:32} {seconds:6.2f} s  {processor:6.2f} s of the processor  {peak:6.0f} MB")


if __name__ == "__main__":
    main()
