"""Keys in turn: each is dealt with, and has moved the focus where it moves it, before the next one finds its field."""

import time
from collections import deque
from collections.abc import Callable

from textual import events
from textual.app import App
from textual.message_pump import MessagePump
from textual.timer import Timer

PATIENCE_SECONDS = 2.0
"""A key that takes longer holds up those behind it no more: a lab that lags is better than one that is deaf."""

LOOK_SECONDS = 0.05
"""How often, while keys wait, it is looked whether the one in hand has lost its widget, as when it closed a menu."""

ROUNDS = 2
"""Times that the way from a widget to the app is walked behind a key: what the key had its widget post (enter: go to
the next field) comes a round later than the key itself."""


class KeysInTurn(App[None]):
    """An app that hands on a key only when the one before has had its effect.

    Textual sends each key to the widget that has the focus when the key is read. The tab in front of it may still
    lie in that widget's queue: what a slow line delivers in one burst, `0.3⇥50⇥`, would go into one field. So a
    marker follows each key through the queues that the key takes, from the widget up to the app, and the next key is
    looked at when the marker has arrived.
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: deque[events.Key | events.Paste] = deque()
        self._in_hand: MessagePump | None = None
        self._turn, self._since = 0, 0.0
        self._look: Timer | None = None

    async def on_event(self, event: events.Event) -> None:
        """Put keys and pasted text in a row; anything else goes on as it comes."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        self._keys.append(event)
        if self._in_hand is None:
            await self._hand_on()
        elif self._look is None:
            self._look = self.set_interval(LOOK_SECONDS, self._look_after)

    async def _hand_on(self) -> None:
        """Give the next keys to the widget that has the focus, up to one that may move it, and a marker after that."""
        self._in_hand = None
        while self._keys:
            event, target = self._keys.popleft(), self.focused or self.screen
            await super().on_event(event)
            # What a field takes as text leaves the focus where it is.
            if isinstance(event, events.Key) and not target.check_consume_key(event.key, event.character):
                self._in_hand = target
                self._turn, self._since = self._turn + 1, time.monotonic()
                self._walk(target, self._marker(self._turn, ROUNDS))
                return
        if self._look is not None:
            self._look.stop()
            self._look = None

    def _marker(self, turn: int, rounds: int) -> Callable[[], None]:
        """Make what is done when the marker of a key has come to the app: walk again, or let the next key go."""

        def arrive() -> None:
            if turn != self._turn:
                return
            now = self.focused or self.screen
            if rounds > 1:
                self._walk(self._in_hand or now, self._marker(turn, rounds - 1))
            elif now is not self._in_hand:
                # A menu that is only now being mounted takes keys once it has been.
                self._in_hand = now
                self._walk(now, self._marker(turn, 1))
            else:
                self.call_next(self._hand_on)

        return arrive

    def _walk(self, pump: MessagePump, arrive: Callable[[], None]) -> None:
        """Run `arrive` in the app when all that now waits in a widget, and then in each one above it, is done."""
        above = pump._parent
        if pump is self or above is None:
            self.call_later(arrive)
        elif not pump.call_later(self._walk, above, arrive):
            self._walk(above, arrive)

    async def _look_after(self) -> None:
        """Let the next key go where the marker was lost with its widget, or takes too long."""
        lost = self._in_hand is not None and not self._in_hand.is_attached
        if lost or time.monotonic() - self._since > PATIENCE_SECONDS:
            await self._hand_on()
