"""The line to a terminal: one frame under way, nothing waited for, and answers that are no keys."""

import asyncio
import os
import select
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regtui.tui.framed import FramedDriver
from regtui.tui.line import MOST_LOST, PATIENCE_SECONDS, QUESTION, Answers, Line

PATIENCE = 30


class Ends:
    """A line into a pipe, a clock that is moved by hand, and what the line has told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.reader, writer = os.pipe()
        self.room, self.gone = threading.Event(), threading.Event()
        self.line = Line(writer, on_room=self.room.set, on_gone=self.gone.set, clock=lambda: self.now)
        os.close(writer)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            assert select.select([self.reader], [], [], PATIENCE)[0], data
            data += os.read(self.reader, size - len(data))
        return data

    def arrives(self, frame: bytes) -> None:
        """Let the other end read a frame, and the line know that it is out."""
        self.line.frame(frame)
        assert self.read(len(frame) + len(QUESTION)) == frame + QUESTION
        with self.line._changed:
            assert self.line._changed.wait_for(lambda: not self.line._unsent, PATIENCE)


@pytest.fixture
def ends() -> Iterator[Callable[[], Ends]]:
    opened: list[Ends] = []

    def open_one() -> Ends:
        opened.append(Ends())
        return opened[-1]

    yield open_one
    for each in opened:
        os.close(each.reader)
        each.line.close(PATIENCE)
        each.line._writer.join(PATIENCE)


def test_a_terminal_that_has_answered_gets_no_frame_until_it_answers_for_the_last(ends: Callable[[], Ends]) -> None:
    it = ends()
    it.arrives(b"first")
    it.line.answered(1)
    assert it.line.takes_frame()
    it.arrives(b"second")
    assert not it.line.takes_frame()
    assert not it.room.is_set()
    it.line.answered(1)
    assert it.room.wait(PATIENCE)
    assert it.line.takes_frame()


def test_how_long_a_frame_was_under_way_is_known_once_it_is_answered_for(ends: Callable[[], Ends]) -> None:
    it = ends()
    it.arrives(b"first")
    assert it.line.way_seconds == 0
    it.now += 0.4
    it.line.answered(1)
    it.now += 3
    assert it.line.way_seconds == pytest.approx(0.4)


def test_what_something_between_unpacks_is_packed_whole(ends: Callable[[], Ends]) -> None:
    reader, writer = os.pipe()
    line = Line(writer, on_room=lambda: None, on_gone=lambda: None, packed=lambda data: b"<" + data + b">")
    line.send(b"hello")
    line.write(b"bell")
    line.frame(b"frame")
    expected = b"hello<bell><frame" + QUESTION + b">"
    come = b""
    while len(come) < len(expected):
        come += os.read(reader, 100)
    assert come == expected
    line.close(PATIENCE)
    for fd in (reader, writer):
        os.close(fd)


def test_a_terminal_that_never_answers_gets_a_frame_whenever_the_last_is_written(ends: Callable[[], Ends]) -> None:
    it = ends()
    for _ in range(3):
        it.arrives(b"frame")
        assert it.line.takes_frame()


def test_a_frame_that_the_terminal_does_not_take_keeps_the_next_one_back(ends: Callable[[], Ends]) -> None:
    it = ends()
    long = b"x" * 1_000_000
    it.line.frame(long)
    assert not it.line.takes_frame()
    it.read(len(long) + len(QUESTION))
    assert it.room.wait(PATIENCE)


def test_an_answer_that_was_lost_holds_frames_up_for_a_while_only(ends: Callable[[], Ends]) -> None:
    it = ends()
    it.arrives(b"first")
    it.line.answered(1)
    for _ in range(MOST_LOST):
        it.arrives(b"lost")
        assert not it.line.takes_frame()
        it.now += PATIENCE_SECONDS + 0.1
        assert it.line.takes_frame()
    it.arrives(b"mute by now")
    assert it.line.takes_frame()


def test_what_is_no_frame_is_kept_in_its_order_however_long_the_terminal_takes_nothing(
    ends: Callable[[], Ends],
) -> None:
    it = ends()
    it.line.frame(b"x" * 1_000_000)
    for word in (b"bell", b"title", b"clipboard"):
        it.line.write(word)
    assert it.read(1_000_000 + len(QUESTION) + 18).endswith(b"belltitleclipboard")


def test_a_reader_that_has_gone_is_told_of(ends: Callable[[], Ends]) -> None:
    it = ends()
    reader, it.reader = it.reader, os.open(os.devnull, os.O_RDONLY)
    os.close(reader)
    it.line.write(b"anybody?")
    assert it.gone.wait(PATIENCE)
    assert not it.line.takes_frame()
    assert it.line.settle(PATIENCE)


def test_closing_does_not_wait_for_a_terminal_that_takes_nothing(ends: Callable[[], Ends]) -> None:
    it = ends()
    it.line.frame(b"x" * 1_000_000)
    assert not it.line.settle(0.01)
    it.line.close(0.01)


KEYS = [b"a", b"\x1b[A", b"\x1b[1;5C", b"\x1b[<35;10;20M", "é漢".encode(), b"[0n", b"0", b"n"]


class Drawn(FramedDriver):
    """A driver that has a line and nothing else."""

    def start_application_mode(self) -> None: ...
    def disable_input(self) -> None: ...
    def stop_application_mode(self) -> None: ...

    def show(self, text: str) -> None:
        with self.frame(20, 1):
            self.write(f"\x1b[1;1H{text}")


def test_a_frame_that_was_held_back_is_not_drawn_on_a_terminal_that_was_given_back(ends: Callable[[], Ends]) -> None:
    it = ends()

    async def leave() -> None:
        driver = Drawn(None)
        it.line._on_room = driver.say_there_is_room
        driver.open_line(it.line)
        it.line.answered(1)
        driver.show("shown")
        driver.show("left out")
        answer = threading.Thread(target=it.line.answered, args=(1,))
        answer.start()
        driver.settle(PATIENCE)
        answer.join(PATIENCE)
        await asyncio.sleep(0)
        assert it.line.takes_frame(), "nobody has asked the terminal since"

    asyncio.run(leave())


@given(st.lists(st.sampled_from([*KEYS, b"\x1b[0n"]), max_size=12), st.data())
def test_no_part_of_an_answer_is_a_key_wherever_reads_cut_it(sent: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(sent)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=6)))
    answers, keys, found = Answers(), b"", 0
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        rest, times = answers.take(whole[start:end], asked=True)
        keys, found = keys + rest, found + times
    keys += answers.late()
    assert keys == b"".join(part for part in sent if part != b"\x1b[0n")
    assert found == sent.count(b"\x1b[0n")


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_an_answer_whose_rest_comes_late_is_one_still(cut: int) -> None:
    answers = Answers()
    assert answers.take(b"\x1b[0n"[:cut], asked=True) == (b"", 0)
    assert answers.late() == b"\x1b[0n"[:cut]
    assert answers.take(b"\x1b[0n"[cut:] + b"q", asked=True) == (b"q", 1)


def test_nothing_is_held_back_while_no_answer_is_due() -> None:
    assert Answers().take(b"\x1b", asked=False) == (b"\x1b", 0)
