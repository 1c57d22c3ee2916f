"""`regtui --replay LOG`: a recorded run as text, JSON or a picture, without the app."""

import math
import signal
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from regtui.cli.leaving import Left, leaving
from regtui.cli.options import NamedPath, find_ghost, given_options, make_wanted, name_options, option_name
from regtui.core.config import fields
from regtui.core.size import MOST_CELLS

F = TypeVar("F", bound=Callable[..., Any])

LEAST_SIZE = 40, 10
"""Columns and lines under which neither the curves nor the sentences of a page can be read."""

SHOWN_BY = ("speed", "size", "until_epoch", "as_json", "svg", "to", "destination", "check")
"""Options that say how a log is shown."""

NEEDS_REPLAY = (*SHOWN_BY, "valid_name", "train_name", "rate_name", "metric_name")
"""Options that mean nothing without a log to replay."""

NEW_RUN = (*fields(), "preset", "share", "start", "detach", "theme", "notify")
"""Options that mean nothing with one."""


def read_size(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read a size of a screen in characters, such as 100x30: columns and lines."""
    if value is None:
        return None
    width, _, height = value.lower().partition("x")
    size = (int(width), int(height)) if width.isdecimal() and height.isdecimal() else (0, 0)
    if not all(least <= cells <= MOST_CELLS for least, cells in zip(LEAST_SIZE, size, strict=True)):
        least = "x".join(map(str, LEAST_SIZE))
        raise click.BadParameter(f"must be columns and lines such as 100x30, at least {least}, not {value!r}.")
    return size


def read_speed(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Pass a pace on; a number that is none, or none that can be reached, is refused."""
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter(f"must be a number above 0 such as 2 or 0.5, not {value:g}.")
    return value


_OPTIONS = (
    click.option("--replay", type=NamedPath(), metavar="LOG", help="Show a recorded run without the app."),
    click.option("--speed", type=float, callback=read_speed, metavar="X", help="With --replay: X times as fast."),
    click.option("--size", callback=read_size, metavar="WxH", help="With --replay: columns and lines to draw on."),
    click.option("--until-epoch", type=click.IntRange(min=1), metavar="N", help="With --replay: stop after epoch N."),
    click.option("--json", "as_json", is_flag=True, help="With --replay: print the result as one JSON object."),
    click.option("--svg", type=NamedPath(dir_okay=False), metavar="FILE", help="With --replay: draw it here."),
    click.option(
        "--to", type=click.Choice(["tensorboard", "csv"]), help="With --replay: write the run in another's form, too."
    ),
    click.option(
        "--out", "destination", type=NamedPath(), metavar="PATH", help="With --to: where; by default here, by its name."
    ),
    click.option("--check", is_flag=True, help="With --replay: exit with 1 when the run overfits or diverged."),
)
"""The options of a replay, in the order of the help."""


def replay_options(command: F) -> F:
    command = name_options(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_without_replay(context: click.Context) -> None:
    """Raise UsageError for an option that only a replay has."""
    for name in given_options(context):
        if name in NEEDS_REPLAY:
            raise click.UsageError(f"{option_name(context, name)} goes with --replay LOG.")


def replay(context: click.Context, options: Mapping[str, Any]) -> int:
    """Replay a log; gives the exit status."""
    for name in given_options(context):
        if name in NEW_RUN:
            raise click.UsageError(f"{option_name(context, name)} is for a new run; a replayed log has its own.")
    if options["destination"] is not None and options["to"] is None:
        raise click.UsageError("--out goes with --to tensorboard or --to csv.")
    from regtui import report
    from regtui.runs import find_run

    with leaving(_leave):
        return report.replay(
            find_run(options["replay"], options["runs_dir"]), ascii_only=options["ascii_only"],
            ghost=find_ghost(options), wanted=make_wanted(options), **{name: options[name] for name in SHOWN_BY},
        )  # fmt: skip


def _leave(received: signal.Signals) -> None:
    """Unwind, so that an animation gives the screen back."""
    raise Left(received)
