"""Textual's driver for a page in a browser, which may be slow, stopped or closed as a terminal may."""

import asyncio
import os
import signal
from codecs import getincrementaldecoder
from functools import partial
from typing import TYPE_CHECKING, Any

from textual._xterm_parser import XTermParser
from textual.drivers._byte_stream import ByteStream
from textual.drivers.web_driver import WebDriver

from regtui.core.size import sound_size
from regtui.tui.framed import FramedDriver
from regtui.tui.line import Answers, Line

if TYPE_CHECKING:
    from regtui.tui.driver import DrawnInTurn

DATA = b"D"
"""The kind of a packet that holds what a terminal would get."""


def packet(data: bytes) -> bytes:
    """Wrap what is written to a terminal, as textual-serve takes it: kind, length in four bytes, content."""
    return DATA + len(data).to_bytes(4, "big") + data


class PageDriver(FramedDriver, WebDriver):
    """A page behind two pipes to the server that serves it.

    Textual's own writes to the pipe from its event loop, which a browser that reads nothing would stop; goes on alone
    when the server is gone; and answers signals itself.
    """

    _app: "DrawnInTurn"

    def __init__(self, app: "DrawnInTurn", **given: Any) -> None:
        super().__init__(app, **given)
        self._size = sound_size(*(self._size or (0, 0)))
        self._write = partial(self._send)

    def _send(self, data: bytes) -> int:
        """Send packets that are no frame: they wait behind it, as it may wait for the browser."""
        if self._line is None:
            return os.write(self.fileno, data)
        self._line.send(data)
        return len(data)

    def start_application_mode(self) -> None:
        answered = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        line = Line(self.fileno, on_room=self.say_there_is_room, on_gone=self._app.lose_page, packed=packet)
        self._line = line  # for what comes before the first frame
        super().start_application_mode()
        loop = asyncio.get_running_loop()
        for number, answer in answered.items():
            # Those of the app know of the run, and of its end in the log.
            loop.remove_signal_handler(number)
            signal.signal(number, answer)
        self.open_line(line)
        line.frame(b"")

    def run_input_thread(self) -> None:
        try:
            self._read_on()
        except Exception as error:
            self._app.call_later(self._app._handle_exception, error)

    def _read_on(self) -> None:
        """Read packets until the app is left, or nobody sends any more."""
        parser, answers, packets = XTermParser(self._debug), Answers(), ByteStream()
        decode = getincrementaldecoder("utf-8")("replace").decode
        for data in self._input_reader:
            # Nothing for a tenth of a second: what is held back as the start of an answer is a key.
            come = b"" if data else answers.late()
            for kind, content in packets.feed(data) if data else ():
                if kind != "D":
                    self._on_meta(kind, content)
                elif (line := self._line) is not None:
                    keys, times = answers.take(content, asked=line.asked)
                    come += keys
                    if times:
                        line.answered(times)
            for message in parser.feed(text) if (text := decode(come)) else parser.tick():
                self.process_message(message)
        if not self.exit_event.is_set():
            self._app.lose_page()

    def on_meta(self, packet_type: str, payload: dict[str, object]) -> None:
        """Do what the server says: a size is made sane, and a page that was closed ends the run, too."""
        if packet_type == "quit":
            self._app.lose_page()
            return
        if packet_type == "resize":
            cells = (payload.get("width"), payload.get("height"))
            columns, rows = (each if isinstance(each, int) else 0 for each in cells)
            payload = dict(zip(("width", "height"), sound_size(columns, rows), strict=True))
        super().on_meta(packet_type, payload)
