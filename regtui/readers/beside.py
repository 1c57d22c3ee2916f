"""What the heading of a table and the files beside it say of its trainer: Keras, Lightning, Ultralytics, timm."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from regtui.core.plan import Plan
from regtui.readers.samples import Samples, Told
from regtui.readers.settings import read_settings

PARTS_OF_A_LOSS = re.compile(r"(train|val)/(\w+)_loss$")
"""Ultralytics and YOLOv5 log the parts of what they minimise: box, cls, dfl, obj, seg, pose, ..."""


@dataclass
class Beside:
    """What is known of a table beside its rows."""

    told: Told = field(default_factory=Told)
    mended: Callable[[Samples], Samples] = lambda samples: samples
    """Puts rows right that mean something else than they say."""


def beside(path: Path, names: tuple[str, ...]) -> Beside:
    """Tell who wrote a table, by its heading and its neighbours."""
    settings: dict[str, Any] = {}
    for name in ("hparams.yaml", "args.yaml", "config.yaml", "opt.yaml"):
        if (path.parent / name).is_file():
            settings = read_settings(path.parent / name)
            break
    plan = plan_of(settings)
    said = set(names)
    parts = [name for name in names if PARTS_OF_A_LOSS.match(name)]
    if len(parts) > 1 and not said & {"train/loss", "val/loss"}:
        return Beside(Told(trainer="ultralytics", settings=settings, plan=plan), _summed(parts))
    if path.name == "metrics.csv" and "step" in said and ("epoch" in said or (path.parent / "hparams.yaml").is_file()):
        return Beside(Told(trainer="lightning", settings=settings, plan=plan))
    if names[0] == "epoch" and "loss" in said and list(names[1:]) == sorted(names[1:]):
        return Beside(Told(trainer="keras", settings=settings, plan=plan))
    if "eval_top1" in said and "train_loss" in said:
        return Beside(Told(trainer="timm", settings=settings, plan=plan))
    return Beside(Told(settings=settings, plan=plan))


def _summed(parts: list[str]) -> Callable[[Samples], Samples]:
    """Add the parts of a loss up: their sum, weighted before it was logged, is what is minimised."""

    def mended(samples: Samples) -> Samples:
        columns = dict(samples.columns)
        # Seconds since the start of the run: only differences of times are ever told.
        seconds = columns.pop("time", None)
        for split in ("train", "val"):
            own = [name for name in parts if name.startswith(f"{split}/")]
            if not own:
                continue
            whole = np.sum([columns[name] for name in own], axis=0)
            # While validation is off its columns hold 0: nothing was measured there.
            measured = np.any([columns[name] != 0 for name in own], axis=0)
            for name in own:
                columns[name] = np.where(measured, columns[name], np.nan)
            columns[f"{split}/loss"] = np.where(measured, whole, np.nan)
            if split == "val":
                for name in columns:
                    if name.startswith("metrics/"):
                        columns[name] = np.where(measured, columns[name], np.nan)
        return replace(samples, columns=columns, time=samples.time if seconds is None else seconds)

    return mended


def plan_of(settings: dict[str, Any]) -> Plan:
    """Find in settings how long the run is to be."""
    return Plan(
        epochs=_count(settings, "epochs", "max_epochs", "num_epochs"), total_steps=_count(settings, "max_steps")
    )


def _count(settings: dict[str, Any], *names: str) -> int | None:
    """Find a whole number above 0 under one of some names."""
    for name in names:
        value = settings.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
