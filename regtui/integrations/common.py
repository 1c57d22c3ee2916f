"""What the integrations share: how a run begins, how what was measured is told apart, and how processes agree."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from regtui.core.metrics import LEARNING_RATE, STEP_LOSS
from regtui.readers.names import Names, parts
from regtui.recording import Recorder, record

AGREE_STEPS = 20
"""Updates between two looks of processes that train together at what the first of them was asked: it costs them one
message of some 0.1 ms."""


class Said(TypedDict, total=False):
    """What a person may say of a run; its framework says the rest."""

    settings: Mapping[str, Any]
    """Names and values beside those that the framework knows; of the same name these stand."""
    name: str
    """Part of the name of its folder; else the framework's."""
    log: str | Path
    """Its log, in place of one in a folder of its own."""
    runs_dir: str | Path
    """The folder of the runs; else REGTUI_RUNS_DIR, else `runs`."""
    classes: int
    """Classes of the labels: guessing costs ln(classes) nats."""
    share: bool
    """Whether others on this machine may read it."""


def begin(trainer: str, said: Said) -> Recorder:
    """Begin a run; what its framework knows may be told until the first number."""
    named: Any = {"name": trainer, **said}
    return record(trainer=trainer, **named).start()


def listen(run: Recorder) -> bool:
    """Obey what has been asked since the last call, where no `step` does it; tell whether the run is to stop."""
    if run.orders.called:
        run.orders.obey(run)
    return run.should_stop


def agreed(stop: bool) -> bool:
    """Tell every process that trains what the first was asked: none can go on alone. All must call it at one place."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return stop
    said = [stop]
    distributed.broadcast_object_list(said, src=0)
    return bool(said[0])


class Measured:
    """What was measured since the newest update, held until it is known whether an epoch ends here."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.valid: dict[str, Any] = {}
        self.train: dict[str, Any] = {}
        """Measured after the updates, dropout off."""
        self.running_loss: Any = None
        self.others: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self.valid or self.train or self.others) or self.running_loss is not None

    def add(self, values: Mapping[str, Any], *, of_valid: bool = False) -> None:
        """Tell numbers apart by their names; `of_valid` says that a name without a split belongs to validation."""
        self._names.see(values)
        for name, value in values.items():
            meaning = self._names[name]
            split, _, quantity = meaning.name.partition("/")
            if meaning.table in ("place", "nothing") or meaning.name == LEARNING_RATE:
                continue
            if split == "valid" and quantity:
                self.valid[quantity] = value
            elif of_valid and not parts(name).split:
                self.valid[parts(name).quantity or name] = value
            elif meaning.name == STEP_LOSS:
                self.running_loss = value
            else:
                self.others[meaning.name] = value

    def record(self, run: Recorder, *, step: int, epoch: float | None, ends_epoch: bool) -> None:
        """Record it, and hold nothing any more."""
        others, running = self.others, self.running_loss
        if self.train:
            # Then what the framework measured on the way is not what was measured of the training rows.
            others = {
                f"step/{name[6:]}" if name.startswith("train/") else name: value for name, value in others.items()
            }
        if ends_epoch and epoch is not None:
            run.epoch(self.train or None, self.valid or None, running_loss=running, epoch=round(epoch), **others)
        elif self:
            others = others if running is None else {**others, STEP_LOSS: running}
            run.evaluate(self.valid or None, self.train or None, step=step, epoch=epoch, **others)
        self.valid, self.train, self.others, self.running_loss = {}, {}, {}, None
