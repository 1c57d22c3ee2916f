"""What event files say of a run beside its numbers: hyperparameters, and the arguments of a trainer."""

import json
import math
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from regtui.core.plan import Plan
from regtui.readers.samples import Told
from regtui.readers.tensorboard.event import Extra, Malformed, fields

ARGUMENTS = "args/text_summary"
"""The tag of transformers' TrainingArguments, as JSON."""

KERAS = "keras"
"""The tag of the model that Keras's TensorBoard callback writes."""

START = "_hparams_/session_start_info"
"""The tag of the values of hyperparameters (tensorboard/plugins/hparams/metadata.py)."""

MOST_SETTINGS = 300
"""Twice as many as transformers has arguments; what comes after them is left out."""


EPOCHS = ("num_train_epochs", "max_epochs", "epochs", "num_epochs")
"""Settings that say how many epochs there are to be."""

# fmt: off
FIRST = frozenset({
    "learning_rate", "lr", "batch_size", "per_device_train_batch_size", "optimizer", "optim", "weight_decay", "dropout",
    "l2", "momentum", "lr_scheduler_type", "warmup_steps", "max_steps", "seed", *EPOCHS,
})
# fmt: on
"""Settings that are named first: a protobuf map has no order, and of a hundred only some are shown."""


class Said:
    """Settings, plan and trainer, as far as they have been read."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self._transformers = False
        self._keras = False

    def take(self, extra: Extra) -> None:
        """Take in what a plug-in kept; what cannot be read is left out."""
        if extra.tag == START:
            self._add(_hyperparameters(extra.content))
        elif extra.tag == ARGUMENTS:
            self._transformers = True
            self._add(_object(extra.content).items())
        elif extra.tag == KERAS:
            self._keras = True

    def told(self, names: Iterable[str]) -> Told:
        """Say what is known of the run whose tags have these names."""
        said = {name.rsplit("/", 1)[-1]: value for name, value in self.settings.items()}
        epochs = next((count for name in EPOCHS if (count := _count(said.get(name)))), None)
        plan = Plan(epochs=epochs, total_steps=_count(said.get("max_steps")))
        order = sorted(self.settings, key=lambda name: (name.rsplit("/", 1)[-1] not in FIRST, name.count("/"), name))
        settings = {name: self.settings[name] for name in order}
        return Told(trainer=self._trainer(set(names)), settings=settings, plan=plan)

    def _trainer(self, names: set[str]) -> str:
        if self._transformers or {"train/loss", "train/epoch", "train/learning_rate"} <= names:
            return "transformers"
        if self._keras or {"train/epoch_loss", "validation/epoch_loss", "epoch_loss"} & names:
            return "keras"
        if "hp_metric" in names or ("epoch" in names and any(name.endswith(("_step", "_epoch")) for name in names)):
            return "lightning"
        return ""

    def _add(self, items: Iterable[tuple[str, Any]]) -> None:
        for name, value in items:
            known = isinstance(value, str | int | float | bool) and value not in ("", "None")
            if known and len(self.settings) < MOST_SETTINGS:
                self.settings[name] = value


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _count(value: Any) -> int | None:
    """Read a number of epochs or steps; others, such as -1 for 'not said', count as not said."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        return None
    return math.ceil(value)  # half an epoch is one that is not finished


def _hyperparameters(content: bytes) -> Iterator[tuple[str, Any]]:
    """Read names and values out of HParamsPluginData.session_start_info.hparams."""
    try:
        for number, _, begin, end in fields(content, 0, len(content)):
            if number == 3:
                for inner, _, start, stop in fields(content, begin, end):
                    if inner == 1:
                        yield _entry(content, start, stop)
    except Malformed:
        return


def _entry(content: bytes, start: int, stop: int) -> tuple[str, Any]:
    """Read an entry of a map from texts to google.protobuf.Value."""
    name, value = "", None
    for number, _, begin, end in fields(content, start, stop):
        if number == 1:
            name = content[begin:end].decode(errors="replace")
        elif number == 2:
            for kind, whole, first, last in fields(content, begin, end):
                if kind == 2 and last - first == 8:
                    value = struct.unpack_from("<d", content, first)[0]
                elif kind == 3:
                    value = content[first:last].decode(errors="replace")
                elif kind == 4:
                    value = bool(whole)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return name, value
