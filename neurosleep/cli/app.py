"""Thin commands over the rooms. Nothing heavy is imported before a command runs, so that ``--help`` answers at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from neurosleep import __version__
from neurosleep.cli._text import show_warnings
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

__all__ = ["app", "main"]


class _Help:
    """``--help`` and what typer adds to it are flags as ours are: no type is told of them."""

    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return parameters


class _Command(_Help, TyperCommand):
    """One command."""


class _Commands(_Help, TyperGroup):
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
    pretty_exceptions_enable=False,
    help="A trained network that forgets becomes a spiking network, sleeps, wakes up and remembers.",
    epilog="A first look: [bold]neurosleep demo[/bold]   Of one command: [bold]neurosleep run --help[/bold]",
)

# The commands in groups, each with two that can be typed.
_COMMANDS: dict[str, dict[str, tuple[Callable[..., None], tuple[str, str]]]] = {
    "Experiments": {
        "demo": (demo, ("demo", "demo --seeds 1 --out first-look")),
        "run": (
            run,
            (
                "run demo/classifier --strategy sequential,sleep,joint --seeds 3",
                "run src2022/mnist --set sleep.steps=3000 --name short",
            ),
        ),
        "tune": (
            tune,
            ("tune demo/mnist-mini --strategy ewc --jobs 2", "tune my_train.py:train --space space.toml"),
        ),
        "report": (report, ("report runs", "report runs --animate")),
        "reproduce": (reproduce, ("reproduce", "reproduce src2022/table1 --quick")),
    },
    "Networks and chips": {
        "convert": (
            convert,
            (
                "convert model.onnx --to nir --calibration x.npy --out m.nir",
                "convert model.onnx --check",
            ),
        ),
        "map": (
            map_network,
            (
                "map snn.safetensors --profile loihi1",
                "map model.onnx --profile speck2f --calibration x.npy",
            ),
        ),
        "profiles": (profiles, ("profiles", "profiles loihi2 --section energy")),
    },
    "Names and references": {
        "list": (list_names, ("list", "list experiments")),
        "cite": (cite, ("cite runs > used.bib", "cite --profile loihi1,truenorth")),
    },
    "For those who develop it": {
        "results": (results, ("results results --out docs/results", "results runs --out pages")),
        "bench": (bench, ("bench sleep", "bench simulate --network cnn --json")),
    },
}
for _panel, _commands in _COMMANDS.items():
    for _name, (_command, _examples) in _commands.items():
        _epilog = "\n\n".join(["Examples:", *(f"[bold]neurosleep {example}[/bold]" for example in _examples)])
        app.command(_name, cls=_Command, rich_help_panel=_panel, epilog=_epilog)(with_groups(_command))


def _print_version(asked: bool) -> None:
    if asked:
        print(f"neurosleep {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A trained network that forgets becomes a spiking network, sleeps, wakes up and remembers."""


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
    show_warnings()
    app()
