"""The discrete changes of a run as rules through all strips: where, and what each says."""

import math
from dataclasses import dataclass

import numpy as np

from regtui.charts.scales import XAxis, short
from regtui.charts.view import Glyphs, narrow
from regtui.core.events import Changed
from regtui.core.history import History
from regtui.core.series import Column
from regtui.core.text import who

RESUMED = "resumed"
"""What stands where a run was taken up again, or another fit was appended to its log."""


MOST_RESUMED = 100
"""Of a run that was taken up more often there is a rule in every column anyway."""


@dataclass(frozen=True)
class Rule:
    """One vertical rule."""

    column: int
    """Column of the plot."""
    label: str
    """What it says."""
    role: str
    """`rule` for the policy's, `rule-user` for what a hand did."""


class _Changes:
    """Follows the changes of a run: where each is, and whether a hand did it, so that a frame looks at no record."""

    def __init__(self, _history: History) -> None:
        self.step, self.by_hand = Column(), Column()

    def follow(self, history: History) -> None:
        news = history.changes[len(self.step) :]
        self.step.extend([float(change.step) for change in news])
        self.by_hand.extend([float(change.cause == "user") for change in news])


def rules_of(history: History, axis: XAxis, signs: Glyphs) -> list[Rule]:
    """Give the rules in sight; of several in one column the newest speaks, hands before policies."""
    changes = history.derived(_Changes)
    changes.follow(history)
    steps = changes.step.values
    seen = np.flatnonzero((axis.low <= steps) & (steps <= axis.high))
    kinds = 2 * axis.columns_of(steps[seen]) + changes.by_hand.values[seen].astype(np.int64)
    # In the order in which the first of each kind came, as the newest of it says.
    _, first = np.unique(kinds, return_index=True)
    newest = dict(zip(kinds.tolist(), seen.tolist(), strict=True))
    rules = []
    for kind in kinds[np.sort(first)].tolist():
        column, by_hand = divmod(kind, 2)
        label = narrow(change_label(history.changes[newest[kind]], signs))
        rules.append(Rule(column, label, "rule-user" if by_hand else "rule"))
    for step in history.resumed_at[-MOST_RESUMED:]:
        column = axis.column(step)
        if column is not None:
            rules.append(Rule(column, RESUMED, "rule"))
    end = axis.column(float(history.step))
    if history.end is not None and history.end.status == "diverged" and end is not None:
        rules.append(Rule(end, "diverged", "rule-user"))
    return rules


def change_label(change: Changed, signs: Glyphs) -> str:
    """Say what changed in a few characters: `÷10 plateau`, `×0.5 by hand`, `floor`, `dropout 0.4 by hand`."""
    by = who(change.cause)
    if change.cause in ("floor", "restart"):
        return by
    old, new = change.old, change.new
    known = old is not None and new is not None and math.isfinite(old) and math.isfinite(new)
    if change.what != "learning_rate" or not known or not old or not new or old < 0 or new < 0:
        value = "none" if new is None else short(float(new))
        name = "LR" if change.what == "learning_rate" else change.what.replace("_", " ")
        return f"{name} {value} {by}".strip()
    ratio = float(new) / float(old)
    inverse = 1 / ratio if ratio > 0 else math.inf
    if inverse >= 2.5 and math.isfinite(inverse) and abs(inverse - round(inverse)) < 0.01 * inverse:
        return f"{signs.divide}{round(inverse)} {by}".strip()
    return f"{signs.times}{short(ratio)} {by}".strip()
