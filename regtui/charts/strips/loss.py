"""The loss: validation, training and running loss, and on demand the penalty and an earlier run's validation loss."""

import math
from collections.abc import Sequence

from regtui import analysis
from regtui.charts.sampling import EMPTY, Sampled, evaluated, finest, logged, sample
from regtui.charts.scales import Scale, XAxis, linear, logarithmic, number
from regtui.charts.span import Start, least, lifted, most, settled, until, usual
from regtui.charts.strip import Content, Pin, Sight, Strip, in_nats
from regtui.charts.view import View
from regtui.core.history import History
from regtui.core.metrics import PENALTY, STEP_LOSS, TRAIN_LOSS, VALID_LOSS
from regtui.core.series import Column

EPOCH_SMOOTHING = 0.6
"""Most that curves with one point an epoch are smoothed: runs have tens of epochs, but thousands of steps."""


def draw(sight: Sight) -> Content:
    history, view, axis = sight.history, sight.view, sight.axis
    evaluations, weight = history.evaluations, view.weight
    content = Content(f"loss{in_nats(history)}" + (", log" if view.log_y else "") + (", smoothed" if weight else ""))
    running_only = analysis.is_running(history)
    running_column, running_steps = finest(history, STEP_LOSS)
    # Where only evaluations say it, it is the training curve itself.
    running = (
        EMPTY if running_steps is evaluations.step and running_only else sample(running_column, running_steps, axis)
    )
    valid = evaluated(evaluations, evaluations[VALID_LOSS], axis)
    column = history.now(_running_loss) if running_only else evaluations[TRAIN_LOSS]
    train = evaluated(evaluations, column, axis)
    ghost, ghost_start = _ghost(history, view, axis)
    penalty = EMPTY
    if view.show_penalty:
        penalty = sample(*finest(history, PENALTY), axis, joined=True)
    if view.log_y:
        content.scale = _log_scale(sight.rows, [valid, train, penalty, ghost, running])
    else:
        start = Start.of(axis, history.step)
        content.scale = _scale(sight.rows, running, [valid, train, penalty], ghost, start, ghost_start)
    if content.scale is None:
        anything = any(math.isfinite(shown.bounds[0]) for shown in (running, valid, train, ghost))
        content.hint = "log y needs a loss above zero" if anything and view.log_y else "no loss measured yet"
        return content
    smooth_valid, smooth_train, smooth_running = valid, train, running
    if weight:
        slow = min(weight, EPOCH_SMOOTHING)
        smooth_valid = evaluated(evaluations, evaluations[VALID_LOSS], axis, weight=slow)
        smooth_train = evaluated(evaluations, column, axis, weight=slow)
        smooth_running = running if running is EMPTY else sample(running_column.smoothed(weight), running_steps, axis)
    # One batch says little: beside the name stands the mean of the last whole epoch, where there is one.
    mean = evaluations[STEP_LOSS].last
    content.draw(smooth_valid, "valid", "bold", "#", "validation", _end_text(valid))
    content.draw(smooth_train, "train", "line", "o", "train (running)" if running_only else "train", _end_text(train))
    content.draw(ghost, "ghost", "dashed", "=", "previous")
    if weight:
        content.draw(smooth_running, "running", "line", ",", "running")
    content.draw(penalty, "penalty", "dotted", "p", "penalty")
    if weight:
        for shown in (valid, train, running):
            content.draw(shown, "raw", "dots", ".")
    else:
        content.draw(running, "running", "dots", ".", "running", number(mean) if math.isfinite(mean) else None)
    _pin_best(content, history, axis)
    return content


def _running_loss(history: History) -> Column:
    """Give the mean batch loss up to each evaluation: the training curve of a log that has no measured one."""
    return Column(analysis.training_loss(history))


def _has_loss(history: History) -> bool:
    return logged(history.steps, STEP_LOSS) or logged(history.evaluations, VALID_LOSS, TRAIN_LOSS, STEP_LOSS)


