"""The names of metrics: `split/quantity`, and what is known of the well-known ones.

A name that is not in the table is kept and drawn under itself; nobody knows which way is better, so it is not judged.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

TRAIN_LOSS, VALID_LOSS = "train/loss", "valid/loss"
"""The pair that is compared: measured after the updates, where the trainer does so."""
TRAIN_ACCURACY, VALID_ACCURACY = "train/accuracy", "valid/accuracy"
STEP_LOSS = "step/loss"
"""The running loss: of a batch as it is trained; in an evaluation the mean of the batches since the one before."""
LEARNING_RATE, PENALTY = "learning_rate", "penalty"
NORM = "norm/"
"""Before a layer's name: the L2 norm of its kernel."""

Better = Literal["low", "high"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a name stands for."""

    name: str
    """`split/quantity`, or a quantity alone."""
    label: str
    """What people call it."""
    unit: str = ""
    """Its unit where that is the same in every run; a loss is in nats only where it is a cross entropy."""
    better: Better | None = None
    """Which way is better; None where nobody can say."""
    role: str = "valid"
    """The role of its curve; `charts.ROLES` explains each."""


QUANTITIES: dict[str, Metric] = {
    known.name: known
    for known in (
        *(
            Metric(name=name, label=name, better="low")
            for name in ("loss", "perplexity", "error", "mae", "mse", "rmse")
        ),
        *(Metric(name=name, label=name.upper(), better="low") for name in ("wer", "cer")),
        *(Metric(name=name, label=name, unit="share", better="high") for name in ("accuracy", "precision", "recall")),
        *(Metric(name=name, label=name, better="high") for name in ("map", "reward")),
        *(Metric(name=name, label=name.upper(), better="high") for name in ("f1", "auc", "iou", "bleu", "rouge")),
        Metric(name=LEARNING_RATE, label="learning rate", role="rate"),
        Metric(name=PENALTY, label="penalty", role="penalty"),
        Metric(name="grad_norm", label="gradient norm", role="running"),
        Metric(name="utilization", label="utilization", unit="share"),
        *(Metric(name=name, label=name.replace("_", " "), unit="bytes") for name in ("memory", "memory_total")),
        Metric(name="rss", label="RSS", unit="bytes"),
        Metric(name="power", label="power", unit="W"),
        Metric(name="temperature", label="temperature", unit="°C"),
        Metric(name="cpu", label="CPU", unit="cores"),
        Metric(name="cores", label="cores", unit="cores"),
    )
}
"""Quantity -> what is known of it, whatever the split it is measured on."""

SPLITS = {"train": "train", "valid": "valid", "step": "running", "test": "valid"}
"""Split -> the role of its curves."""


@lru_cache(maxsize=256)
def metric(name: str) -> Metric:
    """Say what a name stands for; one that is not known is called by itself and not judged."""
    split, _, quantity = name.rpartition("/")
    if split == "norm":
        return Metric(name=name, label=quantity, role="norm1")
    known = QUANTITIES.get(quantity, Metric(name=quantity, label=quantity.replace("_", " ")))
    return replace(known, name=name, role=SPLITS.get(split, known.role))
