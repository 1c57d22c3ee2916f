"""A whole log read into a History, a block at a time, so that memory stays small whatever its length."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regtui.core.events import EpochEnded, Evaluated, Event, Rows, RunEnded, RunStarted
from regtui.core.history import History
from regtui.readers.gated import Gated
from regtui.readers.protocol import NOTHING_WANTED, NamesItself, Wanted

EVENTS_AT_ONCE = 4_000
"""Events held in memory at once, whatever the length of the log: few enough to stay in a processor's cache while they
are folded, which goes over them once a column (20,000 took a tenth longer)."""


def blocks(reader: Gated, until_epoch: int | None = None) -> Iterator[list[Event]]:
    """Give a log's events in blocks, up to the end of an epoch of the newest run in it."""
    if until_epoch is not None and not reader.names_itself:
        yield from _rows_until(list(blocks(reader)), until_epoch)
        return
    reached = False
    while (events := reader.poll(EVENTS_AT_ONCE)) or reader.behind:
        if until_epoch is None:
            yield events
            continue
        wanted: list[Event] = []
        for event in singly(events):
            reached = reached and not isinstance(event, RunStarted)
            if not reached:
                wanted.append(event)
                reached = (epoch_at(event) or 0) >= until_epoch
        yield wanted


def _rows_until(batches: list[list[Event]], until_epoch: int) -> Iterator[list[Event]]:
    """Cut another trainer's log at the end of an epoch.

    There the rows of one table may stand before all those of the other, so the place is looked for first, in all of it.
    """
    rows = [event for events in batches for event in events if isinstance(event, Rows)]
    last = math.inf
    for found in rows:
        if found.table == "evaluations" and "epoch" in found.columns:
            reached = found.columns["epoch"] >= until_epoch
            last = min(last, _places(found)[reached].min(initial=math.inf))
    for events in batches:
        kept: list[Event] = []
        for event in events:
            if isinstance(event, Rows):
                # What does not say where it is stays: it is placed by what stands around it.
                wanted = ~(_places(event) > last)
                columns = {name: values[wanted] for name, values in event.columns.items()}
                kept.append(Rows(table=event.table, step=event.step[wanted], columns=columns))
            elif not (isinstance(event, RunEnded) and last < math.inf):
                kept.append(event)
        yield kept


def _places(rows: Rows) -> NDArray[np.float64]:
    """Give the step of each row; where nobody counts steps, its epoch."""
    return rows.columns.get("epoch", rows.step) if np.isnan(rows.step).all() else rows.step


def singly(events: Iterable[Event]) -> Iterator[Event]:
    """Give events one by one, the evaluations of another trainer's log, too."""
    for event in events:
        if isinstance(event, Rows) and event.table == "evaluations":
            yield from (event.part(row, row + 1) for row in range(len(event.step)))
        else:
            yield event


def is_evaluation(event: Event) -> bool:
    """Tell whether something was measured on a split."""
    return isinstance(event, EpochEnded | Evaluated) or (isinstance(event, Rows) and event.table == "evaluations")


def epoch_at(event: Event) -> float | None:
    """Give the epoch at an evaluation, perhaps with a fraction; None for what is none, or counts no epochs."""
    if isinstance(event, EpochEnded | Evaluated):
        return event.epoch
    if isinstance(event, Rows) and event.table == "evaluations" and "epoch" in event.columns:
        return float(event.columns["epoch"][-1])
    return None


def fold(batches: Iterable[list[Event]]) -> History:
    """Fold blocks of events into one History: the newest run, where they hold several."""
    history = History()
    for events in batches:
        history.apply(events)
    return history


def read_history(path: Path | str, wanted: Wanted = NOTHING_WANTED) -> History:
    """Read a whole log, or that in a run's folder, by these names where it is another trainer's; raises LogError."""
    from regtui.readers import open_log

    try:
        reader = open_log(path, wanted=wanted)
    except NamesItself:
        reader = open_log(path)
    return fold(blocks(reader))
