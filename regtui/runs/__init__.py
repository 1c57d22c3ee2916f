"""The folder of runs: how a run is named, which are there, and which one a person means."""

import os
import secrets
import shlex
import stat
import time
from pathlib import Path
from typing import NamedTuple

from regtui.commandfile import is_command
from regtui.core.text import printable
from regtui.folders import Made, make_folder, make_folders, take_back
from regtui.readers import LOG_NAME, LogError, find_log, is_log, logs_under, names_one_of_several
from regtui.runs.status import Status, status_of

DEFAULT_RUNS = Path("runs")
"""The folder of runs where nobody names another."""

RUNS_VARIABLE = "REGTUI_RUNS_DIR"
"""The environment's name for it."""

TAIL_LETTERS = "cfghjkpqrsvxz"
"""No field or value of a run can be spelled with these: an id `...-torch-l2` would seem to name its own setting."""

TAIL_LENGTH = 5
"""371,293 tails: of 16 runs that start in one second, two have the same in one case of 3,000."""

NAME_LETTERS = 60
"""Longest part of a folder's name that a run gives it; its time and tail take 22 more."""

MOST_NAMES = 100
"""Names that are tried for a run; where so many are taken, something else is wrong with the folder."""


def new_run_id(framework: str, now: float) -> str:
    """Name a run by its local time, its framework and letters that keep two starts in a second apart."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    return f"{stamp}-{framework}-{_tail()}"


def _tail() -> str:
    return "".join(secrets.choice(TAIL_LETTERS) for _ in range(TAIL_LENGTH))


def make_run_folder(run_id: str, runs_dir: Path, *, share: bool = False) -> tuple[str, list[Made]]:
    """Make a folder for a run alone; give the id that it got, with another tail where this one is taken.

    Gives all folders that were made for it, too. Raises LogError where none can be made.
    """
    made: list[Made] = []
    try:
        for _ in range(MOST_NAMES):
            made += make_folders(runs_dir, share=share)
            try:
                return run_id, [*made, make_folder(runs_dir / run_id, share=share)]
            except FileExistsError:
                run_id = f"{run_id.rpartition('-')[0]}-{_tail()}"
            except FileNotFoundError:
                # The folder of runs was just taken back by a run that was refused.
                continue
        why = f"{MOST_NAMES} names for a run in it were taken"
    except OSError as error:
        why = error.strerror or str(error)
    take_back(made)
    raise LogError(f"{runs_dir} cannot be written: {why}; name another place with --runs-dir or --log")


def folder_name(name: object) -> str:
    """Make of whatever a run is called what a folder can be called on any disk."""
    letters = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in str(name or "run"))
    return letters.strip(".-")[:NAME_LETTERS].encode("utf-8", "replace").decode() or "run"


def log_of(run_id: str, runs_dir: Path) -> Path:
    return runs_dir / run_id / LOG_NAME


def called(log: Path, runs_dir: Path) -> str:
    """Say by what a shell in this folder names a run to `regtui watch`: its id where that is enough, else its path."""
    folder = log.parent if log.name == LOG_NAME else log
    looked_in = Path(os.environ.get(RUNS_VARIABLE) or DEFAULT_RUNS)
    is_found = log.name == LOG_NAME and folder.parent == runs_dir == looked_in
    return shlex.quote(printable(folder.name if is_found else str(folder)))


class Found(NamedTuple):
    """Something that bears a log's name, as it stood when the folder was looked through."""

    name: str
    """The name of its run's folder; of what lies deeper, or is another trainer's, its place in the folder of runs."""
    path: Path
    status: Status
    sure: bool = True
    """It bears a name that only our logs have; else it may be no log at all, which is no problem."""


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
                    if is_command(path.parent):
                        found.append(Found(entry.name, path.parent, status_of(path.parent)))
                    else:
                        found.append(Found(entry.name, path, path.stat()))
                except OSError:
                    continue
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise _closed(runs_dir, error) from None
    except ValueError as error:  # a name with a NUL in it
        raise LogError(f"{runs_dir} cannot be read: {error}") from None
    return sorted(found, key=lambda each: (each.status.st_mtime_ns, each.name))


def logs(runs_dir: Path) -> list[Path]:
    """List the logs of the recorded runs, oldest first."""
    return [each.path for each in found_in(runs_dir) if stat.S_ISREG(each.status.st_mode) or is_command(each.path)]


def none_yet(runs_dir: Path) -> str:
    """Say that there is no run, and how to make one."""
    return f"the folder {printable(str(runs_dir))} holds no run yet: `regtui train` or `regtui --start` makes one"


def find_run(name: str | Path | None, runs_dir: Path) -> Path:
    """Find the log that a person means by a run's id, a log, a folder, or nothing: the newest run.

    Raises LogError when there is none. A path to anything else is given back, for its reader to say what it is.
    """
    try:
        return _find_run(name, runs_dir)
    except OSError as error:
        raise _closed(name or runs_dir, error) from None


def _closed(path: str | Path, error: OSError) -> LogError:
    return LogError(f"{error.filename or path} cannot be read: {error.strerror or error}")


def _find_run(name: str | Path | None, runs_dir: Path) -> Path:
    if name is not None:
        for path in (Path(name), runs_dir / name):
            if is_command(path):
                return path
            if (path / LOG_NAME).is_file():
                return path / LOG_NAME
            if path.is_dir():
                runs_dir = path
                break
            if path.exists() or names_one_of_several(path):
                return path
        else:
            raise LogError(f"{name} does not exist and is no run in {runs_dir}: `regtui runs` lists what is there")
    found = logs(runs_dir)
    if found:
        return found[-1]
    # Another trainer's: a folder that somebody named says what was looked for where it holds none.
    if name is None and not any(map(is_log, logs_under(runs_dir))):
        raise LogError(none_yet(runs_dir))
    return find_log(runs_dir)
