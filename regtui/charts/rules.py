"""The discrete changes of a run as rules through all strips: where, and what each says."""

import math
from dataclasses import dataclass

from regtui.charts.scales import XAxis, short
from regtui.charts.view import Glyphs, narrow
from regtui.core.events import Changed
from regtui.core.history import History
from regtui.core.text import who


@dataclass(frozen=True)
class Rule:
    """One vertical rule."""

    column: int
    """Column of the plot."""
    label: str
    """What it says."""
    role: str
    """`rule` for the policy's, `rule-user` for what a hand did."""


def rules_of(history: History, axis: XAxis, signs: Glyphs) -> list[Rule]:
    """Give the rules in sight; of several in one column the newest speaks, hands before policies."""
    found: dict[tuple[int, str], Rule] = {}
    for change in history.changes:
        column = axis.column(float(change.step))
        if column is not None:
            role = "rule-user" if change.cause == "user" else "rule"
            found[column, role] = Rule(column, narrow(change_label(change, signs)), role)
    column = axis.column(float(history.step))
    if history.end is not None and history.end.status == "diverged" and column is not None:
        found[column, "end"] = Rule(column, "diverged", "rule-user")
    return list(found.values())


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
