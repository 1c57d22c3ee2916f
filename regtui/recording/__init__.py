"""The recorder for anybody's training loop: `regtui.record()`.

    with regtui.record(settings={"l2": 1e-4}, epochs=20) as run:
        for epoch in range(20):
            for batch in batches:
                run.step(loss=loss, learning_rate=rate)
            run.epoch(valid={"loss": valid_loss})

A step costs the training loop an entry in a list; a thread of its own writes them twice a second through the one writer
of logs, and looks for commands. It never raises into the training: what it cannot write is a warning, once.

(The package is not called `record`: importing a module of that name would put it in the place of `regtui.record`.)
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from regtui.core.events import RunStarted
from regtui.core.plan import Plan
from regtui.numbers import count_of, plain, text_of
from regtui.recording.recorder import Recorder as Recorder
from regtui.runs import folder_name

SETTINGS_BYTES = 1 << 20
"""All settings together; what goes beyond is left out. A line of more than 4 MB is no record to any reader."""


def record(
    *,
    settings: Mapping[str, Any] | object | None = None,
    epochs: int | None = None,
    total_steps: int | None = None,
    classes: int | None = None,
    name: str | None = None,
    log: str | Path | None = None,
    runs_dir: str | Path | None = None,
    trainer: str = "own loop",
    share: bool = False,
    rank: int | None = None,
) -> Recorder:
    """Make a recorder of one run; `with` starts and ends it, or its `start` and `finish`, or its first number.

    `settings` are free names and values (or an object that has them, such as argparse's); `epochs`, `total_steps` and
    `classes` (of the labels: guessing costs ln(classes) nats) say what is planned, as far as it is known. The log is
    `log`, or `events.jsonl` in a folder of its own, named after `name`, under `runs_dir` (else REGTUI_RUNS_DIR, else
    `runs`). In a command that `regtui run` has started, which says so by REGTUI_RUN, the first run without a `log` is
    that of the command, and is recorded in its folder under its name. Of processes that train together the first alone
    records: `rank` says which this one is, where torch.distributed, torchrun, SLURM and MPI do not.
    """
    plan = Plan(epochs=count_of(epochs), total_steps=count_of(total_steps), classes=count_of(classes))
    started = RunStarted(run_id=folder_name(name), trainer=text_of(trainer), settings=_settings(settings), plan=plan)
    folder = runs_dir or os.environ.get("REGTUI_RUNS_DIR") or "runs"
    return Recorder(
        started, log=_whole_path(log) if log else None, runs_dir=_whole_path(folder), share=share, rank=rank
    )


def _settings(given: object) -> dict[str, Any]:
    """Keep of the settings what the log's first line has room for."""
    known = plain(given if given is not None else {})
    room, kept = SETTINGS_BYTES, {}
    for name, value in known.items() if isinstance(known, dict) else ():
        size = len(msgspec.json.encode({name: value}))
        if size <= room:
            room, kept[name] = room - size, value
    return kept


def _whole_path(path: str | Path) -> Path:
    """Make a path hold when the program goes to another folder."""
    try:
        return Path(str(path)).absolute()
    except OSError:  # the folder that it is in is gone
        return Path(str(path))
