"""`regtui watch`: a log in the app, finished or growing."""

from pathlib import Path

import click

from regtui.cli.options import ASCII, GHOST, RUNS_DIR, NamedPath
from regtui.cli.terminal import THEME, need_terminal
from regtui.core.config import RunConfig


@click.command("watch")
@click.argument("run", type=NamedPath(), required=False, metavar="[RUN|LOG|DIR]")
@THEME
@ASCII
@GHOST
@RUNS_DIR
def watch(run: Path | None, runs_dir: Path, ascii_only: bool, ghost: Path | None, theme: str | None) -> None:
    """Show a log in the app, finished or growing; without an argument the newest run."""
    from regtui.runs import find_run
    from regtui.sources.log import LogSource

    source = LogSource(find_run(run, runs_dir))
    ghost = find_run(ghost, runs_dir) if ghost is not None else None
    need_terminal()
    from regtui.tui.app import run_app

    run_app(RunConfig.create(), source=source, runs_dir=runs_dir, ascii_only=ascii_only, ghost=ghost, theme=theme)


COMMAND = watch
