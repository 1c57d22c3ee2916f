"""The lines around the curves: state, progress, verdict, numbers, meters, comparison. Pure functions of a run.

Numbers have fixed widths so that they keep their place while they change.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from regtui import analysis
from regtui.charts import Span, StyledLine
from regtui.charts.wrap import wrap
from regtui.core.config import RunConfig, difference, fields
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
    "warming_up": ("◌", "calm"),
    "underfitting": ("▼", "warn"),
    "fitting": ("●", "good"),
    "overfitting": ("▲", "bad"),
    "recovered": ("✓", "good"),
    "diverged": ("✗", "bad"),
}
"""State of a verdict -> its sign, and the role of its colour."""

NUMBER_WIDTH = 6

WIDE = 110
"""Cells from which on form and curves stand side by side; `lab.py` has the same breakpoint."""

WIDE_CURVES = 84
"""Cells of the curves' side from which on the comparison has a panel of its own."""

LEAST_BAR, MOST_BAR, METER_BAR = 6, 48, 8
"""Cells of the progress bar, and of a patience meter's."""


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
    # The form's only before there is a run: what a log does not say is not said.
    config = history.config if history.run is not None else config
    words, role = state_of(history, activity)
    environment = history.run.environment if history.run else {}
    names: list[str] = []
    if config is not None:
        dataset = config.dataset.rsplit("/", 1)[-1]
        names = [config.framework, dataset, str(environment.get("device") or config.device)]
    elif history.run is not None:
        names = [name for name in (history.trainer, history.run.run_id) if name]
    told = history.end is not None or (activity.alive and words[0] in "‖■")
    left = [span(f" {words:<11} ", f"chip-{role}" if told else role), span(f" {' · '.join(names)}", "text")]
    if history.run is None:
        return spread(left, [], width)
    epoch = _progress(history)
    speed = [
        span(f"{_speed(analysis.steps_per_second(history)):>6}", "text"),
        span("/s " if width < WIDE else " steps/s ", "muted"),
    ]
    eta = analysis.eta_seconds(history, now) if activity.alive else None
    clock = f"{_clock(eta)} left" if eta is not None else f"{_clock(run_seconds(history))} taken"
    tail = [*speed, span(f"{clock:>10} ", "text")]
    room = width - width_of(left) - width_of(epoch) - width_of(tail) - 2
    total = history.total_steps
    share = history.step / total if total and total == total else 0.0
    return spread(left, [*epoch, *bar(share, min(max(room, LEAST_BAR), MOST_BAR)), *tail], width)


def _progress(history: History) -> list[Span]:
    """Say how far the run is, and of how much where that is known: in epochs where they are counted, else in steps."""
    if history.counts_epochs:
        planned, done, unit = history.plan.epochs, len(history.evaluations), "epoch"
    else:
        planned, done, unit = history.plan.total_steps, history.step, "step"
    of = f"/{planned}" if planned else ""
    return [span(f"{unit} ", "muted"), span(f"{done:>{len(str(planned or done))}}{of} ", "strong")]


def bar(share: float, width: int) -> list[Span]:
    """Draw a progress bar with half cells."""
    halves = round(min(max(share, 0.0), 1.0) * width * 2)
    full, half = divmod(halves, 2)
    rest = width - full - half
    return [span("━" * full + "╸" * half, "done"), span("─" * rest, "left")]


def verdict_lines(
    history: History, activity: Activity, width: int, height: int, *, row: int | None = None
) -> list[StyledLine]:
    """Say in words, sign and colour how the run fares, why, and what to try, on exactly `height` lines."""
    lines = _verdict_lines(history, activity, width, height, row)
    return [*lines, *([()] * (height - len(lines)))][:height]


