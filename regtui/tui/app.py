"""RegtuiApp: screens, themes and the command palette; it owns no run state."""

import asyncio
import json
import locale
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from textual import events
from textual.app import SystemCommand
from textual.screen import Screen
from textual.worker import WorkerError

from regtui.core.config import RunConfig
from regtui.core.events import Stop
from regtui.core.history import History
from regtui.output import captured_output
from regtui.session import LogSource, Source
from regtui.tui.canvas import Canvas
from regtui.tui.dialogs import Question
from regtui.tui.lab import LabScreen
from regtui.tui.theme import DARK, LIGHT, THEMES
from regtui.tui.turns import KeysInTurn

FRAME_STATS = "REGTUI_FRAME_STATS"
"""Environment: a file that gets the cost of the frames as JSON at the end, for `tests/benchmarks/overhead.py`."""


class RegtuiApp(KeysInTurn):
    """The lab and the monitor."""

    TITLE = "regtui"
    CSS_PATH = "regtui.tcss"
    BINDINGS = []
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        config: RunConfig,
        *,
        start: bool = False,
        source: Source | None = None,
        runs_dir: Path = Path("runs"),
        ghost: History | None = None,
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        Canvas.ascii_only = ascii_only
        self.set_class(ascii_only, "-ascii")
        self.lab = LabScreen(config, runs_dir=runs_dir, start=start, source=source, ghost=ghost)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK.name

    def on_mount(self) -> None:
        """End cleanly when the process is told to go."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._leave_on_signal, number)
        self.begin_capture_print(self)

    def on_print(self, message: events.Print) -> None:
        """Take what Python code prints, which Textual catches before it comes to a file descriptor."""
        for line in message.text.splitlines():
            if line.strip():
                self.say(line.strip())

    def get_default_screen(self) -> Screen[None]:
        """Give the lab: there is nothing under it."""
        return self.lab

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """List what the palette offers: the lab's keys and the themes."""
        if screen is self.lab:
            for entry in self.lab.active_bindings.values():
                binding = entry.binding
                if binding.show and entry.enabled:
                    yield SystemCommand(binding.description, binding.tooltip, self._runner(binding.action))
        bell = "off" if self.lab.bell_at_end else "on"
        yield SystemCommand("Bell", f"Turn the bell at a run's end {bell}", self.action_bell_at_end)
        other = LIGHT if self.theme == DARK.name else DARK
        yield SystemCommand("Theme", f"Use the {other.name.removeprefix('regtui-')} theme", self.action_other_theme)

    def _runner(self, action: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await self.lab.run_action(action)

        return run

    def action_bell_at_end(self) -> None:
        """Ring the terminal's bell when a run ends, or not."""
        self.lab.bell_at_end = not self.lab.bell_at_end

    def action_other_theme(self) -> None:
        """Change between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    async def action_quit(self) -> None:
        """Quit; while a run lives, ask, and end it first."""
        if not self.lab.alive:
            self.exit()
        elif self.lab.history.end is not None:
            # Its end is on the screen and in the log; what is left is giving the device back.
            self.run_worker(self.leave("stopped on quitting"))
        elif not isinstance(self.screen, Question):
            self.push_screen(Question("A run is training. Stop it and quit?", "Stop and quit", "Stay"), self._quit)

    def _quit(self, yes: bool | None) -> None:
        if yes:
            self.run_worker(self.leave("stopped on quitting"))

    async def leave(self, reason: str) -> None:
        """End the run, wait until its `end` is written, and go."""
        self.lab.send(Stop(reason=reason))
        for worker in [worker for worker in self.workers if worker.group == "run"]:
            with suppress(WorkerError):
                await worker.wait()
        self.exit()

    def _leave_on_signal(self, number: signal.Signals) -> None:
        self.run_worker(self.leave(f"stopped by {number.name}"))

    def say(self, text: str) -> None:
        """Put a line that a library printed into the event log of the run; from any thread."""
        if self.lab.live is not None:
            self.lab.live.say(text)

    def on_unmount(self) -> None:
        """Leave no run behind, however the app ends: its thread would hold the process."""
        self.lab.send(Stop(reason="the app was closed"))


def run_app(
    config: RunConfig,
    *,
    start: bool = False,
    source: Source | None = None,
    runs_dir: Path,
    ascii_only: bool = False,
    ghost: Path | None = None,
    theme: str | None = None,  # noqa: ARG001
) -> None:
    """Open the app and stay until it is left."""
    app = RegtuiApp(
        config,
        start=start,
        source=source,
        runs_dir=runs_dir,
        ghost=read_history(ghost) if ghost is not None else None,
        ascii_only=ascii_only or not can_show_unicode(),
    )
    with captured_output(app.say):
        app.run()
    stats = os.environ.get(FRAME_STATS)
    if stats:
        Path(stats).write_text(json.dumps(app.lab.frame_stats()))


def read_history(path: Path) -> History:
    """Fold a whole log; raises LogError."""
    history, source = History(), LogSource(path)
    while events := source.poll(50_000):
        history.apply(events)
    return history


def can_show_unicode() -> bool:
    """Tell whether the locale's encoding has braille and box characters."""
    return "utf" in locale.getpreferredencoding(False).lower()
