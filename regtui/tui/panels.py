"""The lines around the curves: state, progress, verdict, numbers, meters, comparison. Pure functions of a run.

Numbers have fixed widths so that they keep their place while they change.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from regtui.charts import Span, StyledLine
from regtui.core import analysis
from regtui.core.config import RunConfig, fields, unparse
from regtui.core.events import Changed, Noted, RunEnded, RunStarted
from regtui.core.history import History
from regtui.tui.canvas import clip, span, spread, width_of

ENDINGS: Mapping[str, tuple[str, str]] = {
    "finished": ("✓ finished", "good"),
    "stopped": ("■ stopped", "calm"),
    "early_stopped": ("✓ stopped early", "good"),
    "diverged": ("✗ diverged", "bad"),
    "failed": ("✗ failed", "bad"),
}
"""Status of an end -> sign and word, and the role of its colour."""

VERDICTS: Mapping[str, tuple[str, str]] = {
    "warming_up": ("◌ warming up", "calm"),
    "underfitting": ("▼ underfitting", "warn"),
    "fitting": ("● fitting", "good"),
    "overfitting": ("▲ overfitting", "bad"),
    "recovered": ("✓ recovered", "good"),
    "diverged": ("✗ diverged", "bad"),
}
"""State of a verdict -> sign and word, and the role of its colour."""

NUMBER_WIDTH = 6


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What the run on show is doing, beside what its History knows."""

    stage: str = ""
    """A stage of a live run, empty where there is none."""
    alive: bool = False
    """It has not ended."""
    stopping: bool = False
    """It was told to end."""
    problem: str = ""
    """Why it could not be set up."""


def state_of(history: History, activity: Activity) -> tuple[str, str]:
    """Say in a sign and a word what the run is doing, and the role of its colour."""
    if activity.alive and activity.stopping:
        return "■ stopping", "warn"
    if activity.alive and activity.stage == "paused":
        return "‖ paused", "warn"
    if activity.alive and activity.stage not in {"training", ""}:
        return f"◌ {activity.stage} …", "calm"
    if history.end is not None:
        return ENDINGS.get(history.end.status, (history.end.status, "calm"))
    if activity.alive:
        return "● training", "good"
    if activity.problem:
        return "✗ could not start", "bad"
    return ("○ ready", "calm") if history.run is None else ("○ no end recorded", "warn")


def status_line(history: History, activity: Activity, config: RunConfig | None, width: int, now: float) -> StyledLine:
    """Draw the one line that says what runs, how far it is and how fast."""
    config = history.config or config
    words, role = state_of(history, activity)
    environment = history.run.environment if history.run else {}
    names: list[str] = []
    if config is not None:
        dataset = config.dataset.rsplit("/", 1)[-1]
        names = [config.framework, dataset, str(environment.get("device") or config.device)]
    left = [span(f" {words:<12} ", role), span(" · ".join(names), "text")]
    right: list[Span] = []
    if config is not None and history.run is not None:
        epochs = len(str(config.epochs))
        done = len(history.epochs)
        right += [span("epoch ", "muted"), span(f"{done:>{epochs}}/{config.epochs} ", "strong")]
        speed = analysis.steps_per_second(history)
        rate = [span(f"{_speed(speed):>6}", "text"), span(" steps/s ", "muted")]
        eta = analysis.eta_seconds(history, now) if activity.alive else None
        clock = f"{_clock(eta)} left" if eta is not None else f"{_clock(run_seconds(history))} taken"
        tail = [*rate, span(f"{clock:>12} ", "text")]
        room = width - width_of(left) - width_of(right) - width_of(tail) - 3
        if room >= 6:
            total = history.total_steps
            share = history.step / total if total and total == total else 0.0
            right += [*bar(share, min(room, 48)), span("  ")]
        right += tail
    return spread(left, right, width)


def bar(share: float, width: int) -> list[Span]:
    """Draw a progress bar with half cells."""
    halves = round(min(max(share, 0.0), 1.0) * width * 2)
    full, half = divmod(halves, 2)
    rest = width - full - half
    return [span("━" * full + "╸" * half, "done"), span("─" * rest, "left")]


