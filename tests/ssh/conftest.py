"""What the tests over a real ssh share: its server, lines to it, and programs on terminals at its other end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.remote import Far, NoServer, Server, Wire
from tests.terminals import PseudoTerminal


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        server = Server(tmp_path_factory.mktemp("sshd"))
    except NoServer as none:
        pytest.skip(str(none))
    with closing(server):
        yield server


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def wire(server: Server, opened: ExitStack) -> Callable[..., Wire]:
    """Lay a line to the server."""
    return lambda **given: opened.enter_context(closing(Wire(server.port, **given)))


@pytest.fixture
def dial(server: Server, far: Far, opened: ExitStack) -> Callable[..., PseudoTerminal]:
    """Log in, through a wire if one is given, and run regtui there on a terminal, or a whole `command`."""

    def run(
        *words: str, before: str = "", command: str = "", wire: Wire | None = None, size: tuple[int, int] = (80, 24)
    ) -> Any:
        client = server.client(command or f"{before} {far.command(*words)}", wire and wire.port)
        return opened.enter_context(closing(PseudoTerminal(list(client), size)))

    return run
