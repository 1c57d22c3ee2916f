"""A service on the loopback interface that is told."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Service:
    """Takes what apprise posts as JSON; answers 500 under `/refused`."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self._come = threading.Condition()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(500 if self.path.startswith("/refused") else 200)
                self.end_headers()
                with service._come:
                    service.told.append(posted)
                    service._come.notify_all()

            def log_message(self, *_arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, path: str = "") -> str:
        return f"json://someone:secret@127.0.0.1:{self._server.server_port}/{path}"

    @property
    def titles(self) -> list[str]:
        return [posted["title"] for posted in self.told]

    def until(self, condition: Callable[[], bool]) -> None:
        with self._come:
            assert self._come.wait_for(condition, 60), self.titles

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


@pytest.fixture
def hanging() -> Iterator[str]:
    """A URL that takes a connection and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"json://127.0.0.1:{listening.getsockname()[1]}/secret"


@pytest.fixture
def closed() -> str:
    """A URL at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"json://127.0.0.1:{bound.getsockname()[1]}/secret"
