"""What a command that runs as a run is: one small file in its run's folder, written whole each time, and its names.

`regtui run` writes it, its reader reads it; the standard library is enough for both, since whoever writes it stands
beside a training for days and should take no memory from it.
"""

import json
import math
import os
import stat
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from regtui.folders import write_whole

FILE_NAME = "command.json"
"""Its name in the folder of the run."""

OUTPUT_NAME = "output.log"
"""What the command prints, in the same folder; bytes as they came."""

RUN_VARIABLE = "REGTUI_RUN"
"""Environment: the folder of the run that a command is; `regtui.record()` inside records there."""

MOST_BYTES = 4 << 20
"""No system takes longer command lines, written as JSON, than half of that."""


@dataclass(frozen=True, kw_only=True)
class CommandEnd:
    """How a command ended."""

    status: str
    """`finished`, `failed` or `stopped`."""
    reason: str = ""
    """Why, where the status alone does not say: `exit status 3`, `killed by SIGKILL`."""
    exit_status: int | None = None
    """None where a signal ended it."""
    signal: str | None = None
    """Name of the signal that ended it."""
    time: float | None = None
    """Seconds since the epoch of Unix."""


@dataclass(frozen=True, kw_only=True)
class CommandRun:
    """A command as a run."""

    run_id: str
    argv: tuple[str, ...]
    """The command line; bytes that are no UTF-8 are written as escapes."""
    cwd: str
    """Where it runs."""
    host: str = ""
    pid: int | None = None
    """Of the process of ours that stands beside it, and passes signals on."""
    command_pid: int | None = None
    """Of the command itself, and of its process group."""
    started: float | None = None
    """Seconds since the epoch of Unix."""
    log: str | None = None
    """A log of a known format that it writes elsewhere than in the run's folder."""
    stopping: str = ""
    """By what it was asked to end, once signals have been sent for it; a loop that listens says so in its own log."""
    stopping_since: float | None = None
    """Seconds since the epoch of Unix."""
    end: CommandEnd | None = None


def is_command(folder: Path) -> bool:
    """Tell whether a folder is that of a command that runs as a run."""
    try:
        return stat.S_ISREG(os.lstat(folder / FILE_NAME).st_mode)
    except (OSError, ValueError):
        return False


def read_command(folder: Path) -> CommandRun | None:
    """Read what a command is; None where that is not there, or is not as it was written. Never waits for anything."""
    try:
        fd = os.open(folder / FILE_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:  # noqa: PTH123 # of a descriptor
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            said = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    argv = said.get("argv")
    argv = tuple(map(str, argv)) if isinstance(argv, list) else ()
    end = said.get("end")
    end = _made(CommandEnd, end, status="failed") if isinstance(end, dict) else None
    run: CommandRun = _made(CommandRun, {**said, "argv": argv, "end": end}, run_id=folder.name, cwd="")
    return run


def write_command(folder: Path, run: CommandRun, *, share: bool = False) -> None:
    """Write what a command is, in one go; raises OSError and leaves what was there."""
    text = json.dumps(_plain(asdict(run)), indent=1, allow_nan=False)
    write_whole(folder / FILE_NAME, f"{text}\n".encode("ascii"), share=share, sync=True)


def _made(kind: Any, said: dict[str, Any], **otherwise: str) -> Any:
    """Make a record of what has the right type; of the rest what stands there otherwise."""
    kept: dict[str, Any] = dict(otherwise)
    for field in fields(kind):
        value = said.get(field.name)
        hint = str(field.type)
        if "float" in hint:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        elif "int" in hint:
            fits = isinstance(value, int) and not isinstance(value, bool)
        else:
            fits = isinstance(value, str | tuple | CommandEnd)
        if fits:
            kept[field.name] = value
    return kind(**kept)


def _plain(value: Any) -> Any:
    """Give what strict JSON can hold: of text that is no Unicode its escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
