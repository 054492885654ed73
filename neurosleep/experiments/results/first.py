"""The first page of results: a figure for each data set and a few sentences, all from the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from neurosleep.experiments.results.compared import ABOVE, SHORT, WITHIN
from neurosleep.experiments.results.layout import Table
from neurosleep.experiments.results.rows import ResultRow
from neurosleep.experiments.results.tables import method_order
from neurosleep.plot import dot_whisker, figure, to_svg_bytes

__all__ = ["alternative", "panel", "panel_rows", "sentences"]

# In inches: three beside each other fill the page.
_SIZE = (4.0, 2.35)
_BOUNDING = {"sequential", "joint", "joint-matched"}


def panel_rows(table: Table, rows: Sequence[ResultRow], added: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """What the panel of a table shows: published and ours, of the experiment as it is and of searched settings."""
    drawn: list[dict[str, Any]] = []
    published: set[str] = set()
    for row in sorted(rows, key=method_order):
        if row.variant_name.figures_of != "default" or row.read_out or row.strategy in _BOUNDING:
            continue
        # Experiments of one table differ in how the network learns, which the end of their name says.
        suffix = row.experiment.removeprefix(table.experiments[0]).lstrip("-")
        line = {"label": row.strategy + (f" ({suffix})" if suffix else ""), "strategy": row.strategy}
        if row.figure is not None and line["label"] not in published:
            published.add(line["label"])
            drawn.append(line | {"kind": "published", "mean": row.figure.mean, "sd": row.figure.sd})
        kind = "tuned" if row.settings.origin == "tuned" else "default"
        drawn.append(line | {"kind": kind, "mean": row.ours["mean"], "sd": row.ours["sd"]})
    for row in added:
        line = {"label": f"{row.strategy} (ours)", "strategy": row.strategy}
        drawn.append(line | {"kind": "default", "mean": row.ours["mean"], "sd": row.ours["sd"]})
    return drawn


def panel(table: Table, rows: Sequence[ResultRow], added: Sequence[ResultRow]) -> bytes:
    """The figure of a table as SVG."""
    drawn = panel_rows(table, rows, added)
    fig = figure(*_SIZE)
    fig.set_layout_engine("none")
    bounds = next((row.bounds for row in rows if row.variant_name.figures_of == "default"), (None, None))
    # The same room for names in every panel.
    ax = dot_whisker(drawn, bounds=bounds, ax=fig.add_axes((0.345, 0.17, 0.625, 0.73)))
    ax.set_title(table.panel, fontsize="medium")
    ax.tick_params(labelsize="small")
    ax.xaxis.label.set_fontsize("small")
    return to_svg_bytes(fig)


def alternative(table: Table, drawn: Sequence[Mapping[str, Any]]) -> str:
    """The figure in words, for who cannot see it."""
    figures: dict[str, list[str]] = {}
    for row in drawn:
        if row["mean"] is not None:
            name = {"published": "published ", "default": "", "tuned": "searched "}[row["kind"]]
            figures.setdefault(row["label"], []).append(f"{name}{row['mean']:.1f}")
    methods = "; ".join(f"{name} {', '.join(of)}" for name, of in figures.items())
    return f"{table.panel}, accuracy in percent: {methods}"


def _counts(rows: Sequence[ResultRow]) -> str:
    counts = Counter(row.verdict for row in rows)
    agreeing = sum(row.agrees for row in rows)
    others = f"{counts[ABOVE]} lie above and {counts[SHORT]} short"
    return f"{len(rows)} figures have a published one beside them: {agreeing} agree ({WITHIN}), {others}"


def _named(figures: Mapping[str, ResultRow]) -> str:
    return "; ".join(f"{name} {row.ours['mean']:.1f} %" for name, row in figures.items())


_LEGEND = (
    "Accuracy over all classes after the last task, mean ± standard deviation over the reported seeds: diamonds are "
    "published, dots ours, open with default settings and filled with those of a search; the grey band goes from "
    "sequential to joint training."
)


def sentences(panels: Sequence[tuple[Table, Sequence[ResultRow], Sequence[ResultRow]]]) -> list[str]:
    """What the figures say, in numbers; a sentence whose runs are missing is left out.

    Runs whose settings were changed by hand have nothing published beside them, and are counted nowhere.
    """
    said = [_LEGEND]
    claimed = [row for _, rows, _ in panels for row in rows if row.difference is not None]
    own = [row for row in claimed if row.settings.origin != "tuned"]
    searched = [row for row in claimed if row.settings.origin == "tuned"]
    if own:
        said.append(f"With default settings, {_counts(own)}.")
    if searched:
        said.append(f"With settings of a search, {_counts(searched)}.")
    src: dict[str, ResultRow] = {}
    ours: dict[str, ResultRow] = {}
    for table, rows, added in panels:
        for row in rows:
            if row.strategy == "src" and row.settings.origin == "tuned" and row.ours["mean"] is not None:
                src.setdefault(table.panel, row)
        for row in added:
            if row.strategy == "sleep" and row.ours["mean"] is not None:
                ours.setdefault(table.panel, row)
    if src:
        said.append(f"Sleep Replay Consolidation after a search: {_named(src)}.")
    if ours:
        said.append(f"Homeostatic sleep, which is ours and in none of these papers: {_named(ours)}.")
    return said
