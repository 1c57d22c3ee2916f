"""`regtui send`: tell a run in another process what to do."""

from pathlib import Path

import click
import msgspec

from regtui.cli.options import RUNS_DIR
from regtui.core.events import COMMANDS, Command, SetKnob, Stop

WORDS = tuple(name for name, kind in COMMANDS.items() if kind is not SetKnob)
"""Commands that are a word alone."""


@click.command("send")
@click.argument("run", metavar="RUN|LOG|DIR")
@click.argument("what", metavar=f"{'|'.join(WORDS)}|KNOB=VALUE")
@RUNS_DIR
def send(run: str, what: str, runs_dir: Path) -> None:
    """Tell a run to pause, resume, stop, go on to the end of its epoch, or turn a knob.

    learning_rate=0.01 holds a rate, learning_rate=x0.5 halves what it is. What came of it is in the run's log.
    """
    from regtui.readers import LogError
    from regtui.runs import find_run
    from regtui.sources.log import LogSource

    command = _command(what)
    source = LogSource(find_run(run, runs_dir))
    while source.poll(100_000):
        pass
    if not source.activity.alive:
        raise LogError(f"{source.path} is the log of a run that is over: nobody would obey")
    if type(command) not in source.listens:
        known = ", ".join(name for name, kind in COMMANDS.items() if kind in source.listens)
        raise LogError(f"the run of {source.path} does not listen to that, but to {known or 'nothing'}")
    try:
        source.send(command)
    except OSError as error:
        raise LogError(f"the run of {source.path} cannot be told: {error.strerror or error}") from None
    if not source.activity.growing:
        click.echo(f"regtui: sent, but nobody on this machine writes {source.path}", err=True)


def _command(what: str) -> Command:
    """Read a command as a person typed it."""
    from regtui.core.config import ConfigError, fields
    from regtui.core.fields import check, parse

    name, _, value = what.partition("=")
    if what == "stop":
        return Stop(reason="stopped by regtui send")
    if what in WORDS:
        word: Command = msgspec.convert({"command": what}, Command)
        return word
    field = fields().get(name.replace("-", "_"))
    if field is None or not field.live or not value:
        knobs = ", ".join(field.name for field in fields().values() if field.live)
        raise click.UsageError(f"{what!r} is neither {', '.join(WORDS)} nor KNOB=VALUE with a knob of {knobs}")
    scale = field.name == "learning_rate" and value.startswith("x")
    try:
        number = parse(field, value.removeprefix("x") if scale else value)
        if not scale:
            check(field, number)
    except ConfigError as error:
        raise click.UsageError(f"{field.name} {error.problem}") from None
    return SetKnob(knob=field.name, value=number, scale=scale)  # type: ignore[arg-type] # live fields are the knobs


COMMAND = send
