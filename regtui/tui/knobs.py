"""What the run on show has in force for each knob, beside what the form's fields say.

A value that was typed is pending until it is in force, which only the run's own log can say: before enter, since it
was not sent, and after enter, until the run has told that it obeyed.
"""

import math
from collections.abc import Mapping

from regtui.core.config import ConfigError, fields, parse, unparse
from regtui.core.events import Changed
from regtui.core.text import short

IN_FORCE, PENDING = "◆", "◇"
"""Before a knob: it can be turned now, and it says what is in force; or it says something else yet."""

LONGEST = 8
"""Cells of a value in a field; of a rate with more digits four are told."""


class Knobs:
    """The values in force while a run lives; without one there are none."""

    def __init__(self) -> None:
        self._in_force: dict[str, str] = {}
        self._sent: dict[str, str] = {}
        self._start_rate: str | None = None

    def begin(self, texts: Mapping[str, str]) -> None:
        """Take what a run starts with, as its fields say it."""
        self._in_force = {name: text for name, text in texts.items() if fields()[name].live}
        self._sent = {}
        # Under a policy the rate in force is the policy's doing and no start for the next run.
        self._start_rate = texts["learning_rate"] if texts.get("lr_policy") != "constant" else None

    def end(self) -> dict[str, str]:
        """Forget the run; gives the fields that must say again what they said when it started."""
        given_back = {"learning_rate": self._start_rate} if self._start_rate is not None else {}
        self._in_force, self._sent, self._start_rate = {}, {}, None
        return given_back

    def follow(self, change: Changed, shown: str) -> str | None:
        """Take a change that the run has told; gives what its field must say now, None where that stays."""
        name, new = change.what, change.new
        if name not in self._in_force or new is None or not math.isfinite(new):
            return None
        typed = self.is_pending(name, shown)
        text = unparse(fields()[name], new)
        self._in_force[name] = text if len(text) <= LONGEST else short(new, 4)
        return None if typed else self._in_force[name]

    def is_pending(self, name: str, shown: str) -> bool:
        """Tell whether a knob's field says something else than what is in force."""
        return name in self._in_force and _value(name, shown) != _value(name, self._in_force[name])

    def in_force(self, name: str) -> str | None:
        """Give what is in force, as a field says it."""
        return self._in_force.get(name)

    def send(self, name: str, shown: str) -> None:
        """Note that a value was sent."""
        self._sent[name] = shown

    def unsend(self, name: str) -> None:
        """Note that it was not sent after all."""
        self._sent.pop(name, None)

    def mark(self, name: str, shown: str) -> str:
        """Give the sign before a knob's label; none before a field that cannot be turned now."""
        if name not in self._in_force:
            return ""
        return PENDING if self.is_pending(name, shown) else IN_FORCE

    def hint(self, name: str, shown: str) -> str:
        """Say what enter and escape would do."""
        if not self.is_pending(name, shown):
            return "enter turns it now"
        if self._sent.get(name) == shown:
            return "sent; the run has not obeyed yet"
        return f"enter turns it, escape gives {self._in_force[name]} back"


def _value(name: str, text: str) -> object:
    """Read a field, so that 0.010 is 0.01; a text that cannot be read is only like itself."""
    try:
        return parse(fields()[name], text)
    except ConfigError:
        return text
