"""What a net that has learned nothing loses, and what the best would lose."""

import math

import numpy as np

from regtui.core.history import History
from regtui.core.series import FloatArray


def guessing_loss(history: History) -> float:
    """Give the cross entropy of guessing, ln(classes), in nats; NaN where the log does not say how many there are.

    The first loss does not stand for it: a net that was trained before begins far below, a regression anywhere.
    """
    classes = history.plan.classes
    return math.log(classes) if classes and classes > 1 else math.nan


def lowest_loss(history: History) -> float:
    """Give the lowest training loss that the labels allow without learning single rows by heart, in nats.

    With a share p of the labels drawn anew from all k classes, q = p (k-1)/k of them are wrong, and a model that knows
    this and no more has the cross entropy -(1-q) ln(1-q) - q ln(q/(k-1)): 0.87 for p = 0.2 and k = 10.
    """
    noise = history.settings.get("label_noise", 0.0)
    classes = history.plan.classes or 10
    if not isinstance(noise, int | float) or not 0 < noise < 1 or classes < 2:
        return 0.0
    wrong = noise * (classes - 1) / classes
    each = wrong / (classes - 1)
    if wrong >= 1 or not each > 0:  # next to no noise, or nothing else: a float does not tell it from none and from all
        return 0.0
    return -(1 - wrong) * math.log(1 - wrong) - wrong * math.log(each)


def first_finite(values: FloatArray) -> float:
    """Give the first of some losses that is a number; NaN where none of the first ten is."""
    known = values[:10][np.isfinite(values[:10])]
    return float(known[0]) if len(known) else math.nan
