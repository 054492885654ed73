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
    from neurosleep.experiments import RunRequest
    from neurosleep.experiments.metrics import Metrics

__all__ = ["brought_back", "demo"]

# An ordinary network without sleep and with; and the published recipe on the network that it was made for.
_PARTS = {"demo/classifier": "sequential,sleep", "demo/mnist-mini": "src"}
_SHOWN = [strategy for strategies in _PARTS.values() for strategy in strategies.split(",")]
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
    jobs: Annotated[
        int | None,
        typer.Option(help="How many run side by side, one thread each; else one on each core.", rich_help_panel=WHERE),
    ] = None,
    as_json: Json = False,
) -> None:
    """Two digits after another on embedded real data: forgetting, sleep, and what came back."""
    with interruptible(as_json, "start it anew, with another --out"), user_errors(as_json):
        from neurosleep._surroundings import cores
        from neurosleep.experiments import run_experiment, summarise, write_report

        requests = _in_turn(
            [
                request
                for experiment, strategies in _PARTS.items()
                for request in make_requests(experiment, strategies, seed_range(seed, seeds), RunOptions(), out)
            ]
        )
        with show_progress([(f"{r.strategy}, seed {r.seed}", "") for r in requests], silent=as_json) as progress:
            runs = run_experiment(requests, jobs=cores() if jobs is None else jobs, report=progress)
        runs.sort(key=lambda run: (_SHOWN.index(run["strategy"]), run["seed"]))
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
            raster = requests[0].folder.path / "figures" / "raster.png"
            print(f"Report: {result['report']}\nRaster: {raster}")

        emit(result, as_json, show)


def _in_turn(requests: list[RunRequest]) -> list[RunRequest]:
    """The runs in the order in which they start: the long ones first, so that all cores are busy until the end.

    Between the first run of src, which compiles what it needs after an installation, and the others, which find it
    compiled, those that need something else.
    """
    by_strategy = {name: [request for request in requests if request.strategy == name] for name in _SHOWN}
    first, *others = by_strategy["src"]
    return [first, *by_strategy["sleep"], *others, *by_strategy["sequential"]]


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
