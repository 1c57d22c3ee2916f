"""The server of the page: to be reached from this machine alone, or by whoever was let in on purpose."""

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

from regtui.core.size import said_cells, sound_size
from regtui.web.session import Session, command_line

PAGE = Path(__file__).with_name("page.html")
SCRIPT = Path(__file__).with_name("page.js")

POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "frame-ancestors 'none'"
)
"""What the page may load: nothing that we do not serve; and no other page may hold it."""

CLOSE_SECONDS = 0.5
"""How long connections may take to close once their apps have gone."""

HEARTBEAT_SECONDS = 15.0
"""A browser that does not answer for so long has gone, such as when the line to it broke: its app is ended."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what is bound to a host."""
    if host.rstrip(".") == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class PageServer(Server):  # type: ignore[misc, unused-ignore] # textual-serve may not be installed
    """Serves the page, and an app behind each that is open.

    From textual-serve come the terminal in the page and the packets between page and app.
    """

    def __init__(self, arguments: tuple[str, ...], host: str, port: int, public_url: str | None = None) -> None:
        super().__init__(command_line(arguments), host, port, public_url=public_url)
        self._public = urlsplit(public_url).netloc if public_url else ""
        self._sessions: set[Session] = set()

    async def serve_until(self, stop: asyncio.Event, on_ready: Callable[[str], None]) -> None:
        """Serve until told to stop, then end all apps; raises OSError where the address cannot be had.

        `on_ready` is given the address of the page.
        """
        # What goes wrong with one page is no matter of the terminal's.
        logging.getLogger("textual-serve").addHandler(logging.NullHandler())
        runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=CLOSE_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
            host = f"[{self.host}]" if ":" in self.host else self.host
            on_ready(f"http://{host}:{runner.addresses[0][1]}/")
            await stop.wait()
        finally:
            await asyncio.gather(*(session.stop() for session in self._sessions))
            await runner.cleanup()

    async def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._let_in])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/page.js", self._script),
                web.get("/ws", self.handle_websocket),
                web.get("/download/{key}", self.handle_download),
                web.static("/static", self.statics_path),
            ]
        )
        return app

    @web.middleware
    async def _let_in(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what other pages in the same browser ask for: they would have the app as its user has it."""
        asked = urlsplit(f"//{request.headers.get('X-Forwarded-Host', request.host)}")
        own = {request.host, asked.netloc, self._public} - {""}
        # A name that somebody else leads to this machine's own address would make their page one of ours.
        is_named = asked.netloc == self._public or (asked.hostname or "") == self.host
        if is_loopback(self.host) and not (is_named or is_loopback(asked.hostname or "")):
            raise web.HTTPForbidden(text=f"regtui serves no page at {request.host}: --public-url lets it.\n")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc not in own:
            raise web.HTTPForbidden(text=f"regtui takes no requests from pages of {origin}.\n")
        return await handler(request)

    async def _page(self, _request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        return web.Response(text=PAGE.read_text("utf-8"), content_type="text/html", headers=headers)

    async def _script(self, _request: web.Request) -> web.Response:
        return web.Response(text=SCRIPT.read_text("utf-8"), content_type="text/javascript")

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Open an app for a page, and end it with the page."""
        websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS)
        await websocket.prepare(request)
        session = Session(
            self.command, write_bytes=websocket.send_bytes, write_str=websocket.send_str, close=_close(websocket),
            download_manager=self.download_manager,
        )  # fmt: skip
        self._sessions.add(session)
        try:
            columns, rows = (said_cells(request.query.get(side)) for side in ("width", "height"))
            await session.start(*sound_size(columns, rows))
            await self._process_messages(websocket, session)
        finally:
            await session.stop()
            self._sessions.discard(session)
        return websocket


def _close(websocket: web.WebSocketResponse) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        await websocket.close()

    return close
