"""Two runs side by side, as sentences of the report."""

from regtui.analysis.comparison import asked_differently, compared
from regtui.core.history import History


def comparison(history: History, ghost: History) -> list[str]:
    """Put this run beside an earlier one: what differs in what was asked for, and in what came of it."""
    earlier = ghost.run.run_id if ghost.run else "the other run"
    numbers = [f"{name} {ours} (was {theirs})" for name, ours, theirs in compared(history, ghost)]
    return [f"Compared with {earlier}: {asked_differently(history, ghost)}", ", ".join(numbers)]
