"""Make the labelled logs of this folder from real runs: `python tests/logs/make.py [NAME ...]`.

Each run below is trained in each framework named beside it, through regtui's own loop, and its log written to
`NAME-FRAMEWORK.jsonl`. Step records are thinned so that a log stays small; nothing else is left out or changed.
MNIST is looked for in ../shared/data beside the repository, or where REGTUI_CACHE_DIR says. All of it takes about ten
minutes on two cores. What a person sees in each curve is in `labels.json`. `python tests/logs/make.py verdicts` writes
what regtui says of each log into `verdicts.txt`, to be read before it is committed.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from regtui import analysis, backends
from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, Event, SetKnob, StepEnded, decode_lines, encode_lines
from regtui.core.history import History
from regtui.datasets import load
from regtui.loop import train

HERE = Path(__file__).parent
VERDICTS = HERE / "verdicts.txt"
MNIST_DIR = Path(os.environ.get("REGTUI_CACHE_DIR") or HERE.parents[2] / "shared" / "data")

STEPS_KEPT = 60
"""About so many step records a log: enough to draw, a fifth of what the epochs take."""

DIGITS: dict[str, Any] = {
    "dataset": "digits", "train_rows": 1000, "hidden": (200, 100), "batch_size": 32, "epochs": 60,
    "optimizer": "adam", "learning_rate": 3e-3,
}  # fmt: skip
NOISY: dict[str, Any] = {**DIGITS, "label_noise": 0.2, "seed": 10}  # the preset `overfit`
MNIST: dict[str, Any] = {
    "dataset": "mnist", "hidden": (200, 100), "batch_size": 128, "epochs": 40,
    "optimizer": "adam", "learning_rate": 1e-3,
}  # fmt: skip
CLIMBING: dict[str, Any] = {
    **DIGITS, "hidden": (100,), "learning_rate": 20.0, "warmup": 320, "epochs": 10, "keep_going": True,
}  # fmt: skip
BOTH = ("torch", "tensorflow")
TORCH = ("torch",)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What to train, where, and which knobs to turn at the end of which epoch."""

    given: dict[str, Any]
    frameworks: tuple[str, ...] = BOTH
    knobs: dict[int, tuple[SetKnob, ...]] = field(default_factory=dict)
    every_step: bool = False
    """Keep each step record, for what depends on all of them."""
    stripped: Literal["", "evaluations", "epochs"] = ""
    """What is taken out, as if it had never been logged: what was measured after each epoch, or all of its record."""


