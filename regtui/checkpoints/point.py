"""Where a run goes on from: its newest whole checkpoint, held against what is here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from regtui.backends import Backend
from regtui.checkpoints.files import CheckpointError, Manifest, folder_of, place_of, read
from regtui.checkpoints.keeper import digest
from regtui.checkpoints.state import RunState
from regtui.core.config import RunConfig
from regtui.core.data import Data
from regtui.core.events import Changed, Resumed
from regtui.core.history import History
from regtui.preparation import record_every

OVER = {"finished": "to its end", "early_stopped": "as far as early stopping lets it", "diverged": "until it diverged"}
"""Status of a run that has nothing left to do -> how far it went."""


class Training(Protocol):
    """What can go on from a state."""

    def restore(self, state: RunState) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Point:
    """A checkpoint of a run that has something left to do."""

    log: Path
    place: Path
    """The folder of its files."""
    manifest: Manifest
    turned: Sequence[Changed]
    """What was turned by hand at its very step, after it was written: the log has it already."""
    warning: str = ""
    """Which checkpoint could not be used, in one sentence."""

    @property
    def config(self) -> RunConfig:
        """What the run trains, on the device that it had."""
        config = self.manifest.config
        return msgspec.structs.replace(config, device=self.manifest.device) if config.device == "auto" else config

    @property
    def where(self) -> str:
        state = self.manifest.state
        return f"step {state.step:,}, {state.epoch} of {self.manifest.config.epochs} epochs completed"

    def resumed(self, steps_per_epoch: int, now: float) -> Resumed:
        """Make the record that says so."""
        step = self.manifest.state.step
        return Resumed(step=step, epoch=step / steps_per_epoch, time=now)

    def check_data(self, data: Data) -> None:
        """Raise CheckpointError for another data set than the run was trained on."""
        if digest(data) != self.manifest.data:
            raise CheckpointError(
                f"{self.manifest.config.dataset} has other rows than those that the run was trained on: it cannot go on"
            )

    def put_back(self, backend: Backend, training: Training) -> None:
        """Give backend and training the state that they had; raises CheckpointError where that cannot be."""
        had, have = self.manifest, (backend.name, backend.version)
        if (had.framework, had.framework_version) != have:
            raise CheckpointError(
                f"the run was trained with {had.framework} {had.framework_version} and here is {' '.join(have)}, "
                "whose numbers may differ: it can go on with that version only"
            )
        try:
            backend.load(self.place)
            training.restore(had.state)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(f"the checkpoint {self.place} does not fit its run: {error}") from None


def find_point(log: Path, history: History) -> Point:
    """Find where the run of a log goes on from; `history` is what the log says. Raises CheckpointError."""
    run, status = history.run, history.status
    if run is None or run.config is None or history.trainer != "regtui":
        raise CheckpointError(f"{log} is no run that regtui has trained: only those can be resumed")
    if status in OVER:
        raise CheckpointError(f"{run.run_id} has run {OVER[status]}: there is nothing to resume")
    whole, damaged = _of(log, run.run_id)
    if not whole:
        told = "; ".join(damaged)
        raise CheckpointError(
            f"{run.run_id} cannot be resumed, its checkpoints are damaged: {told}"
            if damaged
            else f"{run.run_id} has no checkpoint to go on from: `regtui train --checkpoint both` keeps some"
        )
    place, manifest = max(whole, key=lambda each: each[1].state.step)
    step = manifest.state.step
    # Of a very long run not every step is in the log, but one of so many.
    total = history.total_steps
    if history.step <= step - (record_every(total) if math.isfinite(total) else 1):
        raise CheckpointError(f"{log} lacks records up to step {step:,}, where its checkpoint is")
    by_hand = [change for change in history.changes if change.cause == "user" and change.step <= step]
    warning = f"{'; '.join(damaged)}: the run goes on from {place.name}, {_at(manifest)}" if damaged else ""
    return Point(log=log, place=place, manifest=manifest, turned=by_hand[manifest.state.turned :], warning=warning)


def _at(manifest: Manifest) -> str:
    return f"step {manifest.state.step:,}"


def _of(log: Path, run_id: str) -> tuple[list[tuple[Path, Manifest]], list[str]]:
    """Give the whole checkpoints of a run, and what is wrong with others, a clause each."""
    whole: list[tuple[Path, Manifest]] = []
    damaged: list[str] = []
    for kind in ("last", "best"):
        place = place_of(folder_of(log), kind)
        if place is None:
            continue
        try:
            manifest = read(place)
        except CheckpointError as error:
            damaged.append(f"of the {kind} checkpoint {error}")
            continue
        if manifest.run_id == run_id:
            whole.append((place, manifest))
    return whole, damaged
