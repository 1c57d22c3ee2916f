"""How every command ends: an exit status, and one sentence where something went wrong."""

import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from regtui.cli import BAD_USAGE
from regtui.cli.lab import cli
from regtui.cli.leaving import Left, leave
from regtui.core.config import ConfigError
from regtui.core.text import printable
from regtui.output import OutputLost, losable, open_standard_descriptors
from regtui.signals import FAULT, status_of


def run() -> NoReturn:
    """Run the command that the arguments name, and leave the process."""
    from regtui.readers import LogError

    # A stream that was closed on us (`>&-`) leads nowhere: what goes there is wanted by nobody.
    open_standard_descriptors()
    sys.stdout, sys.stderr = losable(1, sys.stdout, needed=True), losable(2, sys.stderr)
    try:
        status = cli.main(standalone_mode=False, prog_name="regtui")
        sys.stdout.flush()
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (ConfigError, LogError) as error:
        _fail(str(error))
    except click.Abort:
        sys.exit(status_of(signal.SIGINT))
    except Left as left:
        leave(left.received)
    except OutputLost as lost:
        if lost.gone:
            # Nothing to say, and nobody to say it to.
            sys.exit(status_of(signal.SIGPIPE))
        _fail(f"standard output cannot be written: {lost}")
    except OSError as error:
        # A path that nobody could have looked into, such as one with a name of a thousand letters.
        _fail(f"{error.filename} cannot be used: {error.strerror}") if error.filename else _fault(error)
    except Exception as error:
        _fault(error)
    sys.exit(status if isinstance(status, int) else 0)


def _fault(error: Exception) -> NoReturn:
    if os.environ.get("REGTUI_DEBUG"):
        told = "".join(traceback.format_exception(error))
        click.echo("\n".join(map(printable, told.splitlines())), err=True)
        sys.exit(FAULT)
    _fail(f"{type(error).__name__}: {error} (a fault of regtui's; REGTUI_DEBUG=1 shows where)", FAULT)


def _fail(problem: str, status: int = BAD_USAGE) -> NoReturn:
    # What click says quotes the arguments, and what the system says may quote anything.
    click.echo(f"regtui: {printable(problem)}", err=True)
    sys.exit(status)
