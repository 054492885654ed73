"""Runs on chips side by side: one row for each chip and each way of sleeping, over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["chip_rows", "gains_kept", "missing_rows", "variant_parts"]


def variant_parts(variant: str) -> tuple[str, str]:
    """The name of a variant in its file (``default`` if none), and what was changed beside it."""
    name, _, rest = variant.partition(",")
    return ("default", variant) if "=" in name else (name, rest)


_ACCURACIES = ("accuracy_all", "awake", "converted", "mapped")


def _spread(values: Iterable[object]) -> dict[str, Any]:
    found = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return {
        "mean": statistics.fmean(found) if found else None,
        "sd": statistics.stdev(found) if len(found) > 1 else None,
        "n": len(found),
    }


def _groups(runs: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str, str, str], list[Mapping[str, Any]]]:
    """Rows of all runs, by experiment, chip, way of sleeping, variant and strategy."""
    groups: dict[tuple[str, str, str, str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        rows = run.get("hardware")
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and isinstance(row.get("profile"), str):
                slept = str(row.get("slept", "unknown"))
                key = str(run["experiment"]), row["profile"], slept, str(run["variant"]), str(run["strategy"])
                own = {"accuracy_all": run.get("accuracy_all"), "seed": run.get("seed")}
                groups.setdefault(key, []).append({**row, **own})
    return groups


def chip_rows(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each experiment, chip and way of sleeping of the ``metrics`` of runs, in the order they come.

    Returns
    -------
    list
        ``experiment``, ``profile``, ``slept``, ``variant``, ``strategy``; ``accuracy_all`` of the awake network on all
        test images, and on those shown to the chip ``awake``, ``converted`` and ``mapped``; ``weight_error``; each with
        ``mean``, ``sd`` and ``n`` (None where undefined); ``cores`` (None: not known, or it does not fit); ``fits``,
        ``split``; ``by_seed``, the ``accuracy_all`` of each seed; ``low_j`` and ``high_j``, means of the energy of an
        image (None: not estimated).
    """
    found = []
    for (experiment, profile, slept, variant, strategy), rows in _groups(runs).items():
        energies = [row["energy"] for row in rows if isinstance(row.get("energy"), dict)]
        cores = [row["cores"] for row in rows if isinstance(row.get("cores"), int)]
        found.append(
            {
                "experiment": experiment,
                "profile": profile,
                "slept": slept,
                "variant": variant,
                "strategy": strategy,
                "fits": any(row.get("fits") is True for row in rows),
                "split": any(row.get("split") is True for row in rows),
                "cores": max(cores, default=None),
                **{
                    key: _spread(row.get(key) for row in rows)
                    for key in ("accuracy_all", "awake", "converted", "mapped")
                },
                "by_seed": {row["seed"]: row["accuracy_all"] for row in rows if row["accuracy_all"] is not None},
                "weight_error": _spread(row.get("weight_error") for row in rows),
                **{key: _spread(energy.get(key) for energy in energies)["mean"] for key in ("low_j", "high_j")},
            }
        )
    return found


def missing_rows(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What does not fit, or is not there, of each experiment and chip: ``experiment``, ``profile``, ``missing``."""
    found: dict[tuple[str, str], list[str]] = {}
    for (experiment, profile, *_), rows in _groups(runs).items():
        for row in rows:
            texts = row.get("missing")
            for text in texts if isinstance(texts, list) else ():
                known = found.setdefault((experiment, profile), [])
                if str(text) not in known:
                    known.append(str(text))
    return [{"experiment": e, "profile": p, "missing": texts} for (e, p), texts in found.items()]


def gains_kept(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How much of what sleep in floating point gains over no sleep is gained by sleep on a chip, in its whole numbers.

    Of the awake networks, on all test images: ``(chip - none) / (floating point - none)``, by means over seeds. A
    variant ``NAME-rest`` is compared with the sleep before mapping of the variant ``NAME``, if there is one, since its
    rule may have other steps; else with that of ``default``.

    Returns
    -------
    list
        ``experiment``, ``profile``, ``variant``, ``slept``, ``none``, ``floating``, ``chip`` (mean accuracies over the
        ``n`` seeds that all three have) and ``kept``, None where sleep in floating point gains nothing.
    """
    rows = list(rows)
    known: dict[tuple[str, str, str, str], dict[Any, float]] = {}
    for row in rows:
        if row["slept"] in ("no sleep", "slept before mapping"):
            known[row["experiment"], row["slept"], *variant_parts(row["variant"])] = row["by_seed"]
    found = []
    for row in rows:
        experiment, chip = row["experiment"], row["by_seed"]
        if not row["slept"].startswith("slept on the chip"):
            continue
        name, rest = variant_parts(row["variant"])
        none = known.get((experiment, "no sleep", "default", rest), {})
        parts = name.split("-")
        names = ["-".join(parts[:k]) for k in range(len(parts), 0, -1)] + ["default"]
        floats = (known.get((experiment, "slept before mapping", shorter, rest)) for shorter in names)
        floating = next((values for values in floats if values), {})
        # Seeds differ more than roundings do: only those that all three have are compared.
        seeds = sorted(none.keys() & floating.keys() & chip.keys())
        if not seeds:
            continue
        means = {
            key: statistics.fmean(values[seed] for seed in seeds)
            for key, values in (("none", none), ("floating", floating), ("chip", chip))
        }
        gain = means["floating"] - means["none"]
        kept = (means["chip"] - means["none"]) / gain if gain > 0 else None
        found.append(
            {key: row[key] for key in ("experiment", "profile", "variant", "slept")}
            | means
            | {"n": len(seeds), "kept": kept}
        )
    return found
