"""Which device a run takes, among those that a framework sees here."""

from collections.abc import Sequence

from regtui.core.config import ConfigError, RunConfig

WITHOUT_FLOAT64 = ("mps",)
"""Devices that have no float64: Apple's GPUs compute in 32 bits and fewer."""

EVALUATION_FLOATS = 64 * 2**20
"""Numbers that the layers' outputs may take in one forward pass: 256 MiB; more rows go in slices."""


def choose_device(config: RunConfig, present: Sequence[str], framework: str) -> str:
    """Give the device to compute on: the one asked for, or with `auto` the first present that has the precision.

    Raises ConfigError naming what there is, or that a device has no float64.
    """
    device = config.device
    if device == "auto":
        return next(name for name in present if config.precision != "float64" or name not in WITHOUT_FLOAT64)
    if device not in present:
        raise ConfigError("device", f"{device} is not here: {framework} sees {' and '.join(reversed(present))}")
    if config.precision == "float64" and device in WITHOUT_FLOAT64:
        raise ConfigError("precision", f"float64 is not to be had on {device}, which has no such numbers: take cpu")
    return device


def slice_rows(widths: Sequence[int]) -> int:
    """Tell how many rows one forward pass takes, given the widths of all layers' outputs."""
    return max(1, EVALUATION_FLOATS // max(1, sum(widths)))
