"""``neurosleep demo``: forgetting and sleep on embedded digits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosleep.cli._board import show_progress
from neurosleep.cli._text import print_table
from neurosleep.cli.errors import interruptible, user_errors
from neurosleep.cli.options import WHERE, Json, Out, RunOptions, Seed, as_percent, emit
from neurosleep.cli.requests import make_requests, seed_range

if TYPE_CHECKING:
    from neurosleep.experiments.metrics import Metrics

__all__ = ["demo"]

# An ordinary network without sleep and with; and the published recipe on the network that it was made for.
_PARTS = {"demo/classifier": "sequential,sleep", "demo/mnist-mini": "src"}
_TITLES = {
    "sleep": "Ordinary network, sleep",
    "src": "Published recipe, src",
}


def demo(
    out: Out = Path("demo"),
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Runs side by side.", rich_help_panel=WHERE)] = 2,
    as_json: Json = False,
) -> None:
    """Two digits after another on embedded real data: forgetting, sleep, and what came back."""
    with interruptible(as_json, "start it anew, with another --out"), user_errors(as_json):
        from neurosleep.experiments import run_experiment, summarise, write_report

        requests = [
            request
            for experiment, strategies in _PARTS.items()
            for request in make_requests(experiment, strategies, seed_range(seed, seeds), RunOptions(), out)
        ]
        with show_progress([(f"{r.strategy}, seed {r.seed}", "") for r in requests], silent=as_json) as progress:
            runs = run_experiment(requests, jobs=jobs, report=progress)
        page = write_report(out)
        result = {
            "out": str(out),
            "strategies": {row["strategy"]: {"accuracy_all": row["accuracy_all"]} for row in summarise(runs)},
            "report": str(page),
        }

        def show(result: dict[str, Any]) -> None:
            for strategy, title in _TITLES.items():
                _print_run(f"{title}, seed {seed}: % right before → after", _run_of(runs, strategy))
            table = [
                (name, as_percent(entry["accuracy_all"]), str(entry["accuracy_all"]["n"]))
                for name, entry in result["strategies"].items()
            ]
            print_table("All ten digits, after task 5", ("strategy", "accuracy", "seeds"), table)
            raster = requests[-seeds].folder.path / "figures" / "raster.png"
            print(f"Report: {result['report']}\nRaster: {raster}")

        emit(result, as_json, show)


def _run_of(runs: list[Metrics], strategy: str) -> Metrics:
    """The first run of a strategy."""
    return next(run for run in runs if run["strategy"] == strategy)


def _print_run(title: str, run: Metrics) -> None:
    before_and_after = zip(run["accuracy_before_sleep"] or (), run["accuracy_matrix"], strict=True)
    rows = [
        (f"task {k + 1}", *(f"{100 * b:.0f} → {100 * a:.0f}" for b, a in zip(before, after, strict=True)))
        for k, (before, after) in enumerate(before_and_after)
    ]
    print_table(title, ("after", "0, 1", "2, 3", "4, 5", "6, 7", "8, 9"), rows)
