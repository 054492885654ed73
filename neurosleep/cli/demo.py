"""``neurosleep demo``: forgetting and sleep on embedded digits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosleep.cli._board import show_progress
from neurosleep.cli._text import print_table, say
from neurosleep.cli.errors import interruptible, user_errors
from neurosleep.cli.options import WHERE, Json, Out, RunOptions, Seed, as_percent, emit
from neurosleep.cli.requests import make_requests, seed_range

if TYPE_CHECKING:
    from neurosleep.experiments.metrics import Metrics

__all__ = ["brought_back", "demo"]

# An ordinary network without sleep and with; and the published recipe on the network that it was made for.
_PARTS = {"demo/classifier": "sequential,sleep", "demo/mnist-mini": "src"}
# Title of the table of a strategy, and the one that shows the same network without sleep.
_TITLES = {
    "sleep": ("Ordinary network, sleep", "sequential"),
    "src": ("Published recipe, src", None),
}
_DIGITS = ("0, 1", "2, 3", "4, 5", "6, 7", "8, 9")


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
            for strategy, (title, beside) in _TITLES.items():
                run = _run_of(runs, strategy)
                contrast = None if beside is None else _run_of(runs, beside)
                _print_run(f"{title}, seed {seed}: % right before → after sleep", run, contrast)
                say(brought_back(run), verdict="ok")
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


def _print_run(title: str, run: Metrics, contrast: Metrics | None) -> None:
    before_and_after = zip(run["accuracy_before_sleep"] or (), run["accuracy_matrix"], strict=True)
    rows = [
        (f"task {k + 1}", *(f"{100 * b:.0f} → {100 * a:.0f}" for b, a in zip(before, after, strict=True)))
        for k, (before, after) in enumerate(before_and_after)
    ]
    rows = [(*row, *[""] * (1 + len(_DIGITS) - len(row))) for row in rows]
    if contrast is not None:
        rows.append(("5, never slept", *(f"{100 * one:.0f}" for one in contrast["accuracy_matrix"][-1])))
    print_table(title, ("after", *_DIGITS), rows)


def brought_back(run: Metrics) -> str:
    """What the last sleep did for the digits that it helped most, in a sentence."""
    before, after = (run["accuracy_before_sleep"] or [[]])[-1], run["accuracy_matrix"][-1]
    gains = [a - b for b, a in zip(before[:-1], after[:-1], strict=True)]
    k = max(range(len(gains)), key=lambda number: gains[number])
    digits = _DIGITS[k].replace(", ", " and ")
    if gains[k] <= 0:
        return f"After task {len(after)}, sleep brings no digits back."
    share = f"from {100 * before[k]:.0f} % to {100 * after[k]:.0f} %"
    return f"After task {len(after)}, sleep brings digits {digits} back {share}."
