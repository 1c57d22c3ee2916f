"""What the readers of other trainers' logs share: rows of named numbers become events of one run.

A format is read by a class that says where its rows are (`_look`); names, evaluations, changes of mind about names,
restarted runs and the first record are the same for all of them and stand here.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from regtui.core.events import CheckpointsSeen, Event, Resumed, Rows, RunEnded, RunStarted
from regtui.core.plan import Plan
from regtui.core.series import FloatArray
from regtui.core.table import MOST_NAMES
from regtui.readers.bounds import bounded
from regtui.readers.checkpoints import Checkpoints
from regtui.readers.names import Names
from regtui.readers.protocol import NOTHING_WANTED, SkippedLines, Wanted
from regtui.readers.search import walk

ROWS_AT_ONCE = 50_000
"""Rows handed on as one event: some milliseconds of folding."""

MOST_CHANGES = 8
"""Times that a log is told anew because a new name changes what another means; after them names stay as they are."""

MOST_RESUMED = 200
"""Times that a run was taken up again; a log whose steps fall more often has them in no order."""


class Anew(Exception):
    """The run has to be told from the start of its log; what was told of it is void."""


MOST_LOOKS = 4
"""Times that a log is begun anew in one look: for another file, and for what is learned of how it counts."""

SHARES = frozenset({"train/accuracy", "valid/accuracy"})
"""What is shown in percent, and is between 0 and 1."""

MOST_OF_A_SHARE = 1.01
"""A share is 1 at most, and a little more where it is a mean that was rounded."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Rows of a log in the order in which they were written, under its own names."""

    columns: Mapping[str, FloatArray]
    """Name -> numbers, shape (n,), NaN where the row has none; infinite where one was logged that is not finite: such a
    row is kept, though its number is none."""
    step: FloatArray | None = None
    """Updates completed at each row, shape (n,), NaN where a row does not say; None where the log never does."""
    epoch: FloatArray | None = None
    """Epochs completed at each row, from 1, perhaps with a fraction."""
    time: FloatArray | None = None
    """Seconds since the epoch of Unix."""
    fits: tuple[int, ...] = ()
    """Rows with which another fit begins that the same log was gone on with."""

    def part(self, start: int, stop: int) -> "Samples":
        """Give some of the rows."""
        places = [None if each is None else each[start:stop] for each in (self.step, self.epoch, self.time)]
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        return Samples(columns=columns, step=places[0], epoch=places[1], time=places[2])

    def __len__(self) -> int:
        for each in (self.step, self.epoch, *self.columns.values()):
            if each is not None:
                return len(each)
        return 0


@dataclass
class Told:
    """What a log says of its run beside the numbers; what it does not say stays empty."""

    trainer: str = ""
    """Who trained, as `RunStarted.trainer`: `keras`, `lightning`, `transformers`, ..."""
    run_id: str = ""
    """What the run is called, where the log's path says it badly."""
    settings: dict[str, Any] = field(default_factory=dict)
    plan: Plan | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    end: RunEnded | None = None
    """How it ended; most logs do not say."""


