"""Hugging Face's `trainer_state.json`: written anew, whole, with each checkpoint of `transformers.Trainer`."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from regtui.core.plan import Plan
from regtui.readers.samples import SampleReader, Samples, Told, is_number, logged
from regtui.readers.search import listed

FILE_NAME = "trainer_state.json"

CHECKPOINT = re.compile(r"checkpoint-(\d+)$")
"""The folder of a checkpoint, by its step; the one with the highest has the whole history."""

MOST_BYTES = 64 << 20
"""A state of a million entries is not written at each checkpoint; a larger file is none."""


class TrainerStateReader(SampleReader):
    """Reads the newest state in a run's folder, anew whenever a newer one is there."""

    name = "Hugging Face"
    rank = 10
    file_names = (f"*{FILE_NAME}",)

    def _start_over(self) -> None:
        self._seen: tuple[Path, int, int] | None = None
        self._state: dict[str, Any] = {}
        self._history: list[dict[str, Any]] = []

    @classmethod
    def finds(cls, folder: Path) -> Iterable[Path]:
        """Give the folders of runs, that of the checkpoints in the place of each; and states that were renamed."""
        found: dict[Path, None] = {}
        for path in super().finds(folder):
            parent = path.parent.parent if CHECKPOINT.match(path.parent.name) else path.parent
            found[parent if path.name == FILE_NAME else path] = None
        return list(found)

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file is such a state, or whether a folder or a checkpoint in it holds one."""
        newest = _newest(path)
        return newest is not None and isinstance(_load(newest).get("log_history"), list)

    def _look(self) -> Iterable[Samples] | None:
        newest = _newest(self.path)
        if newest is None:
            return ()
        try:
            status = newest.stat()
        except OSError:
            return ()  # a checkpoint that was deleted as it was looked at, for a newer one
        seen = (newest, status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return ()
        state = _load(newest)
        history = [entry for entry in state.get("log_history", []) if isinstance(entry, dict)]
        before = len(self._history)
        if history[:before] != self._history:
            # Another run in the same folder; or half of a file, which is whole at the next look.
            return None if history else ()
        self._seen, self._state, self._history = seen, state, history
        return (_samples(history[before:]),) if len(history) > before else ()

    def _tell(self) -> Told:
        plan = Plan(
            epochs=_count(self._state.get("num_train_epochs")), total_steps=_count(self._state.get("max_steps"))
        )
        return Told(trainer="transformers", plan=plan)

    def _folder(self) -> Path:
        folder = (self.path if self.path.is_dir() else self.path.parent).resolve()
        return folder.parent if CHECKPOINT.match(folder.name) else folder

    def _run_name(self) -> str:
        if not self.path.is_dir() and self.path.name != FILE_NAME:
            return self.path.stem
        return self._folder().name


def _newest(path: Path) -> Path | None:
    """Find the state that knows most: a file itself, or that of the furthest checkpoint of a folder."""
    if path.is_file():
        return path if path.name.endswith(FILE_NAME) or path.suffix == ".json" else None
    own = path / FILE_NAME
    if own.is_file():
        return own
    try:
        names = [entry.name for entry in listed(path)]
    except OSError:
        return None  # no folder, or it has been deleted
    steps = {int(match[1]): name for name in names if (match := CHECKPOINT.match(name))}
    # From the newest: of a hundred checkpoints only that one is asked whether it has a state.
    states = (path / steps[step] / FILE_NAME for step in sorted(steps, reverse=True))
    return next((state for state in states if state.is_file()), None)


def _load(path: Path) -> dict[str, Any]:
    """Read a state; nothing of one that is half written or none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def _samples(entries: list[dict[str, Any]]) -> Samples:
    names = {name: None for entry in entries for name, value in entry.items() if is_number(value)}
    columns = {name: np.array([logged(entry.get(name)) for entry in entries]) for name in names}
    step, epoch = columns.pop("step", None), columns.pop("epoch", None)
    return Samples(columns=columns, step=step, epoch=epoch)


def _count(value: Any) -> int | None:
    return int(value) if is_number(value) and 0 < value < 2**53 else None


READER = TrainerStateReader
