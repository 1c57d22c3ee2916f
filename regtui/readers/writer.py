"""The one writer of regtui's own log: whole lines, at once with the operating system, and a word where that fails."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Literal

from regtui.core.events import Record, RunEnded, encode_lines
from regtui.core.text import printable
from regtui.folders import TRIES, Made, make_folders, take_back
from regtui.readers.jsonl import BLOCK_BYTES
from regtui.readers.logfile import LogFile, Whereabouts
from regtui.readers.protocol import LogError

MOST_PENDING = 8 << 20
"""Bytes kept for a full disk to take later; about an hour of records."""

EVENTS_AT_ONCE = 10_000
"""Records encoded at once, to keep memory small when a whole run is written."""

LOOK_SECONDS = 1.0
"""How often it is looked whether the log still has its name: soon enough for a person, too seldom to cost anything."""

CALM_SECONDS = 1.0
"""A disk has room again when it took all for so long: on one that is just full, it comes and goes with each record."""

News = tuple[Literal["info", "warning", "error"], str]
"""What has become of the log, for its event log: a level and a sentence."""


class LogWriter:
    """The one writer of a log: appends whole lines, each list of events in one go.

    What `write` was given is with the operating system when it returns, so a process that is killed loses
    nothing of it, and a log never holds more than one torn line, its last. Where the system does not take it, or
    somebody else takes the log away, training goes on: `problem` says what is wrong.
    """

    def __init__(
        self, path: Path, *, share: bool = False, made: Iterable[Made] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open the log for appending and make its folder; raises LogError when it cannot be written.

        Others can read what is made here where it is to be shared. `made` names folders that were made for it.
        """
        self.path = Path(path)
        self.problem = ""
        """What the log lacks, or why it is not where it should be, in one sentence; empty while it is whole."""
        self._news: list[News] = []
        self._clock = clock
        self._looked_at = clock()
        self._pending = bytearray()
        self._torn = False
        """What is pending begins within a line."""
        self._failure = ""
        """Why the system did not take all, just now."""
        self._failed_at = -math.inf
        self._lost, self._lost_why = 0, ""
        self._cut = 0
        """Bytes that somebody else has cut off."""
        self._whereabouts: Whereabouts = "here"
        self._why_gone = ""
        """Why a log that was deleted could not be written anew."""
        self._unsure = ""
        """Why it may not be on the disk."""
        self._file: LogFile | None = None
        self._made = list(made)
        try:
            self._file = self._open(share)
            if not self._file.ends_in_a_line():
                # Its writer was killed half way through one.
                self._pending += b"\n"
        except (OSError, LogError) as error:
            take_back(self._made)
            if isinstance(error, LogError):
                raise
            why = error.strerror or str(error)
            raise LogError(
                f"{self.path} cannot be written: {why}; name another place with --runs-dir or --log"
            ) from None

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, events: Iterable[Record]) -> None:
        """Append events; what the disk does not take is kept and tried again by the next call."""
        if self._file is None:
            return
        self._look(self._file)
        if self._failure:
            self._flush(self._file)
        remaining = iter(events)
        while some := list(islice(remaining, EVENTS_AT_ONCE)):
            self._hold(some)
            if len(self._pending) > BLOCK_BYTES:
                self._flush(self._file)
        self._flush(self._file)
        self._judge()

    def news(self) -> list[News]:
        """Say what has become of the log since the last call, each thing once; mostly nothing."""
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        """Write what is left, put it on the disk and let go of the file; `problem` then says what the log lacks."""
        file, self._file = self._file, None
        if file is None:
            return
        self._looked_at = self._failed_at = -math.inf
        self._look(file)
        self._flush(file)
        try:
            file.sync()
        except OSError as error:
            self._unsure = _reason(error)
        try:
            file.close()
        except OSError as error:
            self._unsure = _reason(error)
        self._lost += self._pending.count(b"\n")
        self._lost_why = self._lost_why or self._failure
        self._failure = ""
        self._judge()

    def let_go(self) -> None:
        """Let go of the file and write nothing more, in a process that was forked off: the log is its parent's."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def discard(self) -> None:
        """Take back a log that this writer has made and nothing was written to, and its folders; nothing else."""
        file, self._file = self._file, None
        if file is not None:
            removed = file.remove()
            with contextlib.suppress(OSError):
                file.close()
            if removed:
                take_back(self._made)

    def _open(self, share: bool) -> LogFile:
        for _ in range(TRIES):
            self._made += make_folders(self.path.parent, share=share)
            # A run that was refused may take back at this moment the folder that it had made.
            with contextlib.suppress(FileNotFoundError):
                return LogFile(self.path, share=share)
        return LogFile(self.path, share=share)

    def _hold(self, events: list[Record]) -> None:
        """Put events behind what waits; where there is no room for them, all but the end of the run is lost."""
        data = encode_lines(events)
        if self._failure and len(self._pending) + len(data) > MOST_PENDING:
            kept = [event for event in events if isinstance(event, RunEnded)]
            self._lost += len(events) - len(kept)
            self._lost_why = self._failure
            data = encode_lines(kept)
        self._pending += data

    def _flush(self, file: LogFile) -> None:
        """Hand everything to the operating system, as far as it takes it."""
        try:
            while self._pending:
                taken = file.append(self._pending)
                self._torn = bool(taken) and self._pending[taken - 1] != ord("\n")
                del self._pending[:taken]
            if self._clock() - self._failed_at >= CALM_SECONDS:
                self._failure = ""
        except OSError as error:
            self._failure, self._failed_at = _reason(error), self._clock()

    def _look(self, file: LogFile) -> None:
        """Notice what others have done to the log, and mend what can be mended; never raises."""
        try:
            self._notice(file)
        except OSError as error:
            # A network disk that has forgotten the file.
            self._failure, self._failed_at = _reason(error), self._clock()

    def _notice(self, file: LogFile) -> None:
        cut = file.shortened()
        if cut:
            self._cut += cut
            self._begin_a_line(file)
        now = self._clock()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        self._whereabouts = file.whereabouts()
        if self._whereabouts == "deleted":
            self._restore(file)

    def _restore(self, file: LogFile) -> None:
        try:
            file.write_anew()
        except OSError as error:
            self._why_gone = _reason(error)
        except LogError:
            self._why_gone = "another run writes one of this name"
        else:
            self._whereabouts = "here"
            if not self.problem:
                anew = printable(f"the log {self.path} was deleted, and has been written anew")
                self._news.append(("warning", anew))

    def _begin_a_line(self, file: LogFile) -> None:
        """Leave out the rest of a line whose start was cut off, and go on upon a new one."""
        if self._torn:
            del self._pending[: self._pending.find(b"\n") + 1]
            self._lost, self._lost_why, self._torn = self._lost + 1, "it was shortened", False
        if not file.ends_in_a_line():
            self._pending[:0] = b"\n"

    def _judge(self) -> None:
        """Say what is wrong when that changes, and that it is right again."""
        clauses = self._clauses()
        problem = printable(f"the log {self.path} " + ", and it ".join(clauses)) if clauses else ""
        if problem != self.problem:
            whole = printable(f"the log {self.path} is whole again")
            self._news.append(("error", problem) if problem else ("info", whole))
            self.problem = problem

    def _clauses(self) -> list[str]:
        clauses = []
        match self._whereabouts:
            case "deleted":
                clauses.append(f"was deleted and cannot be written anew ({self._why_gone}): what it held is lost")
            case "replaced":
                clauses.append("was replaced by another file, which is left as it is: what this run records is lost")
            case "moved":
                clauses.append("was moved away while it was written: it goes on under its new name")
            case "here":
                pass
        if self._cut:
            clauses.append(f"was shortened by {self._cut:,} bytes by another program")
        if self._failure:
            room = f"{MOST_PENDING >> 20} MB"
            held = f"{room} wait in memory, the rest is lost" if self._lost else f"up to {room} wait in memory"
            clauses.append(f"cannot be written ({self._failure}): {held} until it can")
        elif self._lost:
            clauses.append(f"lacks {self._lost:,} record{'s' if self._lost > 1 else ''} ({self._lost_why})")
        if self._unsure:
            clauses.append(f"may not be whole on its disk ({self._unsure})")
        return clauses


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
