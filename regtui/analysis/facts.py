"""What a log says of its run in a word or a number: who trained, where, and how far it came."""

import math

from regtui.core.history import History


def framework(history: History) -> str | None:
    """Name the framework: the one that trained, else the one that was asked for; None where nobody says."""
    said = environment(history, "framework")
    return said or (history.config.framework if history.config else None)


def device(history: History) -> str | None:
    """Name the device: the one that trained, else the one that was asked for."""
    return environment(history, "device") or (history.config.device if history.config else None)


def environment(history: History, key: str) -> str | None:
    """Give a text of the run's environment, None where it has none."""
    value = history.run.environment.get(key) if history.run else None
    return value if isinstance(value, str) and value else None


def completed_epochs(history: History) -> int:
    """Give the number of the last epoch that has ended; 0 before the first, and where epochs are not counted."""
    last = history.evaluations["epoch"].last
    return int(last) if math.isfinite(last) else 0