def verdict_lines(history: History, activity: Activity, width: int, *, epoch: int | None = None) -> list[StyledLine]:
    """Say in words, sign and colour how the run fares, why, and what to try: two lines."""
    if activity.problem and history.run is None:
        return [clip([span(" ✗ ", "bad"), span(activity.problem, "strong")], width), ()]
    if history.run is None and not len(history.epochs):
        if activity.alive:
            return [(span(" ◌ the run is being set up", "calm"),), ()]
        hint = [span("   press "), span("ctrl+r", "key"), span(" to start, "), span("?", "key"), span(" for help")]
        return [(span(" ○ no run yet", "calm"),), tuple(hint)]
    verdict = analysis.verdict_at(history, epoch) if epoch is not None else analysis.verdict(history)
    words, role = VERDICTS.get(verdict.state, (verdict.state, "calm"))
    since = f" since epoch {verdict.since_epoch}" if verdict.since_epoch and verdict.state == "overfitting" else ""
    prefix = f" at epoch {epoch}: " if epoch is not None else " "
    first = [span(prefix, "muted"), span(words + since, role), span("   " + verdict.evidence, "text")]
    ended = history.end
    second = [
        span("   "),
        span(verdict.advice or "; ".join(verdict.cannot_judge), "text" if verdict.advice else "muted"),
    ]
    if ended is not None and ended.reason and ended.status in {"failed", "diverged"}:
        second = [span("   "), span(ended.reason, "strong")]
    return [clip(first, width), clip(second, width)]


def number_line(history: History, width: int, *, epoch: int | None = None) -> StyledLine:
    """Read every series out, at the cursor's epoch or now."""
    table = history.epochs
    if not len(table):
        loss = history.steps.loss.last
        parts = [("step", f"{history.step:>6}", "text"), ("batch loss", number(loss), "running")]
        return _pairs(parts if len(history.steps) else [], width)
    at = row_of(history, epoch)
    gap = analysis.gap(history)[at]
    valid, train = table.valid_loss.values[at], table.train_loss.values[at]
    digits = len(str(int(table.epoch.last)))
    best = analysis.best_epoch(history)
    best_at = row_of(history, best) if best is not None else None
    parts = [
        ("epoch", f"{int(table.epoch.values[at]):>{digits}}", "strong"),
        ("valid", number(valid), "valid"),
        ("train", number(train), "train"),
        ("gap", f"{gap:+7.4f}" if gap == gap else f"{'—':>7}", "gap"),
        ("LR", rate(table.learning_rate.values[at]), "rate"),
        ("accuracy", percent(table.valid_accuracy.values[at]), "valid"),
        ("best", f"{number(table.valid_loss.values[best_at])} @{best}" if best_at is not None else "—", "best"),
        ("running", number(table.running_loss.values[at]), "running"),
        ("penalty", number(table.penalty.values[at]), "penalty"),
    ]
    return _pairs(parts, width)


def _pairs(parts: list[tuple[str, str, str]], width: int) -> StyledLine:
    """Join names and numbers, leaving out at the end what does not fit whole."""
    line: list[Span] = [span(" ")]
    for name, value, role in parts:
        piece = [span(f"{name} ", "muted"), span(f"{value}  ", role)]
        if width_of(line) + width_of(piece) > width + 2:
            break
        line += piece
    return tuple(line)


def row_of(history: History, epoch: int | None) -> int:
    """Find the row of an epoch, the last one where it is not known."""
    values = history.epochs.epoch.values
    if epoch is None:
        return len(values) - 1
    found = [at for at, value in enumerate(values) if value == epoch]
    return found[-1] if found else len(values) - 1


def comparison_lines(history: History, ghost: History, width: int) -> list[StyledLine]:
    """Put this run beside the one before it: two columns of the numbers that a remedy changes."""
    changed = difference(history.config, ghost.config)
    lines: list[StyledLine] = [clip([span(" now: ", "muted"), span(changed, "text")], width)]
    lines.append((span(f" {'':<12}", "muted"), span(f"{'this run':>10}", "valid"), span(f"{'before':>10}", "ghost")))
    rows = [
        ("best valid", *(number(_best(run)[1]) for run in (history, ghost))),
        ("at epoch", *(str(_best(run)[0] or "—") for run in (history, ghost))),
        ("gap now", *(_last_gap(run) for run in (history, ghost))),
        ("time", *(_clock(run_seconds(run)) for run in (history, ghost))),
    ]
    lines += [
        (span(f" {name:<12}", "muted"), span(f"{ours:>10}", "strong"), span(f"{theirs:>10}", "text"))
        for name, ours, theirs in rows
    ]
    return lines


