"""`regtui train`: a run without a screen."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from regtui.cli.detaching import start_detached
from regtui.cli.leaving import leave, leaving
from regtui.cli.options import KEEP, NOTIFY, NamedPath, given_options, make_config, read_notify, run_options
from regtui.cli.resuming import find_resumed, refuse_beside_resume
from regtui.core.text import printable
from regtui.output import OutputLost, captured_output, losable, write_within

if TYPE_CHECKING:
    from regtui.checkpoints import Keep
    from regtui.cli.resuming import Resumed
    from regtui.core.config import RunConfig
    from regtui.core.events import Event
    from regtui.core.history import History
    from regtui.notify.audience import Audience, Way
    from regtui.sources.here import Companion, LiveRun

MOST_LINES = 5_000
"""Epochs that a detached run tells of, in equal distances: some 400 kB of its `output.log`, however long it runs."""

SAYING_SECONDS = 0.2
"""How long a last sentence may take to be written."""


@click.command("train")
@run_options
@click.option("--log", type=NamedPath(dir_okay=False), metavar="F", help="Record the run in this file.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on standard output.")
@click.option(
    "--checkpoint",
    type=click.Choice(list(KEEP)),
    help="Keep weights, optimizer and all else to go on from, of the best epoch, of the last moment, or of both, "
    "beside the log.  [default: none; both with --detach]",
)
@click.option(
    "--resume",
    type=NamedPath(),
    metavar="RUN",
    help="Go on with a run, by id, folder or log, from its last checkpoint to its planned end, in its own log.",
)
@click.option("--detach", is_flag=True, help="Train in a process of its own: print the run's id, and return.")
@NOTIFY
@click.pass_context
def train(
    context: click.Context, /, log: Path | None, as_json: bool, checkpoint: "Keep | None", resume: Path | None,
    detach: bool, runs_dir: Path, share: bool, notify: tuple[str, ...], **options: Any,
) -> None:  # fmt: skip
    """Train without a screen: progress on standard error, the result on standard output.

    What nobody reads any more, a terminal or pipe that has gone, ends no training. With --detach it goes on by itself,
    and what it prints is in output.log in the run's folder: watch, send and runs are for it.
    """
    if log is not None and "runs_dir" in given_options(context):
        raise click.UsageError("--log names the one file of a run, --runs-dir the folder of all: one of them goes.")
    resumed = None
    if resume is not None:
        refuse_beside_resume(context)
        resumed = find_resumed(resume, runs_dir)
    config = make_config(options) if resumed is None else resumed.point.config
    if detach:
        _say_what_it_joins(log)
        start_detached(
            config, runs_dir=runs_dir, log=resumed.point.log if resumed else log, share=share, as_json=as_json,
            notify=notify, more=("--checkpoint", checkpoint or "both"),
            resumes=resumed.point.manifest.run_id if resumed else "",
        )  # fmt: skip
        return
    context.exit(_train_here(config, log, as_json, checkpoint, runs_dir, share=share, notify=notify, resumed=resumed))


def _train_here(
    config: "RunConfig", log: Path | None, as_json: bool, checkpoint: "Keep | None", runs_dir: Path, *, share: bool,
    notify: tuple[str, ...], resumed: "Resumed | None",
) -> int:  # fmt: skip
    """Train in this process, to the run's end; gives the exit status, or leaves by the signal that ended it."""
    audience, companions = _listeners(notify, resumed)
    from regtui.sources.here import LiveRun
    from regtui.sources.starter import find_starter

    starter = find_starter()
    live = LiveRun(
        config, runs_dir=runs_dir, log=log, share=share, companions=companions, starter=starter,
        checkpoint=checkpoint or (resumed.point.manifest.keep if resumed else "none"),
        resume=resumed.point if resumed else None,
    )  # fmt: skip
    driven = _Driven(live, every=ceil(config.epochs / MOST_LINES) if starter.keeps else 1, before=resumed)
    with leaving(driven.stop, driven.abandon):
        if resumed is not None:
            click.echo(f"regtui: {resumed.said}", err=True)
        _say_what_it_joins(log)
        with captured_output(live.say) as terminal:
            history = driven.drive(losable(terminal.err.fileno(), sys.stderr))
        if live.problem is not None and not driven.began:
            raise click.UsageError(live.problem)
        click.echo(f"log: {printable(str(live.log_path))}", err=True)
        if live.log_problem:
            click.echo(f"regtui: {live.log_problem}", err=True)
        try:
            _print_result(history, as_json, live.log_problem)
        except OutputLost as lost:
            # What the signal asked for was done; who sent it has often taken the reader along.
            if driven.stopped_by is None:
                if lost.gone:
                    raise
                raise click.ClickException(
                    f"the result cannot be printed on standard output ({lost}): "
                    f"`regtui --replay {live.log_path}` shows it"
                ) from None
        finally:
            if audience is not None:
                _wait_until_told(audience, leaving=driven.stopped_by is not None)
        if driven.stopped_by is not None and history.status == "stopped":
            leave(driven.stopped_by)
    from regtui import report

    return 1 if report.run_status(history) or live.log_problem else 0


