"""How far a listing is, shown to whoever waits for it at a terminal, and to nobody else."""

import contextlib
import os
import sys

import pytest

from regtui.cli import runs


@pytest.mark.parametrize(("patience", "shown"), [(-1.0, True), (1e9, False)])
def test_a_terminal_is_told_how_far_it_is_once_it_takes_a_while(
    monkeypatch: pytest.MonkeyPatch, patience: float, shown: bool
) -> None:
    monkeypatch.setattr(runs, "PATIENCE_SECONDS", patience)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with contextlib.suppress(KeyboardInterrupt), runs.progress("reading logs") as told:
            for done in range(8):
                told(done, 10)
            raise KeyboardInterrupt
        terminal.write("end")
        terminal.flush()
        written = b""
        while not written.endswith(b"end"):
            written += os.read(ours, 4096)
    os.close(ours)
    assert (b"reading logs" in written and b"70%" in written) == shown
    assert shown or written == b"end"
    assert not shown or written.rindex(b"\x1b[?25h") > written.rindex(b"\x1b[?25l"), "the cursor is hidden"


def test_what_is_no_terminal_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "PATIENCE_SECONDS", -1.0)
    with runs.progress("reading logs") as told:
        told(1, 2)
    assert capsys.readouterr() == ("", "")
