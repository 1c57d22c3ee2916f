"""`regtui`: the lab, and the group under which the other commands stand."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import click

from regtui import __version__
from regtui.cli.options import (
    ASCII,
    GHOST,
    NOTIFY,
    given_options,
    make_config,
    option_name,
    read_ghost,
    read_notify,
    run_options,
)
from regtui.cli.replay import refuse_without_replay, replay, replay_options
from regtui.cli.terminal import THEME, need_terminal


class Commands(click.Group):
    """Each file of this package that has a `COMMAND` is one, by its own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(name for name in _files() if self.get_command(ctx, name) is not None)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 # click's
        """Give a command, its file imported now."""
        if cmd_name not in _files():
            return None
        command: click.Command | None = getattr(import_module(f"regtui.cli.{cmd_name}"), "COMMAND", None)
        return command


def _files() -> set[str]:
    return {module.name for module in iter_modules(import_module("regtui.cli").__path__)}


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Without a command: the lab, a terminal app. Keys and log format are in the README.",
)
@run_options
@click.option("--start", is_flag=True, help="Begin the run at once.")
@click.option("--detach", is_flag=True, help="Let runs have a process of their own, which outlives the app.")
@NOTIFY
@THEME
@ASCII
@GHOST
@replay_options
@click.version_option(__version__, prog_name="regtui")
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> None:
    """See overfitting, regularisation and learning-rate decay as they happen, in PyTorch and TensorFlow."""
    if context.invoked_subcommand is not None:
        for name in given_options(context):
            option = option_name(context, name)
            raise click.UsageError(f"{option} goes after the command: regtui {context.invoked_subcommand} {option} ...")
        return
    if options["replay"] is not None:
        context.exit(replay(context, options))
    refuse_without_replay(context)
    config, ghost = make_config(options), read_ghost(options)
    need_terminal()
    told = read_notify(options["notify"])
    from regtui.tui.app import run_app

    run_app(
        config,
        start=options["start"],
        detach=options["detach"],
        runs_dir=options["runs_dir"],
        share=options["share"],
        ascii_only=options["ascii_only"],
        ghost=ghost,
        theme=options["theme"],
        told=told,
    )
