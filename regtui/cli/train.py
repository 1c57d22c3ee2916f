"""`regtui train`: a run without a screen."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from regtui.cli.options import make_config, run_options

if TYPE_CHECKING:
    from regtui.core.history import History
    from regtui.sources.here import LiveRun


@click.command("train")
@run_options
@click.option(
    "--log", type=click.Path(dir_okay=False, path_type=Path), metavar="F", help="Record the run in this file."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on standard output.")
@click.pass_context
def train(
    context: click.Context, /, log: Path | None, as_json: bool, runs_dir: Path, share: bool, **options: Any
) -> None:
    """Train without a screen: progress on standard error, the result on standard output."""
    config = make_config(options)
    from regtui.output import captured_output
    from regtui.sources.here import LiveRun

    live = LiveRun(config, runs_dir=runs_dir, log=log, share=share)
    with captured_output(live.say) as terminal, _stop_on_signals(live):
        history = _drive(live, terminal.err)
    if live.problem is not None and history.run is None:
        raise click.UsageError(live.problem)
    from regtui import report

    click.echo(f"log: {live.log_path}", err=True)
    if live.log_problem:
        click.echo(f"regtui: {live.log_problem}", err=True)
    found = report.result(history, log_problem=live.log_problem)
    click.echo(report.to_json(found) if as_json else report.summary(history))
    context.exit(1 if history.status in {"failed", "diverged"} or live.log_problem else 0)


def _drive(live: "LiveRun", err: TextIO) -> "History":
    """Run to the end in this thread and say how it goes."""
    from regtui.core.history import History
    from regtui.report import epoch_line

    history = History()
    said = {"stage": "", "epochs": 0, "log": ""}

    def tell() -> None:
        if live.stage != said["stage"]:
            said["stage"] = live.stage
            if err.isatty() and live.stage not in {"training", "ended"}:
                click.echo(f"{live.stage} ...", file=err)
        if live.log_problem != said["log"] and live.alive:
            said["log"] = live.log_problem
            click.echo(f"regtui: {live.log_problem or f'the log {live.log_path} is whole again'}", file=err)
        history.apply(live.poll())
        if len(history.evaluations) != said["epochs"]:
            said["epochs"] = len(history.evaluations)
            click.echo(epoch_line(history), file=err)

    live.listen(tell)
    live.drive()
    return history


@contextmanager
def _stop_on_signals(live: "LiveRun") -> Iterator[None]:
    """End the run cleanly, its `end` written, when the process is told to go; a second time ends at once."""
    from regtui.core.events import Stop

    before: dict[signal.Signals, Any] = {}

    def stop(number: int, _frame: Any) -> None:
        received = signal.Signals(number)
        live.send(Stop(reason=f"stopped by {received.name}"))
        signal.signal(received, before[received])

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)


COMMAND = train
