"""One page that is open, and the app behind it."""

import asyncio
import os
import shlex
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

from textual_serve.app_service import AppService

LEAVE_SECONDS = 2.5
"""How long the app may take to end its run and go, which it does within two seconds, busy as the machine may be."""

OF_THE_TERMINAL = ("COLORFGBG", "COLUMNS", "LINES", "TERM_PROGRAM_VERSION")
"""Variables that speak of the terminal that the server was started on."""


class Session(AppService):
    """An app of its own for a page; it ends with the page, and the page with it."""

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in OF_THE_TERMINAL}
        page = super()._build_environment(width, height)
        asked = {name: value for name, value in page.items() if os.environ.get(name) != value}
        return {**kept, **asked}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        """Start the app out of reach of the keys of the server's terminal: we end it when we end."""
        self._process = process = await asyncio.create_subprocess_exec(
            *shlex.split(self.command), stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True,
            env=self._build_environment(width, height),
        )  # fmt: skip
        self._stdin = process.stdin
        return process

    async def run(self) -> None:
        """Carry what the app draws to the page, and close the page when there is no more."""
        await super().run()
        with suppress(ConnectionError, RuntimeError):
            await self.remote_close()

    async def stop(self) -> None:
        """Tell the app that its page has gone; it ends its run and goes. One that does not is killed."""
        task, process, self._task = self._task, self._process, None
        if task is None or process is None:
            return
        await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
        await self.send_meta({"type": "quit"})
        # Also where it is not reading packets yet.
        self.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), LEAVE_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        await task


def command_line(arguments: tuple[str, ...]) -> str:
    """Give what starts the app with some arguments."""
    return shlex.join([sys.executable, "-m", "regtui", *arguments])