def _end_text(shown: Sampled) -> str | None:
    """Write the last number as it was measured, also beside a smoothed curve."""
    return number(shown.end[1]) if shown.end else None


def _ghost(history: History, view: View, axis: XAxis) -> tuple[Sampled, Start]:
    """Sample the earlier run's validation loss at the same epochs, and give its own start.

    Where one of them counts nothing but steps and the other nothing but epochs, no place of one is one of the other.
    """
    if view.ghost is None:
        return EMPTY, Start.of(axis, 0)
    theirs, ours = view.ghost.steps_per_epoch, axis.per_epoch
    known = theirs > 0 and ours > 0
    if not known and history.counts_steps != view.ghost.counts_steps:
        return EMPTY, Start.of(axis, 0)
    stretch = ours / theirs if known else 1.0
    shown = evaluated(view.ghost.evaluations, view.ghost.evaluations[VALID_LOSS], axis, stretch=stretch)
    return shown, Start.of(axis, view.ghost.step, stretch)


def _log_scale(rows: int, curves: Sequence[Sampled]) -> Scale | None:
    """Fit a log axis to everything above zero: it has room for the start, too."""
    positive = [shown.y[shown.y > 0] for shown in curves if len(shown.y)]
    lowest = least([float(some.min()) for some in positive if len(some)])
    return logarithmic(lowest, most([shown.bounds[1] for shown in curves]), rows)


def _scale(
    rows: int, running: Sampled, main: Sequence[Sampled], ghost: Sampled, start: Start, ghost_start: Start
) -> Scale | None:
    """Fit the axis to what is compared now: starts, single batches and far ghosts may leave it at the top."""
    lowest, highest = settled(main, start)
    run_low, run_high = running.bounds
    if math.isfinite(run_high):
        # Of its columns, the highest twentieth may leave: spikes would flatten all the rest.
        # Judged with the start, so that the axis keeps still; but alone, or zoomed beyond that, by all there is.
        first = until(running, start.judged)
        when = start.judged if math.isfinite(highest) and math.isfinite(first.bounds[1]) else math.inf
        judged = until(running, when)
        low = least([judged.bounds[0], *(until(shown, when).bounds[0] for shown in main)])
        highest = lifted(highest, low, usual(judged, start), part=True)
        highest = lifted(highest, low, judged.bounds[1])
        lowest = least([lowest, run_low])
    ghost_low, ghost_high = settled([ghost], ghost_start)
    if math.isfinite(ghost_high):
        # It is there to be compared: it may take two thirds of the height, and always up to twice our own loss.
        most_high = max(3 * highest - 2 * lowest, 2 * highest) if math.isfinite(highest) else math.inf
        highest = most([highest, min(ghost_high, most_high)])
        lowest = least([lowest, ghost_low])
    if not math.isfinite(highest):
        return None
    # Zero is where a loss can go at most: near enough, it is a better foot than a number that moves.
    if 0 < lowest < highest / 3:
        lowest = 0.0
    return linear(lowest, highest, rows)


def _pin_best(content: Content, history: History, axis: XAxis) -> None:
    row = analysis.best_row(history)
    if row is None:
        return
    evaluations = history.evaluations
    place = float(axis.place(evaluations.step.values[row : row + 1])[0])
    if not math.isfinite(place):
        return
    value = float(evaluations["valid/loss"].values[row])
    texts: tuple[str, ...] = (f"best {number(value)} at {history.where(row)}", f"best {number(value)}", number(value))
    if row == len(evaluations) - 1:
        # At the end of the curve its own label says the value: the point is enough.
        texts = ()
    content.pins.append(Pin("best", texts, place, content.place(value), True))


STRIP = Strip(
    name="loss",
    title="validation, training and running loss, with the best epoch marked",
    share=5,
    has_data=_has_loss,
    draw=draw,
    judged=True,
)
