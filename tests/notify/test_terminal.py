"""Each terminal gets what it understands, and nothing else."""

import pytest

from regtui.notify.notices import Notice
from regtui.notify.terminal import sequence

NOTICE = Notice("overfitting", "regtui: r overfits", "Overfitting since epoch 3: 0.4 → 0.1; ±0.01\nat epoch 9")

TEXT = "Overfitting since epoch 3: 0.4 > 0.1; ~0.01 at epoch 9"

OSC_9 = f"\x1b]9;regtui: r overfits: {TEXT}\a".encode()
OSC_777 = f"\x1b]777;notify;regtui: r overfits;{TEXT.replace(';', ',')}\a".encode()


def in_tmux(data: bytes) -> bytes:
    return b"\x1bPtmux;" + data.replace(b"\x1b", b"\x1b\x1b") + b"\x1b\\"


@pytest.mark.parametrize(
    ("environment", "written"),
    [
        ({"TERM_PROGRAM": "iTerm.app"}, OSC_9),
        ({"LC_TERMINAL": "iTerm2"}, OSC_9),
        ({"TERM_PROGRAM": "WezTerm"}, OSC_777),
        ({"TERM_PROGRAM": "ghostty"}, OSC_777),
        ({"TERM": "xterm-kitty"}, OSC_9),
        ({"TERM": "foot-extra"}, OSC_777),
        ({"TERM": "rxvt-unicode-256color"}, OSC_777),
        ({"VTE_VERSION": "7600"}, OSC_777),
        ({"WT_SESSION": "f00"}, OSC_777),
        ({"TERM_PROGRAM": "Apple_Terminal"}, b""),
        ({"TERM_PROGRAM": "vscode"}, b""),
        ({"TERM": "football"}, b""),
        ({}, b""),
        ({"TERM_PROGRAM": "tmux", "TMUX": "/tmp/tmux-0/x", "TERM": "screen-256color", "VTE_VERSION": "7600"},
         in_tmux(OSC_777)),
        ({"TERM": "tmux-256color", "LC_TERMINAL": "iTerm2"}, in_tmux(OSC_9)),
        ({"TERM": "screen", "STY": "1.x", "VTE_VERSION": "7600"}, b"\x1bP" + OSC_777 + b"\x1b\\"),
        # Over SSH, where it may be either of the two.
        ({"TERM": "screen", "LC_TERMINAL": "iTerm2"}, b""),
    ],
)  # fmt: skip
def test_what_is_written_where(environment: dict[str, str], written: bytes) -> None:
    known = {"TERM": "xterm-256color", **environment}
    assert sequence(NOTICE, "terminal", known) == written + b"\a"
    assert sequence(NOTICE, "bell", known) == b"\a"
    assert sequence(NOTICE, "off", known) == b""


@pytest.mark.parametrize("term", ["dumb", "", "unknown"])
def test_a_terminal_that_promises_nothing_gets_nothing(term: str) -> None:
    environment = {"TERM": term, "TERM_PROGRAM": "iTerm.app"}
    assert sequence(NOTICE, "terminal", environment) == sequence(NOTICE, "bell", environment) == b""


def test_a_notification_is_short_and_never_looks_like_progress() -> None:
    long = Notice("end", "regtui: 4;1;50 finished", "x" * 5000)
    written = sequence(long, "terminal", {"TERM": "xterm-kitty"})
    assert written.startswith(b"\x1b]9;regtui: 4;1;50 finished: xxx")
    assert len(written) < 256
