"""Options that several commands share, and what they make: a configuration, a size."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from regtui import backends
from regtui.core.config import Field, RunConfig, fields, parse, policy_only_fields, unparse
from regtui.core.policies import policies
from regtui.core.presets import DEFAULT_PRESET, PRESETS
from regtui.notify import VARIABLE

if TYPE_CHECKING:
    from regtui.core.history import History
    from regtui.notify.asked import Asked
    from regtui.readers import Wanted

F = TypeVar("F", bound=Callable[..., Any])


class NamedPath(click.Path):
    """A path that is named: an empty one, such as an unset variable gives, would mean the folder one is in."""

    def __init__(self, **given: Any) -> None:
        super().__init__(path_type=Path, **given)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("must name a path, and is empty.", param, ctx)
        return super().convert(value, param, ctx)


RUNS_DIR = click.option(
    "--runs-dir",
    type=NamedPath(file_okay=False),
    default=Path("runs"),
    envvar="REGTUI_RUNS_DIR",
    show_default=True,
    help="Folder of the recorded runs (or the environment's REGTUI_RUNS_DIR).",
)
SHARE = click.option(
    "--share",
    is_flag=True,
    help="Let others read the run's folder and log, as far as the umask does; without it they are yours alone.",
)
ASCII = click.option("--ascii", "ascii_only", is_flag=True, help="Draw without braille and box characters.")
GHOST = click.option("--ghost", type=NamedPath(), metavar="LOG", help="A run to show faintly behind it.")
NOTIFY = click.option(
    "--notify",
    multiple=True,
    metavar="URL|terminal|bell",
    envvar=VARIABLE,
    help="Tell when the run ends, fails, diverges, begins to overfit or stalls: through a URL of apprise such as "
    "ntfy://TOPIC, by the terminal's notification and bell, or by its bell alone. May be given several times; "
    f"{VARIABLE} in the environment holds the same, divided by blanks, and is not seen in `ps`.",
)


_NAMES = {
    "valid": "In a log of another trainer: NAME is the validation loss.",
    "train": "In a log of another trainer: NAME is the training loss.",
    "rate": "In a log of another trainer: NAME is the learning rate.",
    "metric": "In a log of another trainer: draw and judge this in the place of the loss, such as wer.",
}
"""Option -> what it says, for logs whose own names say too little."""

KEEP = ("best", "last", "both", "none")
"""Which checkpoints a run can keep; `checkpoints.KEEP` says what each is, and is not imported for a help page."""


def name_options(command: F) -> F:
    """Give a command the options that say what the names in a log mean."""
    for name, text in reversed(_NAMES.items()):
        command = click.option(f"--{name}", f"{name}_name", metavar="NAME", help=text)(command)
    return command


def make_wanted(options: Mapping[str, Any]) -> "Wanted":
    """Give what a person said of the names in a log."""
    from regtui.readers import Wanted

    for name in _NAMES:
        if options[f"{name}_name"] == "":
            raise click.UsageError(f"--{name} must name something that the log has, and is empty.")
    return Wanted(**{name: options[f"{name}_name"] or "" for name in _NAMES})


def read_notify(words: tuple[str, ...]) -> "Asked":
    """Give who is to be told; raises UsageError with no word of a URL but its scheme."""
    from regtui.notify.asked import NotifyError, asked

    try:
        return asked(words)
    except NotifyError as error:
        source = click.get_current_context().get_parameter_source("notify")
        name = VARIABLE if source is click.core.ParameterSource.ENVIRONMENT else "--notify"
        raise click.UsageError(f"{name} {error}") from None


MORE_DATA = " REGTUI_MAX_DATA=8G in the environment lifts the limit of 800 MB."


def run_options(command: F) -> F:
    """Give a command one option for each field of the configuration."""
    command = RUNS_DIR(SHARE(command))
    for field in reversed(fields().values()):
        command = _field_option(field)(command)
    preset_help = (
        f"Start from one of: {', '.join(PRESETS)}. Options given beside it win. "
        f"[default: {DEFAULT_PRESET}, unless --dataset is given; it goes before the defaults below]"
    )
    return click.option("--preset", metavar="NAME", help=preset_help)(command)


def _field_option(field: Field) -> Callable[[F], F]:
    choices = backends.names() if field.name == "framework" else field.choices
    metavar = "|".join(choices) or {"integer": "N", "number": "X", "widths": "N,N", "text": "NAME|PATH"}.get(field.kind)
    default = default_text(field)
    text = (
        field.hint[0].upper()
        + field.hint[1:]
        + "."
        + MORE_DATA * (field.name == "dataset")
        + (f" [default: {default}]" if default else "")
    )
    if field.kind == "flag":
        return click.option(field.option, field.name, is_flag=True, default=None, help=text)
    # No type and no default: values are read by the same `parse` as the form's, and a preset may fill the gap.
    return click.option(field.option, field.name, metavar=metavar, help=text)


def default_text(field: Field) -> str:
    """Say what a field is where nobody says otherwise; a policy's field has one for each policy that reads it."""
    if field.name == "framework":
        return f"{backends.names()[0]}, or whichever is installed"
    if field.name in policy_only_fields():
        return ", ".join(
            f"{name} {shown}"
            for name, policy in policies().items()
            if field.name in policy.defaults and (shown := _policy_default(field, policy.defaults[field.name]))
        )
    return "off" if field.kind == "flag" else unparse(field, field.default)


def _policy_default(field: Field, default: Any) -> str:
    if isinstance(default, Mapping):
        return " or ".join(f"{unparse(field, value)} ({case})" for case, value in default.items())
    return unparse(field, default)


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


def find_ghost(options: Mapping[str, Any]) -> Path | None:
    """Find the run that is to be shown behind another; raises LogError."""
    from regtui.runs import find_run

    return find_run(options["ghost"], options["runs_dir"]) if options["ghost"] is not None else None


def read_ghost(options: Mapping[str, Any]) -> "History | None":
    """Read the run that is to be shown behind another; raises LogError."""
    from regtui.readers import NOTHING_WANTED, read_history

    ghost = find_ghost(options)
    wanted = make_wanted(options) if "valid_name" in options else NOTHING_WANTED
    return read_history(ghost, wanted) if ghost is not None else None


def given_options(context: click.Context) -> Iterator[str]:
    """Name the parameters that stand on the command line itself."""
    for name in context.params:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            yield name


def option_name(context: click.Context, name: str) -> str:
    """Give a parameter's option as a person types it."""
    return next(parameter.opts[0] for parameter in context.command.params if parameter.name == name)
