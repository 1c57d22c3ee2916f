"""When a run writes its checkpoints: as often as their cost allows, at its end, and when it is handed over."""

import math
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from regtui import __version__
from regtui.backends import Backend, Snapshot
from regtui.checkpoints.files import KEEP, Keep, Kind, Manifest, folder_of, sweep, write
from regtui.checkpoints.state import RunState
from regtui.core.config import RunConfig
from regtui.core.data import Data

COST = 0.01
"""Share of the time that writing may take. With what one stopwatch does not see, such as a disk that is busy
afterwards, it stays under 2 %."""

FIRST_SECONDS = 0.5
"""When the first is written, of a net that is small: soon, so that what is wrong with the disk is said while somebody
looks."""

PARAMETERS_A_SECOND = 4e6
"""Taken for the pace of the first writing: with Adam's two moments, and both kinds, some 50 MB/s to a plain disk."""

LEAST_SECONDS = 2.0
"""No oftener than so: nobody minds the loss of two seconds, and a disk wears."""

AGAIN_SECONDS = 10.0
"""When writing is tried again after it has failed."""

Saying = Callable[[str, str], None]
"""(sentence, level): into the run's event log."""


class Trained(Protocol):
    """What a keeper asks of a training, between two of its chunks."""

    step: int
    best_epoch: int

    def state(self) -> RunState: ...


class Keeper:
    """Writes the checkpoints of one run, in the thread that trains; whatever goes wrong with it ends no training."""

    def __init__(
        self,
        log: Path,
        keep: Keep,
        *,
        run_id: str,
        config: RunConfig,
        data: Data,
        backend: Backend,
        training: Trained,
        say: Saying,
        share: bool = False,
    ) -> None:
        """Name what is kept of which run; nothing is written yet. `say` is told what cannot be written."""
        self._folder = folder_of(log)
        self._keep: Keep = keep
        self._run_id, self._config, self._data = run_id, config, data
        self._backend, self._training = backend, training
        self._say, self._share = say, share
        self._data_digest = ""
        self._best: tuple[RunState, Snapshot] | None = None
        """The newest best that is not on the disk."""
        self._best_epoch = training.best_epoch
        self._saved_step = -1
        self._spent = 0.0
        """Seconds since the last writing that went into copies."""
        first = max(FIRST_SECONDS, backend.parameters / PARAMETERS_A_SECOND / COST)
        self._due = time.monotonic() + first if keep != "none" else math.inf
        self._problem = ""
        if keep != "none":
            self._data_digest = digest(data)
            sweep(self._folder)

    def after_chunk(self, log_is_whole: bool = True) -> None:
        """Keep the best epoch in mind, and write what is due; of a log that lacks records nothing could go on."""
        training = self._training
        if training.best_epoch != self._best_epoch and "best" in KEEP[self._keep]:
            began = time.monotonic()
            self._best_epoch = training.best_epoch
            # A device may have no room for a second copy of all that a net is trained with.
            self._say_once(self._tried(self._keep_best))
            self._spent += time.monotonic() - began
        if log_is_whole and time.monotonic() >= self._due:
            self._write_all()

    def rest(self) -> None:
        """Write while the run pauses, once: that costs no training."""
        if self._keep != "none" and self._training.step != self._saved_step:
            self._write_all()

    def end(self, status: str) -> None:
        """Write at the run's end, before it is in the log; of one that failed or diverged only the best is of use."""
        if self._keep != "none":
            self._write_all(last=status not in {"failed", "diverged"})

    def hand_over(self) -> str:
        """Write the moment as it is, a pause too, for another process; says in one sentence why that failed."""
        self._data_digest = self._data_digest or digest(self._data)
        return self._tried(lambda: self._write("last", self._training.state(), self._backend.snapshot()))

    def _write_all(self, *, last: bool = True) -> None:
        began = time.monotonic()
        problem = self._tried(lambda: self._write_kinds(last=last))
        now = time.monotonic()
        cost, self._spent = self._spent + now - began, 0.0
        self._due = now + max(cost / COST, LEAST_SECONDS, AGAIN_SECONDS if problem else 0.0)
        if self._problem and not problem:
            self._say("checkpoints are written again", "info")
            self._problem = ""
        self._say_once(problem)

    def _say_once(self, problem: str) -> None:
        if problem and not self._problem:
            self._say(f"{problem}: training goes on, and it is tried again", "warning")
        self._problem = self._problem or problem

    def _keep_best(self) -> None:
        self._best = None
        self._best = self._calm_state(), self._backend.snapshot()

    def _write_kinds(self, *, last: bool) -> None:
        if self._best is not None:
            self._write("best", *self._best)
            self._best = None
        if last and "last" in KEEP[self._keep]:
            self._write("last", self._calm_state(), self._backend.snapshot())
            self._saved_step = self._training.step

    def _tried(self, writing: Callable[[], None]) -> str:
        try:
            writing()
        except Exception as error:  # of the disk, or of what a framework writes with: none is worth a run
            why = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
            return f"no checkpoint can be written in {self._folder} ({why})"
        return ""

    def _calm_state(self) -> RunState:
        """Give the state of a run that does not pause: whoever goes on after an accident wants it to."""
        return msgspec.structs.replace(self._training.state(), paused=False, pause_at_epoch=False)

    def _write(self, kind: Kind, state: RunState, snapshot: Snapshot) -> None:
        backend = self._backend
        manifest = Manifest(
            regtui=__version__,
            run_id=self._run_id,
            config=self._config,
            keep=self._keep,
            framework=backend.name,
            framework_version=backend.version,
            device=backend.device,
            data=self._data_digest,
            state=state,
        )
        write(self._folder, kind, manifest, lambda folder: backend.save(snapshot, folder), share=self._share)


def digest(data: Data) -> str:
    """Give a short text that is another one for other rows, labels or splits; a gigabyte takes under a second."""
    parts = []
    for name in ("train", "valid", "test"):
        rows = getattr(data, name)
        if rows is not None:
            crc = zlib.crc32(np.ascontiguousarray(rows.features).data.cast("B"))
            crc = zlib.crc32(np.ascontiguousarray(rows.labels).data.cast("B"), crc)
            parts.append(f"{name} {len(rows)}x{rows.features.shape[1]} {crc:08x}")
    return ", ".join(parts)
