"""The events of a run, a line each, as the event log tells them. Pure functions of an event."""

import math
from collections.abc import Mapping

from regtui.analysis.facts import asked_for
from regtui.charts import StyledLine
from regtui.core.config import fields
from regtui.core.events import Changed, Noted, Resumed, RunEnded, RunStarted
from regtui.core.text import short, time_of_day, who
from regtui.tui.canvas import span

ENDINGS: Mapping[str, tuple[str, str]] = {
    "finished": ("✓ finished", "good"),
    "stopped": ("■ stopped", "calm"),
    "early_stopped": ("✓ stopped early", "good"),
    "diverged": ("✗ diverged", "bad"),
    "failed": ("✗ failed", "bad"),
}
"""Status of an end -> sign and word, and the role of its colour."""


def event_line(event: RunStarted | Changed | Noted | Resumed | RunEnded) -> StyledLine:
    """Tell one event of a run, for the event log."""
    start = span(f" {time_of_day(event.time):<8}  ", "muted")
    if isinstance(event, RunStarted):
        weights = event.environment.get("parameters")
        text = f"run {event.run_id}" + (f", {weights:,} weights" if isinstance(weights, int) else "")
        text += f": {asked}" if event.config is None and (asked := asked_for(event.settings)) else ""
        return (start, span(text, "text"))
    if isinstance(event, Changed):
        return (start, span(change_text(event), "rate" if event.what == "learning_rate" else "strong"))
    if isinstance(event, Resumed):
        return (start, span(resumed_text(event), "strong"))
    if isinstance(event, Noted):
        roles = {"warning": "warn", "error": "bad", "output": "muted"}
        return (start, span(event.text, roles.get(event.level, "text")))
    words, role = ENDINGS.get(event.status, (event.status, "calm"))
    reason = f": {event.reason}" if event.reason else ""
    test = (event.test or {}).get("loss")
    measured = f"; test loss {test:.4f}" if test is not None else ""
    # Zero is what a record has that does not say it.
    places = [f"{unit} {count}" for unit, count in (("epoch", event.epoch), ("step", event.step)) if count]
    place = f" at {', '.join(places)}" if places else ""
    return (start, span(words, role), span(f"{place}{reason}{measured}", "text"))


def resumed_text(event: Resumed) -> str:
    """Say from where a run went on; a log that counts epochs alone says at which it goes on."""
    if event.step or event.epoch is None:
        return f"resumed after step {event.step:,}"
    at = "at" if event.epoch != int(event.epoch) else "after"
    return f"resumed {at} epoch {short(event.epoch, 6)}"


def change_text(event: Changed) -> str:
    """Say what took which value, and who did it."""
    name = (
        "LR" if event.what == "learning_rate" else fields()[event.what].label if event.what in fields() else event.what
    )
    old, new = (short(math.nan if value is None else value) for value in (event.old, event.new))
    # Within a later epoch, zero is what a record has whose trainer counts no steps.
    step = f", step {event.step}" if event.step or event.epoch <= 1 else ""
    return f"{name} {old} → {new}  {who(event.cause)}, epoch {event.epoch}{step}"
