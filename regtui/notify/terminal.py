"""The terminal's own means: the bell, and the notifications that its makers gave sequences, through SSH and tmux.

Which terminal it is, only the environment says: what is sent to one that does not know it may end as text on its
screen. OSC 9 is iTerm2's, OSC 777 that of urxvt's `notify`; both are ended by BEL, which every one of them takes and
which, unlike ST, may stand within GNU screen's passthrough.
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from regtui.core.text import plain
from regtui.notify.notices import Notice
from regtui.output import CANNOT_DRAW

Mode = Literal["off", "bell", "terminal"]
"""Nothing; the bell alone; the bell, and a notification where the terminal has one."""

MODES: tuple[Mode, ...] = get_args(Mode)

LONGEST = 200
"""Characters of a notification: desktops show two or three lines."""

BELL = b"\a"

BY_PROGRAM = {"iTerm.app": 9, "iTerm2": 9, "WezTerm": 777, "ghostty": 777, "WarpTerminal": 777}
"""TERM_PROGRAM, or LC_TERMINAL, which SSH passes on -> the sequence. WezTerm and Ghostty know both; 777 has a title.
Apple's Terminal and VS Code have none."""

BY_TERM = {"xterm-kitty": 9, "xterm-ghostty": 777, "wezterm": 777, "foot": 777, "rxvt-unicode": 777}
"""What TERM begins with, which SSH passes on, too -> the sequence."""

BY_VARIABLE = {
    "KITTY_WINDOW_ID": 9, "WEZTERM_PANE": 777, "GHOSTTY_RESOURCES_DIR": 777, "VTE_VERSION": 777, "WT_SESSION": 777,
}  # fmt: skip
"""A variable that a terminal sets for what runs in it, and that tmux inherits -> the sequence. VTE is GNOME's and many
others'; Windows Terminal has OSC 777 from 2026 on and ignores it before, where OSC 9 means progress and more."""


class TerminalWay:
    """Rings and notifies by writing to a terminal."""

    name = "the terminal"

    def __init__(self, write: Callable[[bytes], object], mode: Mode, environment: Mapping[str, str]) -> None:
        """`write` takes whole sequences, in any thread, and may raise OSError."""
        self.mode = mode
        self._write = write
        self._environment = environment

    def tell(self, notice: Notice) -> str:
        """Write; a terminal that has gone needs no bell."""
        try:
            written = sequence(notice, self.mode, self._environment)
            if written:
                self._write(written)
        except OSError as error:
            return error.strerror or str(error)
        return ""


def sequence(notice: Notice, mode: Mode, environment: Mapping[str, str]) -> bytes:
    """Give what makes a terminal tell something, by the environment of whoever runs in it; it moves no cursor."""
    if mode == "off" or environment.get("TERM", "") in CANNOT_DRAW:
        return b""
    if mode == "bell":
        return BELL
    code, wrap = _known(environment), _wrapping(environment)
    if code is None or wrap is None:
        return BELL
    # tmux marks a window whose bell rings, and lets sequences through only where it was told to.
    return wrap(_notification(notice, code)) + BELL


def _notification(notice: Notice, code: int) -> bytes:
    """Write it in ASCII: in a sign of UTF-8 a terminal may take a byte for the end of the sequence."""
    title, body = plain(notice.title), plain(" ".join(notice.body.split()))
    if code == 9:
        # It begins with a word: OSC 9 and a digit are orders to Windows Terminal and ConEmu, such as progress.
        return f"\x1b]9;{title}: {body}"[:LONGEST].encode() + BELL
    # What comes after a semicolon would be another field.
    return f"\x1b]777;notify;{title.replace(';', ',')};{body.replace(';', ',')}"[:LONGEST].encode() + BELL


def _known(environment: Mapping[str, str]) -> int | None:
    """Say which sequence the terminal knows; inside tmux and screen, the one around them."""
    for name in ("TERM_PROGRAM", "LC_TERMINAL"):
        if environment.get(name) in BY_PROGRAM:
            return BY_PROGRAM[environment[name]]
    term = environment.get("TERM", "")
    codes = [code for begins, code in BY_TERM.items() if term == begins or term.startswith(f"{begins}-")]
    codes += [code for name, code in BY_VARIABLE.items() if environment.get(name)]
    return codes[0] if codes else None


def _wrapping(environment: Mapping[str, str]) -> Callable[[bytes], bytes] | None:
    """Say how a sequence gets through what is between: tmux or screen; None where it is one of them, unknown which."""
    term = environment.get("TERM", "")
    if environment.get("TMUX") or term.startswith("tmux"):
        return lambda data: b"\x1bPtmux;" + data.replace(b"\x1b", b"\x1b\x1b") + b"\x1b\\"
    if environment.get("STY"):
        return lambda data: b"\x1bP" + data + b"\x1b\\"
    return None if term.startswith("screen") else lambda data: data
