"""RegtuiApp: screens, themes and the command palette; it owns no run state."""

import json
import locale
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from textual import constants, events
from textual.app import SystemCommand
from textual.binding import Binding
from textual.command import CommandPalette
from textual.filter import LineFilter
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.worker import WorkerError, WorkerFailed

from regtui.core.config import RunConfig
from regtui.core.history import History
from regtui.core.text import as_on_terminal, printable
from regtui.notify.asked import NOBODY, Asked
from regtui.notify.audience import END_SECONDS, LEAVING_SECONDS, Audience
from regtui.notify.terminal import Mode, TerminalWay
from regtui.output import captured_output
from regtui.signals import FAULT
from regtui.sources import Source
from regtui.sources.here import LiveRun
from regtui.tui.canvas import plain
from regtui.tui.colours import PALETTES, FewerColours
from regtui.tui.dialogs import Answer, Question
from regtui.tui.driver import DrawnInTurn, TerminalDriver
from regtui.tui.keys import QUIT_ANYWHERE, SUSPEND
from regtui.tui.lab import LabScreen
from regtui.tui.leaving import GONE, PAGE_CLOSED, Departure, Leaving, depart
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

TELL_COMMANDS: dict[Mode, str] = {
    "terminal": "The terminal notifies and rings when a run ends, overfits, diverges or stalls",
    "bell": "The terminal's bell alone does so",
    "off": "The terminal tells nothing",
}
"""The same of how the terminal tells."""


class WholeCells(ScrollBarRender):
    """A scroll bar without the signs for a part of a cell, none of which is ASCII."""

    VERTICAL_BARS = HORIZONTAL_BARS = [" "] * 8


