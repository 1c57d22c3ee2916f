"""The command line: one command a file; parses, then hands over.

Whatever is heavy is imported once it is known to be needed; nothing at all before it is known that regtui runs here.
"""

import signal
import sys

BAD_USAGE = 2
"""Exit status of a command that could not be understood or a log that could not be read."""


def main() -> None:
    """Run the command line; whatever goes wrong is one sentence on standard error."""
    if sys.platform == "win32":
        # Locks on logs, signals and the terminal's descriptors are those of Unix.
        sys.stderr.write("regtui: it runs on Linux and macOS, and on Windows only within WSL.\n")
        sys.exit(BAD_USAGE)
    try:
        from regtui.cli.ending import run

        run()
    except KeyboardInterrupt:
        # While the first modules are imported; once they are, `run` knows what a signal is.
        sys.exit(128 + signal.SIGINT)