def difference(config: RunConfig | None, before: RunConfig | None) -> str:
    """Say what one configuration has that another has not: 'dropout 0.4 (was 0)'."""
    if config is None or before is None:
        return "another run"
    changed = []
    for name, field in fields().items():
        ours, theirs = (unparse(field, getattr(each, name)) or "off" for each in (config, before))
        if ours != theirs:
            changed.append(f"{field.label} {ours} (was {theirs})")
    return ", ".join(changed) or "the same configuration"


def _best(history: History) -> tuple[int | None, float]:
    best = analysis.best_epoch(history)
    return best, float(history.epochs.valid_loss.values[row_of(history, best)]) if best is not None else math.nan


def _last_gap(history: History) -> str:
    gaps = analysis.gap(history)
    return f"{gaps[-1]:+.4f}" if len(gaps) and gaps[-1] == gaps[-1] else "—"


def run_seconds(history: History) -> float:
    """Give the time from a run's start to the last that is known of it; NaN where the log does not say."""
    if history.run is None or history.run.time is None:
        return math.nan
    ends = [history.end.time if history.end else None, history.epochs.time.last, history.steps.time.last]
    last = [end for end in ends if end is not None and end == end]
    return max(last) - history.run.time if last else math.nan


def meter_lines(_history: History, _width: int) -> list[StyledLine]:
    """Draw how far each patience is used up."""
    return []


def event_line(event: RunStarted | Changed | Noted | RunEnded) -> StyledLine:
    """Tell one event of a run, for the event log."""
    stamp = time.strftime("%H:%M:%S", time.localtime(event.time)) if event.time else "        "
    start = span(f" {stamp}  ", "muted")
    if isinstance(event, RunStarted):
        environment = event.environment
        rows, weights = (environment.get(name, "?") for name in ("train_rows", "parameters"))
        text = f"run {event.run_id}: {rows} rows, {weights} weights"
        return (start, span(text, "text"))
    if isinstance(event, Changed):
        return (start, span(change_text(event), "rate" if event.what == "learning_rate" else "strong"))
    if isinstance(event, Noted):
        roles = {"warning": "warn", "error": "bad", "output": "muted"}
        return (start, span(event.text, roles.get(event.level, "text")))
    words, role = ENDINGS.get(event.status, (event.status, "calm"))
    reason = f": {event.reason}" if event.reason else ""
    test = event.test
    measured = f"; test loss {test.loss:.4f}" if test is not None and test.loss is not None else ""
    return (start, span(words, role), span(f" at epoch {event.epoch}, step {event.step}{reason}{measured}", "text"))


def change_text(event: Changed) -> str:
    """Say what took which value, and who did it."""
    name = (
        "LR" if event.what == "learning_rate" else fields()[event.what].label if event.what in fields() else event.what
    )
    who = {"user": "by hand"}.get(event.cause, event.cause)
    return f"{name} {_short(event.old)} → {_short(event.new)}  {who}, epoch {event.epoch}, step {event.step}"


def _short(value: float | None) -> str:
    return "—" if value is None else f"{value:.4g}"


def number(value: float) -> str:
    """Write a loss in six cells."""
    if value != value or math.isinf(value):
        return f"{'—':>{NUMBER_WIDTH}}"
    text = f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1000 else f"{value:.0e}"
    return f"{text:>{NUMBER_WIDTH}}"


def rate(value: float) -> str:
    """Write a learning rate in eight cells."""
    return f"{value:<8.3g}" if value == value else f"{'—':<8}"


def percent(value: float) -> str:
    """Write a share as a percentage in six cells."""
    return f"{100 * value:4.1f} %" if value == value else f"{'—':>6}"


def _speed(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and value == value else "—"


def _clock(seconds: float | None) -> str:
    if seconds is None or seconds != seconds or math.isinf(seconds):
        return "—"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
