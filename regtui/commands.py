"""Commands to a run in another process: lines of a file beside its log, which whoever trains looks at.

A file and not a socket: it works over a shared file system, from any terminal, and what was asked for stays to be read.
"""

import os
import stat
from pathlib import Path

import msgspec

from regtui.commandfile import is_command
from regtui.core.events import Command
from regtui.readers import LOG_NAME

FILE_NAME = "commands.jsonl"
"""Its name in the folder of a run."""

MOST_BYTES = 1 << 20
"""Read at one look: many thousand commands; nobody presses so many keys in half a second."""

LONGEST_LINE = 1 << 10
"""A longer line is no command."""

_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def commands_of(log: Path) -> Path:
    """Give the file of the commands to the run that writes a log, or to the command that a folder is of."""
    if is_command(log):
        return log / FILE_NAME
    return log.with_name(FILE_NAME if log.name == LOG_NAME else f"{log.name}.{FILE_NAME}")


def send(log: Path, command: Command) -> None:
    """Give the run that writes a log a command; raises OSError where that cannot be written."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    file = os.open(commands_of(log), flags, 0o600)
    try:
        # One write a line: those of two senders do not mix.
        os.write(file, msgspec.json.encode(command) + b"\n")
    finally:
        os.close(file)


class Inbox:
    """The commands to one run, each given out once; those that were there before it are not for it."""

    def __init__(self, log: Path, *, from_start: bool = False) -> None:
        """Begin behind what is there; with `from_start`, such as in a folder that was made for the run, with it."""
        self._path = commands_of(log)
        self._rest = b""
        self.refused = ""
        """Why the file is not obeyed, or a line of it was not understood, in one sentence."""
        status = self._status()
        self._position = status.st_size if status and not from_start else 0

    def poll(self) -> list[Command]:
        """Give the commands that have come since the last call; costs some microseconds where there are none."""
        status = self._status()
        if status is None or status.st_size == self._position:
            return []
        if status.st_size < self._position:
            self._position, self._rest = 0, b""
        *lines, self._rest = (self._rest + self._read()).split(b"\n")
        self._rest = b"" if len(self._rest) > LONGEST_LINE else self._rest
        found = []
        for line in lines:
            try:
                found.append(_decoder.decode(line))
            except msgspec.MsgspecError:
                self.refused = (
                    f'a line of {self._path.name} is no command: one JSON object such as {{"command":"pause"}}'
                )
        return found

    def _status(self) -> os.stat_result | None:
        """Look at the file; None where there is none that may give orders: ours or root's, and a file."""
        try:
            status = os.lstat(self._path)
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
            self.refused = f"{self._path.name} is not obeyed: it must be a file that only its owner can write"
            return None
        return status

    def _read(self) -> bytes:
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return b""
        try:
            block = os.pread(file, MOST_BYTES, self._position)
        finally:
            os.close(file)
        self._position += len(block)
        return block
