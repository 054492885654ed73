"""The table of results in README.md, from the committed metrics; `tests/docs/test_readme.py` compares the two.

python tools/readme_table.py
"""

from __future__ import annotations

from pathlib import Path

from neurosleep.experiments.results.collect import metrics_by_folder
from neurosleep.experiments.results.rows import ResultRow, rows_of

RESULTS = Path(__file__).parents[1] / "results"
# Words of a row, and where it comes from: experiment group, variant, strategy.
ROWS = {
    "sequential training, no sleep": ("src2022", "default", "sequential"),
    "**homeostatic sleep** after each task, the default here": ("homeostatic", "default", "sleep"),
    "the same: one hidden layer of 8000, naps in between": ("homeostatic", "wide-naps", "sleep"),
    "Sleep Replay Consolidation (SRC), as published": ("src2022", "default", "src"),
    "SRC, settings of a search": ("src2022", "tuned", "src"),
    "OWM, a baseline without sleep, as published": ("src2022", "default", "owm"),
    "OWM, settings of a search": ("src2022", "tuned", "owm"),
    "joint training on all data at once": ("src2022", "default", "joint"),
}


def _spread(mean: float | None, sd: float | None) -> str:
    if mean is None:
        return "-"
    # Published figures have two decimals: a 5 at the end is rounded up, whatever its float is.
    return f"{mean + 1e-9:.1f}" + ("" if sd is None else f" ± {sd + 1e-9:.1f}")


def table() -> str:
    """The table as Markdown: accuracy over all classes after the last task, in percent, mean ± standard deviation."""
    by_place: dict[tuple[str, str, str, str], ResultRow] = {}
    for data in ("mnist", "fashion"):
        for group in ("src2022", "homeostatic"):
            for row in rows_of(metrics_by_folder(RESULTS / group / data)):
                if not row.read_out:
                    by_place[data, group, row.variant, row.strategy] = row
    rows = []
    for words, place in ROWS.items():
        cells = [words]
        for data in ("mnist", "fashion"):
            row = by_place.get((data, *place))
            published = row.published if row else None
            cells.append("-" if published is None else _spread(published.mean, published.sd))
            cells.append("-" if row is None else _spread(row.ours["mean"], row.ours["sd"]))
        first = by_place["mnist", *place]
        rows.append([*cells, "yes" if first.stored_examples else "no"])
    header = ["", "MNIST, published", "ours", "Fashion-MNIST, published", "ours", "stored examples"]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(table())
