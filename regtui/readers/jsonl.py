"""regtui's own log, read while it grows: one JSON object a line."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from regtui.core.events import Event, Record, RunStarted, decode, decode_lines
from regtui.core.gate import passed
from regtui.readers.bounds import bounded
from regtui.readers.gated import is_plain
from regtui.readers.leniency import KINDS, UNREADABLE, event_from, own_config, run_from, with_sound_config
from regtui.readers.opening import opened
from regtui.readers.protocol import NOTHING_WANTED, SkippedLines, Wanted
from regtui.readers.search import walk

LOG_NAME = "events.jsonl"
"""The log's name in the folder of its run."""

BLOCK_BYTES = 1 << 20
"""Read at once: decoding gains nothing from more, and memory stays small whatever the log's size."""

FIRST_LOOK = 4 << 10
"""Read at first to see whose log it is: nearly every log has its first record in it, and what is decoded to be asked is
decoded again to be read."""

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

BOM = b"\xef\xbb\xbf"
"""What some editors put in front of UTF-8."""

NOT_FINITE = re.compile(rb':(?<=[^\\]":)\s*-?(?:NaN|Infinity)\b')
"""A number as other tools write it where JSON has none. The quote before it ends a key: within a text it would be
escaped."""

MOST_PROBLEMS = 50
"""Values of configurations that are told of; a log of many runs may have the same ones in each."""

PATIENCE = 2_000
"""Lines in a row that not even leniency could read, after which it is asked of few: each costs it ten times the time in
which it is plain that a line is no record of ours."""

ONE_IN = 64
"""Then of one in so many, so that a log that goes on after so much junk is read from there on."""

UNREAD = object()
"""In the place of an event: the line could not be read."""


def _is_binary(path: Path) -> bool:
    """Tell whether a file is none of text, so that it need not be searched; zeros at its start may be a hole in it."""
    try:
        with opened(path) as fd:
            head = os.pread(fd, FINGERPRINT_BYTES, 0)
    except OSError:
        return False
    return not head.startswith(b"\0") and b"\0" in head


class JsonlReader:
    """Reads a log as far as it has been written; the file is opened anew for each look, never held open."""

    name = "regtui"
    rank = 0
    names_itself = True

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:  # noqa: ARG002 # its names say all
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
        self._refused = 0
        """Lines in a row that could not be read."""
        self._junk = False
        """There was a line that could not be read."""
        self.behind = False
        self._taken_early = False
        """The line in hand was whole although its line break is missing; it has been given out."""
        self._fingerprint = b""
        self._ready: list[Event] = []
        self._ready_plain = True
        self.gave_plain = True
        """The last events that were given hold no text that needs the gate."""

    @classmethod
    def finds(cls, folder: Path) -> Iterable[Path]:
        """Give the logs of the runs under a folder."""
        return (parent / LOG_NAME for parent, names in walk(folder) if LOG_NAME in names)

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file holds at least one record, without reading much of it."""
        if path.is_dir() or _is_binary(path):
            return False
        with opened(path) as fd:
            head, found, _ = os.pread(fd, FIRST_LOOK, 0).partition(b"\n")
        if found and _all_events(head):
            return True
        reader = cls(path)
        while not reader._ready and reader._position < SNIFFED_BYTES and len(reader.skipped) < SNIFFED_LINES:
            if not reader._read_block():
                break
        return bool(reader._ready)

    def poll(self, limit: int | None = None) -> list[Event]:
        """Give the events written since the last call, at most `limit`, without waiting."""
        taken: list[Event] = []
        self.gave_plain = True
        blocks, self.behind = 0, False
        while limit is None or len(taken) < limit:
            if not self._ready:
                if limit is not None and blocks == BLOCKS_AT_ONCE:
                    self.behind = True
                    break
                if not self._read_block():
                    break
                blocks += 1
            self.gave_plain = self.gave_plain and self._ready_plain
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

    def _read_block(self, size: int = BLOCK_BYTES) -> bool:
        """Read on and decode; False at the end of what has been written so far."""
        self._ready_plain = self._ready_plain or not self._ready
        try:
            with opened(self.path) as fd:
                if self._was_replaced(fd):
                    self._start_over()
                size = min(size, JUNK_BYTES) if self._junk else size
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
            self._give([event] if event is not None else [], plain=False)
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
            self._refused = 0
            if RunStarted in map(type, events):  # nearly no block has one, and looking takes no turn of Python's
                self._check_runs(events, lines)
            # A run has been through the gate: how deep its settings are nested no look at bytes can tell.
            self._give(events, plain=is_plain(lines))
        self._line += lines.count(b"\n") + 1

    def _check_runs(self, events: list[Record], lines: bytes) -> None:
        places = [index for index, kind in enumerate(map(type, events)) if kind is RunStarted]
        if places == [0]:  # as in nearly every log: the rest need not be taken apart
            written = lines.lstrip().split(b"\n", 1)
        else:
            written = [line for line in lines.split(b"\n") if line.strip()]
        for index in places:
            run = cast(RunStarted, events[index])
            events[index] = self._checked(run, self._line + 1 + index, written[index])

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
                self._refused += 1
                continue
            self._refused = 0
            if event is not None:
                self._give([event], plain=False)

    def _give(self, events: Sequence[Event], *, plain: bool) -> None:
        self._ready += events
        self._ready_plain = self._ready_plain and plain

    def _event(self, line: bytes, number: int) -> Any:
        """Read one line: an event, None for a record of a kind unknown here, or UNREAD."""
        if b'"kind"' not in line:  # the cheapest question first: a file of junk has a million lines to ask
            return UNREAD
        try:
            event = decode(line)
        except UNREADABLE:
            if self._refused > PATIENCE and self._refused % ONE_IN:
                return UNREAD
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
        if run.config is not None:
            run = self._with_own_config(run, line)
        # Through the gate first: a name that is only odd to look at is shown, not replaced.
        checked, problems = with_sound_config(passed(bounded(run)))
        room = MOST_PROBLEMS - len(self._config_problems)
        self._config_problems += [f"line {number} of {self.path.name}: {problem}" for problem in problems[:room]]
        return checked

    def _with_own_config(self, run: RunStarted, line: bytes) -> RunStarted:
        try:
            # Fields unknown to us were passed over unread: they may be no UTF-8.
            record = json.loads(line.decode(errors="replace"))
        except UNREADABLE:
            # They may be nested too deep, too, or numbers of too many digits; whose configuration it is stays unknown.
            return msgspec.structs.replace(run, config=None)
        # Decoded into our fields, another's gaps would look like our defaults.
        return run if own_config(record) else run_from(record, self._run_name())

    def _run_name(self) -> str:
        """What a run is called whose record does not say."""
        return self.path.parent.name if self.path.name == LOG_NAME else self.path.stem


def _all_events(lines: bytes) -> list[Record] | None:
    """Decode lines at once; None where one of them is not as it should be."""
    try:
        return decode_lines(lines)
    except UNREADABLE:
        return None


READER = JsonlReader
