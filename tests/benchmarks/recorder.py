"""What recording costs a training loop: regtui.record against what people use, in turn, each in a process of its own.

Of each: microseconds a step on the wall as the loop sees them; microseconds of processor a step of the whole process,
its threads and the end of the run included (a second process, as W&B has one, is not counted); and bytes a step on the
disk. A step is one loss and one rate, unless the name says more. Goal: regtui stays below 3 microseconds of processor.

    python tests/benchmarks/recorder.py [--rounds 5] [--only NAME ...]
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Step = Callable[[int, float, float], object]
Contender = tuple[Step, Callable[[], object]]
"""What records a step, and what ends the run."""

WARM_UP = 200
"""Steps before the clock starts: files are opened and threads started with the first ones."""


def regtui_float(folder: Path) -> Contender:
    run = _regtui(folder)
    return lambda i, loss, rate: run.step(loss=loss, learning_rate=rate), run.finish


def regtui_tensor(folder: Path) -> Contender:
    import torch

    run, tensor = _regtui(folder), torch.tensor(0.7)
    return lambda i, loss, rate: run.step(loss=tensor, learning_rate=rate), run.finish


def regtui_more(folder: Path) -> Contender:
    run = _regtui(folder)
    return lambda i, loss, rate: run.step(loss=loss, learning_rate=rate, grad_norm=loss, accuracy=loss), run.finish


def _regtui(folder: Path) -> Any:
    import regtui

    return regtui.record(runs_dir=folder)


def json_line(folder: Path) -> Contender:
    file = (folder / "log.jsonl").open("w")

    def step(i: int, loss: float, rate: float) -> None:
        file.write(json.dumps({"step": i, "loss": loss, "learning_rate": rate, "time": time.time()}) + "\n")

    return step, file.close


def csv_row(folder: Path) -> Contender:
    """Write a row as Keras's CSVLogger does, with its flush."""
    file = (folder / "log.csv").open("w", newline="")
    writer = csv.DictWriter(file, ["step", "loss", "learning_rate"])
    writer.writeheader()

    def step(i: int, loss: float, rate: float) -> None:
        writer.writerow({"step": i, "loss": loss, "learning_rate": rate})
        file.flush()

    return step, file.close


def tensorboard(folder: Path) -> Contender:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder)

    def step(i: int, loss: float, rate: float) -> None:
        writer.add_scalar("loss", loss, i)
        writer.add_scalar("learning_rate", rate, i)

    return step, writer.close


def wandb(folder: Path) -> Contender:
    import wandb as library

    run = library.init(mode="offline", dir=str(folder), project="cost", settings=library.Settings(silent=True))
    return lambda i, loss, rate: run.log({"loss": loss, "learning_rate": rate}), run.finish


def trackio(folder: Path) -> Contender:
    os.environ["TRACKIO_DIR"] = str(folder)
    os.environ["HF_HUB_OFFLINE"] = "1"
    import trackio as library

    library.init(project="cost", embed=False)
    return lambda i, loss, rate: library.log({"loss": loss, "learning_rate": rate}), library.finish


def dvclive(folder: Path) -> Contender:
    from dvclive import Live

    live = Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None)

    def step(i: int, loss: float, rate: float) -> None:
        live.log_metric("loss", loss)
        live.log_metric("learning_rate", rate)
        live.next_step()

    return step, live.end


CONTENDERS: dict[str, tuple[Callable[[Path], Contender], int]] = {
    "regtui.record": (regtui_float, 200_000),
    "regtui.record, CPU tensor": (regtui_tensor, 200_000),
    "regtui.record, four metrics": (regtui_more, 200_000),
    "json.dumps and write": (json_line, 100_000),
    "csv row and flush (Keras)": (csv_row, 50_000),
    "TensorBoard SummaryWriter": (tensorboard, 10_000),
    "W&B log, offline": (wandb, 5_000),
    "trackio log": (trackio, 5_000),
    "DVCLive": (dvclive, 300),
}
"""Name -> what to measure, and over how many steps."""


def measure(name: str) -> dict[str, float]:
    """Record the steps of one contender, here."""
    make, steps = CONTENDERS[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.chdir(folder)
        step, close = make(folder)
        for i in range(WARM_UP):
            step(i, 1.0, 0.1)
        losses = [1 / (i + 1.5) for i in range(steps)]
        before, began = time.process_time(), time.perf_counter()
        for i, loss in enumerate(losses, WARM_UP):
            step(i, loss, 0.001)
        wall = time.perf_counter() - began
        close()
        processor = time.process_time() - before
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return {"wall": 1e6 * wall / steps, "processor": 1e6 * processor / steps, "bytes": size / (steps + WARM_UP)}


def measured_apart(name: str) -> dict[str, float] | None:
    """Record the steps of one contender in a process of its own; None where it is not installed."""
    command = [sys.executable, __file__, "--one", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if "ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure in turn and print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=CONTENDERS, help="may be given several times")
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one)))
        return
    names = given.only or list(CONTENDERS)
    rounds = [{name: measured_apart(name) for name in names} for _ in range(given.rounds)]
    print(f"{'a step, medians of ' + str(given.rounds):30}{'µs wall':>10}{'µs processor':>14}{'bytes':>8}")
    for name in names:
        found = [each[name] for each in rounds]
        known = [each for each in found if each is not None]
        if not known:
            print(f"{name:30}  not installed")
            continue
        wall, processor, size = (
            statistics.median(each[key] for each in known) for key in ("wall", "processor", "bytes")
        )
        print(f"{name:30}{wall:10.2f}{processor:14.2f}{size:8.0f}", flush=True)


if __name__ == "__main__":
    main()
