"""`regtui runs`: what has been recorded."""

from pathlib import Path

import click

from regtui.cli.options import RUNS_DIR


@click.command("runs")
@RUNS_DIR
def runs(runs_dir: Path) -> None:
    """List the recorded runs."""
    from regtui import report

    click.echo(report.runs_table(runs_dir))


COMMAND = runs
