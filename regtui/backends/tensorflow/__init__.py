"""Keras on TensorFlow: what it says of itself before anybody imports it; `backend.py` drives it."""

from regtui.backends import Framework
from regtui.core.config import RunConfig


def l2_given(config: RunConfig) -> str:
    """Say what Keras is given for the L2 weight."""
    return f"kernel_regularizer=l2({config.l2:g})"


FRAMEWORK = Framework(label="Keras", l2_given=l2_given)
