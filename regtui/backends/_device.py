"""Which device a run takes, among those that a framework sees here."""

from collections.abc import Sequence

from regtui.core.config import ConfigError

EVALUATION_FLOATS = 64 * 2**20
"""Numbers that the layers' outputs may take in one forward pass: 256 MiB; more rows go in slices."""


def choose_device(asked: str, present: Sequence[str], framework: str) -> str:
    """Give the device to compute on: the one asked for, or with `auto` the first of those present.

    Raises ConfigError naming what there is.
    """
    if asked == "auto":
        return present[0]
    if asked not in present:
        raise ConfigError("device", f"{asked} is not here: {framework} sees {' and '.join(reversed(present))}")
    return asked


def slice_rows(widths: Sequence[int]) -> int:
    """Tell how many rows one forward pass takes, given the widths of all layers' outputs."""
    return max(1, EVALUATION_FLOATS // max(1, sum(widths)))
