"""The replay of a log without the app: as a page, as JSON, as a picture, or at the pace it was recorded."""

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from regtui.charts import View
from regtui.core.events import Event
from regtui.core.history import History
from regtui.core.size import said_cells, sound_size
from regtui.readers import NOTHING_WANTED, LogError, Wanted, is_being_written, open_log, read_history
from regtui.readers.folding import blocks, fold, is_evaluation, singly
from regtui.report.animation import Animation
from regtui.report.export import export
from regtui.report.page import page
from regtui.report.paint import as_text
from regtui.report.result import check_status, epoch_line, result, run_status, to_json
from regtui.report.svg import as_svg

PIPE_SIZE = (80, 40)
"""Columns and lines of a page that goes into a pipe: what a mail or an issue shows without wrapping."""


@dataclass(frozen=True)
class Clock:
    """Where the pace of a replay comes from; tests move one by hand."""

    now: Callable[[], float] = time.monotonic
    """Seconds on a clock that never goes back."""
    sleep: Callable[[float], None] = time.sleep
    """Wait so many seconds."""


def replay(
    path: Path | str,
    *,
    speed: float | None = None,
    size: tuple[int, int] | None = None,
    until_epoch: int | None = None,
    as_json: bool = False,
    svg: Path | None = None,
    to: str | None = None,
    destination: Path | None = None,
    check: bool = False,
    ascii_only: bool = False,
    ghost: Path | None = None,
    wanted: Wanted = NOTHING_WANTED,
    out: TextIO | None = None,
    err: TextIO | None = None,
    clock: Clock | None = None,
) -> int:
    """Show a recorded run and give the exit status.

    With `speed` on a terminal it is shown as it went, so many times as fast; in a pipe a line an epoch comes
    first. With `to` it is written in another's form as well; `wanted` says what the names in a log of another trainer
    mean. Raises LogError when the log cannot be read or has none of those names, or the picture or that form cannot be
    written.
    """
    out, err = out or sys.stdout, err or sys.stderr
    reader = open_log(path, wanted=wanted)
    events = blocks(reader, until_epoch)
    behind = read_history(ghost, wanted) if ghost is not None else None
    view = View(ascii=ascii_only or not speaks_unicode(out), ghost=behind)
    history = fold(events) if speed is None or as_json else _at_a_pace(events, out, view, speed, size, clock or Clock())
    if reader.missing:
        raise LogError(f"{path}: {reader.missing}")
    warnings = [*reader.warnings(), *_warnings(history, Path(path), until_epoch)]
    if to is not None:
        print(f"regtui: written: {', '.join(map(str, export(history, to, destination)))}", file=err)
    if svg is not None or not as_json:
        columns, lines = size or screen_size(out)
        shown = page(history, columns, lines, view=view, warnings=warnings)
    if svg is not None:
        write_picture(svg, as_svg(shown, columns, history.run.run_id if history.run else "regtui"))
    if as_json:
        print(to_json(result(history, reader.skipped.count, reader.name)), file=out)
    else:
        print(as_text(shown, colour=has_colour(out)), file=out)
    if as_json or not is_terminal(out):
        for warning in warnings:
            print(f"regtui: {warning}", file=err)
    return check_status(history) if check else run_status(history)


def _at_a_pace(
    events: Iterable[list[Event]], out: TextIO, view: View, speed: float, size: tuple[int, int] | None, clock: Clock
) -> History:
    """Fold a log and show it as it went; where that cannot be drawn, by a line an epoch."""
    if not is_terminal(out):
        return line_an_epoch(events, out)
    played = Animation(out, view, speed, lambda: size or screen_size(out), has_colour(out))
    return played.play(events, now=clock.now, sleep=clock.sleep)


def _warnings(history: History, path: Path, until_epoch: int | None) -> list[str]:
    """Say what a log holds otherwise than a person would expect."""
    warnings = [f"{path.name}: {sentence}" for sentence in history.left_out]
    if until_epoch is None and history.status == "running" and not is_being_written(path):
        warnings.append("the log has no end: its run was killed, or is written on another machine")
    if until_epoch is not None and len(history.evaluations) and not history.counts_epochs:
        warnings.append("the log counts no epochs, so --until-epoch could not end it: all of it is shown")
    return warnings


def line_an_epoch(
    batches: Iterable[list[Event]], out: TextIO, *, every: int = 1, history: History | None = None
) -> History:
    """Fold a log, onto what is known of its run, and print a line at each epoch, or at every so many of them."""
    history, met = history or History(), 0
    for events in batches:
        start, events = 0, list(singly(events))
        for index, event in enumerate(events, 1):
            if is_evaluation(event):
                history.apply(events[start:index])
                start, met = index, met + 1
                if met % every == 0:
                    print(epoch_line(history), file=out)
        history.apply(events[start:])
    return history


def write_picture(path: Path, picture: str) -> None:
    """Write an SVG file; raises LogError where that cannot be done."""
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise LogError(f"{path} cannot be written: {error.strerror or error}; --svg names a file") from None


def is_terminal(stream: TextIO) -> bool:
    """Tell whether the stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """Tell whether colours are wanted on a stream: a terminal, and no NO_COLOR."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def speaks_unicode(stream: TextIO) -> bool:
    """Tell whether a stream can write box characters and braille."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").startswith("utf")


def screen_size(stream: TextIO) -> tuple[int, int]:
    """Give the columns and lines of a page: the terminal's, one line left for the prompt, or those of a pipe."""
    if not stream.isatty():
        columns, lines = (said_cells(os.environ.get(name)) for name in ("COLUMNS", "LINES"))
        return sound_size(columns, lines, PIPE_SIZE)
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:
        return PIPE_SIZE
    columns, lines = sound_size(size.columns, size.lines)
    return columns, max(lines - 1, 1)
