"""RegtuiApp: screens, themes and the command palette; it owns no run state."""

import asyncio
import json
import locale
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from textual import events
from textual.app import SystemCommand
from textual.binding import Binding
from textual.command import CommandPalette
from textual.filter import LineFilter
from textual.screen import Screen
from textual.worker import WorkerError

from regtui.core.config import RunConfig
from regtui.core.history import History
from regtui.output import captured_output
from regtui.readers import read_history
from regtui.sources import Source
from regtui.tui.canvas import plain
from regtui.tui.colours import PALETTES, FewerColours
from regtui.tui.dialogs import Question
from regtui.tui.keys import QUIT_ANYWHERE
from regtui.tui.lab import LabScreen
from regtui.tui.remembered import remember_theme, remembered_theme
from regtui.tui.theme import ground_of, themes
from regtui.tui.turns import KeysInTurn

FRAME_STATS = "REGTUI_FRAME_STATS"
"""Environment: a file that gets the cost of the frames as JSON at the end, for `tests/benchmarks/overhead.py`."""


THEME_COMMANDS = {
    "dark": "Colours for a dark terminal",
    "light": "Colours for a light terminal",
    "auto": "Colours by what the terminal says of itself, dark or light",
}
"""What the palette offers -> what it means."""


class RegtuiApp(KeysInTurn):
    """The lab and the monitor."""

    TITLE = "regtui"
    CSS_PATH = "regtui.tcss"
    BINDINGS = [QUIT_ANYWHERE]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        config: RunConfig,
        *,
        start: bool = False,
        source: Source | None = None,
        runs_dir: Path = Path("runs"),
        share: bool = False,
        ghost: History | None = None,
        ascii_only: bool = False,
        theme: str = "auto",
    ) -> None:
        super().__init__()
        self.ascii_only = ascii_only
        """Draw in ASCII: the terminal has no other signs."""
        self.set_class(ascii_only, "-ascii")
        self.lab = LabScreen(config, runs_dir=runs_dir, share=share, start=start, source=source, ghost=ghost)
        palette = PALETTES.get(self.console.color_system or "")
        self._fewer_colours = FewerColours(palette) if palette else None
        self._themes = themes(self.console.color_system)
        for each in self._themes.values():
            self.register_theme(each)
        self._show_theme(theme)

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

    def action_command_palette(self) -> None:
        """Open the palette; Textual's own asks with a sign that not every terminal has."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder=plain("Search for commands…", self), id="--command-palette"))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """List what the palette offers: the lab's keys and the themes."""
        if screen is self.lab:
            # Two keys may do the same: that is one command.
            commands: dict[str, Binding] = {}
            for entry in self.lab.active_bindings.values():
                if entry.binding.show and entry.enabled:
                    commands.setdefault(entry.binding.action, entry.binding)
            for action, binding in commands.items():
                name = plain(self.lab.key_name(binding), self)
                yield SystemCommand(name, plain(binding.tooltip, self), self._runner(action))
        bell = "off" if self.lab.bell_at_end else "on"
        yield SystemCommand("Bell", f"Turn the bell at a run's end {bell}", self.action_bell_at_end)
        for choice, meant in THEME_COMMANDS.items():
            yield SystemCommand(f"Theme: {choice}", meant, partial(self.choose_theme, choice))

    def _runner(self, action: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await self.lab.run_action(action)

        return run

    def action_bell_at_end(self) -> None:
        """Ring the terminal's bell when a run ends, or not."""
        self.lab.bell_at_end = not self.lab.bell_at_end

    def choose_theme(self, choice: str) -> None:
        """Use a theme, now and from the next session on."""
        self._show_theme(choice)
        remember_theme(choice)

    def _show_theme(self, choice: str) -> None:
        ground = ground_of(os.environ.get("COLORFGBG", "")) if choice == "auto" else choice
        self.theme = self._themes[ground].name

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Let each line be drawn in the colours that the terminal has."""
        filters = super().get_line_filters()
        return [*filters, self._fewer_colours] if self._fewer_colours else filters

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
        self.lab.end_own(reason)
        for worker in [worker for worker in self.workers if worker.group == "run"]:
            with suppress(WorkerError):
                await worker.wait()
        self.exit()

    def _leave_on_signal(self, number: signal.Signals) -> None:
        self.run_worker(self.leave(f"stopped by {number.name}"))

    def say(self, text: str) -> None:
        """Put a line that a library printed into the event log of the run; from any thread."""
        self.lab.say(text)

    def on_unmount(self) -> None:
        """Leave no run behind, however the app ends: its thread would hold the process."""
        self.lab.end_own("the app was closed")


def run_app(
    config: RunConfig,
    *,
    start: bool = False,
    source: Source | None = None,
    runs_dir: Path,
    share: bool = False,
    ascii_only: bool = False,
    ghost: Path | None = None,
    theme: str | None = None,
) -> None:
    """Open the app and stay until it is left."""
    if theme is not None:
        remember_theme(theme)
    app = RegtuiApp(
        config,
        start=start,
        source=source,
        runs_dir=runs_dir,
        share=share,
        ghost=read_history(ghost) if ghost is not None else None,
        ascii_only=ascii_only or not can_show_unicode(),
        theme=theme or remembered_theme() or "auto",
    )
    with captured_output(app.say):
        app.run()
    stats = os.environ.get(FRAME_STATS)
    if stats:
        Path(stats).write_text(json.dumps(app.lab.frame_stats()))


def can_show_unicode() -> bool:
    """Tell whether the locale's encoding has braille and box characters."""
    return "utf" in locale.getpreferredencoding(False).lower()
