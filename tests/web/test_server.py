"""Who is let in by the server of the page, what it does not serve, and what it says when it is opened."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.web.conftest import Serving

pytest.importorskip("textual_serve", reason="needs textual-serve: regtui[web]")

from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from regtui.web.server import PageServer, is_loopback


def refused(*options: str, before: str = "pass") -> str:
    """Give the sentence by which a command line is refused."""
    program = f"import sys; {before}; sys.argv[0] = 'regtui'; from regtui.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", "--port", "0", *options], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "nowhere.invalid"), "nowhere.invalid"),
        (("--port", "66000"), "66000"),
        (("--public-url", "gpu.example.org"), "--public-url"),
        (("--", "train"), "'train' opens no app"),
        (("--", "runs"), "'runs' opens no app"),
        (("--", "--replay", "log.jsonl"), "--replay opens no app"),
        (("--", "--help"), "--help"),
        (("--", "watch", "--help"), "opens no app"),
        (("--", "--epochs", "many"), "--epochs"),
        (("--", "--ghost", "nowhere"), "nowhere"),
        (("--", "watch", "nowhere"), "nowhere"),
    ],
)
def test_what_opens_no_app_is_refused_before_anything_is_served(options: tuple[str, ...], said: str) -> None:
    assert said in refused(*options)


def test_without_the_extra_it_is_named() -> None:
    assert "regtui[web]" in refused(before="sys.modules['textual_serve'] = None")


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused("--port", port)
    assert "taken" in said
    assert port in said


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", "every user of this machine"), ("0.0.0.0", "unencrypted")])
def test_it_says_what_opening_it_means_and_ends_as_it_is_told(
    serving: Callable[..., Serving], host: str, warned: str
) -> None:
    server = serving("--host", host)
    assert server.address.startswith(f"http://{host}:")
    status, said = server.end(signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert warned in said
    assert "train, steer and read your files" in said


@pytest.mark.parametrize(
    ("host", "public", "asked", "origin", "status"),
    [
        ("127.0.0.1", None, "localhost:8000", None, 200),
        ("127.0.0.1", None, "127.0.0.1:9000", "http://127.0.0.1:9000", 200),
        ("127.0.0.1", None, "[::1]:9000", "http://[::1]:9000", 200),
        ("127.0.0.1", None, "localhost:8000", "http://localhost:9000", 403),
        ("127.0.0.1", None, "localhost:8000", "https://evil.example", 403),
        ("127.0.0.1", None, "localhost:8000", "null", 403),
        ("127.0.0.1", None, "evil.example:8000", "http://evil.example:8000", 403),
        ("127.0.0.1", None, "evil.example:8000", None, 403),
        ("127.0.0.1", "https://gpu.example/", "localhost:8000", "https://gpu.example", 200),
        ("127.0.0.1", "https://gpu.example/", "gpu.example", "https://gpu.example", 200),
        ("127.0.0.1", "https://gpu.example/", "gpu.example", "https://evil.example", 403),
        ("0.0.0.0", None, "gpu:8000", "http://gpu:8000", 200),
        ("0.0.0.0", None, "gpu:8000", "https://evil.example", 403),
    ],
)
async def test_only_its_own_page_is_let_in(
    host: str, public: str | None, asked: str, origin: str | None, status: int
) -> None:
    server = PageServer((), host, 8000, public)
    headers = {"Host": asked, **({"Origin": origin} if origin else {})}
    async with TestClient(TestServer(await server._make_app())) as client:
        async with client.get("/", headers=headers) as answer:
            assert answer.status == status
        if status == 403:
            async with client.get("/ws", headers=headers) as answer:
                assert answer.status == 403


async def test_the_page_names_no_address_but_its_own() -> None:
    async with TestClient(TestServer(await PageServer((), "127.0.0.1", 8000)._make_app())) as client:
        async with client.get("/") as answer:
            assert "http:" not in (page := await answer.text())
            assert "https:" not in page
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        for kept in ("page.js", "static/js/textual.js", "static/css/xterm.css"):
            async with client.get(f"/{kept}") as answer:
                assert answer.status == 200
        # As it stands: a client that means well takes the dots out before it asks.
        for theirs in ("server.py", "../serve.py", "../../../../etc/passwd"):
            async with client.get(URL(f"/static/%2e%2e/{theirs}", encoded=True)) as answer:
                assert answer.status == 404


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("gpu", False), ("", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_network(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
