"""The folder of runs: how a run is named, which are there, and which one a person means."""

import os
import secrets
import stat
import time
from pathlib import Path
from typing import NamedTuple

from regtui.readers import LOG_NAME, LogError

TAIL_LETTERS = "cfghjkpqrsvxz"
"""No field or value of a run can be spelled with these: an id `...-torch-l2` would seem to name its own setting."""


def new_run_id(framework: str, now: float) -> str:
    """Name a run by its local time, its framework and three letters that keep two starts in a second apart."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    tail = "".join(secrets.choice(TAIL_LETTERS) for _ in range(3))
    return f"{stamp}-{framework}-{tail}"


def log_of(run_id: str, runs_dir: Path) -> Path:
    return runs_dir / run_id / LOG_NAME


class Found(NamedTuple):
    """Something that bears a log's name, as it stood when the folder was looked through."""

    name: str
    """The name of its run's folder."""
    path: Path
    status: os.stat_result


def found_in(runs_dir: Path) -> list[Found]:
    """Look through a folder of runs for logs, oldest first; nothing is opened, so that none can be in the way.

    A folder that is not there, or goes while it is looked through, holds none. Raises LogError for one that cannot be
    read.
    """
    found = []
    try:
        with os.scandir(runs_dir) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    continue
                path = Path(entry.path, LOG_NAME)
                try:
                    found.append(Found(entry.name, path, path.stat()))
                except OSError:
                    continue
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # a ValueError for a name with a NUL in it
        raise LogError(f"{runs_dir} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return sorted(found, key=lambda each: (each.status.st_mtime_ns, each.name))


def logs(runs_dir: Path) -> list[Path]:
    """List the logs of the recorded runs, oldest first."""
    return [each.path for each in found_in(runs_dir) if stat.S_ISREG(each.status.st_mode)]


def none_yet(runs_dir: Path) -> str:
    """Say that there is no run, and how to make one."""
    return f"the folder {runs_dir} holds no run yet: `regtui train` or `regtui --start` makes one"


def find_run(name: str | Path | None, runs_dir: Path) -> Path:
    """Find the log that a person means by a run's id, a log, a folder, or nothing: the newest run.

    Raises LogError when there is none. A path to anything else is given back, for its reader to say what it is.
    """
    if name is not None:
        for path in (Path(name), runs_dir / name):
            if (path / LOG_NAME).is_file():
                return path / LOG_NAME
            if path.is_dir():
                runs_dir = path
                break
            if path.exists():
                return path
        else:
            raise LogError(f"{name} does not exist and is no run in {runs_dir}: `regtui runs` lists what is there")
    found = logs(runs_dir)
    if not found:
        raise LogError(none_yet(runs_dir))
    return found[-1]
