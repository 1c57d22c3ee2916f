"""What the tests of the app share: the app on small real runs, and waiting without sleeping."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual import events
from textual.pilot import Pilot

from regtui.core.config import RunConfig
from regtui.core.events import Event
from regtui.core.history import History
from regtui.notify.notices import Notice
from regtui.sources.detached import Detached
from regtui.sources.log import LogSource
from regtui.tui.app import RegtuiApp
from regtui.tui.canvas import Canvas
from regtui.tui.form import Form
from regtui.tui.runview import EventLog
from tests.terminals import PseudoTerminal

SMALL: dict[str, Any] = {
    "dataset": "digits", "train_rows": 200, "hidden": (16,), "batch_size": 50, "epochs": 6, "learning_rate": 0.01,
}  # fmt: skip
"""A run of a second: what is tested is the app, not the learning."""

TYPED = {"full_stop": ".", "comma": ",", "space": " ", "left_square_bracket": "[", "right_square_bracket": "]",
         "question_mark": "?", "minus": "-"}  # fmt: skip
"""Key -> the character it types, where the name is not that."""

QUIET_TURNS = 20
"""Turns of the event loop without a message under way after which there is none: a key goes through three or four
handlers, one after the other."""

PATIENCE_SECONDS = 60
"""Importing TensorFlow on a busy machine takes its time; a test that hangs must end."""


class Lab:
    """The app under a pilot, with words for what a person does and sees."""

    def __init__(self, app: RegtuiApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    def find(self, selector: str) -> Any:
        """A widget of the lab."""
        return self.app.lab.query_one(selector)

    @property
    def config(self) -> RunConfig:
        """What the form makes."""
        made = self.app.lab.query_one(Form).config
        assert made is not None
        return made

    def row(self, field: str) -> str:
        """The text of a field's row, as one line."""
        return " ".join(self.shown(f"#row-{field}").split())

    @property
    def history(self) -> History:
        return self.app.lab.history

    def shown(self, selector: str) -> str:
        """The text of a canvas."""
        return self.app.lab.query_one(selector, Canvas).text

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, each taken in before the next."""
        # Not the pilot's: that waits for an idle processor, up to two seconds a key while a run trains.
        for key in keys:
            assert self.app._driver is not None
            self.app._driver.send_message(events.Key(key, TYPED.get(key, key if len(key) == 1 else None)))
            await self.settle()

    async def settle(self) -> None:
        """Let every message that is under way be handled, and those that come of it, however slow the machine is."""
        quiet = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while quiet < QUIET_TURNS:
                await asyncio.sleep(0)
                pumps = [self.app, *self.app.screen_stack, *self.app.screen.walk_children()]
                busy = any(pump._message_queue.qsize() or not pump._is_mounted for pump in pumps)
                quiet = 0 if busy else quiet + 1

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let messages run until something holds."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                # Not `pause()` without a time: that waits for an idle processor, too.
                await self.pilot.pause(0.01)

    async def finished(self) -> None:
        """Let the run come to its end, and the screen take it in."""
        await self.until(lambda: self.app.lab.live is not None)
        await self.app.workers.wait_for_complete()
        await self.until(lambda: not self.app.lab.shown.open)

    async def put(self, field: str, text: str) -> None:
        """Type into a field as a person would: go there, clear it, write."""
        self.app.lab.query_one(f"#field-{field}").focus()
        await self.settle()
        await self.press(
            "end", "ctrl+u", *("full_stop" if key == "." else "comma" if key == "," else key for key in text)
        )

    async def choose(self, field: str, value: str) -> None:
        """Open a field's menu and take a value from it."""
        choice = self.app.lab.query_one(f"#field-{field}")
        choice.focus()
        await self.settle()
        await self.press("enter")
        await self.until(lambda: bool(self.app.screen.query("OptionList")))
        menu = self.app.screen.query_one("OptionList")
        menu.highlighted = menu.get_option_index(value)
        await self.press("enter")


class Heard:
    """Somebody who is told, or cannot be."""

    name = "a://b"

    def __init__(self, problem: str = "") -> None:
        self.notices: list[Notice] = []
        self._problem = problem

    def tell(self, notice: Notice) -> str:
        self.notices.append(notice)
        return self._problem

    @property
    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]


def told(app: RegtuiApp) -> list[str]:
    """What notifications are on the screen."""
    return [notification.message for notification in app._notifications]


def said(app: RegtuiApp) -> str:
    """The event log, a row a line however wide the screen is."""
    return "\n".join("".join(span.text for span in line) for line in app.lab.query_one(EventLog)._told)


@pytest.fixture
def config() -> RunConfig:
    return RunConfig.create(framework="torch", **SMALL)


@pytest.fixture
def endless(config: RunConfig) -> RunConfig:
    """The same, of a run that nobody waits for."""
    return msgspec.structs.replace(config, epochs=1_000_000)


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def app(config: RunConfig, runs_dir: Path) -> RegtuiApp:
    return RegtuiApp(config, runs_dir=runs_dir)


@pytest.fixture
def drive() -> Callable[..., AbstractAsyncContextManager[Lab]]:
    """Open an app on a screen of some size, as a `Lab`."""

    @asynccontextmanager
    async def open_on(app: RegtuiApp, size: tuple[int, int] = (140, 40), **given: Any) -> AsyncIterator[Lab]:
        async with app.run_test(size=size, **given) as pilot:
            yield Lab(app, pilot)

    return open_on


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Detached]]:
    """The processes that the app has started; they are gone with the test."""
    started: list[Detached] = []
    begin = Detached.__init__

    def keep(run: Detached, *given: Any, **named: Any) -> None:
        begin(run, *given, **named)
        started.append(run)

    monkeypatch.setattr(Detached, "__init__", keep)
    yield started
    for run in started:
        run.call_off()


@pytest.fixture
def logged(runs_dir: Path) -> Callable[[], list[list[Event]]]:
    """Read the events of each log in the runs folder, oldest first."""

    def read() -> list[list[Event]]:
        logs = sorted(runs_dir.glob("*/events.jsonl"), key=lambda path: path.stat().st_mtime)
        return [LogSource(path).poll() for path in logs]

    return read


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., PseudoTerminal]]:
    opened: list[PseudoTerminal] = []

    def open_one(
        *options: str,
        size: tuple[int, int] = (80, 24),
        through: tuple[str, ...] = (sys.executable, "-m", "regtui"),
        **given: Any,
    ) -> PseudoTerminal:
        command = [*through, "--runs-dir", str(tmp_path / "runs"), *options]
        opened.append(PseudoTerminal(command, size, **{"XDG_CONFIG_HOME": str(tmp_path / "config"), **given}))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()
