"""How every command ends: an exit status, and one sentence where something went wrong."""

import errno
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn, TextIO

import click

from regtui.cli import BAD_USAGE
from regtui.cli.lab import cli
from regtui.core.config import ConfigError

FAULT = 1
"""Exit status where regtui itself is at fault, as of any program in Python."""


def run() -> NoReturn:
    """Run the command that the arguments name, and leave the process."""
    from regtui.readers import LogError

    # A stream that was closed on us (`>&-`) is None: what goes there is wanted by nobody.
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    try:
        status = cli.main(standalone_mode=False, prog_name="regtui")
    except click.ClickException as error:
        _fail(error.format_message())
    except (ConfigError, LogError) as error:
        _fail(str(error))
    except click.Abort:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does: nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            _fault(error)
        # What is left in its buffer would be tried again, and fail again, when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"standard output cannot be written: {error.strerror}")
    except Exception as error:
        _fault(error)
    sys.exit(status if isinstance(status, int) else 0)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _fault(error: Exception) -> NoReturn:
    if os.environ.get("REGTUI_DEBUG"):
        raise error
    _fail(f"{type(error).__name__}: {error} (a fault of regtui's; REGTUI_DEBUG=1 shows where)", FAULT)


def _fail(problem: str, status: int = BAD_USAGE) -> NoReturn:
    click.echo(f"regtui: {problem}", err=True)
    sys.exit(status)
