"""Textual's terminal, which may be slow, stopped or gone, and the app that draws on it or on a page."""

import asyncio
import os
import select
import signal
import termios
from codecs import getincrementaldecoder
from contextlib import suppress

from rich.console import RenderableType
from textual import constants, events
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.drivers.web_driver import WebDriver
from textual.message import Message
from textual.screen import Screen

from regtui.core.size import MOST_CELLS, said_cells, sound_size
from regtui.output import write_within
from regtui.tui.framed import CLOSE_SECONDS, FramedDriver
from regtui.tui.line import Answers, Line
from regtui.tui.page import PageDriver

SETTLE_SECONDS = 1.0
"""How long leaving waits for the terminal to take the last frame and to say so: the shell would read the answer as
keys. A frame on a line of 5 kB/s takes less."""

RESTORED = (
    b"\x18"  # ends a sequence that was cut
    b"\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"
    b"\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l\x1b[0m"
)
"""What leaves a terminal as it was, in one piece; the same as the driver says when it stops in peace."""


class DrawnInTurn(App[None]):
    """An app that draws a frame only when the one before has arrived, and then the newest."""

    def get_driver_class(self) -> type[Driver]:
        """Give our driver: for a page where the environment names that of pages, as a server of them does."""
        if constants.DRIVER is None:
            return TerminalDriver
        named = super().get_driver_class()
        return PageDriver if issubclass(named, WebDriver) else named

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Tell the driver where a frame begins and ends."""
        if isinstance(self._driver, FramedDriver):
            with self._driver.frame(*self.size):
                super()._display(screen, renderable)
        else:
            super()._display(screen, renderable)

    def write_beside(self, data: bytes) -> None:
        """Write what moves no cursor, such as a bell, between two frames; from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._write_beside, data.decode())

    def _write_beside(self, data: str) -> None:
        if self._driver is not None:
            self._driver.write(data)

    @property
    def sent_bytes(self) -> int:
        """Bytes of all frames so far."""
        return self._driver.sent_bytes if isinstance(self._driver, FramedDriver) else 0

    @property
    def way_seconds(self) -> float:
        """How long the last frame was under way, there and back."""
        return self._driver.way_seconds if isinstance(self._driver, FramedDriver) else 0.0

    def on_resize(self) -> None:
        """Draw all of the screen: who knows what a terminal keeps that changes its size."""
        if isinstance(self._driver, FramedDriver):
            self._driver.forget()

    def lose_terminal(self) -> None:
        """Deal with a terminal that has gone; called from any thread, perhaps more than once."""

    def lose_page(self) -> None:
        """Deal with a page that was closed, or whose server has gone; called as above."""


