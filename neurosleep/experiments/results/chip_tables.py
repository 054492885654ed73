"""The tables of results on chips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neurosleep.experiments.chips import ChipSummary, chip_rows, gains_kept, missing_rows
from neurosleep.experiments.metrics import Spread
from neurosleep.experiments.results.tables import markdown_table
from neurosleep.hardware import STATEMENT

__all__ = ["chip_lines"]


def _percent(spread: Spread) -> str:
    if spread["mean"] is None:
        return "-"
    return f"{100 * spread['mean']:.2f}" + ("" if spread["sd"] is None else f" ± {100 * spread['sd']:.2f}")


def _energy(row: ChipSummary) -> str:
    low, high = row["low_j"], row["high_j"]
    return "not estimated" if low is None or high is None else f"{joules(low)} to {joules(high)}"


def joules(energy: float) -> str:
    """Energy with the prefix that keeps its number between 1 and 1000.

    >>> joules(0.00657)
    '6.57 mJ'
    """
    for factor, unit in ((1, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ")):
        if energy >= factor:
            return f"{energy / factor:.3g} {unit}"
    return f"{energy / 1e-12:.3g} pJ"


def chip_lines(runs: Iterable[Mapping[str, object]]) -> list[str]:
    """Markdown of one experiment's runs on chips; nothing if there are none."""
    runs = list(runs)
    rows = [row for row in chip_rows(runs) if row["fits"]]
    if not rows:
        return []
    order = {chip: k for k, chip in enumerate(dict.fromkeys(row["profile"] for row in rows))}
    rows.sort(key=lambda row: order[row["profile"]])
    lines = [
        "",
        "Percent right of the same images, mean ± sd over seeds (n): of the awake network, of the spiking one in",
        f"floating point, and of the one on the chip. Every energy is an {STATEMENT}: the least and the most by the",
        "conventions there are, for an image, of mean activity.",
        "",
    ]
    header = (
        "chip",
        "variant",
        "sleep",
        "n",
        "awake (%)",
        "spiking (%)",
        "on the chip (%)",
        "quantisation error (%)",
        "cores",
        "energy",
    )
    lines += markdown_table(
        header,
        (
            (
                row["profile"] + (", sums split" if row["split"] else ""),
                row["variant"],
                row["slept"],
                str(row["mapped"]["n"]),
                _percent(row["awake"]),
                _percent(row["converted"]),
                _percent(row["mapped"]),
                _percent(row["weight_error"]),
                "-" if row["cores"] is None else str(row["cores"]),
                _energy(row),
            )
            for row in rows
        ),
    )
    gains = gains_kept(chip_rows(runs))
    if gains:
        lines += [
            "",
            "What a sleep in integer arithmetic keeps of the gain that the same sleep in floating point has over",
            "no sleep (accuracy of the awake network on all test images, means over the n seeds that all three have):",
            "",
        ]
        lines += markdown_table(
            ("variant", "chip", "sleep", "n", "no sleep (%)", "in floating point (%)", "on the chip (%)", "kept"),
            (
                (
                    row["variant"],
                    row["profile"],
                    row["slept"],
                    str(row["n"]),
                    *(f"{100 * value:.2f}" for value in (row["none"], row["floating"], row["chip"])),
                    "-" if row["kept"] is None else f"{100 * row['kept']:.0f} %",
                )
                for row in gains
            ),
        )
    missing = missing_rows(runs)
    if missing:
        lines += ["", "What does not fit, or is not supported:", ""]
        lines += markdown_table(("chip", "reason"), ((row["profile"], "; ".join(row["missing"])) for row in missing))
    return lines
