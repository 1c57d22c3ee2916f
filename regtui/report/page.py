"""The report as a page of styled lines: header, charts, the epochs that matter, the result."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from regtui.analysis import drop_effects, forecast, meters, verdict
from regtui.analysis.facts import asked_for, device, environment, framework, how_far, only_prints
from regtui.analysis.machine import machine_parts, waiting
from regtui.charts import Span, StyledLine, View, draw
from regtui.charts.scales import count
from regtui.charts.strips import suited
from regtui.core.config import fields
from regtui.core.events import Metrics
from regtui.core.history import History
from regtui.core.text import number, plain, short
from regtui.report.comparison import comparison
from regtui.report.paint import as_text, cells
from regtui.report.table import FEWEST_ROWS, epoch_table

FEWEST_CHART_LINES = 9
"""Title, a few rows of curve and the x axis; on a lower screen the page grows instead."""

CHART_SHARE = 0.5
"""The charts get at least this share of the page before the table gets more than its fewest rows."""


SUMMARY_ROWS = 12
"""Without charts there is room for the changes of most runs."""


DROPS_TOLD = 2
"""Drops whose effect is told in words; the table has the epochs of more."""

SHOWN_WHEN_SET = ("l2", "l1", "weight_decay", "dropout", "label_noise", "warmup", "early_stopping")
"""Fields that the page names only where they do something."""


def render(
    history: History,
    width: int,
    height: int,
    *,
    colour: bool = False,
    view: View | None = None,
    warnings: Sequence[str] = (),
) -> str:
    """Write the report as a page of `width` columns and, where that is possible, `height` lines."""
    return as_text(page(history, width, height, view=view, warnings=warnings), colour=colour)


def summary(history: History, width: int = 80, *, ascii_only: bool = False, warnings: Sequence[str] = ()) -> str:
    """Write the result without charts: the epochs that matter, the verdict and its advice."""
    lines = [_header(history, width), *_table(history, width, SUMMARY_ROWS, ascii_only)]
    lines += _result(history, width, View(ascii=ascii_only), warnings)
    return as_text(_in_ascii(lines) if ascii_only else lines, colour=False)


def page(
    history: History, width: int, height: int, *, view: View | None = None, warnings: Sequence[str] = ()
) -> list[StyledLine]:
    """Lay out the report as lines of at most `width` cells."""
    width = max(width, 1)
    view = with_overfitting(history, view or View())
    view = replace(view, strips=suited(history, view.strips))
    head = [_header(history, width), _settings(history, width)]
    foot = _result(history, width, view, warnings)
    if only_prints(history):
        lines = [*head, *_printed(history, width, max(FEWEST_CHART_LINES, height - len(head) - len(foot))), *foot]
        return _in_ascii(lines) if view.ascii else lines
    spare = int(height * (1 - CHART_SHARE)) - len(head) - len(foot) - 1
    table = _table(history, width, max(spare, FEWEST_ROWS), view.ascii)
    chart_lines = max(FEWEST_CHART_LINES, height - len(head) - len(table) - len(foot))
    lines = [*head, *draw(history, width, chart_lines, view), *table, *foot]
    return _in_ascii(lines) if view.ascii else lines


def _printed(history: History, width: int, most: int) -> list[StyledLine]:
    """Give the newest lines that a command printed, in the place of the curves that it has not."""
    printed = [note.text for note in history.notes if note.level == "output"]
    return [(Span(fitted(line, width), "text"),) for line in printed[-most:]]


def _in_ascii(lines: Sequence[StyledLine]) -> list[StyledLine]:
    return [tuple(span._replace(text=plain(span.text)) for span in line) for line in lines]


def with_overfitting(history: History, view: View) -> View:
    """Tint the charts after the best epoch while the run overfits."""
    found = verdict(history)
    if found.state != "overfitting" or found.since_step is None:
        return view
    return replace(view, overfit_since=found.since_step)


def _header(history: History, width: int) -> StyledLine:
    """Name the run: id, framework, data, device, status; what does not fit is left out from the middle."""
    if history.status == "empty":
        return (Span("no run yet"[:width], "heading"),)
    name = history.run.run_id if history.run else "a run without a name"
    version = environment(history, "framework_version")
    last = how_far(history) + ("" if history.status == "unknown" else f", {history.status.replace('_', ' ')}")
    who, data, where = framework(history) or history.trainer or "", _data(history), device(history) or ""
    whole = f"{who} {version}" if version else who
    for middle in ((whole, data, where), (who, data, where), (who, data), (who,), ()):
        text = " · ".join(part for part in (name, *middle, last) if part)
        if len(text) <= width:
            break
    if len(text) > width:
        text = last if len(last) <= width else text
    return (Span(fitted(text, width), "heading"),)


def _data(history: History) -> str:
    rows = history.plan.train_rows
    if history.config is None:
        return f"{count(rows)} rows" if rows else ""
    name = history.config.dataset.replace("\\", "/").rsplit("/", 1)[-1]
    return f"{name} ({count(rows)} rows)" if rows else name


def _settings(history: History, width: int) -> StyledLine:
    """Say what was asked for, in the words of the options."""
    config = history.config
    if config is None:
        said = asked_for(history.settings) or "the log says nothing of its settings"
        return (Span(fitted(said, width), "label"),)
    parts = [f"{config.optimizer} LR {short(config.learning_rate)}", config.lr_policy, f"batch {config.batch_size}"]
    extras = {name: getattr(config, name) for name in SHOWN_WHEN_SET}
    parts += [f"{fields()[name].label} {short(value)}" for name, value in extras.items() if value]
    if not (config.l2 or config.l1 or config.weight_decay or config.dropout):
        parts.append("no regularisation")
    while len(" · ".join(parts)) > width and len(parts) > 1:
        parts.pop()
    return (Span(fitted(" · ".join(parts), width), "label"),)


def _table(history: History, width: int, most: int, ascii_only: bool) -> list[StyledLine]:
    lines = epoch_table(history, width, most, ascii_only=ascii_only)
    return [(Span(line, "text" if index else "heading"),) for index, line in enumerate(lines)]


def _result(history: History, width: int, view: View, warnings: Sequence[str]) -> list[StyledLine]:
    """Say what came of the run: the verdict with its evidence, the advice, what could not be judged."""
    found, end = verdict(history), history.end
    words = found.words[0].upper() + found.words[1:]
    texts = [f"Next: {found.advice}"] if found.advice else []
    texts += comparison(history, view.ghost) if view.ghost is not None else []
    texts += _remarks(history)
    texts += [f"Cannot judge {gap}" for gap in found.cannot_judge]
    if parts := machine_parts(history):
        texts.append(f"Machine{', on average' if end is not None else ''}: {' · '.join(parts).replace('  ', ', ')}")
    if end is not None and end.reason and end.reason not in found.evidence:
        texts.append(f"The run {_ended(end.status)}: {end.reason}")
    if end is not None and end.test is not None:
        texts.append(_test(end.test))
    lines = _wrapped(f"{words}: {found.evidence}", width, "text", view.ascii)
    first = lines[0][0].text
    lines[0] = (Span(first[: len(words)], f"state-{found.state}"), Span(first[len(words) :], "text"))
    for text in texts:
        lines += _wrapped(text, width, "text", view.ascii)
    for warning in warnings:
        lines += _wrapped(f"Warning: {warning}", width, "warning", view.ascii)
    return lines


def _remarks(history: History) -> list[str]:
    """Say what the last drops of the rate did, while the run goes on how much patience is left, and what waits."""
    remarks = [effect.line for effect in drop_effects(history)[-DROPS_TOLD:]]
    if history.end is None:
        remarks += meters(history).lines()
        planned = forecast(history)
        remarks += [planned.line(history.step)] if planned is not None and planned.line(history.step) else []
    waits = waiting(history)
    remarks += [waits.line] if waits is not None else []
    return [remark[0].upper() + remark[1:] for remark in remarks]


def _ended(status: str) -> str:
    return {"finished": "finished", "failed": "failed", "diverged": "diverged"}.get(status, "stopped")


def _test(metrics: Metrics) -> str:
    loss, accuracy = metrics.get("loss"), metrics.get("accuracy")
    parts = [] if loss is None else [f"loss {number(loss)}"]
    parts += [] if accuracy is None else [f"accuracy {accuracy:.1%}"]
    return f"Test split, measured once at the end: {', '.join(parts) or 'no number'}"


def _wrapped(text: str, width: int, role: str, ascii_only: bool) -> list[StyledLine]:
    # In ASCII some signs take more cells, so that comes before the lines are broken.
    text = " ".join((plain(text) if ascii_only else text).split())
    return [(Span(line, role),) for line in textwrap.wrap(text, width) or [""]]


def fitted(text: str, width: int) -> str:
    """Cut a text to so many cells of a terminal."""
    text = text[:width]  # no sign counts as less than a cell
    while cells(text) > width:
        text = text[:-1]
    return text
