"""What a run intends, as far as anyone knows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from regtui.core.config import RunConfig

LEAST_COUNT = 1e-3
"""An epoch may be less than a step long where a step is many batches; but a thousandth of one is none."""

MOST_COUNT = 2**53
"""Every count up to here is exact as a float, too; beyond it nothing is counted."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long a run is to be and what it learns from; what nobody said is None, and stays it."""

    epochs: int | None = None
    """Passes over the training rows."""
    total_steps: int | None = None
    """Optimizer updates of the whole run."""
    steps_per_epoch: float | None = None
    """Updates in one epoch."""
    classes: int | None = None
    """Classes of the labels: guessing costs ln(classes) nats."""
    train_rows: int | None = None
    valid_rows: int | None = None


def plan_from(said: Plan | None, config: "RunConfig | None", environment: Mapping[str, Any]) -> Plan:
    """Put together what a run's record says of its plan, in whichever part of it: logs of version 1 have no `plan`.

    Numbers that cannot be meant (not positive, beyond what can be counted, no numbers) count as not said.
    """
    values: dict[str, Any] = {}
    for name in Plan.__struct_fields__:
        for value in (getattr(said, name, None), environment.get(name), getattr(config, name, None)):
            if isinstance(value, int | float) and _is_count(value):
                values[name] = float(value) if name == "steps_per_epoch" else int(value)
                break
    return Plan(**values)


def _is_count(value: float) -> bool:
    return not isinstance(value, bool) and LEAST_COUNT <= value <= MOST_COUNT
