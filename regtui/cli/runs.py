"""`regtui runs`: what has been recorded."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import click

from regtui.cli.options import RUNS_DIR, NamedPath, given_options

PATIENCE_SECONDS = 0.5
"""What takes no longer needs no bar: it would only flicker."""


@click.command("runs")
@click.argument("folder", required=False, type=NamedPath(file_okay=False))
@RUNS_DIR
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@click.pass_context
def runs(context: click.Context, folder: Path | None, runs_dir: Path, as_json: bool) -> None:
    """List the recorded runs, those in FOLDER or in the folder of runs."""
    if folder is not None and "runs_dir" in given_options(context):
        raise click.UsageError("the folder is named twice: by --runs-dir and without it.")
    from regtui import report

    folder = folder if folder is not None else runs_dir
    with progress("reading logs") as told:
        if as_json:
            text, problems = report.runs_json(folder, told)
        else:
            text, problems = report.runs_table(folder, told), []
    click.echo(text)
    for problem in problems:
        click.echo(f"regtui: {problem}", err=True)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show on standard error how far something is, where that is a terminal and it takes a while."""
    began = time.monotonic()
    with ExitStack() as stack:
        bar = None

        def told(done: int, total: int) -> None:
            nonlocal bar
            if bar is None and total and sys.stderr.isatty() and time.monotonic() - began > PATIENCE_SECONDS:
                bar = stack.enter_context(click.progressbar(length=total, label=label, file=sys.stderr))
            if bar is not None:
                with suppress(OSError):  # a terminal that has gone is no reason to stop
                    bar.update(done - bar.pos)

        yield told


COMMAND = runs
