"""``neurosleep demo``: forgetting and sleep on embedded digits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosleep.cli.errors import interruptible, user_errors
from neurosleep.cli.options import Json, Out, RunOptions, Seed, as_percent, emit, print_table
from neurosleep.cli.requests import make_requests, seed_range, show_progress

__all__ = ["demo"]


def demo(
    out: Out = Path("demo"),
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Runs side by side.")] = 2,
    as_json: Json = False,
) -> None:
    """Two digits after another on embedded real data: forgetting, sleep, and what came back."""
    with interruptible(as_json, "start it anew, with another --out"), user_errors(as_json):
        from neurosleep.experiments import run_experiment, summarise, write_report

        requests = make_requests("demo/mnist-mini", "sequential,src", seed_range(seed, seeds), RunOptions(), out)
        with show_progress([f"{r.strategy}, seed {r.seed}" for r in requests]) as progress:
            runs = run_experiment(requests, jobs=jobs, report=progress)
        page = write_report(out)
        summary = summarise(runs)
        result = {
            "out": str(out),
            "strategies": {row["strategy"]: {"accuracy_all": row["accuracy_all"]} for row in summary},
            "report": str(page),
        }

        def show(result: dict[str, Any]) -> None:
            first = next(run for run in runs if run["strategy"] == "src")
            before_and_after = zip(first["accuracy_before_sleep"] or (), first["accuracy_matrix"], strict=True)
            rows = [
                (f"task {k + 1}", *(f"{100 * b:.0f} > {100 * a:.0f}" for b, a in zip(before, after, strict=True)))
                for k, (before, after) in enumerate(before_and_after)
            ]
            header = ("after", "0, 1", "2, 3", "4, 5", "6, 7", "8, 9")
            print_table(f"Percent right on each pair of digits, before > after the sleep (seed {seed})", header, rows)
            table = [
                (name, as_percent(entry["accuracy_all"]), str(entry["accuracy_all"]["n"]))
                for name, entry in result["strategies"].items()
            ]
            print_table("Accuracy on all ten digits after the last task", ("strategy", "accuracy", "seeds"), table)
            raster = requests[-1].folder.path / "figures" / "raster.png"
            print(f"Report: {result['report']}\nRaster: {raster}")

        emit(result, as_json, show)
