"""What a learning-rate policy is to a configuration: a name, the fields it reads and their defaults.

The policies themselves are functions of `regtui/schedules/policies.py`, which register here. A configuration must know
their names and defaults, and a schedule must know the configuration; so this file knows where policies are found and
not which there are, as `backends` does with frameworks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

Build = Callable[..., Any]
"""(start rate, shape of the run, *, the policy's own fields by name) -> schedule."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a form offers: a name, the fields it needs and what makes its schedule."""

    name: str
    """Its name in forms, on the command line and in logs."""
    hint: str
    """One line: what the rate does."""
    defaults: Mapping[str, Any]
    """The fields it reads beside the learning rate and the warm-up.

    A mapping as default goes by what was chosen for another field: {"step": 200, "epoch": 5}.
    """
    build: Build
    """Makes the schedule, warm-up and hand steering apart."""

    def defaults_for(self, **chosen: Any) -> dict[str, Any]:
        """Give its fields' defaults, where some depend on what was chosen for others; None is nothing chosen."""
        plain = {name: value for name, value in self.defaults.items() if not isinstance(value, Mapping)}
        made = {**plain, **{name: value for name, value in chosen.items() if value is not None}}
        return {
            name: next((value[key] for key in made.values() if key in value), None)
            if isinstance(value, Mapping)
            else value
            for name, value in self.defaults.items()
        }


_REGISTERED: dict[str, Policy] = {}


def policy(name: str, hint: str, **defaults: Any) -> Callable[[Build], Build]:
    """Register the function below as a policy that is given the fields named, with these defaults."""

    def register(build: Build) -> Build:
        _REGISTERED[name] = Policy(name=name, hint=hint, defaults=MappingProxyType(defaults), build=build)
        return build

    return register


def policies() -> Mapping[str, Policy]:
    """Give every policy by name, in the order in which people read them."""
    if not _REGISTERED:
        import_module("regtui.schedules.policies")
    return _REGISTERED
