"""What is said of commands that were sent to another process, until it has answered. Pure functions of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from regtui.sources.sent import Sent, name_of

GIVEN_UP_SECONDS = 60
"""How long an answer is waited for of a process that does not seem to be there."""


@dataclass(frozen=True)
class Awaited:
    """The newest command that was not answered yet."""

    name: str
    """Such as `pause`."""
    words: tuple[str, ...]
    """What is said of it, the whole of it first, then what fits on a narrow screen."""
    silent: bool
    """Nobody has answered for some seconds."""

    @property
    def role(self) -> str:
        return "warn" if self.silent else "calm"


HANDING_OVER = Awaited("hand over", ("handing over …",), silent=False)
"""A run is on its way into another process."""


def awaited(sent: Sequence[Sent], now: float) -> Awaited | None:
    """Say what is waited for, where anything is; `now` by the clock that the commands were sent by."""
    if not sent:
        return None
    name, seconds = name_of(sent[-1].command), sent[0].seconds_of_silence(now)
    if not seconds:
        return Awaited(name, (f"{name} sent …",), silent=False)
    return Awaited(name, (f"not obeyed yet: nobody has answered for {seconds} s", "not obeyed yet"), silent=True)


def is_given_up(sent: Sequence[Sent], now: float, *, growing: bool) -> bool:
    """Tell whether no answer is to come any more: nobody seems to be there."""
    return bool(sent) and not growing and sent[-1].seconds_of_silence(now) >= GIVEN_UP_SECONDS
