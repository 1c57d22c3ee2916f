"""The charts that can be stacked: a strip is a file of this folder that exports it as `STRIP`.

Nothing else has to know it: `g` offers it where a run has its data, help and README list it by themselves.
"""

import pkgutil
from importlib import import_module

from regtui.charts.strip import Strip
from regtui.core.history import History


def _found() -> dict[str, Strip]:
    modules = (import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    strips = [module.STRIP for module in modules if hasattr(module, "STRIP")]
    return {strip.name: strip for strip in sorted(strips, key=lambda strip: (-strip.share, strip.name))}


STRIPS: dict[str, Strip] = _found()
"""Name -> strip, the one with the largest share of the height first."""


def stacks(history: History, first: tuple[str, ...], *, tall: bool) -> list[tuple[str, ...]]:
    """Give the sets of strips that are worth a look in turn: `first`, then each other strip that has data.

    On a low screen the other stands in place of the last of `first`, on a high one below it.
    """
    others = [name for name, strip in STRIPS.items() if name not in first and strip.has_data(history)]
    return [first, *((*(first if tall else first[:-1]), other) for other in others)]


def suited(history: History, strips: tuple[str, ...]) -> tuple[str, ...]:
    """Give the strips to begin with: of another trainer's log those that have data stand for those that have none.

    A log that still grows, or is ours, may come to have it.
    """
    if history.status != "unknown" or not len(history.evaluations):
        return strips
    kept = [name for name in strips if name == "loss" or STRIPS[name].has_data(history)]
    others = [name for name, strip in STRIPS.items() if name not in strips and strip.has_data(history)]
    return (*kept, *others[: len(strips) - len(kept)])
