"""The command line: parses, then hands over; whatever is heavy is imported once it is known to be needed."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from regtui import __version__, backends
from regtui.core.config import ConfigError, Field, RunConfig, fields, parse
from regtui.core.presets import PRESETS

if TYPE_CHECKING:
    from regtui.core.history import History
    from regtui.sources.here import LiveRun

F = TypeVar("F", bound=Callable[..., Any])

BAD_USAGE = 2
"""Exit status of a command that could not be understood or a log that could not be read."""

RUNS_DIR = click.option(
    "--runs-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    envvar="REGTUI_RUNS_DIR",
    show_default=True,
    help="Folder of the recorded runs (or the environment's REGTUI_RUNS_DIR).",
)


def run_options(command: F) -> F:
    """Give a command one option for each field of the configuration."""
    command = RUNS_DIR(command)
    for field in reversed(fields().values()):
        command = _field_option(field)(command)
    preset_help = f"Start from one of: {', '.join(PRESETS)}. Options given beside it win."
    return click.option("--preset", metavar="NAME", help=preset_help)(command)


def _field_option(field: Field) -> Callable[[F], F]:
    choices = backends.names() if field.name == "framework" else field.choices
    metavar = "|".join(choices) or {"integer": "N", "number": "X", "widths": "N,N", "text": "NAME|PATH"}.get(field.kind)
    if field.kind == "flag":
        return click.option(field.option, field.name, is_flag=True, default=None, help=_sentence(field.hint))
    # No type and no default: values are read by the same `parse` as the form's, and a preset may fill the gap.
    return click.option(field.option, field.name, metavar=metavar, help=_sentence(field.hint))


def _sentence(hint: str) -> str:
    return hint[0].upper() + hint[1:] + "."


def make_config(options: Mapping[str, Any]) -> RunConfig:
    """Make the configuration that the options ask for; raises ConfigError."""
    by_name = fields()
    given = {
        name: parse(by_name[name], value) if isinstance(value, str) else value
        for name, value in options.items()
        if name in by_name and value is not None
    }
    if "framework" not in given:
        installed = [name for name in backends.names() if backends.is_installed(name)]
        given["framework"] = (installed or backends.names())[0]
    elif given["framework"] not in backends.names():
        backends.check(given["framework"])
    return RunConfig.create(options.get("preset"), **given)


def read_size(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read a size of a screen in characters, such as 100x30: columns and lines."""
    if value is None:
        return None
    width, _, height = value.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and 1 <= int(width) <= 1000 and 1 <= int(height) <= 1000):
        raise click.BadParameter(f"must be two whole numbers from 1 to 1000 such as 100x30, not {value!r}.")
    return int(width), int(height)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Without a command: the lab, a terminal app. Keys and log format are in the README.",
)
@run_options
@click.option("--start", is_flag=True, help="Begin the run at once.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw without braille and box characters.")
@click.option("--ghost", type=click.Path(path_type=Path), metavar="LOG", help="A run to show faintly behind this one.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="LOG", help="Show a recorded run without the app.")
@click.option(
    "--speed", type=click.FloatRange(min=0, min_open=True), metavar="X", help="With --replay: X times as fast."
)
@click.option("--size", callback=read_size, metavar="WxH", help="With --replay: columns and lines to draw on.")
@click.option("--until-epoch", type=click.IntRange(min=1), metavar="N", help="With --replay: stop after epoch N.")
@click.option("--json", "as_json", is_flag=True, help="With --replay: print the result as one JSON object.")
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="With --replay: draw it here."
)
@click.option("--check", is_flag=True, help="With --replay: exit with 1 when the run overfits or diverged.")
@click.version_option(__version__, prog_name="regtui")
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> None:
    """See overfitting, regularisation and learning-rate decay as they happen, in PyTorch and TensorFlow."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    if options["replay"] is not None:
        context.exit(_replay(context, options))
    for name in ("speed", "size", "until_epoch", "as_json", "svg", "check"):
        if options[name]:
            raise click.UsageError(f"{_option_name(context, name)} goes with --replay LOG.")
    _open_lab(options)


def _refuse_options_before(context: click.Context) -> None:
    for name in context.params:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = _option_name(context, name)
            raise click.UsageError(f"{option} goes after the command: regtui {context.invoked_subcommand} {option} ...")


def _option_name(context: click.Context, name: str) -> str:
    return next(parameter.opts[0] for parameter in context.command.params if parameter.name == name)


def _replay(context: click.Context, options: Mapping[str, Any]) -> int:
    for name in (*fields(), "preset", "start"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{_option_name(context, name)} is for a new run; a replayed log has its own.")
    from regtui.report import replay
    from regtui.runs import find_run

    return replay(
        find_run(options["replay"], options["runs_dir"]),
        speed=options["speed"],
        size=options["size"],
        until_epoch=options["until_epoch"],
        as_json=options["as_json"],
        svg=options["svg"],
        check=options["check"],
        ascii_only=options["ascii_only"],
        ghost=_find(options["ghost"], options),
    )


def _find(run: Path | None, options: Mapping[str, Any]) -> Path | None:
    """Find a run that may be named beside another; raises LogError."""
    from regtui.runs import find_run

    return find_run(run, options["runs_dir"]) if run is not None else None


def _open_lab(options: Mapping[str, Any]) -> None:
    config = make_config(options)
    _need_terminal()
    from regtui.tui.app import run_app

    run_app(
        config,
        start=options["start"],
        runs_dir=options["runs_dir"],
        ascii_only=options["ascii_only"],
        ghost=_find(options["ghost"], options),
    )


def _need_terminal() -> None:
    # Textual reads from standard input, measures standard output and draws on standard error.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise click.UsageError(
            "The lab needs a terminal on standard input, output and error; "
            "`regtui train` and `regtui --replay LOG` do without."
        )


@cli.command("train")
@run_options
@click.option(
    "--log", type=click.Path(dir_okay=False, path_type=Path), metavar="F", help="Record the run in this file."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on standard output.")
@click.pass_context
def train_command(context: click.Context, /, log: Path | None, as_json: bool, runs_dir: Path, **options: Any) -> None:
    """Train without a screen: progress on standard error, the result on standard output."""
    config = make_config(options)
    from regtui.output import captured_output
    from regtui.sources.here import LiveRun

    live = LiveRun(config, runs_dir=runs_dir, log=log)
    with captured_output(live.say) as terminal, _stop_on_signals(live):
        history = _drive(live, terminal.err)
    if live.problem is not None and history.run is None:
        raise click.UsageError(live.problem)
    from regtui import report

    click.echo(f"log: {live.log_path}", err=True)
    click.echo(report.to_json(report.result(history)) if as_json else report.summary(history))
    context.exit(1 if history.status in {"failed", "diverged"} else 0)


def _drive(live: "LiveRun", err: TextIO) -> "History":
    """Run to the end in this thread and say how it goes."""
    from regtui.core.history import History
    from regtui.report import epoch_line

    history = History()
    said = {"stage": "", "epochs": 0}

    def tell() -> None:
        if live.stage != said["stage"]:
            said["stage"] = live.stage
            if err.isatty() and live.stage not in {"training", "ended"}:
                click.echo(f"{live.stage} ...", file=err)
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


@cli.command()
@click.argument("run", required=False, metavar="[RUN|LOG|DIR]")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw without braille and box characters.")
@click.option("--ghost", type=click.Path(path_type=Path), metavar="LOG", help="A run to show faintly behind this one.")
@RUNS_DIR
def watch(run: str | None, runs_dir: Path, ascii_only: bool, ghost: Path | None) -> None:
    """Show a log in the app, finished or growing; without an argument the newest run."""
    from regtui.runs import find_run
    from regtui.sources.log import LogSource

    source = LogSource(find_run(run, runs_dir))
    ghost = find_run(ghost, runs_dir) if ghost is not None else None
    _need_terminal()
    from regtui.tui.app import run_app

    run_app(RunConfig.create(), source=source, runs_dir=runs_dir, ascii_only=ascii_only, ghost=ghost)


@cli.command()
@RUNS_DIR
def runs(runs_dir: Path) -> None:
    """List the recorded runs."""
    from regtui import report

    click.echo(report.runs_table(runs_dir))


def main() -> None:
    """Run the command line; whatever goes wrong is one sentence on standard error."""
    from regtui.readers import LogError

    try:
        status = cli.main(standalone_mode=False, prog_name="regtui")
    except click.ClickException as error:
        _fail(error.format_message())
    except (ConfigError, LogError) as error:
        _fail(str(error))
    except click.Abort:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does: nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        if os.environ.get("REGTUI_DEBUG"):
            raise
        _fail(f"{type(error).__name__}: {error} (a fault of regtui's; REGTUI_DEBUG=1 shows where)")
    sys.exit(status if isinstance(status, int) else 0)


def _fail(problem: str) -> None:
    click.echo(f"regtui: {problem}", err=True)
    sys.exit(BAD_USAGE)
