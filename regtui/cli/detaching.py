"""Starting a run that outlives the command: what is said of it, and how it ends where it cannot be set up."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regtui.cli.options import read_notify
from regtui.core.text import printable

if TYPE_CHECKING:
    from regtui.core.config import RunConfig


def start_detached(
    config: "RunConfig", *, runs_dir: Path, log: Path | None, share: bool, as_json: bool, notify: Sequence[str] = (),
    resumes: str = "", more: Sequence[str] = (),
) -> None:  # fmt: skip
    """Start a run in a process of its own and print how to name it, its id or the log that was asked for.

    `resumes` is the id of a run that goes on, whose log is given. `notify` is who is to be told, as for `regtui train`;
    `more` are its other options that are no fields of the configuration. Raises UsageError where it is quickly known
    that the run cannot be set up; nothing of it is left then.
    """
    from regtui.notify.asked import environment_for
    from regtui.sources.detached import Detached

    if notify:
        read_notify(tuple(notify))
    environment = environment_for(notify)
    run = Detached(config, runs_dir=runs_dir, log=log, share=share, resumes=resumes, more=more, environment=environment)
    try:
        begins = run.wait_until_checked()
    except BaseException:
        run.call_off()
        raise
    if not begins:
        raise click.UsageError(run.problem)
    run.let_go()
    if as_json:
        # For a script, which may go elsewhere.
        folder, log_path = str(run.folder.absolute()), str(run.log_path.absolute())
        found = {"run_id": run.run_id, "folder": folder, "log": log_path, "pid": run.pid}
        click.echo(json.dumps(found))
        return
    named = log if not resumes else None
    where = printable(str(named or run.folder))
    click.echo(where if named else run.run_id)
    click.echo(f"regtui: process {run.pid} trains: `regtui watch {where}` shows it", err=True)
