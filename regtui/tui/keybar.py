"""The bottom line: the keys that work now; a click on one presses it."""

from collections.abc import Callable

from textual import events
from textual.binding import Binding
from textual.screen import Screen

from regtui.charts import Span
from regtui.tui.canvas import Canvas, span, width_of


class KeyBar(Canvas):
    """Keys and their names, in the order of their declaration, as many as fit."""

    def __init__(self, name_of: Callable[[Binding], str]) -> None:
        super().__init__(id="keys")
        self._name_of = name_of
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._follow)

    def fit(self) -> None:
        self._follow(self.screen)

    def _follow(self, screen: Screen[object]) -> None:
        if screen is not self.screen or not self.is_mounted:
            return
        active = {entry.binding.id: entry.binding for entry in screen.active_bindings.values() if entry.enabled}
        # In the order of declaration, whatever has the focus.
        declared = [binding for bindings in screen._bindings.key_to_bindings.values() for binding in bindings]
        # Of two keys that do the same, the first that works now.
        shown = {binding.action: binding for binding in reversed(declared) if binding.show and binding.id in active}
        shown = dict(reversed(shown.items()))
        tail = [binding for action, binding in shown.items() if action in {"help", "app.quit"}]
        head = [binding for binding in shown.values() if binding not in tail]
        width = self.content_size.width
        room = width - sum(self._width(binding) for binding in tail)
        line: list[Span] = [span(" ")]
        self._places = []
        for binding in [*head, *tail]:
            if binding in head and width_of(line) + self._width(binding) > room:
                continue
            start = width_of(line)
            line += [span(_key(binding), "key"), span(f" {self._name_of(binding)}  ", "muted")]
            self._places.append((start, width_of(line) - 2, binding.key))
        self.show([tuple(line)])

    def _width(self, binding: Binding) -> int:
        return len(_key(binding)) + len(self._name_of(binding)) + 3

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        for start, end, key in self._places:
            if offset is not None and start <= offset.x < end:
                self.app.simulate_key(key)


def _key(binding: Binding) -> str:
    return binding.key_display or binding.key