RUNS: dict[str, Run] = {
    "clean": Run(given=DIGITS),
    "noisy": Run(given=NOISY),
    "noisy-mild": Run(given={**NOISY, "seed": 0}),
    "noisy-seed6": Run(given={**NOISY, "seed": 6}, frameworks=TORCH),
    "noisy-half": Run(given={**NOISY, "label_noise": 0.5}, frameworks=TORCH),
    "noisy-dropout": Run(given={**NOISY, "dropout": 0.4}),
    "noisy-l2": Run(given={**NOISY, "l2": 0.005}),
    "noisy-l2-dropout": Run(given={**NOISY, "l2": 0.001, "dropout": 0.4}, frameworks=TORCH),
    "noisy-remedy": Run(
        given={**NOISY, "epochs": 80}, knobs={50: (SetKnob(knob="dropout", value=0.4), SetKnob(knob="l2", value=0.001))}
    ),
    "mnist-1000": Run(given={**MNIST, "train_rows": 1000}),
    "mnist-5000": Run(given={**MNIST, "train_rows": 5000}),
    "mnist-5000-remedies": Run(given={**MNIST, "train_rows": 5000, "dropout": 0.4, "l2": 0.001}, frameworks=TORCH),
    "mnist-20000": Run(given={**MNIST, "train_rows": 20000, "epochs": 25}),
    "l2-strong": Run(given={**DIGITS, "l2": 1.0, "epochs": 30}),
    "l2-strong-tenth": Run(given={**DIGITS, "l2": 0.1, "epochs": 30}, frameworks=TORCH),
    "lr-small": Run(given={**DIGITS, "learning_rate": 1e-6, "epochs": 30}),
    "lr-small-sgd": Run(given={**DIGITS, "optimizer": "sgd", "learning_rate": 1e-4, "epochs": 30}, frameworks=TORCH),
    "lr-slow": Run(given={**DIGITS, "optimizer": "sgd", "learning_rate": 3e-3, "epochs": 40}, frameworks=TORCH),
    "lr-large": Run(given={**DIGITS, "learning_rate": 1.0, "epochs": 30}),
    "lr-large-sgd": Run(given={**DIGITS, "optimizer": "sgd", "learning_rate": 20.0, "epochs": 30}),
    "lr-large-keep-going": Run(
        given={**DIGITS, "optimizer": "sgd", "learning_rate": 20.0, "epochs": 8, "keep_going": True}, frameworks=TORCH
    ),
    "lr-decay": Run(
        given={
            **DIGITS,
            "optimizer": "sgd",
            "learning_rate": 0.2,
            "epochs": 30,
            "lr_policy": "exponential",
            "lr_decay": 0.98,
            "lr_floor": 1e-6,
        },
        frameworks=TORCH,
    ),
    "few-valid": Run(given={**DIGITS, "train_rows": 1737}),
    "few-valid-seed1": Run(given={**DIGITS, "train_rows": 1737, "seed": 1}, frameworks=TORCH),
    "few-valid-dropout": Run(given={**DIGITS, "train_rows": 1737, "dropout": 0.4, "seed": 2}, frameworks=TORCH),
    "few-valid-noisy": Run(
        given={**DIGITS, "train_rows": 1737, "label_noise": 0.1, "dropout": 0.4, "seed": 3}, frameworks=TORCH
    ),
    "rescue": Run(
        given={
            **NOISY,
            "optimizer": "sgd",
            "learning_rate": 0.7,
            "epochs": 40,
            "lr_policy": "step",
            "gamma": 0.1,
            "every": 20,
        }
    ),
    "plateau-epoch": Run(
        given={**NOISY, "dropout": 0.4, "learning_rate": 1e-2, "lr_policy": "plateau", "plateau_per": "epoch"},
        frameworks=TORCH,
    ),
    "plateau-step": Run(
        given={**NOISY, "epochs": 12, "lr_policy": "plateau", "plateau_per": "step", "patience": 40},
        frameworks=TORCH,
        every_step=True,
    ),
    "early-stop": Run(given={**NOISY, "early_stopping": 10}, frameworks=TORCH),
    "two-epochs": Run(given={**NOISY, "epochs": 2}),
    # Held down by a penalty, and two that are not.
    "l2-mnist": Run(given={**MNIST, "train_rows": 5000, "l2": 0.05, "epochs": 25}),
    "l2-mnist-mild": Run(given={**MNIST, "train_rows": 5000, "l2": 0.03, "epochs": 30}),
    "l2-digits": Run(given={**DIGITS, "l2": 0.05, "epochs": 40}),
    "l2-digits-mild": Run(given={**DIGITS, "l2": 0.03, "learning_rate": 1e-3, "epochs": 40}, frameworks=TORCH),
    "l1-digits": Run(given={**DIGITS, "l1": 0.03, "epochs": 30}, frameworks=TORCH),
    "l1-falling": Run(given={**DIGITS, "l1": 0.005, "epochs": 40}, frameworks=TORCH),
    "l2-usual": Run(given={**DIGITS, "l2": 0.001, "epochs": 40}, frameworks=TORCH),
    # Mild overfitting, and one that stays flat.
    "mild-mnist": Run(given={**MNIST, "train_rows": 10000, "epochs": 22, "seed": 2}),
    "mild-mnist-dropout": Run(given={**MNIST, "train_rows": 5000, "dropout": 0.2}, frameworks=TORCH),
    "mild-digits": Run(given={**DIGITS, "train_rows": 600, "learning_rate": 2e-3, "seed": 9}),
    "mild-digits-wide": Run(
        given={**DIGITS, "hidden": (400, 200), "learning_rate": 1e-3, "epochs": 50, "seed": 8}, frameworks=TORCH
    ),
    "flat-digits": Run(given={**DIGITS, "learning_rate": 2e-3, "seed": 5}, frameworks=TORCH),
    # Loss and accuracy that disagree.
    "disagree": Run(given={**MNIST, "train_rows": 5000, "batch_size": 32, "learning_rate": 3e-3}),
    "disagree-smooth": Run(given={**MNIST, "train_rows": 5000, "batch_size": 32, "epochs": 30}, frameworks=TORCH),
    # A rate that grows until the loss climbs, by a trainer that evaluates nothing; and one that learns.
    "climbing-steps": Run(given=CLIMBING, stripped="epochs"),
    "climbing-epochs": Run(given=CLIMBING, stripped="evaluations"),
    "learning-steps": Run(given={**DIGITS, "epochs": 12}, frameworks=TORCH, stripped="epochs"),
}