def _listeners(notify: tuple[str, ...], resumed: "Resumed | None" = None) -> "tuple[Audience | None, list[Companion]]":
    """Give those who are told of a run, and what goes along with it to tell them; none where nobody is asked for."""
    if not notify:
        return None, []
    from regtui.notify.audience import Audience
    from regtui.notify.teller import Teller
    from regtui.notify.terminal import TerminalWay

    asked = read_notify(notify)
    ways: list[Way] = [*asked.services]
    if os.isatty(2):
        # Kept from what captures standard error while the run lives.
        ways.append(TerminalWay(partial(os.write, os.dup(2)), asked.terminal, os.environ))
    audience = Audience(ways)
    from regtui.readers import read_history

    # Read again: the other one is folded on in the thread that prints.
    return audience, [Teller(audience, read_history(resumed.point.log) if resumed is not None else None)]


def _wait_until_told(audience: "Audience", *, leaving: bool) -> None:
    from regtui.notify.audience import END_SECONDS, LEAVING_SECONDS

    for problem in audience.settle(LEAVING_SECONDS if leaving else END_SECONDS):
        click.echo(f"regtui: {printable(problem)}", err=True)


def _print_result(history: "History", as_json: bool, log_problem: str) -> None:
    from regtui import report

    found = report.result(history, log_problem=log_problem)
    click.echo(report.to_json(found) if as_json else report.summary(history))


def _say_what_it_joins(log: Path | None) -> None:
    """Say that a log holds a run already: readers show the last one of a log."""
    if log is None:
        return
    from regtui.readers.opening import last_line
    from regtui.sources.detached import ends_a_run

    if not last_line(log):
        # Nothing there, or not ours to read; whether it can be written is seen by its writer.
        return
    held = "a finished run" if ends_a_run(log) else "records without an end"
    click.echo(f"regtui: appends to {printable(str(log))}, which holds {held}", err=True)


class _Driven:
    """A run that trains in a thread of its own, so that this one always hears signals."""

    def __init__(self, live: "LiveRun", *, every: int, before: "Resumed | None" = None) -> None:
        """Say a line at every so many epochs; `before` is what is known of a run that goes on."""
        self.began = False
        """It has told of its training."""
        self._every, self._before = every, before
        self.stopped_by: signal.Signals | None = None
        self._live = live
        self._news = threading.Event()
        self._broken: list[BaseException] = []
        self._err = os.dup(2)  # kept from what captures standard error while the run lives

    def drive(self, err: TextIO) -> "History":
        """Say how the run goes, until it has ended; gives what came of it."""
        from regtui import report

        self._live.listen(self._news.set)
        threading.Thread(target=self._train, daemon=True).start()
        known = self._before.history if self._before else None
        history = report.line_an_epoch(self._batches(err), err, every=self._every, history=known)
        if self._broken:
            raise self._broken[0]
        return history

    def _train(self) -> None:
        try:
            self._live.drive()
        except BaseException as error:  # a fault of ours, told where all are
            self._broken.append(error)

    def _batches(self, err: TextIO) -> Iterator[list["Event"]]:
        stage, problem, alive = "", "", True
        while alive:
            self._news.wait()
            self._news.clear()
            # Asked first: what is polled after its end is all of it.
            alive = self._live.alive
            if self._live.stage != stage:
                stage = self._live.stage
                if err.isatty() and stage not in {"training", "ended"}:
                    click.echo(f"{stage} ...", file=err)
            if alive and self._live.log_problem != problem:
                problem = self._live.log_problem
                whole = f"the log {self._live.log_path} is whole again"
                click.echo(f"regtui: {printable(problem or whole)}", file=err)
            events = self._live.poll()
            self.began = self.began or bool(events)
            yield events

    def stop(self, received: signal.Signals) -> None:
        """Let the run end in its log; where there is none yet, leave at once."""
        from regtui.core.events import Stop

        self.stopped_by = received
        if not self._live.begun:
            leave(received, self.abandon)
        self._live.send(Stop(reason=f"stopped by {received.name}"))

    def abandon(self, received: signal.Signals) -> None:
        """Leave the log whole, and say how the run ended, if there is somebody to say it to."""
        begun, stage = self._live.begun, self._live.stage
        self._live.abandon(f"stopped by {received.name}")
        where = f"its log is {printable(str(self._live.log_path))}" if begun else f"while {stage}: nothing was trained"
        said = f"regtui: stopped by {received.name}{';' if begun else ''} {where}\n".encode()
        write_within(self._err, said, SAYING_SECONDS)


COMMAND = train
