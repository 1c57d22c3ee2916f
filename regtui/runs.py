"""The folder of runs: how a run is named, which are there, and which one a person means."""

import secrets
import time
from pathlib import Path

from regtui.core.text import printable
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


def logs(runs_dir: Path) -> list[Path]:
    """List the logs of the recorded runs, oldest first."""
    return sorted(runs_dir.glob(f"*/{LOG_NAME}"), key=lambda path: (path.stat().st_mtime, path.parent.name))


def none_yet(runs_dir: Path) -> str:
    """Say that there is no run, and how to make one."""
    return f"the folder {printable(str(runs_dir))} holds no run yet: `regtui train` or `regtui --start` makes one"


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
