"""Thin commands over the rooms. Nothing heavy is imported before a command runs, so that ``--help`` answers at once."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from neurosleep.cli.bench import bench
from neurosleep.cli.cite import cite
from neurosleep.cli.convert import convert
from neurosleep.cli.demo import demo
from neurosleep.cli.errors import usage_errors
from neurosleep.cli.list_names import list_names
from neurosleep.cli.map_network import map_network
from neurosleep.cli.options import with_groups
from neurosleep.cli.profiles import profiles
from neurosleep.cli.report import report
from neurosleep.cli.reproduce import reproduce
from neurosleep.cli.results import results
from neurosleep.cli.run import run
from neurosleep.cli.tune import tune
from neurosleep.errors import shorten_warnings

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """The commands; with ``--json``, a usage error in the arguments themselves is one JSON object too."""

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        as_json = "--json" in args  # parsing empties the list
        with usage_errors(as_json):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta["neurosleep.json"] = as_json
        return context

    def invoke(self, ctx: Any) -> Any:
        with usage_errors(ctx.meta["neurosleep.json"]):
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A trained network that forgets becomes a spiking network, sleeps, wakes up and remembers.",
)

app.command()(with_groups(run))
app.command()(with_groups(tune))
app.command()(report)
app.command("list")(list_names)
app.command()(profiles)
app.command()(cite)
app.command()(results)
app.command()(reproduce)
app.command()(with_groups(convert))
app.command("map")(with_groups(map_network))
app.command()(bench)
app.command()(demo)


def main() -> None:
    """Entry point of the ``neurosleep`` command.

    See Also
    --------
    neurosleep.experiments.run_experiment : ``neurosleep run`` from Python

    Examples
    --------
    >>> import sys
    >>> from neurosleep.cli import main
    >>> sys.argv = ["neurosleep", "--help"]  # doctest: +SKIP
    >>> main()  # doctest: +SKIP
    """
    shorten_warnings()
    app()
