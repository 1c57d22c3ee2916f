"""What it costs a run to look for commands from other processes, when there are none: microseconds a look and a chunk.

A chunk is about 50 ms of training, or one step where a step takes longer; a run looks between two of them, at most ten
times a second. Goal: below 10 microseconds a chunk on average.

    python tests/benchmarks/commands.py [--rounds 5]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from regtui.commands import Inbox, send
from regtui.core.config import RunConfig
from regtui.core.events import Pause
from regtui.sources.here import LiveRun

LOOKS = 20_000
"""In a row: some tenths of a second, of which each tenth has one look of its own."""


def per_call(call: Callable[[], object]) -> float:
    """Give the microseconds of one call."""
    began = time.perf_counter()
    for _ in range(LOOKS):
        call()
    return (time.perf_counter() - began) / LOOKS * 1e6


def live(folder: Path) -> LiveRun:
    """Make a run as it is between two chunks."""
    run = LiveRun(RunConfig.create(), runs_dir=folder, log=folder / "events.jsonl")
    run._orders.listen(run.log_path)
    return run


def always(run: LiveRun) -> object:
    """Look as a run does whose chunks take longer than the time between two looks."""
    run._orders._look_at = 0.0
    return run._next_command()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        found: dict[str, list[float]] = {}
        for number in range(rounds):
            for state in ("no file", "an old file"):
                folder = Path(name, f"{number} {state}")
                folder.mkdir()
                if state == "an old file":
                    send(folder / "events.jsonl", Pause())
                run, inbox = live(folder), Inbox(folder / "events.jsonl")
                inbox.poll()
                contenders: dict[str, Callable[[], object]] = {
                    "Inbox.poll": inbox.poll,
                    "LiveRun, chunks of 100 ms and more": lambda run=run: always(run),
                    "LiveRun, between two looks": run._next_command,
                }
                for what, call in contenders.items():
                    found.setdefault(f"{what}, {state}", []).append(per_call(call))
    print(f"{'':52} microseconds (median of {rounds})")
    for what, each in found.items():
        print(f"{what:52} {statistics.median(each):6.2f}")


if __name__ == "__main__":
    main()
