"""How every command ends: an exit status, and one sentence where something went wrong."""

import os
import signal
import sys
from typing import NoReturn

import click

from regtui.cli import BAD_USAGE
from regtui.cli.lab import cli
from regtui.core.config import ConfigError


def run() -> NoReturn:
    """Run the command that the arguments name, and leave the process."""
    from regtui.readers import LogError

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
    except Exception as error:
        if os.environ.get("REGTUI_DEBUG"):
            raise
        _fail(f"{type(error).__name__}: {error} (a fault of regtui's; REGTUI_DEBUG=1 shows where)")
    sys.exit(status if isinstance(status, int) else 0)


def _fail(problem: str) -> NoReturn:
    click.echo(f"regtui: {problem}", err=True)
    sys.exit(BAD_USAGE)
