"""What the app asks of the terminal it is started on."""

import os
import sys

import click

from regtui.output import CANNOT_DRAW

THEME = click.option(
    "--theme",
    type=click.Choice(["auto", "dark", "light"]),
    help="Colours for a dark or a light terminal; auto goes by COLORFGBG, else dark. "
    "[default: the last choice, at first auto]",
)

IN_A_BROWSER = "xterm-256color"
"""What textual-serve's page is, whatever terminal the server was started on."""


TRIED = "tried"
"""Context object of a command line that is only tried out, as before it is served."""


class WouldOpen(Exception):
    """A command line that was tried would open the app."""


def need_terminal() -> None:
    """Raise UsageError where the app could not be drawn; the last thing to be asked before it is opened."""
    if click.get_current_context().obj == TRIED:
        raise WouldOpen
    term = os.environ.get("TERM", "")
    if os.environ.get("TEXTUAL_DRIVER"):
        # Served to a browser: the streams are the server's pipes, and its TERM says nothing of the page.
        if term in CANNOT_DRAW:
            os.environ["TERM"] = IN_A_BROWSER
        return
    # Textual reads from standard input, measures standard output and draws on standard error.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise click.UsageError(
            "The lab needs a terminal on standard input, output and error; "
            "`regtui train` and `regtui --replay LOG` do without."
        )
    if term in CANNOT_DRAW:
        raise click.UsageError(
            f"The lab cannot draw on a terminal with TERM={term or '(not set)'}; "
            "`regtui train` and `regtui --replay LOG` do without."
        )