def _verdict_lines(history: History, activity: Activity, width: int, height: int, at: int | None) -> list[StyledLine]:
    if activity.problem and history.run is None:
        return [
            (span(" ✗ " if at == 0 else "   ", "bad"), span(row))
            for at, row in enumerate(wrap(activity.problem, width - 4))
        ]
    if history.run is None and not len(history.evaluations):
        if activity.alive:
            return [(span(" ◌ the run is being set up", "calm"),)]
        keys = [("ctrl+r", " starts a run    "), ("tab", " next field    "), ("?", " help")]
        hint = [part for key, does in keys for part in (span(key, "key"), span(does, "muted"))]
        return [(span(" ○ no run yet", "calm"),), (span("   "), *hint)]
    verdict = analysis.verdict(history) if at is None else analysis.verdict_at(history, at)
    sign, role = VERDICTS.get(verdict.state, ("●", "calm"))
    # On a ground of its own where something is wrong: this is the first thing that should be seen.
    head = [span(f" {sign} {verdict.words} ", f"chip-{role}" if role in {"bad", "warn"} else role), span("  ")]
    if at is not None:
        head.insert(0, span(f" at {history.where(at)}:", "muted"))
    advice = verdict.advice
    if history.end is not None and history.end.status == "failed":
        head, advice = [span(" ✗ failed ", "chip-bad"), span("  ")], ""
        verdict = msgspec.structs.replace(verdict, evidence=history.end.reason)
    # The advice stands on its own rows at the end; the evidence has what is left, at least the first.
    closing = [(span("   "), span(row)) for row in wrap(advice, width - 4)][: height - 1]
    rows = wrap(verdict.evidence, width - width_of(head) - 1) or [""]
    first, rest = rows[0], " ".join(rows[1:])
    spare = height - 1 - len(closing)
    if rest and spare:
        return [(*head, span(first)), *((span("   "), span(row)) for row in wrap(rest, width - 4)[:spare]), *closing]
    return [clip([*head, span(verdict.evidence)], width), *closing]


def number_lines(history: History, width: int, height: int, *, row: int | None = None) -> list[StyledLine]:
    """Read every series out, at a row of the evaluations or now: on one row what fits, on two all of them."""
    table = history.evaluations
    if not len(table):
        early = [
            ("step", f"{history.step:>6}", "text"),
            ("batch loss", number(history.steps["step/loss"].last), "running"),
        ]
        return [_pairs(early if len(history.steps) else [], width)]
    at = len(table) - 1 if row is None else min(max(row, 0), len(table) - 1)
    gap = analysis.gap(history)[at]
    unit, _, place = history.where(at).partition(" ")
    digits = len(history.where(len(table) - 1)) - len(unit) - 1
    best, lowest = _best(history)
    first = [
        (unit, f"{place:>{digits}}", "strong"),
        ("valid", number(table["valid/loss"].values[at]), "valid"),
        ("train", number(table["train/loss"].values[at]), "train"),
        ("gap", f"{gap:+7.4f}" if gap == gap else f"{'—':>7}", "gap"),
        ("LR", rate(table["learning_rate"].values[at]), "rate"),
        ("acc", percent(table["valid/accuracy"].values[at]), "valid"),
    ]
    second = [
        ("best", f"{number(lowest)} @{best}" if best is not None else "—", "valid"),
        ("running", number(table["step/loss"].values[at]), "running"),
        ("penalty", number(table["penalty"].values[at]), "penalty"),
        ("train acc", percent(table["train/accuracy"].values[at]), "train"),
    ]
    if height < 2:
        return [_pairs(first + second, width)]
    return [_pairs(first, width), _pairs(second, width)]


def _pairs(parts: list[tuple[str, str, str]], width: int) -> StyledLine:
    """Join names and numbers, leaving out at the end what does not fit whole."""
    line: list[Span] = []
    for name, value, role in parts:
        piece = [span(f"{'  ' if line else ' '}{name} ", "muted"), span(value, role)]
        if width_of(line) + width_of(piece) > width:
            break
        line += piece
    return tuple(line)


def comparison_lines(history: History, ghost: History, width: int) -> list[StyledLine]:
    """Put this run beside the one before it: two columns of the numbers that a remedy changes."""
    columns = [span(f"{'this run':>10}", "valid"), span(f"{'previous':>10}", "ghost")]
    lines: list[StyledLine] = [(span(f" {'':<12}"), *columns)]
    lines += [
        (span(f" {name:<12}", "muted"), span(f"{ours:>10}", "strong"), span(f"{theirs:>10}", "text"))
        for name, ours, theirs in _compared(history, ghost)
    ]
    lines.append(clip([span(" " + (difference(history.config, ghost.config) or "another run"), "text")], width))
    return lines


