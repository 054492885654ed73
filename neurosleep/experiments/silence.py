"""Whether the networks of runs fired in their sleep phases: a silent one replays nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from neurosleep.experiments.plain import number

__all__ = ["sleep_rates", "told_silence"]


def sleep_rates(metrics: Mapping[str, Any]) -> list[dict[str, float]]:
    """Spikes per step in each sleep phase, of all populations but the input (which is driven), as far as counted."""
    sleep = metrics.get("sleep")
    names, counts = (sleep.get(key) if isinstance(sleep, dict) else None for key in ("populations", "spikes_per_step"))
    if not isinstance(names, list) or not isinstance(counts, list):
        return []
    rows = [[number(value) for value in row] for row in counts if isinstance(row, list) and len(row) == len(names) > 1]
    return [{str(name): rate or 0.0 for name, rate in zip(names[1:], row[1:], strict=True)} for row in rows]


def told_silence(runs: Iterable[Mapping[str, Any]]) -> str:
    """Sleep phases of runs, by their metrics, in which no unit behind the input fired; empty where all fired."""
    phases = [rates for metrics in runs for rates in sleep_rates(metrics)]
    silent = sum(not any(rates.values()) for rates in phases)
    if not silent:
        return ""
    which = "every sleep phase" if silent == len(phases) else f"{silent} of {len(phases)} sleep phases"
    return f"Silent: in {which} no unit behind the input fired, so that nothing was replayed."
