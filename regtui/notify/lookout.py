"""What there is to tell of a run: its end, its divergence, its first sign of overfitting, and that nothing comes.

Pure: it looks at a History, is told the time, and gives notices.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from regtui import analysis
from regtui.analysis.judge import first_row
from regtui.core.events import RunEnded, RunStarted
from regtui.core.history import History
from regtui.core.series import FloatArray
from regtui.notify.notices import Notice, of_divergence, of_end, of_overfitting, of_recovery, of_stall

FLOOR_SECONDS = 60.0
"""A silence that is no longer is never told: a checkpoint on a slow disk, a shared file system that keeps what it knows
of a file for up to a minute (NFS's acregmax), a laptop's lid."""

TIMES_USUAL = 5.0
"""A silence so many times as long as the usual one is told: epochs of one run differ by two or three times where a
machine is shared, and a person who is told late has lost no more than five epochs."""

FIRST_SECONDS = 600.0
"""How long a run may take to its first number: a download, a compilation and a first epoch fit in."""

KEPT_WAITS = 20
"""Long waits that are remembered: one that has not come again in so many is usual no more."""

NEWEST_RECORDS = 4096
"""Records whose times are looked at for that: those of the last epochs, which is what is usual now."""

LONGEST_LOOK = 10.0
"""A silence counts as long as somebody looks: between two looks no more than this, or a screen that was stopped by
ctrl+z would tell of a stall as soon as it is back."""

LONG_SECONDS = FLOOR_SECONDS / TIMES_USUAL
"""Shorter waits change nothing."""


class Lookout:
    """Follows one run, and gives each notice once."""

    def __init__(self, *, from_start: bool = False) -> None:
        """Look after a run that is yet to begin, or take what is there at the first look for old news."""
        self._is_news = from_start
        self._run: RunStarted | None = None
        self._news = -1
        self._end: RunEnded | None = None
        self._ended = self._overfit = self._diverged = False
        self._looked_at: float | None = None
        self._silence = 0.0
        self._stalled = self._grew = False
        self._waits: deque[float] = deque(maxlen=KEPT_WAITS)
        """Long silences that came to an end, in seconds."""

    @property
    def begun(self) -> bool:
        """Tell whether what comes now is news."""
        return self._is_news

    def look(self, history: History, now: float, *, paused: bool = False, growing: bool = True) -> list[Notice]:
        """Give what is new to tell at a time, in seconds of a clock that only goes forward.

        `paused`: nothing is to come now; `growing`: somebody writes it, as far as can be seen. Cheap where nothing
        has come.
        """
        told: list[Notice] = []
        came, self._news = history.news != self._news, history.news
        if came:
            self._follow_run(history)
            told = self._judged(history)
        if history.run is None:
            # Importing, downloading: its record comes when it trains.
            self._silence = 0.0
        else:
            told += self._heard(history, now, came=came, paused=paused, growing=growing)
        self._looked_at = now
        told, self._is_news = told if self._is_news else [], True
        return told

    def _follow_run(self, history: History) -> None:
        if history.run is not self._run:
            # Another one in the same log is news from its start.
            self._is_news = self._is_news or self._run is not None
            self._run = history.run
            self._ended = self._overfit = self._diverged = self._stalled = False
            self._waits.clear()
        # One that goes on from a checkpoint ends again, perhaps before the next look.
        self._ended = self._ended and history.end is self._end
        self._end = history.end

    def _judged(self, history: History) -> list[Notice]:
        told = []
        row = None if self._overfit else first_row(history, "overfitting")
        if row is not None:
            self._overfit = True
            told.append(of_overfitting(history, row))
        if history.end is not None and not self._ended:
            self._ended = True
            self._diverged = self._diverged or history.end.status == "diverged"
            told.append(of_end(history))
        elif not self._diverged and not self._ended and analysis.verdict(history).state == "diverged":
            self._diverged = True
            told.append(of_divergence(history))
        return told

    def _heard(self, history: History, now: float, *, came: bool, paused: bool, growing: bool) -> list[Notice]:
        """Follow how long nothing has come; a log that was never seen to grow has no news to be late."""
        self._grew = self._grew or growing
        passed = 0.0 if self._looked_at is None else min(max(now - self._looked_at, 0.0), LONGEST_LOOK)
        silence = self._silence + passed
        if came or paused or history.end is not None or _is_complete(history):
            told = [of_recovery(history, silence)] if self._stalled and came and history.end is None else []
            if came and not paused and silence >= LONG_SECONDS:
                self._waits.append(silence)
            self._silence, self._stalled = 0.0, False
            return told
        self._silence = silence
        if self._stalled or not self._grew or silence <= FLOOR_SECONDS:
            return []
        usual = max(usual_seconds(history), _usual(self._waits))
        if silence <= longest_silence(history, usual):
            return []
        self._stalled = True
        return [of_stall(history, silence, usual, growing=growing)]


def longest_silence(history: History, usual: float) -> float:
    """Give the seconds without news after which a run has stalled, where the usual wait is known, else 0."""
    if not (len(history.steps) or len(history.evaluations)):
        return max(FIRST_SECONDS, TIMES_USUAL * usual)
    return max(FLOOR_SECONDS, TIMES_USUAL * usual)


def usual_seconds(history: History) -> float:
    """Give the longest wait between two records that is usual in a run, in seconds, by their own times.

    Only waits that matter are looked at; 0 where there was none, or the records have no times. Pauses are none.
    """
    times = np.concatenate([table["time"].values[-NEWEST_RECORDS:] for table in (history.steps, history.evaluations)])
    times = np.sort(times[np.isfinite(times)])
    begun = np.array([note.time for note in history.notes if note.level == "state" and note.text == "paused"], float)
    waits = np.diff(times)
    if len(waits) and len(begun):
        begun = np.sort(begun[np.isfinite(begun)])
        # A wait in which a pause began.
        paused = np.searchsorted(begun, times[1:], "right") > np.searchsorted(begun, times[:-1], "left")
        waits = waits[~paused]
    return _usual(_long(waits))


def _long(waits: FloatArray) -> list[float]:
    return [float(wait) for wait in waits[waits >= LONG_SECONDS][-KEPT_WAITS:]]


def _usual(waits: Sequence[float]) -> float:
    """Give the longest of some waits, of more than two the second longest: one may have been a machine that slept."""
    if not waits:
        return 0.0
    return sorted(waits)[-2 if len(waits) > 2 else -1]


def _is_complete(history: History) -> bool:
    """Tell whether a log that has no word for the end has all the steps that were planned."""
    return history.status == "unknown" and history.step >= history.total_steps > 0
