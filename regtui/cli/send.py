"""`regtui send`: tell a run in another process what to do, and say what came of it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from regtui.cli.options import RUNS_DIR
from regtui.core.events import COMMANDS, Changed, Command, Event, Noted, RunEnded, RunStarted, SetKnob, Stop
from regtui.core.text import MISSING, printable, short

if TYPE_CHECKING:
    from regtui.sources.log import LogSource

WORDS = tuple(name for name, kind in COMMANDS.items() if kind is not SetKnob)
"""Commands that are a word alone."""

ANSWER_SECONDS = 2.0
"""How long the log is watched for what came of them: a loop of one's own looks twice a second, and writes as often."""

SET_UP_SECONDS = 60.0
"""How long it is waited for a run that is being set up: what it listens to is in its first record, which comes once
its framework is imported."""

LOOK_SECONDS = 0.02
"""How often it is looked at meanwhile."""


@click.command("send")
@click.argument("run", metavar="RUN|LOG|DIR")
@click.argument("what", metavar=f"{'|'.join(WORDS)}|KNOB=VALUE...", nargs=-1, required=True)
@RUNS_DIR
@click.pass_context
def send(context: click.Context, /, run: str, what: tuple[str, ...], runs_dir: Path) -> None:
    """Tell a run to pause, resume, stop, go on to the end of its epoch, or turn knobs.

    learning_rate=0.01 holds a rate, learning_rate=x0.5 halves what it is; several go at once. Says what came of it, and
    exits with 1 where something was not obeyed, or nobody has answered within two seconds.
    """
    from regtui.readers import LogError
    from regtui.runs import find_run
    from regtui.sources.log import LogSource
    from regtui.sources.sent import names_of

    commands = [_command(each) for each in what]
    source = LogSource(find_run(run, runs_dir))
    _catch_up(source)
    if not source.activity.alive:
        raise LogError(f"{source.path} is the log of a run that is over: nobody would obey")
    if any(type(command) not in source.listens for command in commands):
        known = ", ".join(names_of(source.listens))
        raise LogError(f"the run of {source.path} does not listen to that, but to {known or 'nothing'}")
    try:
        source.send(*commands)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise LogError(f"the run of {source.path} cannot be told: {where}{error.strerror or error}") from None
    obeyed = [_say(command, answer, source) for command, answer in _answers(source, commands)]
    context.exit(0 if all(obeyed) else 1)


def _catch_up(source: "LogSource") -> None:
    """Read what is there; of a run that is only being set up its first record is waited for."""
    end = time.monotonic() + SET_UP_SECONDS
    begun = False
    while True:
        events = source.poll(100_000)
        begun = begun or any(isinstance(event, RunStarted) for event in events)
        if events or source.behind:
            continue
        if begun or time.monotonic() > end or not source.activity.growing:
            return
        time.sleep(LOOK_SECONDS)


def _answers(source: "LogSource", commands: Sequence[Command]) -> list[tuple[Command, Event | None]]:
    """Wait for what the log says of each command, None where that does not come in time."""
    from regtui.sources.sent import Sent

    end = time.monotonic() + ANSWER_SECONDS
    waiting = [Sent(command=command, at=0.0) for command in commands]
    answers: dict[int, Event] = {}
    settled: set[int] = set()
    while len(settled) < len(waiting) and time.monotonic() < end:
        for event in source.poll():
            for index, sent in enumerate(waiting):
                if index not in settled and sent.is_answered_by(event):
                    answers[index] = event
                    # That it is stopping is a word; where the end comes in time, that is the better one.
                    if isinstance(event, RunEnded) or not isinstance(sent.command, Stop):
                        settled.add(index)
                    # The end of the run answers all; anything else the first that it can be an answer to.
                    if not isinstance(event, RunEnded):
                        break
        time.sleep(LOOK_SECONDS)
    return [(command, answers.get(index)) for index, command in enumerate(commands)]


def _say(command: Command, answer: Event | None, source: "LogSource") -> bool:
    """Say what came of a command; tells whether it was obeyed."""
    name = command.knob if isinstance(command, SetKnob) else str(type(command).__struct_config__.tag)
    match answer:
        case Changed(what=knob, old=old, new=new):
            now, before = (MISSING if each is None else short(each) for each in (new, old))
            click.echo(f"{printable(knob)} {now} (was {before})")
        case RunEnded(status=status) if isinstance(command, Stop):
            click.echo(f"{printable(status.replace('_', ' '))} at step {answer.step:,}")
        case Noted(level="state", text=state):
            click.echo(printable(state))
        case Noted(text=why):
            click.echo(f"regtui: not obeyed: {printable(why)}", err=True)
            return False
        case RunEnded():
            click.echo(f"regtui: {name} came too late: the run has ended", err=True)
            return False
        case _:
            within = f"within {ANSWER_SECONDS:g} seconds"
            if source.activity.growing:
                why = f"the run has not answered {within}: what comes of it will be in its log"
            else:
                why = f"nobody on this machine writes {source.path}, and nobody elsewhere has answered {within}"
            click.echo(f"regtui: {name} was sent, but {why}", err=True)
            return False
    return True


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
        check(field, number)
    except ConfigError as error:
        raise click.UsageError(f"{field.name} {error.problem}") from None
    return SetKnob(knob=field.name, value=number, scale=scale)  # type: ignore[arg-type] # live fields are the knobs


COMMAND = send
