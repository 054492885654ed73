"""The section on chips: what is left of a network there, and what a sleep in integer arithmetic keeps of the gain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from neurosleep import plot
from neurosleep.experiments.chips import ChipSummary, chip_rows, gains_kept, missing_rows, variant_parts
from neurosleep.experiments.metrics import Spread
from neurosleep.experiments.report.images import Budget, Image, image
from neurosleep.experiments.report.numbers import DASH, percent, plain, si, wilson
from neurosleep.experiments.report.read import Run
from neurosleep.experiments.report.table import Cell, Table, one_number, words
from neurosleep.hardware import STATEMENT
from neurosleep.plot._style import Axes

__all__ = ["chip_images", "chip_sentences", "chip_tables"]

Rows = Sequence[ChipSummary]


def _metrics(runs: Sequence[Run]) -> list[Mapping[str, object]]:
    return [
        {**run.metrics, "experiment": run.experiment, "variant": run.variant, "strategy": run.strategy}
        for run in runs
        if isinstance(run.metrics.get("hardware"), list)
    ]


def chip_sentences(runs: Sequence[Run]) -> list[str]:
    """The results in words."""
    rows = chip_rows(_metrics(runs))
    told = []
    for row in gains_kept(rows):
        part = "nothing to compare: sleep in floating point gains nothing"
        if row["kept"] is not None:
            part = f"{100 * row['kept']:.0f} % of the gain of sleep in floating point is kept (n = {row['n']})"
        name = variant_parts(row["variant"])[0]
        told.append(
            f"{row['experiment']}, {name} ({row['profile']}, {row['slept']}): {percent(row['chip'])}, "
            f"without sleep {percent(row['none'])}, with sleep in floating point {percent(row['floating'])}; {part}."
        )
    if rows:
        told.append(f"Every energy is an {STATEMENT}.")
    return told


def _accuracy(spread: Spread, images: int | None) -> Cell:
    """An accuracy on the images shown to a chip; of a single seed with the interval that so few images leave."""
    if spread["mean"] is None or spread["n"] != 1 or not images:
        return _figure(spread)
    low, high = wilson(spread["mean"], images)
    return Cell(f"{percent(spread['mean'])} ({100 * low:.0f} to {100 * high:.0f})", spread["mean"], True)


def _figure(spread: Spread) -> Cell:
    if spread["mean"] is None:
        return Cell(DASH, None, True)
    text = (
        percent(spread["mean"]) if spread["sd"] is None else f"{percent(spread['mean'], '')} ± {percent(spread['sd'])}"
    )
    return Cell(text, spread["mean"], True)


def _energy(row: ChipSummary) -> Cell:
    low, high = row["low_j"], row["high_j"]
    if low is None or high is None:
        return Cell("not estimated", None, True)
    return Cell(si(low, "J") if low == high else f"{si(low, 'J')} to {si(high, 'J')}", high, True)


def _by_chip(rows: Rows) -> Table:
    """A line for each chip and experiment: the ways of sleeping side by side."""
    usual = [row for row in rows if not variant_parts(row["variant"])[0].startswith("small-steps")] or list(rows)
    # What the others are compared with comes first.
    first = ("no sleep", "sleep before mapping")
    found = dict.fromkeys(row["slept"] for row in usual)
    ways = [way for way in first if way in found] + [way for way in found if way not in first]
    lines: dict[tuple[str, str, str], list[ChipSummary]] = {}
    for row in usual:
        if row["fits"]:
            chip = row["profile"] + (", sums split" if row["split"] else "")
            lines.setdefault((chip, row["experiment"], variant_parts(row["variant"])[1]), []).append(row)
    shown = []
    for (chip, experiment, rest), members in lines.items():
        by_way = {row["slept"]: row for row in reversed(members)}
        cells = [
            _accuracy(by_way[way]["mapped"], by_way[way]["images"]) if way in by_way else Cell(DASH, None, True)
            for way in ways
        ]
        cores = [row["cores"] for row in members if row["cores"] is not None]
        name = f"{experiment}, {rest}" if rest else experiment
        most = max(cores, default=None)
        end = [_energy(members[0]), Cell(DASH if most is None else plain(most), most, True)]
        shown.append([words(chip), words(name), *cells, *end])
    caption = (
        "Accuracy on each chip by how the network sleeps: mean ± standard deviation over seeds, or of one seed the "
        "95 % interval that its number of images leaves (Wilson)"
    )
    return Table(caption, ["Chip", "Experiment", *ways, "Energy of an image", "Cores"], shown)


def chip_tables(runs: Sequence[Run]) -> list[Table]:
    """Accuracy, cores and energy by chip; and what does not fit."""
    metrics = _metrics(runs)
    columns = [
        "Chip",
        "Experiment, variant",
        "Sleep",
        "Seeds",
        "Awake",
        "Spiking, floating point",
        "On the chip",
        "Quantisation error",
        "Cores",
        "Energy of an image",
    ]
    summaries = chip_rows(metrics)
    order = {chip: k for k, chip in enumerate(dict.fromkeys(row["profile"] for row in summaries))}
    # What was changed in all of them alike is said elsewhere on the page.
    several = len({variant_parts(row["variant"])[1] for row in summaries}) > 1
    rows = [
        [
            words(row["profile"] + (", sums split" if row["split"] else "")),
            words(f"{row['experiment']}, {row['variant'] if several else variant_parts(row['variant'])[0]}"),
            words(row["slept"] + ("" if row["strategy"] in ("sequential", "src") else f" ({row['strategy']})")),
            one_number(row["awake"]["n"]),
            *(_accuracy(row[key], row["images"]) for key in ("awake", "converted", "mapped")),
            _figure(row["weight_error"]),
            Cell(DASH if row["cores"] is None else plain(row["cores"]), row["cores"], True),
            _energy(row),
        ]
        for row in sorted(summaries, key=lambda row: order[row["profile"]])
        if row["fits"]
    ]
    missing = [
        [words(row["profile"]), words(row["experiment"]), words("; ".join(row["missing"]))]
        for row in missing_rows(metrics)
    ]
    tables = [
        _by_chip(summaries),
        Table("Every network on every chip: accuracy on the same images, mean ± standard deviation", columns, rows),
    ]
    if missing:
        tables.append(Table("What does not fit, or is not supported", ["Chip", "Experiment", "Reason"], missing))
    return tables


def chip_images(runs: Sequence[Run], budget: Budget) -> list[Image]:
    """Accuracy, energy and cores by chip, a picture of each for every experiment."""
    rows = chip_rows(_metrics(runs))
    images = []
    for experiment in dict.fromkeys(row["experiment"] for row in rows):
        of_experiment = [row for row in rows if row["experiment"] == experiment]
        usual = [
            row for row in of_experiment if not variant_parts(row["variant"])[0].startswith("small-steps")
        ] or of_experiment
        chips = list(dict.fromkeys(row["profile"] for row in of_experiment))
        height = 1.6 + 0.36 * max(len(chips), 2)
        ways = ", ".join(dict.fromkeys(row["slept"] for row in usual))
        drawings: tuple[tuple[Callable[[Rows, Axes], object], float, str], ...] = (
            (_draw_accuracy, 6.6, f"Accuracy on each chip in percent, by how the network sleeps: {ways}."),
            (
                _draw_energy,
                6.6,
                f"Energy of an image on each chip, from the lowest to the highest convention; {STATEMENT}.",
            ),
            (_draw_cores, 4.4, "Cores that the network takes on each chip."),
        )
        for draw, width, told in drawings:
            if not budget.room:
                break
            fig = plot.figure(width, height)
            draw(usual, fig.add_subplot())
            alt = f"{told} Chips: {', '.join(chips)}."
            made = image(plot.to_svg_bytes(fig), alt, f"{experiment}: {told}", budget)
            if made is not None:
                images.append(made)
    return images


def _draw_accuracy(rows: Rows, ax: Axes) -> object:
    return plot.chip_accuracy(rows, ax=ax)


def _draw_energy(rows: Rows, ax: Axes) -> object:
    """A row for each chip that the network fits: the least and the most of all its networks."""
    bars = []
    for chip in dict.fromkeys(str(row["profile"]) for row in rows if row["fits"]):
        of_chip = [row for row in rows if row["profile"] == chip]
        lows = [row["low_j"] for row in of_chip if row["low_j"] is not None]
        highs = [row["high_j"] for row in of_chip if row["high_j"] is not None]
        bars.append({"label": chip, "low": min(lows, default=None), "high": max(highs, default=None)})
    return plot.energy(bars, label="energy of an image", ax=ax)


def _draw_cores(rows: Rows, ax: Axes) -> object:
    return plot.chip_cores(rows, ax=ax)
