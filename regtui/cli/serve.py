"""`regtui serve`: the app in a browser."""

import errno
import io
import os
import signal
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from regtui.cli.lab import Commands, cli
from regtui.cli.leaving import leave, leaving
from regtui.cli.terminal import TRIED, WouldOpen

if TYPE_CHECKING:
    from regtui.web.server import PageServer

APPS = ("watch",)
"""Commands that open the app; without a command it is the lab."""

EXTRA = "textual_serve"
"""What the extra `web` brings."""


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--public-url", metavar="URL", help="Address by which a proxy in front of it is known to browsers.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS...]")
def serve(arguments: tuple[str, ...], host: str, port: int, public_url: str | None) -> None:
    """Serve the app to a browser: the lab, or what the arguments say, such as -- watch RUN.

    Each page that is open has an app of its own, which ends with it: a run that trains in it ends, too, one in a
    process of its own goes on. Through ssh -L 8000:localhost:8000 the page works as it is.
    """
    if find_spec(EXTRA) is None:
        raise click.UsageError("serve needs textual-serve: pip install 'regtui[web]'")
    if public_url is not None and not _is_address(public_url):
        raise click.BadParameter(
            f"must be an address such as https://gpu.example.org/, not {public_url!r}.", param_hint="'--public-url'"
        )
    _try(arguments)
    import asyncio

    from regtui.web.server import PageServer, is_loopback

    meant = (
        "whoever reaches this port, as every user of this machine does, has the app as you"
        if is_loopback(host)
        else f"{host} is no loopback address: whoever on the network reaches this port, unencrypted and without a "
        "password, has the app as you"
    )

    def say(address: str) -> None:
        click.echo(address)
        click.echo(f"regtui: {meant}, and can train, steer and read your files; Ctrl+C ends it", err=True)

    received = asyncio.run(_serve(PageServer(arguments, host, port, public_url), say))
    leave(received)


async def _serve(server: "PageServer", say: Callable[[str], None]) -> signal.Signals:
    """Serve until a signal comes; gives it."""
    import asyncio

    stop, loop, heard = asyncio.Event(), asyncio.get_running_loop(), []

    def begin(received: signal.Signals) -> None:
        heard.append(received)
        loop.call_soon_threadsafe(stop.set)

    with leaving(begin):
        try:
            await server.serve_until(stop, say)
        except OSError as error:
            if heard:
                raise
            raise click.UsageError(f"cannot listen on port {server.port} of {server.host}: {_reason(error)}") from None
        except UnicodeError:
            # Too long or odd to be looked up at all.
            raise click.UsageError(f"--host {server.host} is no address and no name of a host.") from None
    return heard[0]


def _reason(error: OSError) -> str:
    """Say why in the system's words: those of asyncio name the address again."""
    number = error.errno or 0
    if number == errno.EADDRINUSE:
        return "it is taken; --port names another"
    return os.strerror(number) if number > 0 else error.strerror or str(error)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


class _Apps(Commands):
    """The command line as far as it opens the app."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in APPS:
            raise click.UsageError(f"{cmd_name!r} opens no app: serve takes the lab's options, or {', '.join(APPS)}.")
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.params.get("replay") is not None:
            raise click.UsageError("--replay opens no app: serve -- watch LOG shows a log in one.")
        return super().invoke(ctx)


def _try(arguments: tuple[str, ...]) -> None:
    """Raise whatever the command line would be refused for, instead of in each page that is opened."""
    tried = _Apps(
        "regtui", params=cli.params, callback=cli.callback, invoke_without_command=True, add_help_option=False
    )
    try:
        with redirect_stdout(io.StringIO()):
            tried.main(list(arguments), prog_name="regtui", standalone_mode=False, obj=TRIED)
    except WouldOpen:
        return
    raise click.UsageError(f"{' '.join(arguments)} opens no app.")


COMMAND = serve
