"""What a recorder holds becomes what its log says: numbers fetched from devices, and long runs thinned."""

import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, cast

import msgspec

from regtui.core.events import Metrics, Noted, Record, encode
from regtui.numbers import Kept, fetch, text_of

STEPS_TO_A_LEVEL = 500_000
"""Lines of steps after which a line stands for twice as many: 60 MB of log, and many times what any screen shows. The
first 500,000 updates have a line each, 10^6 take 90 MB, 10^7 some 270 MB and 10^8 less than half a gigabyte."""


class StepLine(msgspec.Struct, gc=False, tag="step", tag_field="kind"):
    """A `StepEnded` as it is made in the training loop: by position, its numbers perhaps still on a device."""

    step: int
    epoch: int
    loss: Kept
    penalty: Kept
    learning_rate: Kept
    metrics: dict[str, Kept] | msgspec.UnsetType
    time: float


Held = StepLine | Record


class Lines:
    """Makes the records of one log, from its start to its end."""

    def __init__(self) -> None:
        self._written = 0
        """Lines of steps so far."""
        self._newest: StepLine | None = None

    @property
    def stride(self) -> int:
        """How many updates a line stands for, as long as they come in one go."""
        return 1 << min(self._written // STEPS_TO_A_LEVEL, 40)

    def made_of(self, held: list[Held], *, unread: bool, again: bool) -> list[Held]:
        """Make records; `unread` says that numbers may have to be fetched, `again` that a step may come twice."""
        if unread:
            _read([each for each in held if type(each) is StepLine])
        if again:
            held = self._joined(held)
        steps = list(map(type, held)).count(StepLine)
        if not steps:
            return held
        stride = self.stride
        if stride > 1:
            held = list(_thinned(held, stride))
            steps = list(map(type, held)).count(StepLine)
        self._newest = next(each for each in reversed(held) if type(each) is StepLine)
        self._written += steps
        if self.stride > stride:
            said = f"a long run: from here on a line of the log stands for up to {self.stride} updates, by their mean"
            newest = self._newest
            held = [*held, Noted(text=said, step=newest.step, epoch=newest.epoch, time=newest.time)]
        return held

    def _joined(self, held: list[Held]) -> list[Held]:
        """Put what was said of one update in several calls into one record; into another one where it is written."""
        joined: list[Held] = []
        newest, at = self._newest, -1
        for each in held:
            if type(each) is StepLine and newest is not None and each.step == newest.step:
                newest = _filled(newest, each)
                if at >= 0:
                    joined[at] = newest
                    continue
                each = newest
            if type(each) is StepLine:
                newest, at = each, len(joined)
            joined.append(each)
        return joined


def encodable(record: Held) -> Held | None:
    """Give a record that JSON can hold: the same, or one without half characters; None where there is none."""
    try:
        encode(cast(Record, record))
    except (ValueError, TypeError, OverflowError):
        values = {name: _clean(getattr(record, name)) for name in record.__struct_fields__}
        try:
            record = type(record)(**values)
            encode(cast(Record, record))
        except (ValueError, TypeError, OverflowError):
            return None
    return record


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {text_of(name): _clean(each) for name, each in value.items()}
    return text_of(value) if isinstance(value, str) else value


def _read(lines: list[StepLine]) -> None:
    """Fetch what still lies on devices, all of it at once."""
    kept: list[Kept] = []
    for line in lines:
        kept += line.loss, line.penalty, line.learning_rate
        if line.metrics is not msgspec.UNSET:
            kept += line.metrics.values()
    found = fetch(kept)
    for line in lines:
        line.loss, line.penalty, line.learning_rate = next(found), next(found), next(found)
        if line.metrics is not msgspec.UNSET:
            line.metrics = {name: next(found) for name in line.metrics}


def _filled(first: StepLine, second: StepLine) -> StepLine:
    """Lay the second of two records of one step over the first."""
    loss, penalty, rate = (
        after if after is not None else before for before, after in zip(_numbers(first), _numbers(second), strict=True)
    )
    metrics = {**_metrics(first), **_metrics(second)}
    return StepLine(second.step, second.epoch, loss, penalty, rate, metrics or msgspec.UNSET, second.time)


def _thinned(held: Iterable[Held], stride: int) -> Iterator[Held]:
    """Let one record stand for several updates that nothing else came between."""
    for is_step, run in groupby(held, key=lambda each: type(each) is StepLine):
        if not is_step:
            yield from run
            continue
        lines = cast(list[StepLine], list(run))
        for start in range(0, len(lines), stride):
            yield _mean(lines[start : start + stride])


def _mean(lines: list[StepLine]) -> StepLine:
    """Give the mean of what was measured, at the last of some updates; a number that is not finite stays to be seen."""
    last = lines[-1]
    if len(lines) == 1:
        return last
    names = dict.fromkeys(name for line in lines for name in _metrics(line))
    metrics: Metrics = {name: _mean_of([_metrics(line).get(name) for line in lines]) for name in names}
    loss, penalty = _mean_of([line.loss for line in lines]), _mean_of([line.penalty for line in lines])
    return StepLine(last.step, last.epoch, loss, penalty, last.learning_rate, metrics or msgspec.UNSET, last.time)


def _mean_of(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and all(map(math.isfinite, known)) else math.nan if known else None


def _numbers(line: StepLine) -> tuple[Kept, Kept, Kept]:
    return line.loss, line.penalty, line.learning_rate


def _metrics(line: StepLine) -> dict[str, Kept]:
    return {} if line.metrics is msgspec.UNSET else line.metrics
