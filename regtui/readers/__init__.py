"""Log formats that can be watched and replayed.

A format is a file of this folder with a class that satisfies `Reader`, named there as `READER`; nothing else has to
know it. `open_log` asks each of them whether a file is theirs.
"""

import os
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from regtui.readers.folding import read_history as read_history
from regtui.readers.gated import Gated as Gated
from regtui.readers.jsonl import LOG_NAME as LOG_NAME
from regtui.readers.logfile import is_being_written as is_being_written
from regtui.readers.opening import NotAFile, opened
from regtui.readers.protocol import LogError as LogError
from regtui.readers.protocol import Reader as Reader
from regtui.readers.protocol import SkippedLines as SkippedLines
from regtui.readers.writer import LogWriter as LogWriter

SNIFFED_BYTES = 65536
"""How much of a refused file is looked at to say what it is."""


def formats() -> tuple[type[Reader], ...]:
    """Give the reader of each format, by the names of their files: `open_log` takes the first that accepts."""
    return _formats_in(tuple(__path__))


@cache
def _formats_in(folders: tuple[str, ...]) -> tuple[type[Reader], ...]:
    modules = (import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(folders))
    return tuple(module.READER for module in modules if hasattr(module, "READER"))


def open_log(path: Path | str, *, growing: bool = False) -> Gated:
    """Find the reader of a log, or of the log in a run's folder, and put the gate before it.

    With `growing` an empty file is one that has not begun yet. Raises LogError with one sentence for whatever
    cannot be read as a log.
    """
    path = Path(path)
    try:
        if path.is_dir():
            if not os.path.lexists(path / LOG_NAME):
                raise LogError(f"{path} is a folder without {LOG_NAME}: name a log or the folder of one run")
            path = path / LOG_NAME
        with opened(path) as fd:
            size = os.fstat(fd).st_size
        if growing and not size:
            from regtui.readers.jsonl import JsonlReader

            return Gated(JsonlReader(path))
        for reader in formats():
            if reader.accepts(path):
                return Gated(reader(path))
        raise LogError(_what_is_wrong(path))
    except (FileNotFoundError, NotADirectoryError):
        raise LogError(f"{path} does not exist: name a log such as runs/RUN/{LOG_NAME}") from None
    except NotAFile as error:
        raise LogError(f"{path} {error.strerror}: name a log such as runs/RUN/{LOG_NAME}") from None
    except (OSError, ValueError) as error:  # a ValueError for a name with a NUL in it
        raise LogError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _what_is_wrong(path: Path) -> str:
    with opened(path) as fd:
        head = os.read(fd, SNIFFED_BYTES)
    if not head.strip():
        return f"{path} is empty: a log has one JSON object a line, the first a record of kind run"
    try:
        # The end may lie within a character.
        head.decode("utf-8") if len(head) < SNIFFED_BYTES else head[:-4].decode("utf-8", errors="strict")
        text = b"\0" not in head
    except UnicodeDecodeError as error:
        text = error.start > 0 and error.start >= len(head) - 8 and b"\0" not in head
    if not text:
        return f"{path} is a binary file: a log is text, one JSON object a line"
    if not head.lstrip().startswith(b"{"):
        return f"{path} is not JSON: a log has one JSON object a line, each with a kind such as run, step or epoch"
    return f"{path} holds no event: a log's lines have a kind such as run, step or epoch"
