"""The optimizers that a run can be trained with: one table, read by options, form, advice and backends.

An optimizer is added by an entry below; where no backend knows its arithmetic yet, a case in each: the contract
tests walk this table, and a backend raises for a name that it has no case for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What is known of an optimizer wherever one is chosen."""

    name: str
    """Its name in forms, on the command line and in logs."""
    hint: str = ""
    """What sets it apart, as a part of a sentence; empty where its name says it."""
    usual_rate: float
    """Where it usually works on nets of this kind."""
    moments: int
    """Numbers that it keeps for each weight from one update to the next."""
    momentum: float = 0.0
    """Share of the last update that the next one keeps; 0 where it keeps none, or knows moments of its own."""
    decoupled: bool = False
    """Weight decay is its own affair, taken off the weights apart from the gradient, wherever its users write it."""


OPTIMIZERS: Mapping[str, Optimizer] = MappingProxyType(
    {
        optimizer.name: optimizer
        for optimizer in (
            # The common start of SGD; with momentum 0.9 an update weighs ten times as much in the long run.
            Optimizer(name="sgd", usual_rate=0.1, moments=0),
            Optimizer(
                name="momentum", hint="momentum is SGD with momentum 0.9", usual_rate=0.01, moments=1, momentum=0.9
            ),
            # Adam's published default (Kingma and Ba 2015), which AdamW kept.
            Optimizer(name="adam", usual_rate=1e-3, moments=2),
            Optimizer(name="adamw", hint="adamw decouples weight decay", usual_rate=1e-3, moments=2, decoupled=True),
        )
    }
)
"""Name -> optimizer, in the order in which people read them."""


def optimizers_hint() -> str:
    """Say in one line what sets the optimizers apart."""
    return "; ".join(optimizer.hint for optimizer in OPTIMIZERS.values() if optimizer.hint)
