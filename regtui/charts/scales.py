"""Axes: round numbers, where they stand, and how they are written."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from regtui.core.plan import MOST_COUNT
from regtui.core.series import FloatArray, IntArray
from regtui.core.text import number as number
from regtui.core.text import short as short

FAR = 1e300
"""Numbers beyond this are drawn as this, so that differences of two never overflow."""

OFF = 1e6
"""Places further off an axis are taken for this: still far enough for a line from there to enter where it should."""


LABEL = 6
"""Cells of a number on the y axis."""


def round_step(span: float, parts: float) -> float:
    """Give the round number (1, 2 or 5 times a power of ten) that cuts a span into at most `parts` parts."""
    rough = span / max(parts, 1.0)
    if not rough > 1e-300:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 5.0, 10.0):
        if factor * power >= rough * (1 - 1e-9):
            return factor * power
    return 10.0 * power


def count(value: float) -> str:
    """Write a count of steps or epochs in few characters: 800, 1.5k, 20k, 3M."""
    for power, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= power * 10 or (abs(value) >= power and value % (power / 10) == 0):
            short = value / power
            return f"{short:.1e}".replace("e+0", "e") + letter if abs(short) >= 1e4 else f"{short:g}{letter}"
    return f"{value:g}"


@dataclass(frozen=True)
class Scale:
    """A y axis: what stands at its ends, and its labelled numbers."""

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...]
    """Place up the axis (0 to 1) and label of each."""

    def place(self, values: FloatArray) -> FloatArray:
        """Give the place up the axis of each value; NaN stays NaN, what a log axis cannot show stands at the bottom."""
        with np.errstate(all="ignore"):
            if self.log:
                low, high = math.log10(self.low), math.log10(self.high)
                shown: FloatArray = np.where(values > 0, np.log10(np.maximum(values, 1e-320)), -400.0)
                shown = np.where(np.isnan(values), np.nan, shown)
            else:
                low, high, shown = self.low, self.high, np.clip(values, -FAR, FAR)
            placed: FloatArray = np.clip((shown - low) / (high - low), 0.0 if self.log else -OFF, OFF)
        return placed


def linear(lowest: float, highest: float, rows: int) -> Scale:
    """Make a linear axis with round ends around the values, which may be equal or absent (NaN)."""
    lowest, highest = _ordered(lowest, highest, 0.0, 1.0)
    middle, half = lowest / 2 + highest / 2, highest / 2 - lowest / 2
    size = max(abs(lowest), abs(highest))
    if half <= 1e-9 * size or half < 1e-290:
        half = size * 0.1 if size > 1e-280 else 0.5
        lowest, highest = middle - half, middle + half
    step = round_step(2 * half, max(rows / 3, 1.5))
    # Ends on half steps keep the axis still while values creep, without wasting a whole step of height.
    grain = step / 2
    low = math.floor(lowest / grain + 1e-9) * grain
    high = math.ceil(highest / grain - 1e-9) * grain
    if not low < high:
        low, high = lowest, highest
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    ticks = []
    first = math.ceil(low / step - 1e-9)
    for index in range(12):
        value = (first + index) * step
        if value > high + step * 1e-6:
            break
        ticks.append(((value - low) / (high - low), _tick_text(value, step, decimals)))
    return Scale(low, high, False, tuple(ticks))


def _tick_text(value: float, step: float, decimals: int) -> str:
    """Write a number on an axis exactly, in at most LABEL cells; '' where that cannot be done, never a cut one."""
    fixed = f"{value:.{decimals}f}"
    if len(fixed) <= LABEL:
        return fixed
    for digits in range(3):
        text = "{}e{}".format(*_scientific(value, digits))
        if len(text) <= LABEL and abs(float(text) - value) <= 1e-3 * step:
            return text
    return ""


def _scientific(value: float, digits: int) -> tuple[str, int]:
    mantissa, power = f"{value:.{digits}e}".split("e")
    return mantissa, int(power)


def _decade(value: float) -> str:
    """Write a round number of a log axis: decades below 0.001 by their power, which is what they are compared by."""
    return short(value) if value >= 1e-3 * (1 - 1e-9) else "{}e{}".format(*_scientific(value, 0))


def logarithmic(lowest: float, highest: float, rows: int) -> Scale | None:
    """Make a log axis with round ends around the positive values; None when there are none."""
    lowest, highest = _ordered(lowest, highest, math.nan, math.nan)
    if not highest > 0:
        return None
    highest = min(max(highest, 1e-290), FAR)
    lowest = max(min(lowest, highest), highest * 1e-12, 1e-295) if lowest > 0 else highest * 1e-3
    if highest <= lowest * (1 + 1e-9):
        # One value, such as a constant rate: it stands in the middle, and its own number is the axis.
        brief = short(lowest), "{}e{}".format(*_scientific(lowest, 1))
        return Scale(lowest / 2, lowest * 2, True, ((0.5, next((text for text in brief if len(text) <= LABEL), "")),))
    low, high = _round_down(lowest * (1 + 1e-9)), _round_up(highest * (1 - 1e-9))
    bottom, top = math.log10(low), math.log10(high)
    room = max(rows // 2, 1)
    first, final = math.ceil(bottom - 1e-9), math.floor(top + 1e-9)
    decades = final - first + 1
    values: Iterable[float]
    if decades >= 2 or (decades == 1 and room < 3):
        values = [10.0**power for power in range(first, final + 1, max(1, -(-decades // room)))]
    else:
        values = [
            factor * 10.0**power
            for power in range(math.floor(bottom), final + 1)
            for factor in (1, 2, 5)
            if low * 0.999 <= factor * 10.0**power <= high * 1.001
        ]
    ticks = tuple(((math.log10(value) - bottom) / (top - bottom), _decade(value)) for value in values)
    return Scale(low, high, True, ticks)


def _ordered(lowest: float, highest: float, low: float, high: float) -> tuple[float, float]:
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        return low, high
    return min(max(lowest, -FAR), FAR), min(max(highest, -FAR), FAR)


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max((factor * power for factor in (1.0, 2.0, 5.0) if factor * power <= value), default=power)


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min((factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= value), default=10 * power)


@dataclass(frozen=True)
class XAxis:
    """The shared x axis: optimizer steps inside, epochs on its labels where their length is known."""

    low: float
    high: float
    columns: int
    per_epoch: float
    """Steps in one epoch; NaN where epochs cannot be told from steps."""

    @property
    def edges(self) -> FloatArray:
        """Steps at the edges of the columns, shape (columns + 1,)."""
        return np.linspace(self.low, self.high, self.columns + 1)

    def place(self, steps: FloatArray) -> FloatArray:
        """Give places across the plot; NaN outside it."""
        placed: FloatArray = (steps - self.low) / (self.high - self.low)
        return np.where((placed >= 0) & (placed <= 1), placed, np.nan)

    def fraction(self, step: float) -> float:
        """Give the place of a step, also outside the plot."""
        return (step - self.low) / (self.high - self.low)

    def column(self, step: float) -> int | None:
        """Give the column of a step, None outside the plot."""
        if not self.low <= step <= self.high:
            return None
        return min(int((step - self.low) / (self.high - self.low) * self.columns), self.columns - 1)

    def columns_of(self, steps: FloatArray) -> IntArray:
        """Give the column of each of some steps that lie in the plot."""
        columns = ((steps - self.low) / (self.high - self.low) * self.columns).astype(np.int64)
        return np.minimum(columns, self.columns - 1)

    @property
    def in_epochs(self) -> bool:
        """Whether labels count epochs: there is at least one in sight."""
        return self.per_epoch > 0 and self.per_epoch <= self.high - self.low <= self.per_epoch * MOST_COUNT

    def ticks(self) -> tuple[list[tuple[int, str]], str]:
        """Give the columns and labels of round numbers, and their unit."""
        unit = self.per_epoch if self.in_epochs else 1.0
        span = (self.high - self.low) / unit
        step = max(round_step(span, self.columns / 9), 1.0)
        first = math.ceil(self.low / unit / step - 1e-9)
        found = []
        for index in range(self.columns + 1):
            value = (first + index) * step
            column = self.column(min(value * unit, self.high) if value * unit <= self.high * (1 + 1e-12) else math.inf)
            if column is None:
                break
            found.append((column, count(value)))
        return found, "epochs" if self.in_epochs else "steps"
