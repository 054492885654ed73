"""Runs on chips side by side: one row for each chip and each way of sleeping, over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import TypedDict

from neurosleep.experiments.metrics import Spread, spread_of
from neurosleep.experiments.plain import number

__all__ = ["ChipSummary", "GainKept", "chip_rows", "gains_kept", "missing_rows", "variant_parts"]


class ChipSummary(TypedDict):
    """One way of sleeping on one chip, over seeds; what is None is not known there, or not estimated."""

    experiment: str
    profile: str
    slept: str
    variant: str
    strategy: str
    fits: bool
    split: bool
    cores: int | None
    accuracy_all: Spread
    awake: Spread
    converted: Spread
    mapped: Spread
    by_seed: dict[int, float]
    weight_error: Spread
    # Shown to the chip, in the run that showed most.
    images: int | None
    low_j: float | None
    high_j: float | None


class MissingRow(TypedDict):
    """What does not fit, or is not there, a sentence each."""

    experiment: str
    profile: str
    missing: list[str]


class GainKept(TypedDict):
    """Mean accuracies over the ``n`` seeds that all three have, and the share of the gain that is kept."""

    experiment: str
    profile: str
    variant: str
    slept: str
    none: float
    floating: float
    chip: float
    n: int
    kept: float | None


def variant_parts(variant: str) -> tuple[str, str]:
    """The name of a variant in its file (``default`` if none), and what was changed beside it."""
    name, _, rest = variant.partition(",")
    return ("default", variant) if "=" in name else (name, rest)


def _spread(values: Iterable[object]) -> Spread:
    return spread_of(map(number, values))


_Key = tuple[str, str, str, str, str]


def _way(slept: str) -> str:
    """What tables call a way of sleeping, of which ``metrics.json`` has older words."""
    return slept.replace("slept ", "sleep ").replace("rounding by chance", "stochastic rounding")


def _groups(runs: Iterable[Mapping[str, object]]) -> dict[_Key, list[Mapping[str, object]]]:
    """Rows of all runs, by experiment, chip, way of sleeping, variant and strategy."""
    groups: dict[_Key, list[Mapping[str, object]]] = {}
    for run in runs:
        rows = run.get("hardware")
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and isinstance(row.get("profile"), str):
                slept = _way(str(row.get("slept", "unknown")))
                key = str(run["experiment"]), row["profile"], slept, str(run["variant"]), str(run["strategy"])
                own = {"accuracy_all": run.get("accuracy_all"), "seed": run.get("seed")}
                groups.setdefault(key, []).append({**row, **own})
    return groups


def chip_rows(runs: Iterable[Mapping[str, object]]) -> list[ChipSummary]:
    """One row for each experiment, chip and way of sleeping of the ``metrics`` of runs, in the order they come.

    ``accuracy_all`` is of the awake network on all test images; ``awake``, ``converted`` and ``mapped`` are of those
    shown to the chip; ``by_seed`` has the ``accuracy_all`` of each seed; ``low_j`` and ``high_j`` are means of the
    energy of an image.
    """
    summaries: list[ChipSummary] = []
    for (experiment, profile, slept, variant, strategy), rows in _groups(runs).items():
        energies = [energy for row in rows if isinstance(energy := row.get("energy"), dict)]
        summaries.append(
            {
                "experiment": experiment,
                "profile": profile,
                "slept": slept,
                "variant": variant,
                "strategy": strategy,
                "fits": any(row.get("fits") is True for row in rows),
                "split": any(row.get("split") is True for row in rows),
                "cores": max((cores for row in rows if isinstance(cores := row.get("cores"), int)), default=None),
                "accuracy_all": _spread(row["accuracy_all"] for row in rows),
                "awake": _spread(row.get("awake") for row in rows),
                "converted": _spread(row.get("converted") for row in rows),
                "mapped": _spread(row.get("mapped") for row in rows),
                "by_seed": {
                    seed: accuracy
                    for row in rows
                    if isinstance(seed := row["seed"], int) and (accuracy := number(row["accuracy_all"])) is not None
                },
                "weight_error": _spread(row.get("weight_error") for row in rows),
                "images": max((shown for row in rows if isinstance(shown := row.get("images"), int)), default=None),
                "low_j": _spread(energy.get("low_j") for energy in energies)["mean"],
                "high_j": _spread(energy.get("high_j") for energy in energies)["mean"],
            }
        )
    return summaries


def missing_rows(runs: Iterable[Mapping[str, object]]) -> list[MissingRow]:
    """What does not fit, or is not there, of each experiment and chip, each sentence once."""
    sentences: dict[tuple[str, str], dict[str, None]] = {}
    for (experiment, profile, *_), rows in _groups(runs).items():
        for row in rows:
            missing = row.get("missing")
            if isinstance(missing, list) and missing:
                sentences.setdefault((experiment, profile), {}).update(dict.fromkeys(map(str, missing)))
    return [{"experiment": e, "profile": p, "missing": list(texts)} for (e, p), texts in sentences.items()]


def gains_kept(rows: Iterable[ChipSummary]) -> list[GainKept]:
    """How much of the gain of sleep in floating point over no sleep is kept by sleep in a chip's integer arithmetic.

    Of the awake networks, on all test images: ``(chip - none) / (floating point - none)``, by means over seeds; None
    where sleep in floating point gains nothing. A variant ``NAME-rest`` is compared with the sleep before mapping of
    the variant ``NAME``, if there is one, since its rule may have other steps; else with that of ``default``.
    """
    rows = list(rows)
    accuracies: dict[tuple[str, str, str, str], dict[int, float]] = {}
    for row in rows:
        if row["slept"] in ("no sleep", "sleep before mapping"):
            accuracies[row["experiment"], row["slept"], *variant_parts(row["variant"])] = row["by_seed"]
    gains: list[GainKept] = []
    for row in rows:
        experiment, chip = row["experiment"], row["by_seed"]
        if not row["slept"].startswith("sleep on the chip"):
            continue
        name, rest = variant_parts(row["variant"])
        none = accuracies.get((experiment, "no sleep", "default", rest), {})
        parts = name.split("-")
        names = ["-".join(parts[:k]) for k in range(len(parts), 0, -1)] + ["default"]
        floats = (accuracies.get((experiment, "sleep before mapping", shorter, rest)) for shorter in names)
        floating = next((values for values in floats if values), {})
        # Seeds differ more than roundings do: only those that all three have are compared.
        seeds = sorted(none.keys() & floating.keys() & chip.keys())
        if not seeds:
            continue
        without, float_mean, chip_mean = (
            statistics.fmean(values[seed] for seed in seeds) for values in (none, floating, chip)
        )
        gain = float_mean - without
        gains.append(
            {
                "experiment": experiment,
                "profile": row["profile"],
                "variant": row["variant"],
                "slept": row["slept"],
                "none": without,
                "floating": float_mean,
                "chip": chip_mean,
                "n": len(seeds),
                "kept": (chip_mean - without) / gain if gain > 0 else None,
            }
        )
    return gains
