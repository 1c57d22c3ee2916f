"""`regtui train --resume RUN`: which run that is, and what may stand beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regtui.cli.options import given_options, option_name
from regtui.core.config import fields
from regtui.core.text import printable

if TYPE_CHECKING:
    from regtui.checkpoints import Point
    from regtui.core.history import History


@dataclass(frozen=True)
class Resumed:
    """A run that can go on, and what its log says of it."""

    point: "Point"
    history: "History"

    @property
    def said(self) -> str:
        """Say where it goes on from, and what was damaged."""
        run_id, warning = self.point.manifest.run_id, self.point.warning
        return printable(f"{run_id} goes on from {self.point.where}" + (f" ({warning})" if warning else ""))


def refuse_beside_resume(context: click.Context) -> None:
    """Raise UsageError for an option that would make another run of it."""
    for name in given_options(context):
        if name in fields() or name in {"preset", "log"}:
            raise click.UsageError(
                f"--resume goes on with a run as it was begun: {option_name(context, name)} cannot stand beside it."
            )


def find_resumed(name: Path, runs_dir: Path) -> Resumed:
    """Find the run that a person means and where it goes on from; raises LogError."""
    from regtui.checkpoints import CheckpointError, find_point
    from regtui.readers import is_being_written, read_history
    from regtui.runs import find_run

    log = find_run(name, runs_dir)
    if is_being_written(log):
        raise CheckpointError(f"{log} is being written by a run that still trains: `regtui watch` shows it")
    history = read_history(log)
    return Resumed(find_point(log, history), history)
