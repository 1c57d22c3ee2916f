"""Commands to a run in another process: lines of a file beside its log, which whoever trains looks at.

A file and not a socket: it works over a shared file system, from any terminal, and what was asked for stays to be read.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path

import msgspec

from regtui.commandfile import is_command
from regtui.core.events import Command
from regtui.folders import Identity, identity_of, open_own_file
from regtui.readers import LOG_NAME
from regtui.readers.leniency import UNREADABLE

FILE_NAME = "commands.jsonl"
"""Its name in the folder of a run."""

MOST_BYTES = 1 << 20
"""Read at one look; more is no person's doing."""

MOST_LINES = 100
"""Obeyed of one look: nobody presses so many keys in half a second, and a key that is held gives 30 a second."""

LONGEST_LINE = 1 << 10
"""A longer line is no command."""

_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def commands_of(log: Path) -> Path:
    """Give the file of the commands to the run that writes a log, or to the command that a folder is of."""
    if is_command(log):
        return log / FILE_NAME
    return log.with_name(FILE_NAME if log.name == LOG_NAME else f"{log.name}.{FILE_NAME}")


def size_of_commands(log: Path) -> int:
    """Give the bytes that have been sent to whoever writes a log: what comes behind them is for whoever is started."""
    try:
        return os.lstat(commands_of(log)).st_size
    except OSError:
        return 0


def send(log: Path, *commands: Command) -> None:
    """Give the run that writes a log commands, all or none; raises OSError where they cannot be written."""
    file, made = open_own_file(commands_of(log))
    try:
        if made and os.geteuid() == 0:
            # A run that is not root's could not read what is root's alone.
            with contextlib.suppress(OSError):
                owner = log.stat()
                os.fchown(file, owner.st_uid, owner.st_gid)
        lines = b"".join(msgspec.json.encode(command) + b"\n" for command in commands)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            # Whoever wrote before was killed half way through a line.
            lines = b"\n" + lines
        # One write: the lines of two senders do not mix.
        if os.write(file, lines) < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(commands_of(log)))
    finally:
        os.close(file)


class Inbox:
    """The commands to one run, each given out once; those that were there before it are not for it.

    What may not give orders, or is no command, is passed over and said once, in a sentence a kind; what comes after it
    and is lawful is obeyed.
    """

    def __init__(self, log: Path, *, begin: int | None = None, owners: frozenset[int] | None = None) -> None:
        """Begin behind what is there, or so many bytes from its start: 0 in a folder that was made for the run.

        `owners` are the users whose file may give orders: by default root and whoever trains.
        """
        self.refused = ""
        """Why the file is not obeyed, or a line of it was not understood, in one sentence; to be emptied when said."""
        self._path = commands_of(log)
        self._owners = owners if owners is not None else frozenset({os.geteuid(), 0})
        self._said: set[str] = set()
        self._rest = b""
        """The beginning of a line whose end has not come."""
        self._skips = False
        """What comes up to the next line break is the rest of a line that is passed over."""
        self._flooded = False
        """More came at the last look than a person sends: what comes without a break belongs to it."""
        self._mark: tuple[int, ...] = ()
        """What the last look found: as long as that stands, there is nothing to read."""
        self._file: Identity | None = None
        """Which file it was; None where there was none."""
        self._position = 0
        found = self._find()
        if found is not None and begin != 0:
            size = found.st_size
            self._file, self._position = identity_of(found), size if begin is None else min(begin, size)

    @property
    def left_at(self) -> int:
        """Where another inbox is to begin that goes on for this one: behind what was given out, in bytes."""
        return self._position - len(self._rest)

    def poll(self) -> list[Command]:
        """Give the commands that have come since the last call; costs some microseconds where there are none."""
        found = self._find()
        if found is None:
            return []
        mark = found.st_ino, found.st_size, found.st_mode, found.st_dev, found.st_uid
        if mark == self._mark:
            self._flooded = False
            return []
        self._mark = mark
        try:
            # Looked at first: to open a device may do something.
            self._check(found)
            file = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            try:
                found = os.fstat(file)  # another may have come in its place meanwhile
                self._check(found)
                return self._new_in(file, found)
            finally:
                os.close(file)
        except PermissionError:
            self._refuse(f"{self._path.name} is not obeyed: it must be a file that only its owner can write")
            self._pass_over(found)
        except OSError:
            # A network disk that is out of reach for the moment, or deleted just now: looked for again.
            self._mark = ()
        return []

    def _find(self) -> os.stat_result | None:
        try:
            return os.lstat(self._path)
        except FileNotFoundError:
            # Deleted: another of its name is a new one, and what is in it was sent to this run.
            self._file, self._position, self._rest, self._skips, self._mark = None, 0, b"", False, ()
        except OSError:
            pass  # a network disk that is out of reach for the moment
        return None

    def _check(self, found: os.stat_result) -> None:
        """Raise OSError where a file may not give orders: another's, one that others can write, or no file at all."""
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in self._owners or found.st_mode & 0o022:
            raise PermissionError(errno.EPERM, "must be a file that only its owner can write")

    def _new_in(self, file: int, found: os.stat_result) -> list[Command]:
        """Read what has come to a file that may give orders."""
        name = self._path.name
        if self._file is not None and identity_of(found) != self._file:
            self._refuse(f"{name} was replaced by another file: what that held when it came is not obeyed")
        elif found.st_size < self._position:
            self._refuse(f"{name} was shortened: what was left of it is not obeyed")
        elif self._flooded:
            pass
        elif found.st_size - self._position > MOST_BYTES:
            self._flooded = True
            self._refuse(f"{name} got more than {MOST_BYTES >> 20} MB at once: none of that is obeyed")
        else:
            self._file = identity_of(found)
            block = os.pread(file, found.st_size - self._position, self._position)
            self._position += len(block)
            return self._commands_in(block)
        self._pass_over(found)
        self._skips = found.st_size > 0 and os.pread(file, 1, found.st_size - 1) != b"\n"
        return []

    def _pass_over(self, found: os.stat_result) -> None:
        """Go on behind what is there."""
        self._file, self._position, self._rest, self._skips = identity_of(found), found.st_size, b"", False

    def _commands_in(self, block: bytes) -> list[Command]:
        if self._skips:
            _, broken, block = block.partition(b"\n")
            self._skips = not broken
        *lines, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._skips = b"", True
            self._refuse_line()
        if len(lines) > MOST_LINES:
            self._flooded = True
            self._refuse(f"{self._path.name} got more than {MOST_LINES} lines at once: none of them is obeyed")
            return []
        found = []
        for line in filter(None, lines):
            try:
                found.append(_command_of(line))
            except UNREADABLE:
                self._refuse_line()
        return found

    def _refuse_line(self) -> None:
        self._refuse(f'a line of {self._path.name} is no command: one JSON object such as {{"command":"pause"}}')

    def _refuse(self, sentence: str) -> None:
        """Have a sentence said, once in the life of a run: it looks ten times a second."""
        if sentence not in self._said and not self.refused:
            self._said.add(sentence)
            self.refused = sentence


def _command_of(line: bytes) -> Command:
    """Read one line; raises one of `UNREADABLE`."""
    if len(line) > LONGEST_LINE:
        raise ValueError("too long to be a command")
    return _decoder.decode(line)
