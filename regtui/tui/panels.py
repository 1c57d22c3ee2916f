"""The lines around the curves: state, progress, verdict, numbers, meters, comparison. Pure functions of a run.

Numbers have fixed widths so that they keep their place while they change.
"""

import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from regtui import analysis
from regtui.analysis.comparison import run_seconds
from regtui.analysis.facts import completed_epochs, learning_rates, only_prints
from regtui.analysis.machine import machine_parts, waiting
from regtui.charts import Span, StyledLine
from regtui.charts.sampling import logged
from regtui.charts.strips.metrics import further, short_name
from regtui.charts.wrap import wrap
from regtui.core.config import RunConfig, fields
from regtui.core.history import History
from regtui.core.text import MISSING, cells, clock, short
from regtui.sources import Activity
from regtui.tui.awaited import Awaited
from regtui.tui.canvas import clip, span, spread, width_of, wrapped
from regtui.tui.compared import comparison_rows
from regtui.tui.eventlines import ENDINGS

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
"""Cells of a loss that is read out."""

WIDE = 110
"""Cells from which on form and curves stand side by side; `lab.py` has the same breakpoint."""

WIDE_CURVES = 84
"""Cells of the curves' side from which on the comparison has a panel of its own."""

BESIDE_STATE = 24
"""Cells that what is said of a command leaves to the rest of its line: its own margins and the progress."""

LEAST_BAR, MOST_BAR, METER_BAR = 6, 48, 8
"""Cells of the progress bar, and of a patience meter's."""


def state_of(history: History, activity: Activity) -> tuple[str, str]:
    """Say in a sign and a word what the run is doing, and the role of its colour."""
    if activity.growing and activity.stage == "stopping":
        return "■ stopping", "warn"
    if activity.growing and activity.stage == "paused":
        return "‖ paused", "warn"
    if activity.growing and activity.stage not in {"training", ""}:
        return f"◌ {activity.stage} …", "calm"
    if history.end is not None:
        return ENDINGS.get(history.end.status, (history.end.status, "calm"))
    if activity.growing:
        return "● running" if only_prints(history) else "● training", "good"
    if activity.problem:
        return "✗ could not start", "bad"
    if history.status == "unknown":
        return "○ no news", "calm"
    return ("○ ready", "calm") if history.run is None else ("○ no end recorded", "warn")


def problem_text(activity: Activity) -> str:
    """Say what is wrong, by the name that a field has on the screen and not by its option."""
    refused = activity.refused
    if refused is None or refused.field not in fields():
        return activity.problem
    return f"{fields()[refused.field].label} {refused.problem}"


def status_line(
    history: History, activity: Activity, config: RunConfig | None, width: int, now: float, *, watching: str = "",
    waiting: Awaited | None = None,
) -> StyledLine:  # fmt: skip
    """Draw the one line that says what runs, how far it is and how fast: on a narrow screen what fits whole of it.

    `watching` says that it is only looked at, and which of several it is; `waiting` what was sent
    and is not obeyed yet.
    """
    # The form's only before there is a run: what a log does not say is not said.
    config = history.config if history.run is not None else config
    words, role = state_of(history, activity)
    names = _names_of(history, config, watching)
    told = history.end is not None or (activity.growing and words[0] in "‖■")
    if waiting is not None:
        words, role, told = _waiting(waiting, width), waiting.role, waiting.silent
    state = [span(f" {words:<11} ", f"chip-{role}" if told else role)]
    if activity.log_problem:
        state += [span(" "), span(f" {activity.log_words} ", "chip-bad")]
    if history.run is None:
        return spread([*state, _names(names, width - width_of(state))], [], width)
    worth = _worth(history, activity, width, now)
    room = width - width_of(state) - 1
    kept: dict[str, list[Span]] = {}
    for name, part in worth.items():
        if width_of(part) > room:
            break
        kept[name] = part
        room -= width_of(part)
    named = _names(names, room)
    if "bar" in kept:
        kept["bar"] = bar(_share(history), min(LEAST_BAR + max(room - width_of([named]) - 1, 0), MOST_BAR))
    right = [part for name in ("epoch", "bar", "speed", "time") for part in kept.get(name, [])]
    return spread([*state, named], right, width)


def _names_of(history: History, config: RunConfig | None, watching: str) -> list[str]:
    """Say what is trained, by which and on what, as far as that is known."""
    environment = history.run.environment if history.run else {}
    names: list[str] = []
    if config is not None:
        dataset = config.dataset.rsplit("/", 1)[-1]
        names = [config.framework, dataset, str(environment.get("device") or config.device)]
    elif history.run is not None:
        names = [name for name in (history.trainer, history.run.run_id) if name]
    # In front, so that it stays where the rest does not fit.
    return [watching, *names] if watching else names