def comparison_line(history: History, ghost: History, width: int) -> StyledLine:
    """Put the same on one line, for a narrow screen: each number of the run before in brackets."""
    line: list[Span] = [span(" (previous)", "ghost")]
    for name, ours, theirs in _compared(history, ghost):
        short = {"epoch": "at ", "time": ""}.get(name, f"{name} ")
        line += [span(f"  {short}", "muted"), span(ours.strip(), "strong"), span(f" ({theirs.strip()})", "ghost")]
    return clip(line, width)


def _compared(history: History, ghost: History) -> list[tuple[str, str, str]]:
    rows: dict[str, Callable[[History], str]] = {
        "best": lambda run: number(_best(run)[1]),
        "epoch": lambda run: str(_best(run)[0] or "—"),
        "gap": _last_gap,
        "time": lambda run: _clock(run_seconds(run)),
    }
    return [(name, read(history), read(ghost)) for name, read in rows.items()]


def _best(history: History) -> tuple[int | None, float]:
    row = analysis.best_row(history)
    if row is None:
        return None, math.nan
    return history.epoch_of(row), float(history.evaluations["valid/loss"].values[row])


def _last_gap(history: History) -> str:
    gaps = analysis.gap(history)
    return f"{gaps[-1]:+.3f}" if len(gaps) and gaps[-1] == gaps[-1] else "—"


def run_seconds(history: History) -> float:
    """Give the time from a run's start to the last that is known of it; NaN where the log does not say."""
    if history.run is None or history.run.time is None:
        return math.nan
    ends = [history.end.time if history.end else None, history.evaluations["time"].last, history.steps["time"].last]
    last = [end for end in ends if end is not None and end == end]
    return max(last) - history.run.time if last else math.nan


def meter_lines(history: History, ghost: History | None, width: int) -> list[StyledLine]:
    """Say how far each patience is used up and what the last rate drop did; on a narrow screen also the comparison."""
    lines: list[StyledLine] = []
    if ghost is not None and len(history.evaluations) and width < WIDE_CURVES:
        lines.append(comparison_line(history, ghost, width))
    if history.end is None:
        lines += [_meter_line(line, width) for line in analysis.meters(history).lines()]
    effects = analysis.drop_effects(history)
    if effects:
        lines.append(clip([span(f" {effects[-1].line}", "rate")], width))
    return lines


def _meter_line(text: str, width: int) -> StyledLine:
    """Put a small bar before a line such as `plateau 143/200 → ...`."""
    found = re.search(r"(\d+)/(\d+)", text)
    if found is None:
        return clip([span(f" {text}", "muted")], width)
    used, patience = int(found[1]), max(int(found[2]), 1)
    return clip([span(" "), *bar(used / patience, METER_BAR), span(f" {text}", "text")], width)


def event_line(event: RunStarted | Changed | Noted | RunEnded) -> StyledLine:
    """Tell one event of a run, for the event log."""
    stamp = time.strftime("%H:%M:%S", time.localtime(event.time)) if event.time else "        "
    start = span(f" {stamp}  ", "muted")
    if isinstance(event, RunStarted):
        weights = event.environment.get("parameters")
        text = f"run {event.run_id}" + (f", {weights:,} weights" if isinstance(weights, int) else "")
        return (start, span(text, "text"))
    if isinstance(event, Changed):
        return (start, span(change_text(event), "rate" if event.what == "learning_rate" else "strong"))
    if isinstance(event, Noted):
        roles = {"warning": "warn", "error": "bad", "output": "muted"}
        return (start, span(event.text, roles.get(event.level, "text")))
    words, role = ENDINGS.get(event.status, (event.status, "calm"))
    reason = f": {event.reason}" if event.reason else ""
    test = (event.test or {}).get("loss")
    measured = f"; test loss {test:.4f}" if test is not None else ""
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
