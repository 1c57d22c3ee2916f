"""What is said of a run, in the words of the screen: a title and one or two lines with the numbers that count."""

import math
from typing import Literal, NamedTuple

from regtui import analysis
from regtui.analysis.comparison import run_seconds
from regtui.analysis.facts import how_far
from regtui.core.history import History
from regtui.core.text import beginning, clock, printable, signed

LONGEST_TITLE = 120
"""Characters of a title: a run's name and a word; a telephone shows about as many."""

LONGEST_LINE = 300
"""Characters of a line of the body, as those of a reason in a log: no service cuts so short a text."""

Kind = Literal["end", "failure", "divergence", "overfitting", "stall", "recovery"]
"""Why somebody is told."""

ENDINGS = {
    "finished": "finished", "stopped": "stopped", "early_stopped": "stopped early", "diverged": "diverged",
    "failed": "failed",
}  # fmt: skip
"""Status of an end -> the word of a title."""

WHY: dict[str, Kind] = {"failed": "failure", "diverged": "divergence"}
"""Status of an end -> why it is told, where it is no plain end."""


class Notice(NamedTuple):
    """One thing that somebody is told; printable, whatever the run is called."""

    kind: Kind
    """Why it is told."""
    title: str
    """`regtui: digits-torch-1 overfits`."""
    body: str
    """One or two lines."""


def of_end(history: History) -> Notice:
    """Tell how a run has ended: how far it came and why, then what its curves say."""
    assert history.end is not None
    status, reason = history.end.status, history.end.reason
    first = _place(history) + (f": {reason}" if reason else "")
    found = analysis.verdict(history)
    said_already = bool(reason) and reason in found.evidence and status == "diverged"
    lines = [first] if said_already or not len(history.evaluations) else [first, _sentence(found)]
    return _notice(WHY.get(status, "end"), history, ENDINGS.get(status, status.replace("_", " ")), lines)


def of_overfitting(history: History, row: int) -> Notice:
    """Tell that a run overfits, with what was known at the evaluation at which that was first so."""
    lines = [_sentence(analysis.verdict_at(history, row)), f"at {history.where(row)}{_gap(history, row)}"]
    return _notice("overfitting", history, "overfits", lines)


def of_divergence(history: History) -> Notice:
    """Tell that a run has diverged, and goes on."""
    return _notice("divergence", history, "diverges", [_sentence(analysis.verdict(history)), _place(history)])


def of_stall(history: History, silence: float, usual: float, *, growing: bool) -> Notice:
    """Tell that nothing has come for so many seconds, where it usually takes at most `usual`, 0 where unknown."""
    text = f"nothing new for {clock(silence)}"
    text += f", where it usually takes no longer than {clock(usual)}" if usual else ""
    text += "" if growing else "; nobody on this machine writes its log"
    return _notice("stall", history, "has stalled", [text, _place(history)])


def of_recovery(history: History, silence: float) -> Notice:
    """Tell that a run of which a stall was told goes on."""
    return _notice("recovery", history, "goes on", [f"after {clock(silence)} without news: {_place(history)}"])


def _notice(kind: Kind, history: History, word: str, lines: list[str]) -> Notice:
    name = history.run.run_id if history.run and history.run.run_id else "a run"
    most = LONGEST_TITLE - len("regtui:  ") - len(word)
    body = "\n".join(beginning(printable(line), LONGEST_LINE) for line in lines)
    return Notice(kind, f"regtui: {beginning(printable(name), most)} {printable(word)}", body)


def _place(history: History) -> str:
    """Say how far a run is, what it took, and its gap."""
    taken = run_seconds(history)
    parts = [how_far(history), *([f"{clock(taken)} taken"] if math.isfinite(taken) else [])]
    return ", ".join(parts) + _gap(history, len(history.evaluations) - 1)


def _gap(history: History, row: int) -> str:
    gap = float(analysis.gap(history)[row]) if row >= 0 else math.nan
    return f", gap {signed(gap)}" if math.isfinite(gap) else ""


def _sentence(found: analysis.Verdict) -> str:
    return f"{found.words[:1].upper()}{found.words[1:]}: {found.evidence}"
