"""A browser without a window, driven by its own protocol, and what its page gets from us."""

import asyncio
import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pyte

PATIENCE_SECONDS = 60

SIZE = 1100, 700
"""Pixels of the page."""


class Browser:
    """One page in a browser."""

    def __init__(self, program: str, folder: Path) -> None:
        self._port_file = folder / "DevToolsActivePort"
        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}",
             "--remote-debugging-port=0", f"--window-size={SIZE[0]},{SIZE[1]}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.screen = pyte.Screen(400, 200)
        self._stream = pyte.ByteStream(self.screen)
        self.asked: list[str] = []
        """Addresses that the page has loaded something from."""
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._last = 0

    async def __aenter__(self) -> "Browser":
        await self.until(lambda: self._port_file.exists() and self._port_file.read_text().count("\n") > 0)
        port = int(self._port_file.read_text().split()[0])
        self._http = aiohttp.ClientSession()
        async with self._http.get(f"http://127.0.0.1:{port}/json/list") as answer:
            (page,) = [each for each in await answer.json() if each["type"] == "page"]
        self._socket = await self._http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
        self._listening = asyncio.create_task(self._listen())
        await self.do("Network.enable")
        await self.do("Page.enable")
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._listening.cancel()
        await self._http.close()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    async def _listen(self) -> None:
        async for message in self._socket:
            come = json.loads(message.data)
            if (answer := self._answers.pop(come.get("id", -1), None)) is not None:
                answer.set_result(come.get("result"))
            given = come.get("params", {})
            if come.get("method") == "Network.webSocketFrameReceived" and given["response"]["opcode"] == 2:
                self._stream.feed(base64.b64decode(given["response"]["payloadData"]))
            elif come.get("method") == "Network.requestWillBeSent":
                self.asked.append(given["request"]["url"])

    async def do(self, method: str, **given: Any) -> Any:
        """Have the browser do something."""
        self._last += 1
        answer = self._answers[self._last] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._last, "method": method, "params": given})
        return await asyncio.wait_for(answer, PATIENCE_SECONDS)

    async def ask(self, expression: str) -> Any:
        """Give what an expression of the page's language is."""
        return (await self.do("Runtime.evaluate", expression=expression))["result"].get("value")

    async def open(self, address: str) -> None:
        self.screen.reset()
        await self.do("Page.navigate", url=address)

    async def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.do(
                "Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" else "",
                windowsVirtualKeyCode=ord(key.upper()),
            )  # fmt: skip

    async def picture(self) -> bytes:
        """Give a PNG of the page."""
        return base64.b64decode((await self.do("Page.captureScreenshot"))["data"])

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await asyncio.sleep(0.02)

    async def until_page(self, expression: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.ask(expression):
                await asyncio.sleep(0.05)
