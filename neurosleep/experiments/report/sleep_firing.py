"""Whether a network that sleeps fires, and when: a silent sleep phase replays nothing."""

from __future__ import annotations

from collections.abc import Sequence

from neurosleep.experiments.report.numbers import mean
from neurosleep.experiments.report.read import Run
from neurosleep.experiments.silence import sleep_rates, told_silence

__all__ = ["sleep_sentences"]

# The start of a sleep phase in seconds, and the share of its spikes above which that is said.
_START, _MOST = 0.5, 0.8


def sleep_sentences(runs: Sequence[Run]) -> list[str]:
    """What there is to say of the firing in the sleep phases of a strategy's runs; nothing if it is as it should be."""
    return [*_silent(runs), *_early(runs)]


def _silent(runs: Sequence[Run]) -> list[str]:
    """Sleep phases, or populations, without a spike behind the input."""
    told = told_silence(run.metrics for run in runs)
    if told:
        return [told]
    phases = [rates for run in runs for rates in sleep_rates(run.metrics)]
    names = [name for name in phases[0] if not any(rates.get(name) for rates in phases)] if phases else []
    return [f"Silent in sleep: no unit of {', '.join(names)} ever fired."] if names else []


def _early(runs: Sequence[Run]) -> list[str]:
    """How much of the firing of the last sleep phase is over soon, if that is most of it."""
    found = [early for run in runs if (early := _share_at_start(run)) is not None]
    share = mean(part for part, _, _ in found)
    if share is None or share < _MOST:
        return []
    start, whole = max(early[1] for early in found), max(early[2] for early in found)
    told = f"{100 * share:.0f} % of the spikes of the last sleep phase come in the first {start:.3g} s of {whole:.3g} s"
    return [f"{told}; after that the network is nearly silent."]


def _share_at_start(run: Run) -> tuple[float, float, float] | None:
    """The share of the spikes of the last sleep phase in its first windows, their length and that of all, in s."""
    last = max((int(row["after_task"]) for row in run.firing), default=0)
    rows = [row for row in run.firing if int(row["after_task"]) == last]
    names = list(dict.fromkeys(str(row["population"]) for row in rows))[1:]
    windows = [
        (run.dt * (float(row["start_step"]) + float(row["steps"])), float(row["spikes"]))
        for row in rows
        if row["population"] in names
    ]
    total = sum(spikes for _, spikes in windows)
    if not total:
        return None
    whole = max(end for end, _ in windows)
    start = max(_START, min(end for end, _ in windows))
    # Of a sleep that is hardly longer than its start there is nothing to say.
    if whole < 4 * start:
        return None
    return sum(spikes for end, spikes in windows if end <= start * (1 + 1e-9)) / total, start, whole