class RegtuiApp(KeysInTurn, DrawnInTurn):
    """The lab and the monitor."""

    TITLE = "regtui"
    CSS_PATH = "regtui.tcss"
    BINDINGS = [QUIT_ANYWHERE, SUSPEND]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        config: RunConfig,
        *,
        start: bool = False,
        detach: bool = False,
        source: Source | None = None,
        others: Sequence[Source] = (),
        runs_dir: Path = Path("runs"),
        share: bool = False,
        ghost: History | None = None,
        ascii_only: bool = False,
        theme: str = "auto",
        told: Asked = NOBODY,
    ) -> None:
        super().__init__()
        self.leaving = Leaving(self)
        self.ascii_only = ascii_only
        """Draw in ASCII: the terminal has no other signs."""
        self.set_class(ascii_only, "-ascii")
        self.terminal_way = TerminalWay(self.write_beside, told.terminal, os.environ)
        self.audience = Audience([self.terminal_way], told.services, told.urls)
        self.lab = LabScreen(
            config, runs_dir=runs_dir, share=share, start=start, source=source, ghost=ghost, others=others,
            detach=detach, audience=self.audience,
        )  # fmt: skip
        palette = PALETTES.get(self.console.color_system or "")
        self._fewer_colours = FewerColours(palette) if palette else None
        self._themes = themes(self.console.color_system)
        for each in self._themes.values():
            self.register_theme(each)
        self._show_theme(theme)

    def on_mount(self) -> None:
        self.begin_capture_print(self)

    async def on_event(self, event: events.Event) -> None:
        """Let pasted text through the gate, a line at a time: a field takes the first, and shows it as it is."""
        if isinstance(event, events.Paste) and not event.is_forwarded:
            event = events.Paste("\n".join(map(printable, event.text.splitlines())))
        await super().on_event(event)

    def on_print(self, message: events.Print) -> None:
        """Take what Python code prints, which Textual catches before it comes to a file descriptor."""
        for line in message.text.split("\n"):
            if shown := as_on_terminal(line):
                self.say(shown)

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
        for mode, meant in TELL_COMMANDS.items():
            yield SystemCommand(f"Notify: {mode}", meant, partial(self.choose_mode, mode))
        for choice, meant in THEME_COMMANDS.items():
            yield SystemCommand(f"Theme: {choice}", meant, partial(self.choose_theme, choice))

    def _runner(self, action: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await self.lab.run_action(action)

        return run

    def choose_mode(self, mode: Mode) -> None:
        """Have the terminal tell that way from now on when a run ends, fails, diverges, overfits or stalls."""
        self.terminal_way.mode = mode

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
        """Quit; while a run trains here, ask what is to become of it first."""
        lab = self.lab
        if lab.handing_over:
            lab.notify("The run is on its way into its own process: a moment.", markup=False)
        elif not lab.alive:
            self.exit()
        elif lab.history.end is not None:
            # Its end is on the screen and in the log; what is left is giving the device back.
            self.run_worker(self.leave("stopped on quitting"))
        elif not isinstance(self.screen, Question):
            self.push_screen(self._question(), self._quit)

    def _question(self) -> Question:
        """Ask what is to become of the run; where it cannot go on without this app, say why."""
        why_not = self.lab.why_not_handed_over()
        further = [] if why_not else [Answer("hand_over", "Hand over and quit", "h")]
        note = f"It cannot be handed over: {why_not}." if why_not else "Handed over, it goes on in its own process."
        return Question("A run is training. Stop it and quit?", "Stop and quit", "Stay", further=further, note=note)

    def _quit(self, answer: str | None) -> None:
        if answer == "yes":
            self.run_worker(self.leave("stopped on quitting"))
        elif answer == "hand_over":
            self.run_worker(self._hand_over())

    async def _hand_over(self) -> None:
        """Go once the run goes on elsewhere; where it does not, stay, since that is to be read."""
        if await self.lab.hand_over():
            self.exit()

    async def leave(self, reason: str) -> None:
        """End the run, wait until its `end` is written, and go."""
        self.lab.end_own(reason)
        for worker in [worker for worker in self.workers if worker.group == "run"]:
            with suppress(WorkerError):
                await worker.wait()
        self.exit()

    @property
    def live(self) -> LiveRun | None:
        """The run that trains here, if there is one."""
        return self.lab.live

    def leave_soon(self) -> None:
        """Leave the event loop as soon as it comes to that; from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self.exit)

    def restore_at_once(self, sentence: str) -> None:
        """Give the terminal back, with a last sentence, from any thread."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.restore_at_once(sentence)

    def lose_terminal(self) -> None:
        """Leave: there is nobody to look any more."""
        self.leaving.call(GONE)

    def lose_page(self) -> None:
        """Leave, as above."""
        self.leaving.call(PAGE_CLOSED)

    @property
    def fault(self) -> BaseException | None:
        """What the app has broken off for."""
        fault = self._exception
        return fault.error if isinstance(fault, WorkerFailed) else fault

    def _fatal_error(self) -> None:
        """Break off; what was wrong is said when the terminal is restored, not here, where output is caught."""
        self._close_messages_no_wait()
        self.leaving.call(Departure(f"the app broke off: {type(self.fault).__name__}", FAULT))

    def _print_error_renderables(self) -> None:
        self._exit_renderables.clear()

    def action_suspend_process(self) -> None:
        """Stop, and let the shell have the terminal."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.suspend()

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
    detach: bool = False,
    source: Source | None = None,
    others: Sequence[Source] = (),
    runs_dir: Path,
    share: bool = False,
    ascii_only: bool = False,
    ghost: History | None = None,
    theme: str | None = None,
    told: Asked = NOBODY,
) -> None:
    """Open the app and stay until it is left; raise what it broke off for, and end the process if it was told to go."""
    if theme is not None:
        remember_theme(theme)
    app = RegtuiApp(
        config,
        start=start,
        detach=detach,
        source=source,
        others=others,
        runs_dir=runs_dir,
        share=share,
        ghost=ghost,
        ascii_only=ascii_only or not can_show_unicode(),
        theme=theme or remembered_theme() or "auto",
        told=told,
    )
    if app.ascii_only:
        ScrollBar.renderer = WholeCells
    with app.leaving.watching(), captured_output(app.say):
        app.run()
    app.lab.last_look()
    for problem in app.audience.settle(LEAVING_SECONDS if app.leaving.departure else END_SECONDS):
        print(f"regtui: {printable(problem)}", file=sys.stderr)
    if app.fault is not None:
        raise app.fault
    stats = os.environ.get(FRAME_STATS)
    if stats:
        Path(stats).write_text(json.dumps(app.lab.frame_stats()))
    if app.leaving.departure is not None:
        depart(app.leaving.departure)
    for sentence in app.lab.left_behind(runs_dir):
        print(f"regtui: {sentence}", file=sys.stderr)


def can_show_unicode() -> bool:
    """Tell whether a page or, by the locale's encoding, the terminal has braille and box characters."""
    return constants.DRIVER is not None or "utf" in locale.getpreferredencoding(False).lower()
