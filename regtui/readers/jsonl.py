"""regtui's own log: one JSON object a line, written through one writer, read while it grows."""

import contextlib
import json
import os
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from regtui.core.events import Event, RunStarted, decode, decode_lines, encode_lines
from regtui.readers.bounds import bounded
from regtui.readers.leniency import KINDS, UNREADABLE, event_from, own_config, run_from, with_sound_config
from regtui.readers.opening import opened
from regtui.readers.protocol import LogError, SkippedLines

LOG_NAME = "events.jsonl"
"""The log's name in the folder of its run."""

BLOCK_BYTES = 1 << 20
"""Read at once: decoding gains nothing from more, and memory stays small whatever the log's size."""

JUNK_BYTES = 1 << 17
"""Read at once of a file with lines that cannot be read: each of those costs as much as ten that can."""

BLOCKS_AT_ONCE = 2
"""Blocks that one call with a limit reads at most: the screen that asks draws and takes keys in between."""

LONGEST_LINE = 1 << 20
"""A longer line is no record of ours, ten thousand metrics take less; it is passed over without being held."""

SNIFFED_BYTES = 256 << 20
"""How far a file is searched for its first record: past one absurdly long line, not through a whole disk."""

SNIFFED_LINES = 100_000
"""How many lines that cannot be read it may have before that."""

FINGERPRINT_BYTES = 512
"""Enough of a log's start to hold its run id and time, so that a log written anew is noticed."""

MOST_PENDING = 8 << 20
"""Bytes kept for a full disk to take later; about an hour of records."""

EVENTS_AT_ONCE = 10_000
"""Records encoded at once, to keep memory small when a whole run is written."""

BOM = b"\xef\xbb\xbf"
"""What some editors put in front of UTF-8."""

NOT_FINITE = re.compile(rb':(?<=[^\\]":)\s*-?(?:NaN|Infinity)\b')
"""A number as other tools write it where JSON has none. The quote before it ends a key: within a text it would be
escaped."""

MOST_PROBLEMS = 50
"""Values of configurations that are told of; a log of many runs may have the same ones in each."""

UNREAD = object()
"""In the place of an event: the line could not be read."""


class LogWriter:
    """The one writer of a log: appends whole lines, each list of events in one go.

    What `write` was given is with the operating system when it returns, so a process that is killed loses
    nothing of it, and a log never holds more than one torn line, its last.
    """

    def __init__(self, path: Path) -> None:
        """Open the log for appending and make its folder; raises LogError when it cannot be written."""
        self.path = Path(path)
        self._pending = bytearray()
        self._fd = -1
        self._made_folder = not self.path.parent.exists()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd, self._made = self._open()
            self._claim()
            self._end_torn_line()
        except OSError as error:
            self._release()
            why = error.strerror or str(error)
            raise LogError(
                f"{self.path} cannot be written: {why}; name another place with --runs-dir or --log"
            ) from None

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, events: Iterable[Event]) -> None:
        """Append events.

        Raises OSError when the disk does not take them; they are kept and tried again by the next call.
        """
        remaining = iter(events)
        while some := list(islice(remaining, EVENTS_AT_ONCE)):
            self._pending += encode_lines(some)
            if len(self._pending) > BLOCK_BYTES:
                self.flush()
        self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system; raises OSError when it does not take it."""
        if self._fd < 0:
            return
        try:
            while self._pending:
                del self._pending[: os.write(self._fd, self._pending)]
        finally:
            if len(self._pending) > MOST_PENDING:
                # The rest of a line that was half taken is kept, so that whatever follows starts on a new line.
                del self._pending[self._pending.find(b"\n") + 1 :]

    def close(self) -> None:
        """Write what is left and let go of the file; never raises, since `write` has said what went wrong."""
        with contextlib.suppress(OSError):
            self.flush()
        self._release()

    def _open(self) -> tuple[int, bool]:
        """Give the file's descriptor, and whether the file was made here."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        try:
            return os.open(self.path, flags | os.O_EXCL, 0o644), True
        except FileExistsError:
            return os.open(self.path, flags, 0o644), False

    def discard(self) -> None:
        """Take back a log that this writer has made and nothing was written to, and its folder; nothing else."""
        if self._fd >= 0 and self._made and not self._pending and not os.fstat(self._fd).st_size:
            with contextlib.suppress(OSError):
                self.path.unlink()
                if self._made_folder:
                    self.path.parent.rmdir()

    def _claim(self) -> None:
        """Keep a second writer out, where the system has file locks."""
        try:
            import fcntl

            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise LogError(f"{self.path} is being written by another run: name another log with --log") from None
        except (ImportError, OSError):
            return

    def _end_torn_line(self) -> None:
        """Start on a new line in a log whose writer was killed half way through one."""
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            self._pending += b"\n"

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_being_written(path: Path) -> bool:
    """Tell whether a process of this machine has the log, or that in a run's folder, open for writing."""
    path = path / LOG_NAME if path.is_dir() else path
    try:
        import fcntl

        with opened(path) as fd:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return False
    return False


