"""Strips to lines: where each strip, axis, rule and label stands on the grid of cells."""

import math
from dataclasses import dataclass

import numpy as np

from regtui.charts import strips as make
from regtui.charts.canvas import draw_curves
from regtui.charts.grid import FAINT, Grid
from regtui.charts.rules import Rule, rules_of
from regtui.charts.scales import LABEL, XAxis
from regtui.charts.strips import EndLabel, Pin, Strip
from regtui.charts.view import Glyphs, StyledLine, View, glyphs, plain
from regtui.charts.wrap import wrap
from regtui.core.config import RunConfig
from regtui.core.history import History

SHARES = {"loss": 5, "rate": 3, "gap": 3, "norms": 3}
"""How the height is shared: the loss is what is read most."""

TRAIN_ROWS = {"digits": 1438, "mnist": 50_000, "fashion_mnist": 50_000}
"""Training rows of the named data sets, all but those for validation, so that a plan is drawn before they are read."""

SMALLEST_STRIP = 4
"""Rows below which a strip is left out: its title and three rows of curve."""

SAME_END = 2
"""Curves that end within so many columns of each other are named together."""

BESIDE = frozenset({"blank", "rule", "rule-user", ""})
"""What may stand beside a rule's label."""

RULES_PER_CELL = 1 / 6
"""With more rules than this to a column, only their upper ends are drawn: a fence would hide the curves."""


@dataclass(frozen=True)
class Layout:
    """Where things stand, from the size alone, so that numbers keep their place while they change."""

    left: int
    """Columns of the y axis with its numbers."""
    columns: int
    """Columns of the plot."""
    right: int
    """Columns kept free for the names at the curves' ends."""
    foot: int
    """Rows of the x axis: its line and its numbers."""
    strips: tuple[tuple[str, int, int, int], ...]
    """Name, first row, rows of title (0 or 1) and rows of plot of each."""


