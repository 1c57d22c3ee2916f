"""Numbers under names such as W&B's `log` takes, told apart: what an update has, and what was evaluated."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from regtui.core.metrics import STEP_LOSS
from regtui.numbers import count_of, number_of, text_of
from regtui.readers.names import Names

DEEPEST = 3
"""Levels of mappings within mappings that are looked into; W&B's names of such have seldom two."""


@dataclass(kw_only=True)
class Told:
    """The numbers of one call."""

    step: int | None = None
    epoch: float | None = None
    update: dict[str, Any] = field(default_factory=dict)
    """Of the update: `loss`, `learning_rate`, and others by name."""
    valid: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    """Evaluated, of no split."""


class Named:
    """The names that one run's `log` has been given."""

    def __init__(self) -> None:
        self._names = Names()
        self._first_epoch: float | None = None

    def told(self, values: Mapping[str, Any]) -> Told:
        """Tell apart what is in a call; names are understood as those in logs of others."""
        flat = dict(_flat(values))
        self._names.see(flat)
        told = Told()
        for name, value in flat.items():
            meaning = self._names[name]
            split, _, quantity = meaning.name.partition("/")
            if meaning.table == "place":
                told.step = count_of(value) if meaning.name == "step" else told.step
                told.epoch = self._from_one(number_of(value)) if meaning.name == "epoch" else told.epoch
            elif meaning.table == "steps":
                told.update["loss" if meaning.name == STEP_LOSS else meaning.name] = value
            elif meaning.table == "evaluations":
                parts = {"valid": told.valid, "train": told.train}
                # The mean of an epoch's batches is `step/loss`, and no measurement of the training split.
                parts.get(split, told.others)[quantity if split in parts else meaning.name] = value
        return told

    def _from_one(self, epoch: float | None) -> float | None:
        """Count epochs from 1, also where the caller's first is 0."""
        if epoch is not None and self._first_epoch is None:
            self._first_epoch = epoch
        return epoch + 1 if epoch is not None and self._first_epoch == 0 and epoch == int(epoch) else epoch


def _flat(values: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        whole = f"{before}{text_of(name)}"
        if isinstance(value, Mapping) and depth < DEEPEST:
            yield from _flat(value, f"{whole}/", depth + 1)
        else:
            yield whole, value
