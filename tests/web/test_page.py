"""The app in a real browser: curves on the page, keys, and what becomes of runs when pages and servers go."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regtui.core.events import RunEnded
from regtui.sources.log import LogSource
from tests.web.conftest import SMALL, Serving

pytest.importorskip("textual_serve", reason="needs textual-serve: regtui[web]")

ENDLESS = (*SMALL, "--epochs", "1000000", "--start")


def end_of(log: Path) -> RunEnded | None:
    """Give how a run ended, if it has."""
    ends = [event for event in LogSource(log).poll() if isinstance(event, RunEnded)]
    return ends[-1] if ends else None


async def test_the_page_shows_curves_obeys_keys_loads_nothing_from_elsewhere_and_says_when_the_app_was_left(
    serving: Callable[..., Serving], browser: Any, tmp_path: Path
) -> None:
    server = serving("--", *SMALL, "--epochs", "3", "--start", "--seed", "3")
    async with browser:
        await browser.open(server.address.replace("127.0.0.1", "localhost"))
        await browser.until(lambda: "finished" in browser.screen.display[0])
        assert any(0x2800 < ord(sign) < 0x2900 for sign in browser.text)
        await browser.until_page("document.body.classList.contains('-first-byte')")
        assert await browser.ask("document.fonts.check('16px \"Roboto Mono\"')")
        if kept := os.environ.get("REGTUI_PAGE_PNG"):
            Path(kept).write_bytes(await browser.picture())
        await browser.press("?")
        await browser.until(lambda: "Go from the curves to the form" in browser.text)
        await browser.press("q")
        await browser.until(lambda: "Go from the curves to the form" not in browser.text)
        await browser.press("q")
        await browser.until_page("document.body.classList.contains('-closed')")
        assert await browser.ask("getComputedStyle(document.querySelector('.ended')).display") == "flex"
        assert "Session ended" in await browser.ask("document.querySelector('.ended').innerText")
    assert {address.split("/")[2].split(":")[0] for address in browser.asked if ":" in address[:6]} == {"localhost"}
    assert server.end()[0] == 128 + signal.SIGINT


async def test_closing_the_page_ends_the_run_that_trains_in_it_with_its_end(
    serving: Callable[..., Serving], browser: Any
) -> None:
    server = serving("--", *ENDLESS)
    async with browser:
        await browser.open(server.address)
        await browser.until(lambda: "training" in browser.screen.display[0])
        (log,) = server.logs()
        await browser.open("about:blank")
        await browser.until(lambda: end_of(log) is not None)
        await browser.until(lambda: not server.children())
    end = end_of(log)
    assert end is not None
    assert (end.status, end.reason) == ("stopped", "the page was closed")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_no_app_outlives_its_server_and_its_run_has_an_end(
    serving: Callable[..., Serving], browser: Any, number: signal.Signals
) -> None:
    server = serving("--", *ENDLESS)
    async with browser:
        await browser.open(server.address)
        await browser.until(lambda: "training" in browser.screen.display[0])
        (log,), (app,) = server.logs(), server.children()
        asked = time.monotonic()
        status, _ = server.end(number)
        assert status in {128 + number, -number}
        assert time.monotonic() - asked < 10
        await browser.until(lambda: end_of(log) is not None)
        await browser.until(lambda: not Path(f"/proc/{app}").exists())
        await browser.until_page("document.body.classList.contains('-closed')")


async def test_a_log_is_watched_in_the_page_and_closing_it_leaves_the_run_alone(
    serving: Callable[..., Serving], browser: Any, tmp_path: Path
) -> None:
    whole = (Path(__file__).parents[1] / "logs" / "clean-torch.jsonl").read_bytes().splitlines(keepends=True)
    log = tmp_path / "events.jsonl"
    log.write_bytes(b"".join(whole[: len(whole) // 2]))
    before = log.read_bytes()
    server = serving("--", "watch", str(log))
    async with browser:
        await browser.open(server.address)
        await browser.until(lambda: any(0x2800 < ord(sign) < 0x2900 for sign in browser.text))
        await browser.open("about:blank")
        await browser.until(lambda: not server.children())
    assert log.read_bytes() == before
