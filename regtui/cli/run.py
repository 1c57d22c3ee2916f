"""`regtui run`: any command as a run that outlives the terminal."""

import json
import os
import shutil
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import click

from regtui.cli.options import RUNS_DIR, SHARE
from regtui.core.text import printable
from regtui.supervisor.stopping import GRACE_SECONDS


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("--name", metavar="N", help="What the run's id is to say. [default: the program's name]")
@click.option(
    "--grace", "grace_seconds", type=click.FloatRange(min=0, max=86400), default=GRACE_SECONDS, show_default=True,
    metavar="SECONDS", help="How long a command that was told to end may take before it is killed.",
)  # fmt: skip
@RUNS_DIR
@SHARE
@click.option("--json", "as_json", is_flag=True, help="Print an object with run_id, folder and pid.")
def run(
    command: tuple[str, ...], name: str | None, grace_seconds: float, runs_dir: Path, share: bool, as_json: bool
) -> None:
    """Start any training command as a run of its own process, and return; its id is printed.

    What it prints goes to output.log in the run's folder. Where it calls regtui.record(), or an integration of regtui
    does, that run is recorded in the same folder: REGTUI_RUN in its environment names it. Else a log of a known format
    that it writes under the folder it runs in is watched (TensorBoard, CSV, trainer_state.json, W&B, MLflow, ...), else
    the losses that it prints. `regtui watch`, `runs` and `--replay` take the run like any other.

    `regtui send RUN stop` ends it: a loop that is recorded and asks should_stop ends by itself; any other is told as by
    ctrl+c, then by SIGTERM, then killed. A second stop kills at once. SIGTERM or SIGINT to the pid goes to the command.
    """
    check_command(command[0])
    if name == "":
        raise click.UsageError("--name must say something, and is empty.")
    started = start_command(command, name or name_of(command), runs_dir, share=share, grace_seconds=grace_seconds)
    if as_json:
        click.echo(json.dumps(started, indent=2))
    else:
        click.echo(started["run_id"])


def start_command(
    command: tuple[str, ...], name: str, runs_dir: Path, *, share: bool, grace_seconds: float
) -> dict[str, object]:
    """Start a command as a run, and give its id, its folder and the pid of the process beside it.

    Raises UsageError where the system cannot start it, and LogError where the folder cannot be written; nothing is
    left behind then.
    """
    from regtui.commandfile import FILE_NAME, OUTPUT_NAME
    from regtui.folders import open_own_file, take_back
    from regtui.processes import NotStarted, start_detached
    from regtui.readers import LogError
    from regtui.runs import folder_name, make_run_folder, new_run_id

    run_id, made = make_run_folder(new_run_id(folder_name(name), time.time()), runs_dir, share=share)
    folder = (runs_dir / run_id).absolute()
    output = folder / OUTPUT_NAME
    try:
        fd, _ = open_own_file(output, share=share)
        try:
            shared = "share" if share else "private"
            arguments = [str(folder), shared, str(grace_seconds), *command]
            said = start_detached("regtui.supervisor.main", arguments, fd)
        finally:
            os.close(fd)
    except BaseException as error:
        for left in (output, folder / FILE_NAME):
            with suppress(OSError):
                left.unlink()
        take_back(made)
        if isinstance(error, NotStarted):
            raise click.UsageError(f"{command[0]} cannot be started: {error}") from None
        if isinstance(error, OSError):
            raise LogError(f"{output} cannot be written: {error.strerror or error}") from None
        raise
    return {"run_id": run_id, "folder": str(folder), "pid": said["pid"]}


def check_command(program: str) -> None:
    """Raise UsageError for what is no program, before anything is made for it."""
    if shutil.which(program):
        return
    path = Path(program)
    shown = printable(program)
    if os.sep not in program:
        here = f"; ./{shown} is in this folder" if path.is_file() else ""
        raise click.UsageError(f"the command {shown} is not found: name a program on PATH, or a path{here}")
    if path.is_dir():
        raise click.UsageError(f"the command {shown} is a folder: name a program")
    if path.exists():
        raise click.UsageError(f"the command {shown} is not executable: `chmod +x` it, or name its interpreter")
    raise click.UsageError(f"the command {shown} does not exist")


def name_of(command: tuple[str, ...]) -> str:
    """Name a run after what its command runs: `train` of `python -u train.py --lr 0.1`."""
    program = Path(command[0]).name
    if not program.startswith(("python", "bash", "sh", "torchrun", "accelerate", "uv")):
        return program
    for word in command[1:]:
        if word.endswith((".py", ".sh")):
            return Path(word).stem
    for before, word in pairwise(command):
        if before == "-m":
            return word.rpartition(".")[2] or word
    return program


COMMAND = run
