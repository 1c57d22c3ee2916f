"""Nothing from outside reaches the terminal: every field, option and name, through every command, byte by byte."""

import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import outside
import pytest
from outside import OBEYED, Harmless, Pty, app, command_lines, leaks, log_lines, make_logs, run_lines

from regtui.tui.line import QUESTION

ONE_NAME_IN = 7
"""Of the file names with a single payload so many are left out; `python tests/outside.py` takes all of them, in front
of each field and option."""

POINTER = re.compile(r"\x1b\]22;[a-z-]+\x07")
"""The shape of the mouse's pointer, which Textual sets."""

WHEEL_UP = "\x1b[<64;100;47M"
"""The mouse's wheel, over the event log."""


def test_no_command_lets_through_what_a_terminal_would_obey(tmp_path: Path) -> None:
    logs = make_logs(tmp_path / "logs", 0)
    said = run_lines(command_lines(logs, tmp_path, 0, ONE_NAME_IN), tmp_path)
    usual = frozenset(outside.ENTER_AND_LEAVE)
    assert [(" ".join(line), found) for line, _, come in said if (found := leaks(come, usual))] == []
    assert {status for _, status, _ in said} == {0, 1, 2}
    assert not any(b"a fault of regtui" in come for _, _, come in said)
    # And something did come through, as text: each of the escapes.
    whole = b"".join(come for _, _, come in said)
    for escape in (rb"\x1b]52;c;MARK", rb"\x00MARK", rb"\x9b2JMARK", rb"\u202eMARK", rb"\u3164MARK", rb"\udc9bMARK"):
        assert escape in whole


def test_no_variable_of_the_environment_gets_to_the_terminal(tmp_path: Path) -> None:
    logs, text = make_logs(tmp_path / "logs", 0), outside.Hostile(without="\0\udc9b")
    hostile = {name: text() for name in sorted(outside.variables())}
    assert {"REGTUI_RUNS_DIR", "TERM", "COLORFGBG", "REGTUI_FRAME_STATS", "REGTUI_DEBUG"} <= set(hostile)
    lines = [["runs"], ["watch"], ["--replay", "x"], ["--help"], ["--replay", str(logs[0])], []]
    said = run_lines([[word.encode() for word in line] for line in lines], tmp_path, **hostile)
    assert [(line, found) for line, _, come in said if (found := leaks(come))] == []
    assert any(b"MARK" in come for _, _, come in said[:3])


def watched(log: Path, ghost: Path, folder: Path) -> bytes:
    """Watch a log with another behind it, through all that the app shows of them."""

    def use(opened: Pty) -> None:
        opened.until(lambda: b"watching" in opened.raw and b"LR" in opened.raw)
        opened.press("\x1b[D", "at ")
        opened.press("gnslf\t")
        opened.press(WHEEL_UP * 40)
        opened.press("\x10", "Search")
        opened.press("\x1b[200~\x9b2J\u202e\x07pasted\x1b[201~", "pasted")

    return app(["watch", str(log), "--ghost", str(ghost)], folder, use)


def obeyed(come: bytes) -> Counter[str]:
    """Count what a terminal obeys of it, but for colours and where to write."""
    found = OBEYED.findall(POINTER.sub("", come.decode()))
    return Counter(each for each in found if not (outside.COLOUR.fullmatch(each) or outside.MOVES.fullmatch(each)))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """What the app itself sends: over a log as long, in which nothing is hostile."""
    folder = tmp_path_factory.mktemp("usual")
    log = folder / "events.jsonl"
    log.write_bytes(log_lines(Harmless(), own=True, status=None, strict=True, raw=False))
    return obeyed(watched(log, log, folder).replace(QUESTION, b""))


@pytest.mark.parametrize("shown", [1, 2])
def test_a_log_in_the_app_sends_nothing_to_the_terminal_that_a_harmless_one_does_not(
    tmp_path: Path, usual: Counter[str], shown: int
) -> None:
    logs = make_logs(tmp_path / "logs", shown)
    # How often the app asks the terminal whether a frame has arrived depends on the machine.
    come = watched(logs[shown], logs[shown - 1], tmp_path).replace(QUESTION, b"")
    assert obeyed(come) - usual == Counter()
    assert leaks(POINTER.sub("", come.decode()).encode(), frozenset(usual)) == []
    assert b"MARK" in come