def _worth(history: History, activity: Activity, width: int, now: float) -> dict[str, list[Span]]:
    """Give the parts that say how far and how fast a run is, by what they are worth; drawn in another order."""
    speed = [
        span(f"{_speed(analysis.steps_per_second(history)):>6}", "text"),
        span("/s " if width < WIDE else " steps/s ", "muted"),
    ]
    if not history.counts_steps or (history.config is None and analysis.steps_per_second(history) is None):
        speed = []
    eta = analysis.eta_seconds(history, now) if activity.growing else None
    time_left = f"{clock(eta)} left" if eta is not None else f"{clock(run_seconds(history))} taken"
    if eta is None and history.config is None and not math.isfinite(run_seconds(history)):
        time_left = ""
    worth = {
        "epoch": _progress(history) if not only_prints(history) else [],
        "time": [span(f"{time_left:>10} ", "text")] if time_left else [],
        **({"speed": speed} if history.counts_steps else {}),
        "bar": bar(_share(history), LEAST_BAR),
    }
    total = history.total_steps
    if total != total and history.config is None:
        del worth["bar"]
    return worth


def _share(history: History) -> float:
    total = history.total_steps
    return history.step / total if total and total == total else 0.0


def _waiting(waiting: Awaited, width: int) -> str:
    """Say what is waited for in the place of the state, as much of it as leaves the progress its cells."""
    fitting = [words for words in waiting.words if len(words) + BESIDE_STATE <= width]
    return f"◌ {(fitting or waiting.words[-1:])[0]}"


def _names(names: list[str], room: int) -> Span:
    """Join the names that fit whole, in their order."""
    fitting = [" " + " · ".join(names[:count]) for count in range(len(names) + 1)]
    return span(max((text for text in fitting if len(text) <= room), key=len, default=""))


def _progress(history: History) -> list[Span]:
    """Say how far the run is, and of how much where that is known: in epochs where they are counted, else in steps."""
    if history.counts_epochs:
        planned, done, unit = history.plan.epochs, completed_epochs(history), "epoch"
    else:
        planned, done, unit = history.plan.total_steps, history.step, "step"
    of = f"/{planned}" if planned else ""
    return [span(f"{unit} ", "muted"), span(f"{done:>{len(str(planned or done))}}{of} ", "strong")]


def bar(share: float, width: int) -> list[Span]:
    """Draw a progress bar to half a cell; a share outside of 0 to 1 counts as the nearer of them."""
    halves = round(min(max(share, 0.0), 1.0) * width * 2)
    full, half = divmod(halves, 2)
    rest = width - full - half
    return [span("━" * full + "╸" * half, "done"), span("─" * rest, "left")]


def verdict_lines(
    history: History, activity: Activity, width: int, height: int, *, row: int | None = None
) -> list[StyledLine]:
    """Say in words, sign and colour how the run fares, why, and what to try, on exactly `height` lines."""
    lines = held(_verdict_lines(history, activity, width, height, row), height, width)
    return [*lines, *([()] * (height - len(lines)))]


def _verdict_lines(history: History, activity: Activity, width: int, height: int, at: int | None) -> list[StyledLine]:
    if activity.problem and history.run is None:
        return [
            (span(" ✗ " if at == 0 else "   ", "bad"), span(row))
            for at, row in enumerate(wrap(problem_text(activity), width - 4))
        ]
    if history.run is None and not len(history.evaluations):
        if activity.growing:
            return [(span(" ◌ the run is being set up", "calm"),)]
        keys = [("ctrl+r", " starts a run    "), ("tab", " next field    "), ("? f1", " help")]
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
    closing = held([(span("   "), span(row)) for row in wrap(advice, width - 4)], height - 1, width)
    rows = wrap(verdict.evidence, width - width_of(head) - 1) or [""]
    first, rest = rows[0], " ".join(rows[1:])
    spare = height - 1 - len(closing)
    if rest and spare:
        further = [(span("   "), span(row)) for row in wrap(rest, width - 4)]
        return [(*head, span(first)), *held(further, spare, width), *closing]
    return [clip([*head, span(verdict.evidence)], width), *closing]


def number_lines(history: History, width: int, height: int, *, row: int | None = None) -> list[StyledLine]:
    """Read every series out, at a row of the evaluations or now: on one row what fits, on two all of them."""
    table = history.evaluations
    if not len(table):
        early = [
            ("step", f"{history.step:>6}", "text"),
            ("batch loss", _loss(history.steps["step/loss"].last), "running"),
        ]
        return [_pairs(early if len(history.steps) else [], width)]
    at = len(table) - 1 if row is None else min(max(row, 0), len(table) - 1)
    gap = analysis.gap(history)[at]
    unit, _, place = history.where(at).partition(" ")
    digits = len(history.where(len(table) - 1)) - len(unit) - 1
    first = [
        (unit, f"{place:>{digits}}", "strong"),
        ("valid", _loss(table["valid/loss"].values[at]), "valid"),
        ("train", _loss(analysis.training_loss(history)[at]), "train"),
        ("gap", cells(gap, NUMBER_WIDTH + 1, sign=True), "gap"),
        ("LR", _rate(learning_rates(history)[at]), "rate"),
        ("acc", percent(table["valid/accuracy"].values[at]), "valid"),
    ]
    second = [
        ("best", _best(history), "valid"),
        ("running", _loss(table["step/loss"].values[at]), "running"),
        ("penalty", _loss(table["penalty"].values[at]), "penalty"),
        ("train acc", percent(table["train/accuracy"].values[at]), "train"),
    ]
    if history.config is None:
        # What another trainer's log never says has no place on the line; what else it says has one.
        first, second = (_said(history, part) for part in (first, second))
        named = sorted(further(history), key=lambda name: name.startswith("train/"))
        second += [(short_name(name), _loss(table[name].values[at]), "text") for name in named]
    if height < 2:
        return [_pairs(first + second, width)]
    return [_pairs(first, width), _pairs(second, width)]


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "valid": ("valid/loss",), "train": ("train/loss", "step/loss"), "gap": ("valid/loss",), "LR": ("learning_rate",),
    "acc": ("valid/accuracy",), "best": ("valid/loss",), "running": ("step/loss",), "penalty": ("penalty",),
    "train acc": ("train/accuracy",),
}  # fmt: skip
"""Name of a number that is read out -> columns of which one must be there to know it."""


