"""Figures of the page on streams: accuracy, seconds and memory as tasks come, from the results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neurosleep.experiments.report.growth import growth_rows
from neurosleep.experiments.report.read import read_run, run_folders
from neurosleep.plot import figure, growth, to_png_bytes

RESULTS = Path(__file__).parents[1] / "results" / "homeostatic"
#: Picture -> folder of the results that it shows.
SHOWN = {"growth-classes": "tiny-imagenet/twenty-linear", "growth-permutations": "permuted/fifty"}


def rows_of(folder: str) -> list[dict[str, object]]:
    """What grew in the runs of one experiment and variant, means over seeds."""
    runs = [read_run(path, RESULTS) for path in run_folders(RESULTS / folder)]
    names = dict.fromkeys(run.strategy for run in runs)
    return growth_rows({name: [run for run in runs if run.strategy == name] for name in names})


def files() -> Iterator[tuple[str, bytes]]:
    """The pictures."""
    for name, folder in SHOWN.items():
        yield f"how-to/{name}.png", to_png_bytes(growth(rows_of(folder), fig=figure(6.0, 6.6)), dpi=110)
