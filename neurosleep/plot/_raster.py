"""Single spikes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from neurosleep.functional import SpikeEvents, numpy_generator
from neurosleep.plot._style import GREY, PALETTE, axes, plain, positive, say

__all__ = ["raster"]


def raster(
    spikes: Mapping[str, SpikeEvents] | SpikeEvents,
    *,
    dt: float = 0.001,
    max_neurons: int = 500,
    max_dots: int = 100_000,
    ax: Axes | None = None,
) -> Axes:
    """One dot per spike: time in seconds to the right, neurons upwards, the populations stacked in the given order.

    Parameters
    ----------
    spikes:
        The events of one population, or of several by name; the first is drawn at the bottom.
    dt:
        Length of a step in seconds.
    max_neurons:
        Neurons shown of one population; of a larger one, that many at even distances. Its label says so.
    max_dots:
        Spikes shown in all. Of more, a random choice (the same one each time) is drawn and the time axis says so.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If ``dt``, ``max_neurons`` or ``max_dots`` is not positive.
    """
    positive(dt, "step length dt")
    positive(max_neurons, "number of neurons to show")
    positive(max_dots, "number of dots to show")
    populations = {"neurons": spikes} if isinstance(spikes, SpikeEvents) else dict(spikes)
    ax = axes(ax, 7.0, 4.2)

    steps = max((events.steps for events in populations.values()), default=0)
    spike_count = sum(events.count for events in populations.values())
    drawn: list[tuple[np.ndarray, np.ndarray]] = []
    ticks: list[float] = []
    labels: list[str] = []
    base = 0.0
    total = sum(min(events.n, int(max_neurons)) for events in populations.values())
    gap = max(1, round(0.02 * total))
    for name, events in populations.items():
        chosen = np.arange(events.n)
        if events.n > max_neurons:
            chosen = np.linspace(0, events.n - 1, int(max_neurons)).round().astype(np.int64)
        row_of = np.full(events.n, -1, dtype=np.int64)
        row_of[chosen] = np.arange(len(chosen))
        rows = row_of[events.indices[events.offsets[0] : events.offsets[-1]]]
        shown = rows >= 0
        # A small population beside large ones is stretched, so that its neurons can be told apart.
        apart = max(1.0, 0.08 * total / max(len(chosen), 1))
        drawn.append((events.times[shown], base + apart * rows[shown]))
        ticks.append(base + apart * (len(chosen) - 1) / 2)
        size = f"{len(chosen)} of {events.n}" if len(chosen) < events.n else str(events.n)
        labels.append(plain(f"{name}\n({size})"))
        if base:
            ax.axhline(base - (gap + 1) / 2, color="#d0d0d0", linewidth=0.8)
        base += apart * (len(chosen) - 1) + 1 + gap

    dots = sum(len(times) for times, _ in drawn)
    time_label = "time (s)"
    if dots > max_dots:
        keep = np.zeros(dots, dtype=bool)
        keep[numpy_generator(0, "raster").choice(dots, size=int(max_dots), replace=False)] = True
        parts = np.split(keep, np.cumsum([len(times) for times, _ in drawn])[:-1])
        drawn = [(times[part], rows[part]) for (times, rows), part in zip(drawn, parts, strict=True)]
        time_label += f", {int(max_dots):,} of {dots:,} spikes shown"
    # Few spikes get dots that can be seen, many get dots that do not run together.
    largest = 5.0 if dots <= 500 else 2.0
    for k, (times, rows) in enumerate(drawn):
        ax.plot(
            times * dt,
            rows,
            linestyle="none",
            marker="o",
            markersize=float(np.clip(60 / np.sqrt(max(len(times), 1)), 0.7, largest)),
            markeredgewidth=0,
            color=PALETTE[k % len(PALETTE)],
            rasterized=True,
        )

    if not populations or steps == 0:
        say(ax, "nothing was recorded")
    elif spike_count == 0:
        say(ax, f"no spike in {steps * dt:g} s")
    elif spike_count == 1:
        ax.set_title("one spike only", fontsize="medium", color=GREY)
    elif dots == 0:
        say(ax, f"no spike of the neurons shown ({spike_count:,} of others)")
    ax.set_yticks(ticks, labels)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, max(steps, 1) * dt)
    # As much room at the edges as between two populations, so that no dot is cut in half.
    ax.set_ylim(-gap, max(base - 1, 1))
    ax.set_xlabel(time_label)
    ax.set_ylabel("neuron")
    return ax
