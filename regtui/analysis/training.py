"""The training loss beside each validation loss: the one measured where there is one, else the running one."""

import numpy as np

from regtui.core.history import History
from regtui.core.metrics import STEP_LOSS, TRAIN_LOSS
from regtui.core.series import FloatArray


def is_running(history: History) -> bool:
    """Tell whether the log has no training loss but the running one: dropout on, of weights that still changed."""
    return TRAIN_LOSS not in history.evaluations


def training_loss(history: History) -> FloatArray:
    """Give the training loss of each evaluation, shape (evaluations,), in nats where it is a cross entropy.

    The one measured after the updates; for a log that never has one the mean of the batches, as it was logged or from
    the batches since the evaluation before. NaN where neither is known. A view or a copy: not to be written to.
    """
    return history.now(_training_loss)


def _training_loss(history: History) -> FloatArray:
    table = history.evaluations
    if not is_running(history):
        return table[TRAIN_LOSS].values
    if STEP_LOSS in table and np.isfinite(table[STEP_LOSS].values).any():
        return table[STEP_LOSS].values
    return batch_means(history)


@np.errstate(all="ignore")
def batch_means(history: History, start: int = 0, stop: int | None = None) -> FloatArray:
    """Give the mean batch loss since the evaluation before, for some rows of the evaluations.

    Trainers that log batches now and then may have none between two evaluations: then the last mean stands. NaN
    before the first batch, and where the last of them is.
    """
    ends, steps = history.evaluations.step.values[:stop], history.steps.step.values
    if not len(steps) or not len(ends[start:]):
        return np.full(len(ends[start:]), np.nan)
    cuts = np.searchsorted(steps, ends, side="right")
    # The batches that each row has to itself; a row without any has those of the row before.
    begins = np.concatenate(([0], cuts))[:-1]
    own = np.maximum.accumulate(np.where(begins < cuts, np.arange(len(cuts)), 0))[start:]
    first, last = begins[own], cuts[own]
    losses = history.steps[STEP_LOSS].values[first[0] : last[-1]]
    first, last = first - first[0], last - begins[own[0]]
    known = np.isfinite(losses)
    means = np.full(len(first), np.nan)
    # Each row's batches are summed by themselves, so that it does not matter which rows are asked for.
    some = last > first
    some[some] = known[last[some] - 1]
    if some.any():
        begins, places = np.unique(first[last > first], return_inverse=True)
        sums, counts = (np.add.reduceat(each, begins) for each in (np.where(known, losses, 0.0), known.astype(float)))
        means[last > first] = (sums / counts)[places]
        means[~some] = np.nan
    return means