def events(run: Run, framework: str, name: str) -> Iterator[Event]:
    """Train one run, turning its knobs, and give its events."""
    config = RunConfig.create(framework=framework, device="cpu", **run.given)
    data = load(config, cache_dir=MNIST_DIR)
    backend = backends.find(framework)(config, data)
    try:
        chunks = train(config, backend, data, run_id=f"{name}-{framework}")
        waiting: list[SetKnob] = []
        batch = next(chunks, None)
        while batch is not None:
            yield from batch
            for event in batch:
                if isinstance(event, EpochEnded):
                    waiting += run.knobs.get(event.epoch, ())
            try:
                batch = chunks.send(waiting.pop(0) if waiting else None)
            except StopIteration:
                batch = None
    finally:
        backend.close()


def thin(found: list[Event], every: bool) -> list[Event]:
    """Keep every k-th step record and the first, and the last two, which show how a run that diverged ended."""
    steps = [event for event in found if isinstance(event, StepEnded)]
    stride = 1 if every else max(1, len(steps) // STEPS_KEPT)
    kept = {id(event) for event in [*steps[::stride], *steps[-2:]]}
    return [event for event in found if not isinstance(event, StepEnded) or id(event) in kept]


def strip(found: list[Event], what: str) -> list[Event]:
    """Take out what a trainer that evaluates nothing would not have logged."""
    if what == "epochs":
        return [event for event in found if not isinstance(event, EpochEnded)]
    if what == "evaluations":
        return [
            msgspec.structs.replace(event, train=None, valid=None) if isinstance(event, EpochEnded) else event
            for event in found
        ]
    return found


def verdicts() -> str:
    """Write what the analysis says of each log at its end, for people to read."""
    parts = []
    for path in sorted(HERE.glob("[!.]*.jsonl")):
        history = History()
        history.apply(decode_lines(path.read_bytes()))
        found = analysis.verdict(history)
        ahead = analysis.forecast(history)
        lines = [
            f"{path.stem}: {found.words}",
            found.evidence,
            found.advice,
            *(f"cannot judge {gap}" for gap in found.cannot_judge),
            *(effect.line for effect in analysis.drop_effects(history)),
            *analysis.meters(history).lines(),
            *([ahead.line(history.step)] if ahead else []),
        ]
        parts.append("\n    ".join(line for line in lines if line))
    return "\n".join(parts) + "\n"


def main(names: list[str]) -> None:
    """Make the runs named, or all of them."""
    if names == ["verdicts"]:
        VERDICTS.write_text(verdicts(), encoding="utf-8")
        return
    for name in names or RUNS:
        run = RUNS[name]
        for framework in run.frameworks:
            path = HERE / f"{name}-{framework}.jsonl"
            left = strip(list(events(run, framework, name)), run.stripped)
            path.write_bytes(encode_lines(thin(left, run.every_step)))
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
