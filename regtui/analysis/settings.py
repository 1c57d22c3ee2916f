"""The settings of a run as they stood at one evaluation, whoever trained it; what it does not say is None."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from regtui.core.history import History
from regtui.core.metrics import LEARNING_RATE, NORM
from regtui.core.optimizers import OPTIMIZERS
from regtui.core.text import short

KNOBS = ("l2", "l1", "weight_decay", "dropout")
"""What holds a net back from learning rows by heart."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run was set to, knobs turned by hand included."""

    ours: bool
    """Whether regtui trained it: then its optimizer, its net and what its knobs mean are known."""
    knobs: Mapping[str, float]
    """Of `KNOBS` those that the run shows it has."""
    start_rate: float | None
    """The learning rate it was given, or else the highest logged."""
    rate: float | None
    """The learning rate used last."""
    usual_rate: float | None
    """Where this run's optimizer usually works; None for a run of others, whose nets may be of any kind."""
    constant_rate: bool
    """Whether the rate is known to stay."""
    hidden: tuple[int, ...]
    """Widths of the hidden layers of our own net; empty where not known."""
    few_rows: bool
    """Whether it is known to train on fewer rows than there are."""

    @classmethod
    def at(cls, history: History, row: int) -> "Settings":
        """Read the settings and the knobs turned up to a row of the evaluations."""
        said, ours = history.settings, history.config is not None
        knobs = {name: value for name in KNOBS if (value := _positive(said.get(name), zero=True)) is not None}
        steps = history.evaluations.step.values
        # A knob turned between two evaluations belongs to the later one.
        last = steps[row] if 0 <= row < len(steps) - 1 else math.inf
        for change in history.changes:
            if change.what in KNOBS and change.new is not None and change.step < last:
                knobs[change.what] = change.new
        now, highest = _rates(history, row)
        start = _positive(said.get("learning_rate")) or highest
        known = OPTIMIZERS.get(str(said.get("optimizer"))) if ours else None
        hidden = said.get("hidden", ()) if ours else ()
        return cls(
            ours=ours,
            knobs=knobs,
            start_rate=start,
            rate=now or start,
            usual_rate=known.usual_rate if known is not None else start if ours else None,
            constant_rate=said.get("lr_policy") == "constant" if ours else False,
            hidden=tuple(hidden),
            few_rows=ours and said.get("train_rows") is not None,
        )

    def knob(self, name: str) -> float:
        """Give the value of a knob, 0 for one that the run does not show."""
        return self.knobs.get(name, 0.0)

    def lower_rate(self) -> str:
        """Advise a lower learning rate: the optimizer's usual one, or a tenth where that is not lower."""
        start = self.start_rate
        if start is None:
            return "try a lower learning rate"
        lower = min(start / 10, self.usual_rate) if self.usual_rate is not None else start / 10
        return f"try learning rate {short(lower)} instead of {short(start)}"

    def shrunk(self, history: History, row: int) -> float | None:
        """Give the smallest share that a kernel has kept of the norm it started with; None where norms are not known.

        Our kernels start He uniform, with variance 2 / inputs, so a kernel (inputs, outputs) starts with norm
        sqrt(2 outputs); of others the first norm logged stands for the start.
        """
        table = history.evaluations
        columns = [table[name].values[: row + 1] for name in table.names if name.startswith(NORM)]
        if self.ours:
            starts = [math.sqrt(2 * width) for width in self.hidden]
        else:
            starts = [float(column[0]) for column in columns if len(column)]
        shares = [
            float(column[-1]) / start
            for column, start in zip(columns, starts, strict=False)
            if len(column) and start > 0
        ]
        return min((share for share in shares if math.isfinite(share)), default=None)


def _rates(history: History, row: int) -> tuple[float | None, float | None]:
    """Give the learning rate at a row and the highest up to it; from the updates where no evaluation logged one."""
    rates = history.evaluations[LEARNING_RATE].values[: max(0, row + 1)]
    if not np.isfinite(rates).any():
        rates = history.steps[LEARNING_RATE].values
        if 0 <= row < len(history.evaluations) - 1:
            rates = rates[: np.searchsorted(history.steps.step.values, history.evaluations.step.values[row], "right")]
        rates = rates[np.isfinite(rates)]
        return (_positive(rates[-1].item()), _positive(rates.max().item())) if len(rates) else (None, None)
    return _positive(rates[-1].item()), _positive(float(np.nanmax(rates)))


def _positive(value: Any, *, zero: bool = False) -> float | None:
    """Take a setting of any type as a finite number above 0, or of at least 0; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if value > 0 or (zero and value == 0) else None
