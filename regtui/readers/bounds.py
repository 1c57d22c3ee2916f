"""How much of a run's free settings is kept, so that a record costs what its reader allows and not what it says."""

from itertools import islice
from typing import Any

import msgspec

from regtui.core.events import RunStarted

MOST_VALUES = 5_000
"""Values of the settings, and of the environment, with those within them; the largest configurations of language
models have some hundreds."""

DEEPEST = 10
"""Values within values within values; what lies deeper is no setting that a person reads."""

LARGEST = 2**64
"""Whole numbers beyond this are kept as floats: arithmetic on them, and writing them, may take seconds."""

MOST_COMMANDS = 100
"""Names of commands in `listens`; there are five."""

LISTS = (list, tuple, set, frozenset)
"""What holds values beside names: YAML knows tuples and sets, too."""

LEFT_OUT = "…"
"""In the place of what lies too deep."""


class _Room:
    """How many values may still be kept."""

    def __init__(self) -> None:
        self.left = MOST_VALUES


def bounded(run: RunStarted) -> RunStarted:
    """Give a run with no more of its free settings than can be shown."""
    return msgspec.structs.replace(
        run, settings=kept(run.settings), environment=kept(run.environment), listens=run.listens[:MOST_COMMANDS]
    )


def kept(settings: Any) -> Any:
    """Give no more of values within values than can be shown; what is named in several places counts in each."""
    return _kept(settings, _Room(), DEEPEST)


def _kept(value: Any, room: _Room, depth: int) -> Any:
    room.left -= 1
    if isinstance(value, (dict, *LISTS)) and not depth:
        return LEFT_OUT
    if isinstance(value, dict):
        names = islice(value, max(room.left, 0))
        return {name: _kept(value[name], room, depth - 1) for name in names if room.left > 0}
    if isinstance(value, LISTS):
        some = islice(value, max(room.left, 0))
        return type(value)([_kept(each, room, depth - 1) for each in some if room.left > 0])
    if isinstance(value, int) and abs(value) > LARGEST:
        try:
            return float(value)
        except OverflowError:
            return None
    return value
