"""PyTorch: what it says of itself before anybody imports it; `backend.py` drives it."""

from regtui.backends import Framework
from regtui.core.config import RunConfig
from regtui.core.optimizers import OPTIMIZERS


def l2_given(config: RunConfig) -> str:
    """Say what PyTorch is given for the L2 weight: its optimizer's weight_decay, where that means the same."""
    if OPTIMIZERS[config.optimizer].decoupled:
        return "l2 · sum(w²) added to the loss: its weight_decay is decoupled"
    if config.weight_decay:
        return "l2 · sum(w²) added to the loss: decay comes before its update"
    return f"weight_decay={2 * config.l2:g} on kernels (2 × l2)"


FRAMEWORK = Framework(label="PyTorch", l2_given=l2_given)
