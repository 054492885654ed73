"""Spikes for the raster that can be zoomed: small enough for the page, read by its inline script."""

from __future__ import annotations

import base64

import numpy as np
from markupsafe import Markup

from neurosleep import plot
from neurosleep.experiments.report.images import Budget, as_json
from neurosleep.experiments.report.read import Run
from neurosleep.functional import SpikeEvents

__all__ = ["zoom_data"]

MOST_SPIKES = 40_000
MOST_STEPS = 10_000
# Of more tasks, the colours could not be told apart anyway.
MOST_TASKS = 20


def zoom_data(run: Run, budget: Budget) -> Markup | None:
    """The first spikes of the recorded sleep as JSON that is safe inside HTML; None where there is no room or no spike.

    Each population has the number of spikes in every step and the neurons that fire, step by step, both as numbers of
    16 bits (32 where there are more neurons), least significant byte first, in base64.
    """
    populations = run.spikes or {}
    steps = _steps_within(list(populations.values()))
    shown = {name: events.slice(0, min(steps, events.steps)) for name, events in populations.items()}
    if steps < 1 or not any(events.count for events in shown.values()):
        return None
    longest = max(events.steps for events in populations.values())
    last = max((int(tasks.max()) for tasks in run.preferred.values() if len(tasks)), default=0)
    content = {
        "dt": run.dt,
        # The first for neurons that answer to no task.
        "task_colours": ["#9a9a9a", *plot.task_colours(last)] if run.preferred and last <= MOST_TASKS else [],
        "steps": steps,
        "of": longest,
        "populations": [
            {
                "name": name,
                "n": events.n,
                "colour": plot.PALETTE[k % len(plot.PALETTE)],
                "wide": events.n > 65_535,
                "counts": _base64(np.diff(events.offsets), wide=events.n > 65_535),
                "neurons": _base64(events.indices, wide=events.n > 65_535),
                "tasks": _tasks(run, name),
            }
            for k, (name, events) in enumerate(shown.items())
        ],
    }
    text = as_json(content)
    return text if budget.take(len(text)) else None


def _steps_within(populations: list[SpikeEvents]) -> int:
    """The number of steps from the start that hold no more spikes than the page has room for, at least one step."""
    longest = min(max((events.steps for events in populations), default=0), MOST_STEPS)
    total = np.zeros(longest, dtype=np.int64)
    for events in populations:
        part = np.diff(events.offsets[: longest + 1])
        total[: len(part)] += part
    within = int(np.searchsorted(np.cumsum(total), MOST_SPIKES, side="right"))
    return min(max(within, 1), longest)


def _tasks(run: Run, population: str) -> str | None:
    """The task of each neuron, a byte each."""
    tasks = run.preferred.get(population)
    if tasks is None or tasks.max(initial=0) > MOST_TASKS:
        return None
    return base64.b64encode(tasks.astype("u1").tobytes()).decode("ascii")


def _base64(values: np.ndarray, *, wide: bool) -> str:
    return base64.b64encode(values.astype("<u4" if wide else "<u2").tobytes()).decode("ascii")
