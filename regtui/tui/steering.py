"""Telling a run what to do: the commands behind the keys, which of them can work now, and why one cannot."""

import time
from collections.abc import Mapping

from textual import events
from textual.binding import Binding

from regtui.core.events import Command, Pause, Resume, RunEpoch, SetKnob, Stop
from regtui.core.text import printable
from regtui.sources.here import LiveRun
from regtui.sources.sent import name_of, names_of
from regtui.tui.dialogs import Question
from regtui.tui.keys import LAB_KEYS
from regtui.tui.looking import CURSORS, LOOKS, Looking

COMMANDS: Mapping[str, type[Command]] = {
    "pause": Pause, "run_epoch": RunEpoch, "stop": Stop, "scale_rate": SetKnob,
}  # fmt: skip
"""Action of a key -> the command that it gives."""

STARTING = frozenset({"start", "move_run", "hand_over"})
"""Actions of a screen that starts runs."""

REASON_SECONDS = 3.0
"""A reason is short, and the next key may need the place."""


class Steering(Looking):
    """A screen whose keys give commands to the run on show, where that listens."""

    live: LiveRun | None = None
    """The run that trains, or trained, here."""
    only_watches = False
    """This screen was opened to look at a run, and starts none."""

    @property
    def alive(self) -> bool:
        """Tell whether a run trains here: it ends when the app does."""
        return self.live is not None and self.live.alive

    @property
    def occupied(self) -> bool:
        """Tell whether a run that was started on this screen still lives, here or in a process of its own."""
        return not self.only_watches and (self.alive or self.shown.activity.growing)

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether the run on show has a process of its own, which goes on when the app is left."""
        return self.shown.source is not self.live

    def obeys(self, command: type[Command]) -> bool:
        """Tell whether the run on show would obey a command now."""
        activity = self.shown.activity
        return command in self.shown.source.listens and activity.alive and activity.stage != "stopping"

    def send(self, command: Command) -> bool:
        """Give the run on show a command, where it obeys such; tells whether it was sent."""
        if not self.obeys(type(command)):
            return False
        if self.is_elsewhere:
            try:
                self.shown.send(command, time.monotonic())
            except OSError as error:
                self._say_unsent(command, error)
                return False
            # Before anything is read: the answer may be there already.
            self.draw()
            self.look_soon()
        else:
            self.shown.source.send(command)
        self.shown.ask()
        self.refresh_bindings()
        return True

    def look_soon(self) -> None:
        """Look what the run has to say, without waiting for the next beat."""
        raise NotImplementedError

    def _say_unsent(self, command: Command, error: OSError) -> None:
        why = error.strerror or str(error)
        text = f"{name_of(command)} was not sent: {error.filename or 'the file of commands'} cannot be written ({why})"
        self.notify(printable(text), title="The run was not told", severity="error", markup=False)

    def usable_keys(self) -> list[Binding]:
        """Give the keys that can ever work on this screen, for the help."""
        listens = self.shown.source.listens if self.only_watches else LiveRun.listens
        return [key for key in LAB_KEYS if self._can_ever(key.action.partition("(")[0], listens)]

    def _can_ever(self, action: str, listens: frozenset[type]) -> bool:
        if action in COMMANDS:
            return COMMANDS[action] in listens
        if action == "next_run":
            return bool(self.check_action(action, ()))
        return action not in STARTING or not self.only_watches

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in STARTING:
            return not (self.only_watches or self.occupied)
        if action in COMMANDS:
            return self.obeys(COMMANDS[action])
        return super().check_action(action, parameters)

    def on_key(self, event: events.Key) -> None:
        """Say why a key of the lab does nothing now; every other key goes its way."""
        if event.key in self.active_bindings:
            # Bindings come after this: what has the focus means something else by this key.
            return
        for binding in LAB_KEYS:
            action, _, _ = binding.action.partition("(")
            if event.key == binding.key and not action.startswith("app.") and not self.check_action(action, ()):
                reason = self._why_not(action)
                if reason:
                    # The same key again is the same reason, which is still to be read.
                    self.app.clear_notifications()
                    self.notify(reason, timeout=REASON_SECONDS, markup=False)

    def _why_not(self, action: str) -> str:
        """Say in a sentence why an action cannot be taken, and what can; empty where that is plain to see."""
        if action in LOOKS | CURSORS:
            return self._why_nothing_to_see()
        if action == "next_run":
            return "No other run is watched: `regtui watch RUN RUN ...` watches several." * self.only_watches
        if action not in STARTING | COMMANDS.keys():
            return ""
        listens = self.shown.source.listens
        if self.only_watches and action in STARTING:
            return "This only watches: `regtui` opens the lab, which trains."
        if self.only_watches and not listens:
            return "This only watches, the run takes no commands here."
        if self.shown.activity.stage == "stopping":
            return "The run is ending."
        if self.only_watches and COMMANDS[action] not in listens:
            return f"The run does not listen to that, but to {', '.join(names_of(listens))}."
        if action in {"start", "move_run"}:
            return "A run is training: x ends it, then ctrl+r starts the next."
        return "No run is training: ctrl+r starts one."

    def _why_nothing_to_see(self) -> str:
        if self.history.run is not None:
            return "No epoch has been measured yet."
        starts = "" if self.only_watches or self.occupied else ": ctrl+r starts a run"
        return f"There are no curves yet{starts}."

    # What the keys do

    def action_pause(self) -> None:
        self.send(Resume() if self.shown.ask().stage == "paused" else Pause())

    def action_run_epoch(self) -> None:
        self.send(RunEpoch())

    def action_stop(self) -> None:
        """End the run, after a question."""

        def stop(answer: str | None) -> None:
            if answer == "yes":
                self.send(Stop(reason="stopped by hand"))

        self.app.push_screen(Question("Stop this run? Its log is kept.", "Stop", "Go on"), stop)

    def action_scale_rate(self, factor: float) -> None:
        self.send(SetKnob(knob="learning_rate", value=factor, scale=True))