class JsonlReader:
    """Reads a log as far as it has been written; the file is opened anew for each look, never held open."""

    name = "regtui"

    def __init__(self, path: Path) -> None:
        """Name the log; nothing is read before the first poll."""
        self.path = Path(path)
        self._identity: tuple[int, int] | None = None
        self._start_over()

    def _start_over(self) -> None:
        self.skipped = SkippedLines()
        self._config_problems: list[str] = []
        self._position = 0
        self._line = 0
        """Lines ended so far."""
        self._rest = b""
        """The start of a line whose end has not been read."""
        self._passing_over = False
        """In the middle of a line that is too long."""
        self._junk = False
        """There was a line that could not be read."""
        self.behind = False
        self._taken_early = False
        """The line in hand was whole although its line break is missing; it has been given out."""
        self._fingerprint = b""
        self._ready: list[Event] = []

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file holds at least one record, without reading much of it."""
        reader = cls(path)
        while not reader._ready and reader._position < SNIFFED_BYTES and len(reader.skipped) < SNIFFED_LINES:
            if not reader._read_block():
                break
        return bool(reader._ready)

    def poll(self, limit: int | None = None) -> list[Event]:
        """Give the events written since the last call, at most `limit`, without waiting."""
        taken: list[Event] = []
        blocks, self.behind = 0, False
        while limit is None or len(taken) < limit:
            if not self._ready:
                if limit is not None and blocks == BLOCKS_AT_ONCE:
                    self.behind = True
                    break
                if not self._read_block():
                    break
                blocks += 1
            missing = len(self._ready) if limit is None else limit - len(taken)
            if missing >= len(self._ready):
                taken += self._ready
                self._ready = []
            else:
                taken += self._ready[:missing]
                del self._ready[:missing]
        return taken

    def warnings(self) -> list[str]:
        """Say which lines and which values of the configuration could not be read."""
        skipped = self.skipped.sentence(self.path.name)
        return ([skipped] if skipped else []) + self._config_problems

    def _read_block(self) -> bool:
        """Read on and decode; False at the end of what has been written so far."""
        try:
            with opened(self.path) as fd:
                if self._was_replaced(fd):
                    self._start_over()
                size = JUNK_BYTES if self._junk else BLOCK_BYTES
                block = os.pread(fd, size, self._position)
                if self._position == 0:
                    self._fingerprint = block[:FINGERPRINT_BYTES]
                elif len(self._fingerprint) < FINGERPRINT_BYTES:
                    self._fingerprint = os.pread(fd, FINGERPRINT_BYTES, 0)
        except OSError:
            # Moved away for the moment, something else in its place, or a network disk that hangs: not yet.
            return False
        if block:
            self._take(block.removeprefix(BOM) if self._position == 0 else block)
        self._position += len(block)
        if len(block) < size:
            self._take_whole_rest()
        return bool(block)

    def _was_replaced(self, fd: int) -> bool:
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        replaced = self._identity is not None and identity != self._identity
        self._identity = identity
        if replaced or status.st_size < self._position:
            return True
        return os.pread(fd, len(self._fingerprint), 0) != self._fingerprint

    def _take(self, block: bytes) -> None:
        """Decode the lines that end in this block and keep the start of the next."""
        if self._passing_over:
            _, found, block = block.partition(b"\n")
            if not found:
                return
            self._passing_over = False
            self._line += 1
            self.skipped.add(self._line)
        elif self._taken_early:
            # What follows a whole record on its line is its line break; anything else spoils a line that was read.
            gap, found, block = block.partition(b"\n")
            self._taken_early, self._passing_over = not found and not gap.strip(), not found and bool(gap.strip())
            if not found:
                return
            self._line += 1
            if gap.strip():
                self.skipped.add(self._line)
        whole, found, rest = block.rpartition(b"\n")
        if not found:
            self._rest += block
        else:
            self._decode(self._rest + whole)
            self._rest = rest
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._passing_over = b"", True

    def _take_whole_rest(self) -> None:
        """Take a last line that lacks only its line break: JSON that is cut anywhere else does not parse."""
        if self._rest.rstrip().endswith(b"}") and (event := self._event(self._rest, self._line + 1)) is not UNREAD:
            self._ready += [event] if event is not None else []
            self._rest, self._taken_early = b"", True

    def _decode(self, lines: bytes) -> None:
        """Decode whole lines: all at once, or one by one where one of them is not as it should be."""
        events = _all_events(lines)
        if events is None and (b"NaN" in lines or b"Infinity" in lines):
            lines = NOT_FINITE.sub(b":null", lines)
            events = _all_events(lines)
        if events is None:
            self._decode_singly(lines)
        else:
            if RunStarted in map(type, events):  # nearly no block has one, and looking takes no turn of Python's
                self._check_runs(events, lines)
            self._ready += events
        self._line += lines.count(b"\n") + 1

    def _check_runs(self, events: list[Event], lines: bytes) -> None:
        written = [line for line in lines.split(b"\n") if line.strip()]
        for index, event in enumerate(events):
            if isinstance(event, RunStarted):
                events[index] = self._checked(event, self._line + 1 + index, written[index])

    def _decode_singly(self, lines: bytes) -> None:
        if b'"kind"' not in lines:
            # Nothing but junk, of which there may be gigabytes: it is counted, and no line of it is asked.
            self.skipped.add_all([at for at, line in enumerate(lines.split(b"\n"), self._line + 1) if line.strip()])
            self._junk = True
            return
        for number, line in enumerate(lines.split(b"\n"), self._line + 1):
            if not line.strip():
                continue
            event = self._event(line, number)
            if event is UNREAD:
                self.skipped.add(number)
                self._junk = True
            elif event is not None:
                self._ready.append(event)

    def _event(self, line: bytes, number: int) -> Any:
        """Read one line: an event, None for a record of a kind unknown here, or UNREAD."""
        if b'"kind"' not in line:  # the cheapest question first: a file of junk has a million lines to ask
            return UNREAD
        try:
            event = decode(line)
        except UNREADABLE:
            return self._event_of_others(line, number)
        return self._checked(event, number, line) if isinstance(event, RunStarted) else event

    def _event_of_others(self, line: bytes, number: int) -> Any:
        """Read a line that is not strict JSON, not a known kind, or not quite of our types."""
        try:
            record = json.loads(line.decode())
            if not isinstance(record, dict) or not isinstance(kind := record.get("kind"), str):
                return UNREAD
            if kind not in KINDS:
                return None
            event = event_from(record, self._run_name)
        except UNREADABLE:
            return UNREAD
        return self._checked(event, number, line) if isinstance(event, RunStarted) else event

    def _checked(self, run: RunStarted, number: int, line: bytes) -> RunStarted:
        if run.config is not None and not own_config(record := json.loads(line)):
            # Decoded into our fields, its gaps would look like our defaults.
            run = run_from(record, self._run_name())
        checked, problems = with_sound_config(bounded(run))
        room = MOST_PROBLEMS - len(self._config_problems)
        self._config_problems += [f"line {number} of {self.path.name}: {problem}" for problem in problems[:room]]
        return checked

    def _run_name(self) -> str:
        """What a run is called whose record does not say."""
        return self.path.parent.name if self.path.name == LOG_NAME else self.path.stem


def _all_events(lines: bytes) -> list[Event] | None:
    """Decode lines at once; None where one of them is not as it should be."""
    try:
        return decode_lines(lines)
    except UNREADABLE:
        return None


READER = JsonlReader
