"""Log formats that can be watched and replayed.

A format is a file of this folder with a class that satisfies `Reader`, named there as `READER`; nothing else has to
know it. `open_log` asks each of them whether a file is theirs.
"""

import os
import pkgutil
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

from regtui.commandfile import is_command
from regtui.readers.command import CommandReader
from regtui.readers.folding import read_history as read_history
from regtui.readers.gated import Gated as Gated
from regtui.readers.jsonl import LOG_NAME as LOG_NAME
from regtui.readers.jsonl import JsonlReader
from regtui.readers.logfile import is_being_written as is_being_written
from regtui.readers.opening import NotAFile, opened
from regtui.readers.protocol import NOTHING_WANTED as NOTHING_WANTED
from regtui.readers.protocol import LogError as LogError
from regtui.readers.protocol import NamesItself as NamesItself
from regtui.readers.protocol import Reader as Reader
from regtui.readers.protocol import SkippedLines as SkippedLines
from regtui.readers.protocol import Wanted as Wanted
from regtui.readers.search import written_at as written_at
from regtui.readers.writer import LogWriter as LogWriter

SNIFFED_BYTES = 65536
"""How much of a refused file is looked at to say what it is."""


KNOWN_STARTS = {
    b"\x1f\x8b": "compressed with gzip: unpack it to have it read",
    b"BZh": "compressed with bzip2: unpack it to have it read",
    b"\xfd7zXZ\0": "compressed with xz: unpack it to have it read",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it to have it read",
    b"PK\3\4": "a zip archive: unpack it and name the log in it",
    b"version https://git-lfs.github.com/spec/": "the pointer of Git LFS to a log: `git lfs pull` fetches it",
}
"""First bytes of a file -> what it is and what to do, for what people take for logs."""


OWN: tuple[type[Reader], ...] = (CommandReader, JsonlReader)
"""Readers of what regtui itself writes."""


def formats() -> tuple[type[Reader], ...]:
    """Give the reader of each format, in the order in which they are asked: `open_log` takes the first that accepts."""
    return _formats_in(tuple(__path__))


@cache
def _formats_in(folders: tuple[str, ...]) -> tuple[type[Reader], ...]:
    modules = (import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(folders))
    readers: list[type[Reader]] = [module.READER for module in modules if hasattr(module, "READER")]
    return tuple(sorted(readers, key=lambda reader: (reader.rank, reader.name)))


def open_log(path: Path | str, *, growing: bool = False, wanted: Wanted = NOTHING_WANTED) -> Gated:
    """Find the reader of a log, of whichever format, and put the gate before it.

    A log is a file, the folder of a run, or the newest that is found under a folder.

    With `growing` an empty file is one that has not begun yet. Raises LogError with one sentence for whatever
    cannot be read as a log.
    """
    path = Path(path)
    try:
        if is_command(path):
            return Gated(CommandReader(path, wanted))
        if path.is_dir():
            if not os.path.lexists(path / LOG_NAME):
                return Gated(_known(find_log(path), wanted))
            path = path / LOG_NAME
        elif (one := _one_of_several(path, wanted)) is not None:
            return Gated(one)
        with opened(path) as fd:
            size = os.fstat(fd).st_size
        if growing and not size:
            return Gated(JsonlReader(path))
        return Gated(_known(path, wanted))
    except (FileNotFoundError, NotADirectoryError):
        raise LogError(f"{path} does not exist: name a log such as runs/RUN/{LOG_NAME}") from None
    except NotAFile as error:
        raise LogError(f"{path} {error.strerror}: name a log such as runs/RUN/{LOG_NAME}") from None
    except (OSError, ValueError) as error:  # a ValueError for a name with a NUL in it
        raise LogError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _format_of(path: Path) -> type[Reader] | None:
    """Give the reader of a file's format, or of that of a folder of one run; None where no format knows it."""
    # Our own are asked before the others are even loaded: databases and protobufs are nothing to a log of regtui.
    own = next((reader for reader in OWN if reader.accepts(path)), None)
    return own or next((reader for reader in formats() if reader not in OWN and reader.accepts(path)), None)


def names_one_of_several(path: Path) -> bool:
    """Tell whether a path names a run of a file that holds several, as in `mlflow.db#RUN`."""
    return _one_of_several(path, NOTHING_WANTED) is not None


def _one_of_several(path: Path, wanted: Wanted) -> Reader | None:
    """Give the reader of a run that is named behind the path of a file of several runs, as in `mlflow.db#RUN`."""
    if "#" not in path.name or os.path.lexists(path):
        return None
    several = (reader for reader in formats() if getattr(reader, "holds_several", False))
    return next((reader(path, wanted) for reader in several if reader.accepts(path)), None)


def _known(path: Path, wanted: Wanted) -> Reader:
    reader = _format_of(path)
    if reader is None:
        raise LogError(_what_is_wrong(path))
    if getattr(reader, "names_itself", False) and wanted != NOTHING_WANTED:
        raise NamesItself(
            f"{path} says itself what its numbers are: --valid, --train, --rate and --metric are for logs of others"
        )
    return reader(path, wanted)


def find_log(folder: Path) -> Path:
    """Give the folder itself where all of it is the log of one run, else the newest log under it; raises LogError."""
    if _format_of(folder) is not None:
        return folder
    for path in sorted(logs_under(folder), key=written_at, reverse=True):
        if is_log(path):
            return path
    looked = ", ".join(reader.name for reader in formats())
    held = ", ".join(sorted(entry.name for entry in folder.iterdir())[:6]) or "nothing"
    raise LogError(f"{folder} is a folder without a log; looked for {looked}; it holds {held}")


def is_log(path: Path) -> bool:
    """Tell whether a file or a folder is a log of any format; not of what cannot be read."""
    with suppress(OSError, ValueError):
        return _format_of(path) is not None
    return False


def logs_under(folder: Path) -> list[Path]:
    """Give what may be logs under a folder, of any format, each once: a folder of one run in the place of its files."""
    # A hidden file is somebody's own, such as the summaries that `regtui runs` keeps.
    found = {path: None for reader in formats() for path in reader.finds(folder) if not path.name.startswith(".")}
    return [path for path in found if not any(parent in found for parent in path.parents)]


def _what_is_wrong(path: Path) -> str:
    """Say in one sentence what a file is that no format knows, and what would have been one."""
    with opened(path) as fd:
        head = os.read(fd, SNIFFED_BYTES)
    if not head.strip():
        return f"{path} is empty: nothing has been logged there yet"
    for start, sentence in KNOWN_STARTS.items():
        if head.startswith(start):
            return f"{path} is {sentence}"
    looked = ", ".join(reader.name for reader in formats())
    if b"\0" in head or not _is_text(head):
        return f"{path} is a binary file of no known format; looked for {looked}"
    first = head.lstrip().partition(b"\n")[0]
    if first.startswith((b"{", b"[")):
        return f"{path} holds no log of a training: its JSON has no step or epoch with numbers; looked for {looked}"
    return (
        f"{path} holds no log of a training: no table that counts steps or epochs or has a loss, no JSON lines, "
        f"no printed losses; looked for {looked}"
    )


def _is_text(head: bytes) -> bool:
    """Tell text from bytes, in any encoding whose signs below a blank are those of ASCII."""
    odd = sum(head.count(sign) for sign in range(32) if sign not in b"\t\n\r\f\b\x1b")
    return odd * 100 <= len(head)