class TerminalDriver(FramedDriver, LinuxDriver):
    """A terminal that may be slow, stopped or gone.

    What Textual leaves as it is here: the modes it asks for, and the way keys are read out of what comes.
    """

    _app: DrawnInTurn

    def __init__(
        self, app: DrawnInTurn, *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        stops = signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        assert self._file is not None
        self._out = self._file.fileno()
        # Textual has set handlers of its own, which stop this process alone, and for good where no shell brings it
        # back, and which open the terminal a second time where it was stopped from outside.
        loop = asyncio.get_running_loop()
        if stops:
            loop.add_signal_handler(signal.SIGTSTP, self.suspend)
        else:
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGCONT, self._go_on)
        self._size = size or self._get_terminal_size()
        self._wake: tuple[int, int] | None = None

    # Its size

    def _get_terminal_size(self) -> tuple[int, int]:
        """Give columns and rows: what the terminal says, else the environment, else the usual ones."""
        columns = rows = 0
        with suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(self.fileno)
        return sound_size(columns or _number("COLUMNS"), rows or _number("LINES"))

    def process_message(self, message: Message) -> None:
        """Hand a message on; a size in one is made sane."""
        if isinstance(message, events.Resize):
            columns, rows = sound_size(*message.size)
            if (columns, rows) != message.size:
                message = events.Resize.from_dimensions((columns, rows), None)
        super().process_message(message)

    # Opened and left

    def start_application_mode(self) -> None:
        line = Line(self._out, on_room=self.say_there_is_room, on_gone=self._app.lose_terminal)
        self.open_line(line)
        self._wake = os.pipe()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        # Asked only now that the terminal echoes nothing: the answer would stand on the shell's screen.
        line.frame(b"")
        if self._writer_thread is not None:
            # Textual's own, which nobody writes to here.
            self._writer_thread.stop()
            self._writer_thread = None

    def disable_input(self) -> None:
        if self._wake is not None:
            os.write(self._wake[1], b"x")
        super().disable_input()
        self._key_thread = None
        if self._wake is not None:
            for fd in self._wake:
                os.close(fd)
            self._wake = None

    def stop_application_mode(self) -> None:
        self.settle(SETTLE_SECONDS)
        super().stop_application_mode()

    def restore_at_once(self, sentence: str = "") -> None:
        """Give the terminal back from any thread when there is no time for peace, as far as it takes bytes."""
        write_within(self._out, RESTORED + sentence.encode(errors="replace"), CLOSE_SECONDS)
        if self.attrs_before is not None:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
            with suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)

    # Stopped and brought back

    def suspend(self) -> None:
        """Give the terminal to the shell, stop with all that it started here, and take the terminal back."""
        if os.getsid(0) == os.getpid():
            # Nobody could bring us back: the terminal has no shell but us.
            self._app.notify("There is no shell here to go back to.")
            return
        self.suspend_application_mode()
        self._loop.remove_signal_handler(signal.SIGTSTP)
        os.killpg(0, signal.SIGTSTP)
        # From here on somebody has brought us back; in the background, the first look at the terminal stops us again.
        self._loop.add_signal_handler(signal.SIGTSTP, self.suspend)
        self._must_signal_resume = True
        self.resume_application_mode()
        self._app.refresh(layout=True)

    def _go_on(self) -> None:
        """Take the terminal as it is after somebody has stopped us from outside and let us go on."""
        if self._line is None or self.attrs_before is None:
            return
        with suppress(termios.error):
            raw = termios.tcgetattr(self.fileno)
            raw[0], raw[3] = self._patch_iflag(raw[0]), self._patch_lflag(raw[3])
            termios.tcsetattr(self.fileno, termios.TCSANOW, raw)
        self.forget()
        self._app.refresh()

    # What comes

    def _run_input_thread(self) -> None:
        try:
            self._read_on()
        except Exception as error:
            self._app.call_later(self._app._handle_exception, error)

    def _read_on(self) -> None:
        """Read until input is disabled; nothing is done while nothing comes."""
        assert self._line is not None
        assert self._wake is not None
        line, wake = self._line, self._wake[0]
        parser, answers = XTermParser(self._debug), Answers()
        decode = getincrementaldecoder("utf-8")("replace").decode
        waits = False
        while not self.exit_event.is_set():
            ready, _, _ = select.select([self.fileno, wake], [], [], constants.ESCAPE_DELAY if waits else None)
            come, times = answers.late() if not ready else b"", 0
            if self.fileno in ready:
                try:
                    read = os.read(self.fileno, 4096)
                except OSError:
                    read = b""
                if not read:
                    self._app.lose_terminal()
                    break
                come, times = answers.take(read, asked=line.asked)
            if times:
                line.answered(times)
            for message in parser.feed(text) if (text := decode(come)) else parser.tick():
                self.process_message(message)
            # What a key begins with may be the whole of it: that shows when nothing follows.
            waits = bool(ready or come)
        with suppress(ParseError, EOFError):
            for _ in parser.feed(""):
                pass


def _number(name: str) -> int:
    """Give a variable of the environment, 0 where it is no positive number, or one that no screen has."""
    number = said_cells(os.environ.get(name))
    return number if number <= MOST_CELLS else 0