def _said(history: History, parts: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    tables = (history.steps, history.evaluations)
    return [
        part
        for part in parts
        if part[0] not in COLUMNS or any(logged(table, name) for table in tables for name in COLUMNS[part[0]])
    ]


def _loss(value: float) -> str:
    return cells(value, NUMBER_WIDTH)


def _best(history: History) -> str:
    """Write the lowest validation loss and, behind an @, where it was: the epoch's number, else the step's."""
    row = analysis.best_row(history)
    if row is None:
        return MISSING
    place = history.where(row).removeprefix("epoch ")
    return f"{_loss(history.evaluations['valid/loss'].values[row])} @{place}"


def _pairs(parts: list[tuple[str, str, str]], width: int) -> StyledLine:
    """Join names and numbers, leaving out at the end what does not fit whole."""
    line: list[Span] = []
    for name, value, role in parts:
        piece = [span(f"{'  ' if line else ' '}{name} ", "muted"), span(value, role)]
        if width_of(line) + width_of(piece) > width:
            break
        line += piece
    return tuple(line)


def held(lines: Sequence[StyledLine], rows: int, width: int) -> list[StyledLine]:
    """Keep as many lines as there are rows for; where some are left out, the last that is kept ends in an ellipsis."""
    kept = list(lines[: max(rows, 0)])
    if kept and len(kept) < len(lines):
        kept[-1] = clip([*kept[-1], span(" " * width)], width)
    return kept


def meter_lines(history: History, ghost: History | None, width: int, most: int) -> list[StyledLine]:
    """Say how far each patience is used up and what the last rate drop did; on a narrow screen also the comparison.

    On at most so many rows: where that is too few, the longest part gives way first, with an ellipsis, and the
    comparison last: it is told nowhere else on a narrow screen.
    """
    parts: list[list[StyledLine]] = []
    compared_rows: list[StyledLine] = []
    if history.end is None:
        parts += [_meter_rows(line, width) for line in analysis.meters(history).lines()]
    if ghost is not None and len(history.evaluations) and width < WIDE_CURVES:
        compared_rows = comparison_rows(history, ghost, width)
        parts.append(compared_rows)
    effects = analysis.drop_effects(history)
    if effects:
        parts.append(wrapped(effects[-1].line, width, "rate"))
    if (waits := waiting(history)) is not None:
        parts.append(wrapped(waits.line, width, "warn"))
    while sum(map(len, parts)) > max(most, 0):
        long = [part for part in parts if len(part) > 1 and part is not compared_rows] or parts
        longest = max(reversed(long), key=len)
        longest[:] = held(longest, len(longest) - 1, width)
        parts = [part for part in parts if part]
    return [line for part in parts for line in part]


def machine_lines(history: History, width: int) -> list[StyledLine]:
    """Say on one row what the machine has to do, as much of it as fits whole; none where it was not sampled."""
    parts = machine_parts(history)
    for count in range(len(parts), 0, -1):
        line = f" {' · '.join(parts[:count])}"
        if len(line) <= width:
            return [(span(line, "muted"),)]
    return [clip([span(f" {parts[0]}", "muted")], width)] if parts else []


def _meter_rows(text: str, width: int) -> list[StyledLine]:
    """Put a small bar before a line such as `plateau 143/200 → ...`."""
    found = re.search(r"(\d+)/(\d+)", text)
    if found is None:
        return wrapped(text, width, "muted")
    used, patience = int(found[1]), max(int(found[2]), 1)
    first, *rest = wrap(text, max(width - METER_BAR - 3, 1))
    return [
        clip([span(" "), *bar(used / patience, METER_BAR), span(f" {first}")], width),
        *(clip([span(" " * (METER_BAR + 2)), span(row)], width) for row in rest),
    ]


def _rate(value: float) -> str:
    return f"{short(value):<8}"


def percent(value: float) -> str:
    """Write a share as a percentage in six cells."""
    return f"{100 * value:4.1f} %" if value == value else f"{MISSING:>6}"


def _speed(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and value == value else MISSING
