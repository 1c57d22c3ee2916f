"""Hugging Face's `trainer_state.json`: written anew, whole, with each checkpoint of `transformers.Trainer`."""

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from regtui.core.plan import Plan
from regtui.readers.samples import SampleReader, Samples, Told

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
        status = newest.stat()
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
    if not path.is_dir():
        return None
    found = [
        (int(match[1]), Path(entry.path) / FILE_NAME)
        for entry in os.scandir(path)
        if (match := CHECKPOINT.match(entry.name)) and (Path(entry.path) / FILE_NAME).is_file()
    ]
    own = path / FILE_NAME
    return own if own.is_file() else max(found)[1] if found else None


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
    names = {name: None for entry in entries for name, value in entry.items() if _is_number(value)}
    columns = {name: np.array([_number(entry.get(name)) for entry in entries]) for name in names}
    step, epoch = columns.pop("step", None), columns.pop("epoch", None)
    return Samples(columns=columns, step=step, epoch=epoch)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    if not _is_number(value):
        return math.nan
    return math.inf if math.isnan(value) else float(value)  # NaN was logged: the loss is no number any more


def _count(value: Any) -> int | None:
    return int(value) if _is_number(value) and 0 < value < 2**53 else None


READER = TrainerStateReader
