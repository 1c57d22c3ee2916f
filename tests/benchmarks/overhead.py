"""What watching costs: the lab in a pseudo-terminal against `regtui train`, in turn.

Both train the same configuration as processes of their own. Their speed is read from their logs, from the end of
the first epoch to the end of the last, so that imports, tracing and the app's start do not count. Goal: the lab
loses at most 6 % of the steps a second; drawing takes at most 3 % of the wall time; a frame about 15 ms.

    python tests/benchmarks/overhead.py [--framework torch] [--rounds 5] [--size 140x40] [--dataset PATH] [--epochs N]
"""

import argparse
import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from pathlib import Path

from regtui.core.events import EpochEnded, RunEnded
from regtui.sources.log import LogSource

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist.npz"
PATIENCE_SECONDS = 600


@dataclass
class Measured:
    """What one run showed."""

    steps_per_second: float
    bytes_per_second: float = 0.0
    frames_per_second: float = 0.0
    milliseconds_per_frame: float = 0.0
    drawing_share: float = 0.0
    first_paint: float = 0.0


def speed(runs: Path) -> tuple[float, float]:
    """Give steps a second, and the seconds they were taken over, from the only log in a folder."""
    (log,) = runs.glob("*/events.jsonl")
    events = LogSource(log).poll()
    epochs = [event for event in events if isinstance(event, EpochEnded)]
    if not any(isinstance(event, RunEnded) and event.status == "finished" for event in events):
        raise SystemExit(f"the run in {log} did not finish: {events[-1]}")
    first, last = epochs[0], epochs[-1]
    seconds = float(last.time or 0) - float(first.time or 0)
    return (last.step - first.step) / seconds, seconds


def train(options: list[str]) -> Measured:
    """Train without a screen."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "regtui", "train", *options, "--runs-dir", folder]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        return Measured(speed(Path(folder))[0])


def lab(options: list[str], size: tuple[int, int]) -> Measured:
    """Train in the app, on a pseudo-terminal that swallows what is drawn."""
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder) / "frames.json"
        runs = Path(folder) / "runs"
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "REGTUI_FRAME_STATS": str(stats),
        }
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        command = [sys.executable, "-m", "regtui", *options, "--start", "--runs-dir", str(runs)]
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)
        painted, drawn, ended = 0.0, 0, False
        while process.poll() is None and time.monotonic() - started < PATIENCE_SECONDS:
            # A quarter of a second at a time: a reader that wakes for every write would take the lab's processor.
            time.sleep(0.25 if painted else 0.005)
            while select.select([ours], [], [], 0)[0]:
                try:
                    block = os.read(ours, 1 << 20)
                except OSError:
                    break
                drawn += len(block)
                if not painted and b"Quit" in block:
                    painted = time.monotonic() - started
                if b"finished" in block and not ended:
                    ended = True
                    os.write(ours, b"q")
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(ours)
        frames = json.loads(stats.read_text())
        steps_per_second, seconds = speed(runs)
        return Measured(
            steps_per_second,
            drawn / seconds,
            frames["frames"] / frames["seconds"],
            1000 * frames["drawing_seconds"] / max(frames["frames"], 1),
            frames["drawing_seconds"] / frames["seconds"],
            painted,
        )


def main() -> None:
    """Measure in turn and print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--framework", action="append", help="torch, tensorflow; may be given twice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", action="append", help="columns x rows, such as 80x24; may be given twice")
    parser.add_argument("--dataset", default=str(MNIST) if MNIST.exists() else "digits")
    parser.add_argument("--epochs", type=int, default=40)
    given = parser.parse_args()
    heads = ("train", "lab", "ratio", "ms/frame", "frames/s", "drawing", "kB/s", "paint s")
    print(" " * 20 + "".join(f"{head:>9}" for head in heads))
    for framework in given.framework or ["torch", "tensorflow"]:
        for size in given.size or ["140x40", "80x24"]:
            columns, rows = map(int, size.split("x"))
            options = ["--framework", framework, "--dataset", given.dataset, "--epochs", str(given.epochs)]
            options += ["--train-rows", "20000", "--device", "cpu"] if given.dataset != "digits" else []
            pairs = [(train(options), lab(options, (columns, rows))) for _ in range(given.rounds)]
            watched = [each for _, each in pairs]
            print(
                f"{framework + ' ' + size:20}"
                f"{statistics.median(bare.steps_per_second for bare, _ in pairs):9.0f}"
                f"{statistics.median(each.steps_per_second for each in watched):9.0f}"
                f"{statistics.median(each.steps_per_second / bare.steps_per_second for bare, each in pairs):9.3f}"
                f"{statistics.median(each.milliseconds_per_frame for each in watched):9.1f}"
                f"{statistics.median(each.frames_per_second for each in watched):9.1f}"
                f"{statistics.median(each.drawing_share for each in watched):9.1%}"
                f"{statistics.median(each.bytes_per_second for each in watched) / 1000:9.1f}"
                f"{statistics.median(each.first_paint for each in watched):9.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