def is_number(value: Any) -> TypeGuard[int | float]:
    """Tell whether what a log holds is a number: True is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def logged(value: Any) -> float:
    """Give a number of a log, NaN for what is none; one that is not finite, or beyond all floats, is infinite.

    Infinite means 'logged, and no number', NaN 'nothing was logged': see `Samples.columns`.
    """
    if not is_number(value):
        return math.nan
    try:
        return math.inf if math.isnan(value) else float(value)
    except OverflowError:
        return math.inf


def all_logged(values: FloatArray) -> FloatArray:
    """Give numbers each of which was logged: those that are NaN are infinite."""
    return np.where(np.isnan(values), np.inf, values)


class SampleReader(ABC):
    """Reads the log of another trainer as far as it has been written."""

    name = ""
    rank = 10
    file_names: tuple[str, ...] = ()
    """Patterns of the names that such logs have."""
    says_end = False
    """Whether such a log says that its run is over."""
    rows_are_epochs = False
    """Whether each row is the end of an epoch, as in Keras's CSV: then all of it is an evaluation."""

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:
        """Name the log, a file or a folder; nothing is read before the first poll."""
        self.path = Path(path)
        self.wanted = wanted
        self.skipped = SkippedLines()
        self.behind = False
        self._telling: Iterator[Event] | None = None
        self._changes = 0
        self._percents: set[str] = set()
        """Names of the log whose numbers are shares in percent."""
        self._more = False
        """Whether the last look ended before the end of what has been written; `_look` says so."""
        self._begin()
        self._start_over()

    @classmethod
    def finds(cls, folder: Path) -> Iterable[Path]:
        """Give the files under a folder whose names are such as this format has."""
        for parent, names in walk(folder):
            yield from (parent / name for name in names if any(fnmatch(name, pattern) for pattern in cls.file_names))

    @classmethod
    @abstractmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file, or a folder, holds at least one record of this format, without reading much of it."""

    def _begin(self) -> None:
        """Forget all that was read; the next look is at the start of the log."""
        self._names = Names(self.wanted, rows_are_epochs=self.rows_are_epochs)
        self._started: RunStarted | None = None
        self._ended = False
        self._checkpoints = Checkpoints(self._folder())
        self._newest: dict[str, float] = {}
        """Name -> the place of its newest number: where it falls, the run was taken up from an earlier point."""
        self._falls_seen = 0

    @abstractmethod
    def _start_over(self) -> None:
        """Go to the start of the log: before the first look, and when it has to be read anew."""

    @abstractmethod
    def _look(self) -> Iterable[Samples] | None:
        """Give what has been written since the last look, some thousand rows at a time; None for a log written anew.

        Never waits, never raises on what the file holds. After None it is asked again, from the start of the log.
        """

    def _tell(self) -> Told:
        """Say what the log tells of its run; asked with the first rows, and for its end, where `says_end`."""
        return Told()

    @property
    def missing(self) -> str:
        """Say which names a person asked for that the log has not, as far as it has been read."""
        return self._names.missing

    def warnings(self) -> list[str]:
        """Say what was left out, and what was chosen where the names left a choice."""
        skipped = self.skipped.sentence(self.path.name)
        many = f"{self.path.name} has more than {MOST_NAMES:,} names; the numbers of the others are left out"
        return [
            *([skipped] if skipped else []),
            *([many] if self._names.full else []),
            *self._names.remarks,
            *([self._names.missing] if self._names.missing else []),
            *([self._names.unpaired] if self._names.unpaired else []),
        ]

    def poll(self, limit: int | None = None) -> list[Event]:
        """Give what has been written since the last call as at most `limit` events, and never wait.

        With a limit rows are handed on as they are read, some ten thousand a call, so that a log of any length fills
        no memory.
        """
        taken: list[Event] = []
        rows, self.behind = 0, False
        self._telling = self._telling or self._news()
        for event in self._telling:
            taken.append(event)
            rows += len(event.step) if isinstance(event, Rows) else 0
            if limit is not None and (len(taken) >= limit or rows >= ROWS_AT_ONCE):
                self.behind = True
                return taken
        self._telling = None
        self.behind = self._more
        return taken

    def _news(self) -> Iterator[Event]:
        samples = self._look()
        if samples is None:
            self._begin()
            self._changes = 0
            samples = self._from_the_start()
        while True:
            try:
                if isinstance(samples, Sequence):
                    # All are at hand: names one after the other would each ask all others anew.
                    self._anew_if(not self._names.see(name for some in samples for name in some.columns))
                for each in samples:
                    changed = not self._names.see(each.columns)
                    some = self._kept(each)
                    self._anew_if(changed or self._are_percents(some))
                    yield from self._events(some)
            except Anew:
                names = self._names
                self._begin()
                self._names = names
                samples = self._from_the_start()
            else:
                break
        yield from self._first_and_last()

    def _anew_if(self, changed: bool) -> None:
        """Have the run told anew where what was given out under one name belongs under another."""
        if changed and self._changes < MOST_CHANGES:
            self._changes += 1
            raise Anew

    def _kept(self, some: Samples) -> Samples:
        """Leave the numbers out whose names are too many."""
        if all(name in self._names for name in some.columns):
            return some
        return replace(some, columns={name: some.columns[name] for name in some.columns if name in self._names})

    def _from_the_start(self) -> Iterable[Samples]:
        """Look at the log from its start; a file that becomes another one meanwhile is left for the next look."""
        for _ in range(MOST_LOOKS):
            self._start_over()
            samples = self._look()
            if samples is not None:
                return samples
        self._start_over()
        return ()

    def _are_percents(self, some: Samples) -> bool:
        """Tell whether shares turn out to be written as percents: timm's `eval_top1` of 76.1."""
        news = [
            name
            for name, values in some.columns.items()
            if name not in self._percents and self._names[name].name in SHARES and (values > MOST_OF_A_SHARE).any()
        ]
        self._percents.update(news)
        # All rows at once before the first was given out: nothing has to be told anew.
        return bool(news) and self._started is not None

    def _first_and_last(self) -> Iterator[Event]:
        """Tell which checkpoints there are, when that has changed, and how the run ended."""
        kept = self._checkpoints.news() if self._started is not None else None
        if kept is not None:
            yield CheckpointsSeen(checkpoints=kept)
        if not self.says_end or self._started is None or self._ended:
            return
        end = self._tell().end
        if end is not None:
            self._ended = True
            yield end

    def _events(self, some: Samples) -> Iterator[Event]:
        if self._started is None:
            told = self._tell()
            self._started = bounded(
                RunStarted(
                    run_id=told.run_id or self._run_name(),
                    trainer=told.trainer,
                    settings=told.settings,
                    plan=told.plan,
                    environment=told.environment,
                    open_end=not self.says_end,
                )
            )
            yield self._started
        start = 0
        for row, place in self._breaks(some):
            yield from self._rows(some.part(start, row))
            yield self._resumed(some, place)
            start = row
        yield from self._rows(some.part(start, len(some)))

    def _folder(self) -> Path:
        """Give the folder of the run, in which its checkpoints lie."""
        return self.path if self.path.is_dir() else self.path.parent

    def _run_name(self) -> str:
        """Give what a run is called whose log does not say: its file's name, or its folder's."""
        return self.path.resolve().name if self.path.is_dir() else self.path.stem

    def _breaks(self, some: Samples) -> Iterator[tuple[int, float]]:
        """Find the rows before which the log was broken off, and their places."""
        found = dict(self._falls(some))
        place = some.step if some.step is not None else some.epoch
        for row in some.fits:
            if place is not None and np.isfinite(place[row]):
                found.setdefault(row, float(place[row]))
        yield from sorted(found.items())

    def _falls(self, some: Samples) -> Iterator[tuple[int, float]]:
        """Find the rows at which the run was taken up from an earlier point, and that place.

        A number that comes again for an earlier place than its last one tells it; other numbers may be late.
        """
        place = some.step if some.step is not None else some.epoch
        if place is None:
            return
        falls: list[tuple[int, float, int]] = []
        newest: dict[str, int] = {}
        for name, values in some.columns.items():
            rows = np.flatnonzero(np.isfinite(values) & np.isfinite(place))
            if not len(rows):
                continue
            places = np.concatenate(([self._newest.get(name, -np.inf)], place[rows]))
            fell = np.flatnonzero(np.diff(places) < 0)[:MOST_RESUMED]
            falls += [(int(rows[at]), float(places[at + 1]), int(rows[at - 1]) if at else -1) for at in fell]
            self._newest[name], newest[name] = float(places[-1]), int(rows[-1])
        last, reached = -1, np.inf
        for row, to, before in sorted(falls):
            # What a name had before the run was taken up again is void, and its falling back to there says no more.
            if (last < 0 or before >= last or to < reached) and self._falls_seen < MOST_RESUMED:
                self._falls_seen += 1
                last, reached = row, to
                yield row, to
        for name, known in self._newest.items():
            if newest.get(name, -1) < last:
                self._newest[name] = min(known, reached)

    def _resumed(self, some: Samples, place: float) -> Resumed:
        """Say that what had come from a place on is void."""
        if some.step is None:
            return Resumed(epoch=float(np.nextafter(place, -np.inf)))
        return Resumed(step=max(int(np.ceil(place)) - 1, 0))

    def _rows(self, some: Samples) -> Iterator[Rows]:
        """Lay rows into the tables of a History, under its names."""
        for start in range(0, len(some), ROWS_AT_ONCE):
            yield from self._tables(some.part(start, start + ROWS_AT_ONCE))

    def _tables(self, some: Samples) -> Iterator[Rows]:
        size = len(some)
        unknown = np.full(size, np.nan)
        step = some.step if some.step is not None else unknown
        found: dict[str, dict[str, FloatArray]] = {"steps": {}, "evaluations": {}}
        for name, values in some.columns.items():
            meaning = self._names[name]
            if meaning.table in found:
                found[meaning.table][meaning.name] = values / 100 if name in self._percents else values
        for table, columns in found.items():
            held = np.zeros(size, dtype=bool)
            for values in columns.values():
                held |= ~np.isnan(values)
            if not held.any():
                continue
            places = {"time": some.time} if some.time is not None else {}
            if some.epoch is not None and (table == "evaluations" or some.step is None):
                places["epoch"] = some.epoch
            rows = {name: values[held] for name, values in {**columns, **places}.items()}
            yield Rows(table=table, step=step[held], columns=rows)  # type: ignore[arg-type] # one of the two above