def layout(width: int, height: int, wanted: tuple[str, ...]) -> Layout:
    """Share out the cells; what does not fit is left out: strips from the last, then titles, axes, names."""
    left = LABEL + 1 if width >= 30 else 0
    right = 17 if width >= 72 else 11 if width >= 48 else 0
    foot = 2 if height >= 8 else 1 if height >= 5 else 0
    names = [name for name in dict.fromkeys(wanted) if name in SHARES] or ["loss"]
    room = height - foot
    names = names[: max(1, room // SMALLEST_STRIP)]
    total = sum(SHARES[name] for name in names)
    rows = [max(SMALLEST_STRIP, room * SHARES[name] // total) for name in names]
    rows[0] += room - sum(rows)
    placed, first = [], 0
    for name, high in zip(names, rows, strict=True):
        title = 1 if high >= 3 else 0
        placed.append((name, first, title, max(high - title, 0)))
        first += high
    return Layout(left, max(width - left - right, 1), right, foot, tuple(placed))


def draw(
    history: History, width: int, height: int, view: View | None = None, *, preview: RunConfig | None = None
) -> list[StyledLine]:
    """Draw a run as exactly `height` lines of exactly `width` cells.

    `preview` is the configuration about to be run: its planned learning rate is drawn while the history is empty.
    Never raises on data; a size below one cell gives no lines.
    """
    if width < 1 or height < 1:
        return [()] * max(height, 0)
    view = view or View()
    signs = glyphs(view.ascii)
    grid = Grid(width, height)
    plan = layout(width, height, view.strips)
    empty = not len(history.steps) and not len(history.evaluations)
    axis = x_axis(history, view, plan.columns, preview if empty else None)
    plannable = axis is not None and axis.per_epoch > 0 and "rate" in {name for name, *_ in plan.strips}
    if empty and (not plannable or history.end is not None):
        _say(grid, 0, 0, width, height, _nothing_yet(history))
        return _finish(grid, view)
    if axis is None:
        _say(grid, 0, 0, width, height, "nothing to draw in this run")
        return _finish(grid, view)
    rules = rules_of(history, view, axis, signs)
    for name, first, title, rows in plan.strips:
        strip = _strip(name, history, view, axis, rows, preview)
        if empty and name != "rate":
            strip.hint = _nothing_yet(history) if name == plan.strips[0][0] else ""
        _paint(grid, plan, strip, first, title, rows, view, signs)
    _tint(grid, plan, view, axis, history, signs)
    _rules(grid, plan, rules, signs)
    _cursor(grid, plan, view, axis, history, signs)
    _x_numbers(grid, plan, axis, view, history)
    return _finish(grid, view)


def _finish(grid: Grid, view: View) -> list[StyledLine]:
    lines = grid.lines()
    if not view.ascii:
        return lines
    return [tuple(span._replace(text=plain(span.text)) for span in line) for line in lines]


def _nothing_yet(history: History) -> str:
    if history.end is not None:
        return "The run ended before its first step."
    if history.run is not None:
        return "Waiting for the first step."
    return "No run yet. Its curves appear here as soon as it trains."


def _row(place: float, rows: int) -> int:
    """Give the row of a place up an axis, from the top: the one that holds its dot on the canvas."""
    if not rows or not math.isfinite(place):
        return 0
    return min(max(round((1 - place) * (4 * rows - 1)), 0), 4 * rows - 1) // 4


def _strip(name: str, history: History, view: View, axis: XAxis, rows: int, preview: RunConfig | None) -> Strip:
    if name == "rate":
        return make.rate(history, axis, rows, preview)
    if name == "gap":
        return make.gap(history, axis, rows)
    if name == "norms":
        return make.norms(history, axis, rows)
    return make.loss(history, view, axis, rows)


def x_axis(history: History, view: View, columns: int, preview: RunConfig | None = None) -> XAxis | None:
    """Choose the steps in sight: the whole planned run while it lives, what there is once it has ended."""
    per_epoch = steps_per_epoch(history)
    last = float(history.step)
    planned = history.total_steps
    if preview is not None and not per_epoch > 0:
        per_epoch = float(planned_steps_per_epoch(preview))
        planned = per_epoch * preview.epochs
    if view.zoom == "all":
        low = min(0.0, *(float(c.values[0]) for c in (history.steps.step, history.evaluations.step) if len(c)), 0.0)
        high = last if history.end is not None and last > 0 else max(last, planned if math.isfinite(planned) else 0.0)
    else:
        low, high = last * (0.5 if view.zoom == "half" else 0.9), last
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    high = high if high > low else low + 1.0
    return XAxis(low, high, columns, per_epoch)


def steps_per_epoch(history: History) -> float:
    """Give the steps of one epoch, NaN where epochs do not follow each other, as in logs of several fits."""
    per_epoch, epochs = history.steps_per_epoch, history.evaluations["epoch"]
    if len(epochs) and (epochs.last < epochs.bounds[1] or len(epochs) > epochs.last - epochs.values[0] + 1):
        return math.nan
    return per_epoch if per_epoch > 0 else math.nan


def planned_steps_per_epoch(config: RunConfig) -> int:
    """Give the steps of one epoch before the data is loaded; a file of unknown length is taken for 10,000 rows."""
    rows = config.train_rows or TRAIN_ROWS.get(config.dataset, 10_000)
    return max(1, -(-rows // config.batch_size))


def epoch_at(history: History, width: int, height: int, column: int, view: View | None = None) -> int | None:
    """Give the epoch drawn nearest to a column of the chart, such as one that was clicked; None where there is none."""
    view = view or View()
    plan = layout(max(width, 1), max(height, 1), view.strips)
    axis = x_axis(history, view, plan.columns)
    if axis is None or not len(history.evaluations):
        return None
    share = min(max((column - plan.left + 0.5) / plan.columns, 0.0), 1.0)
    steps = history.evaluations.step.values
    nearest = int(np.abs(steps - (axis.low + share * (axis.high - axis.low))).argmin())
    return int(history.evaluations["epoch"].values[nearest])


def _say(grid: Grid, row: int, column: int, width: int, height: int, text: str) -> None:
    """Write a sentence in the middle of a box, over several lines if it must, cut where the box ends."""
    lines = wrap(text, width)[:height]
    for index, line in enumerate(lines):
        line = line[:width]
        grid.put(row + (height - len(lines)) // 2 + index, column + (width - len(line)) // 2, line, "hint")


def _paint(
    grid: Grid, plan: Layout, strip: Strip, first: int, title: int, rows: int, view: View, signs: Glyphs
) -> None:
    """Draw one strip: title, y axis, curves, and the names at their ends."""
    top = first + title
    if title:
        grid.write(first, 0, strip.title[: plan.left + plan.columns], "title")
    if plan.left and rows:
        for row in range(top, top + rows):
            grid.put(row, plan.left - 1, signs.vertical, "axis")
        if strip.scale is not None:
            _y_numbers(grid, plan, strip, top, rows, signs)
    if strip.scale is None:
        if rows:
            _say(grid, top, plan.left, plan.columns, rows, strip.hint)
        return
    if strip.zero is not None and 0 <= strip.zero <= 1:
        row = top + _row(strip.zero, rows)
        grid.put(row, plan.left, signs.zero * plan.columns, "zero")
    grid.put_cells(top, plan.left, draw_curves(strip.curves, plan.columns, rows, ascii_only=view.ascii))
    if strip.over is not None and rows:
        for column in {min(int(place * plan.columns), plan.columns - 1) for place in strip.over.tolist()}:
            if grid.role(top, plan.left + column) in FAINT:
                grid.put(top, plan.left + column, signs.over, "running")
    _names(grid, plan, strip.labels, top, rows)
    for pin in strip.pins:
        _pin(grid, plan, pin, top, rows, signs)


def _y_numbers(grid: Grid, plan: Layout, strip: Strip, top: int, rows: int, signs: Glyphs) -> None:
    taken: set[int] = set()
    for place, text in strip.scale.ticks if strip.scale else ():
        row = top + _row(place, rows)
        # Two numbers never share a row, nor stand on neighbouring ones where there is room for distance.
        if not text or row in taken or (rows > 4 and {row - 1, row + 1} & taken):
            continue
        taken.add(row)
        grid.put(row, 0, text.rjust(LABEL - 1), "label")
        grid.put(row, plan.left - 1, signs.tick_left, "axis")


def _names(grid: Grid, plan: Layout, labels: list[EndLabel], top: int, rows: int) -> None:
    """Write each curve's name at its end, one a row, as near to its own row as the others leave room.

    Curves that end in other places, such as a ghost that runs on, are named there, on their own.
    """
    if not rows:
        return
    groups: dict[int, list[EndLabel]] = {}
    for label in labels:
        column = min(int(label.x * plan.columns), plan.columns - 1)
        near = next((end for end in groups if abs(end - column) <= SAME_END), column)
        groups.setdefault(near, []).append(label)
    for end, group in groups.items():
        wanted = sorted(group, key=lambda label: -label.y)[:rows]
        at = [_row(label.y, rows) for label in wanted]
        for index in range(1, len(at)):
            at[index] = max(at[index], at[index - 1] + 1)
        for index in range(len(at) - 1, -1, -1):
            at[index] = min(at[index], rows - len(at) + index)
        start = plan.left + max(min(int(label.x * plan.columns), plan.columns - 1) for label in wanted) + 2
        later = min((other for other in groups if other > end), default=None)
        room = grid.width - start if later is None else max(plan.left + later - start, 0)
        for label, row in zip(wanted, at, strict=True):
            for text in label.texts:
                if len(text) <= room or (later is not None and grid.free(top + row, start, len(text), FAINT)):
                    grid.write(top + row, start, text, label.role)
                    break


def _pin(grid: Grid, plan: Layout, pin: Pin, top: int, rows: int, signs: Glyphs) -> None:
    """Mark a point and write beside it, where nothing else stands, at most three rows away."""
    if not rows:
        return
    column = plan.left + min(int(pin.x * plan.columns), plan.columns - 1)
    row = top + _row(pin.y, rows)
    if pin.dot:
        grid.put(row, column, signs.best, pin.role)
    first, last = plan.left + 1, plan.left + plan.columns
    for text in pin.texts:
        for roles in (frozenset({"blank", "rule"}), FAINT):
            for down in (1, -1, 2, -2):
                for start in (column - len(text) // 2, column + 1, column - len(text)):
                    start = min(max(start, first), last - len(text))
                    if not (top <= row + down < top + rows and start >= first):
                        continue
                    if grid.free(row + down, start - 1, min(len(text) + 2, grid.width - start + 1), roles):
                        grid.write(row + down, start, text, pin.role)
                        return


def _tint(grid: Grid, plan: Layout, view: View, axis: XAxis, history: History, signs: Glyphs) -> None:
    """Colour the ground after the best epoch, and say why in a line over it, which needs no colour to be read."""
    step = None if view.overfit_since is None else _step_of(history, axis, view.overfit_since)
    if step is None or step >= axis.high:
        return
    first = plan.left + (axis.column(max(step, axis.low)) or 0) + 1
    last = plan.left + (axis.column(min(float(history.step), axis.high)) or 0)
    for name, start, title, rows in plan.strips:
        if name not in ("loss", "gap"):
            continue
        top = start + title
        for row in range(top, top + rows):
            grid.tint(row, first, last)
        if name != "loss" or not rows:
            continue
        text = " overfitting "
        if last - first + 1 >= len(text) + 2:
            for column in range(first, last + 1):
                grid.put_behind(top, column, signs.horizontal, "overfit", FAINT)
            if grid.free(top, first + 1, len(text), FAINT | {"overfit"}):
                grid.write(top, first + 1, text, "overfit")


def _step_of(history: History, axis: XAxis, epoch: float) -> float | None:
    """Give the step at which an epoch ended, the newest of that number."""
    epochs = history.evaluations
    found = np.flatnonzero(epochs["epoch"].values == epoch)
    if len(found):
        return float(epochs.step.values[found[-1]])
    return epoch * axis.per_epoch if axis.per_epoch > 0 else None


def _rules(grid: Grid, plan: Layout, rules: list[Rule], signs: Glyphs) -> None:
    """Draw each rule through all strips, behind the curves, and its label over the first, the newest first."""
    fence = len({rule.column for rule in rules if rule.role == "rule"}) > max(plan.columns * RULES_PER_CELL, 2)
    under = frozenset({"blank", "running", "raw", "ghost", "zero"})
    for rule in rules:
        column = plan.left + rule.column
        for _, first, title, rows in plan.strips:
            if fence and rule.role == "rule":
                grid.put_behind(first + title, column, signs.rule_tick, rule.role, under)
                continue
            for row in range(first, first + title + rows):
                grid.put_behind(row, column, signs.rule, rule.role, under)
    _, top, title, rows = plan.strips[0]
    policy = [rule for rule in rules if rule.role == "rule"]
    newest = max(policy, key=lambda rule: rule.column, default=None)
    for rule in sorted(rules, key=lambda rule: (rule.role == "rule", -rule.column)):
        if fence and rule.role == "rule" and rule is not newest:
            continue
        # What a hand did is told in the first rows of the plot where the title's row is full.
        lines = range(top, top + title + (min(rows, 3) if rule.role != "rule" else 0)) if title else range(0)
        column, size = plan.left + rule.column, len(rule.label)
        for row, start in ((row, start) for row in lines for start in (column + 1, column - size)):
            # A blank cell, or the rule itself, on either side keeps labels apart.
            if grid.free(row, start, size) and {grid.role(row, start - 1), grid.role(row, start + size)} <= BESIDE:
                grid.write(row, start, rule.label, "rule-user" if rule.role == "rule-user" else "label")
                break


def _cursor(grid: Grid, plan: Layout, view: View, axis: XAxis, history: History, signs: Glyphs) -> None:
    step = None if view.cursor is None else _step_of(history, axis, view.cursor)
    column = None if step is None else axis.column(step)
    if column is None:
        return
    for _, first, title, rows in plan.strips:
        for row in range(first + title, first + title + rows):
            grid.put_behind(row, plan.left + column, signs.cursor, "cursor", FAINT)


def _x_numbers(grid: Grid, plan: Layout, axis: XAxis, view: View, history: History) -> None:
    """Write the x axis: its line where there is room, its numbers, their unit, and the cursor's epoch."""
    if not plan.foot:
        return
    signs = glyphs(view.ascii)
    row = grid.height - 1
    ticks, unit = axis.ticks()
    if plan.foot > 1:
        grid.put(row - 1, max(plan.left - 1, 0), signs.corner if plan.left else "", "axis")
        grid.put(row - 1, plan.left, signs.horizontal * plan.columns, "axis")
        for column, _ in ticks:
            grid.put(row - 1, plan.left + column, signs.tick_down, "axis")
    if view.cursor is not None:
        step = _step_of(history, axis, view.cursor)
        under = None if step is None else axis.column(step)
        if under is not None:
            text = str(view.cursor)
            start = min(max(plan.left + under - len(text) // 2, 0), max(grid.width - len(text), 0))
            grid.put(row, start, text, "cursor")
    if plan.left:
        grid.write(row, 0, unit, "title")
    for column, text in ticks:
        start = min(max(plan.left + column - len(text) // 2, plan.left), grid.width - len(text))
        before, after = max(start - 1, plan.left), min(start + len(text) + 1, grid.width)
        if start >= 0 and grid.free(row, before, after - before):
            grid.write(row, start, text, "label")
