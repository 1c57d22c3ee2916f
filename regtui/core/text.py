"""How numbers and causes are written for people: one way each, on screen, in reports and in sentences."""

import math
import time

MISSING = "—"
"""In the place of a number that there is not."""

LONGEST_SECONDS = 1e10
"""Three centuries: a longer time is a clock that was wrong, or none."""


def number(value: float) -> str:
    """Write what was measured: 0.283, 2.303, 26.0, 0.0164, 1.23e-5; three decimals where losses usually lie.

    From 0.1 to 10 the decimals are fixed, so that two epochs of one run can be compared digit by digit; elsewhere
    three digits are told.
    """
    if not math.isfinite(value):
        return MISSING
    size = abs(value)
    if 0.0999995 <= size < 9.9995:
        return f"{value:.3f}"
    if 9.9995 <= size < 99999.5:
        # Trailing zeros are digits that were measured, too: 26.0 stands beside 26.3.
        return f"{value:.{1 if size < 99.95 else 0}f}"
    return short(value)


def short(value: float, digits: int = 3) -> str:
    """Write what was set, without zeros at its end: 0.4, 0.003, 200, 1e-7; also the numbers along an axis."""
    if not math.isfinite(value):
        return MISSING
    mantissa, exponent, power = f"{value:.{digits}g}".partition("e")
    if not exponent:
        return mantissa
    if 0 < int(power) < 5:
        return f"{value:.0f}"
    return f"{mantissa}e{int(power)}"


def signed(value: float) -> str:
    """Write a difference, its sign always told: +0.538, -0.00638."""
    return f"{'+' if value >= 0 else ''}{number(value)}" if math.isfinite(value) else MISSING


def cells(value: float, width: int, *, sign: bool = False) -> str:
    """Write what was measured in a fixed number of cells, so that it keeps its place while it changes.

    Four decimals where they fit, one more than a sentence quotes, also of small numbers: a column of them is compared
    digit by digit.
    """
    if math.isfinite(value) and (value == 0 or 1e-3 <= abs(value) < 9.99995):
        fixed = f"{value:+.4f}" if sign else f"{value:.4f}"
        if len(fixed) <= width:
            return f"{fixed:>{width}}"
    return f"{signed(value) if sign else number(value):>{width}}"


def clock(seconds: float | None) -> str:
    """Write a duration as a clock does: 0:07, 12:30, 1:00:05."""
    if seconds is None or not 0 <= seconds + 0.5 < LONGEST_SECONDS:
        return MISSING
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def time_of_day(seconds: float | None) -> str:
    """Write when something happened, seconds since the epoch of Unix, as a clock showed it; empty for no such time."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(seconds)) if seconds else ""
    except (OverflowError, ValueError, OSError):  # which one depends on the system and on how far off it is
        return ""


def who(cause: str) -> str:
    """Say who caused a change: the policy's own word, or 'by hand', whoever's hand it was."""
    return "by hand" if cause == "user" else cause
