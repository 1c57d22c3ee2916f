"""`regtui watch`: logs in the app, finished or growing."""

from pathlib import Path
from typing import Any

import click

from regtui.cli.options import (
    ASCII,
    GHOST,
    NOTIFY,
    RUNS_DIR,
    NamedPath,
    make_wanted,
    name_options,
    read_ghost,
    read_notify,
)
from regtui.cli.terminal import THEME, need_terminal
from regtui.core.config import RunConfig

MOST_RUNS = 20
"""Runs that are watched at once: nobody goes through more by a key, and each may take a hundred megabytes."""


@click.command("watch")
@click.argument("runs", type=NamedPath(), nargs=-1, metavar="[RUN|LOG|DIR]...")
@THEME
@ASCII
@GHOST
@name_options
@NOTIFY
@RUNS_DIR
def watch(
    runs: tuple[Path, ...], runs_dir: Path, ascii_only: bool, theme: str | None, notify: tuple[str, ...], **options: Any
) -> None:
    """Show logs of any format in the app, finished or growing; without an argument the newest run.

    Of several the first is on show; n brings the next to the front.
    """
    from regtui.runs import find_run
    from regtui.sources.log import LogSource

    if len(runs) > MOST_RUNS:
        raise click.UsageError(f"{len(runs)} runs are too many to be watched at once: name at most {MOST_RUNS}.")
    # One that is named twice, perhaps in two ways, is watched once.
    logs = {log.resolve(): log for log in (find_run(run, runs_dir) for run in runs or (None,))}
    wanted = make_wanted(options)
    source, *others = [LogSource(log, wanted) for log in logs.values()]
    ghost = read_ghost({**options, "runs_dir": runs_dir})
    need_terminal()
    told = read_notify(notify)
    from regtui.tui.app import run_app

    run_app(
        RunConfig.create(), source=source, others=others, runs_dir=runs_dir, ascii_only=ascii_only, ghost=ghost,
        theme=theme, told=told,
    )  # fmt: skip


COMMAND = watch
