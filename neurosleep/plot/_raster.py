"""Single spikes."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from numpy.typing import ArrayLike

from neurosleep._checks import check_number
from neurosleep.errors import SettingsError
from neurosleep.functional import SpikeEvents, numpy_generator
from neurosleep.plot._spikes import Spikes
from neurosleep.plot._spikes import populations as of_populations
from neurosleep.plot._style import GREY, PALETTE, axes, plain, say, task_colours
from neurosleep.plot._tables import legend_above

__all__ = ["raster"]


def raster(
    spikes: Spikes,
    *,
    dt: float | None = None,
    tasks: Mapping[str, ArrayLike] | None = None,
    selectivity: Mapping[str, ArrayLike] | None = None,
    max_neurons: int = 500,
    max_dots: int = 100_000,
    ax: Axes | None = None,
) -> Axes:
    """One dot per spike: time in seconds to the right, neurons upwards, the populations stacked in the given order.

    Parameters
    ----------
    spikes:
        The events of one population, or of several by name, a recording or a spike monitor; the first population is
        drawn at the bottom. Of a recording of some neurons only these are drawn.
    dt:
        Length of a step in seconds; if not given, that of the recording, or 0.001.
    tasks:
        By population, the task (from 1) of each neuron, 0 for none; a population may be left out. Dots then have the
        colours of the tasks in all other figures.
    selectivity:
        By population, a number from 0 to 1 for each neuron, such as how much it prefers one class; NaN for unknown.
        Dots then have the colours of a scale.
    max_neurons:
        Neurons shown of one population; of a larger one, that many at even distances. Its label says so.
    max_dots:
        Spikes shown in all. Of more, a random choice (the same one each time) is drawn and the time axis says so.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If ``dt``, ``max_neurons`` or ``max_dots`` is not positive, both ``tasks`` and ``selectivity`` are given, or one
        of them does not fit its population.
    DataError
        If a recording holds no single spikes.

    See Also
    --------
    rates, intervals : other pictures of the same spikes
    animate_sleep : moves

    Examples
    --------
    >>> import torch
    >>> from neurosleep import SpikeEvents
    >>> from neurosleep.plot import raster
    >>> spikes = {"hidden1": SpikeEvents.from_dense(torch.rand(500, 40) < 0.02)}
    >>> ax = raster(spikes, dt=0.001, tasks={"hidden1": [1] * 20 + [2] * 20})
    >>> ax.get_xlabel()
    'time (s)'
    """
    check_number("The number of neurons to show", max_neurons, above=0)
    check_number("The number of dots to show", max_dots, above=0)
    populations, dt = of_populations(spikes, dt)
    ax = axes(ax, 7.0, 4.2)

    steps = max((events.steps for events in populations.values()), default=0)
    spike_count = sum(events.count for events in populations.values())
    drawn: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    paint = _paint(populations, tasks, selectivity)
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
        neurons = events.indices[events.offsets[0] : events.offsets[-1]]
        rows = row_of[neurons]
        shown = rows >= 0
        # A small population beside large ones is stretched, so that its neurons can be told apart.
        apart = max(1.0, 0.08 * total / max(len(chosen), 1))
        drawn.append((events.times[shown], base + apart * rows[shown], neurons[shown]))
        ticks.append(base + apart * (len(chosen) - 1) / 2)
        size = f"{len(chosen)} of {events.n}" if len(chosen) < events.n else str(events.n)
        # Beside large ones a small population is too low for two lines.
        between = " " if apart * len(chosen) < 0.15 * total else "\n"
        labels.append(plain(f"{name}{between}({size})"))
        if base:
            ax.axhline(base - (gap + 1) / 2, color="#d0d0d0", linewidth=0.8)
        base += apart * (len(chosen) - 1) + 1 + gap

    dots = sum(len(times) for times, _, _ in drawn)
    time_label = "time (s)"
    if dots > max_dots:
        keep = np.zeros(dots, dtype=bool)
        keep[numpy_generator(0, "raster").choice(dots, size=int(max_dots), replace=False)] = True
        parts = np.split(keep, np.cumsum([len(times) for times, _, _ in drawn])[:-1])
        drawn = [tuple(values[part] for values in dots_of) for dots_of, part in zip(drawn, parts, strict=True)]
        time_label += f", {int(max_dots):,} of {dots:,} spikes shown"
    # Few spikes get dots that can be seen, many get dots that do not run together.
    largest = 5.0 if dots <= 500 else 2.0
    for name, (times, rows, neurons) in zip(populations, drawn, strict=True):
        codes, colours = paint[name]
        _dots(ax, times * dt, rows, codes[neurons], colours, largest)
    _explain(ax, tasks, selectivity)

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


def _dots(
    ax: Axes, seconds: np.ndarray, rows: np.ndarray, codes: np.ndarray, colours: list[str], largest: float
) -> None:
    size = float(np.clip(60 / np.sqrt(max(len(seconds), 1)), 0.7, largest))
    for code, colour in enumerate(colours):
        these = codes == code
        if these.any() or len(colours) == 1:
            ax.plot(
                seconds[these],
                rows[these],
                linestyle="none",
                marker="o",
                markersize=size,
                markeredgewidth=0,
                color=colour,
                rasterized=True,
            )


_UNKNOWN = "#b8b8b8"
_SHADES = 16
_Paint = tuple[np.ndarray, list[str]]


def _paint(
    populations: Mapping[str, SpikeEvents],
    tasks: Mapping[str, ArrayLike] | None,
    selectivity: Mapping[str, ArrayLike] | None,
) -> dict[str, _Paint]:
    """For every population, colours and which of them each neuron has."""
    if tasks is not None and selectivity is not None:
        raise SettingsError("A raster cannot have the colours of tasks and of selectivity.", expected="one of them")
    given = tasks if tasks is not None else selectivity
    paints = {}
    for k, (name, events) in enumerate(populations.items()):
        if given is None:
            paints[name] = np.zeros(events.n, dtype=np.int64), [PALETTE[k % len(PALETTE)]]
            continue
        values = np.asarray(given.get(name, np.full(events.n, 0.0 if tasks is not None else np.nan)), dtype=float)
        if values.shape != (events.n,):
            what = "tasks" if tasks is not None else "selectivity"
            raise SettingsError(
                f"The {what} of {name!r} have the shape {values.shape}.", expected=f"one for each of {events.n} neurons"
            )
        paints[name] = _task_paint(values, _last_task(tasks)) if tasks is not None else _shades(values)
    return paints


def _last_task(tasks: Mapping[str, ArrayLike]) -> int:
    return max((int(np.max(values)) for values in map(np.asarray, tasks.values()) if values.size), default=0)


def _task_paint(values: np.ndarray, last: int) -> _Paint:
    if not np.array_equal(values, values.round()) or (values < 0).any():
        raise SettingsError("A task is not an integer.", expected="tasks from 1, and 0 for none")
    return values.astype(np.int64), [_UNKNOWN, *task_colours(last)]


def _shades(values: np.ndarray) -> _Paint:
    defined = values[~np.isnan(values)]
    if ((defined < 0) | (defined > 1)).any():
        raise SettingsError(
            "A selectivity is not from 0 to 1.",
            found=f"{defined.min():g} to {defined.max():g}",
            expected="0 to 1, or NaN",
        )
    scale = matplotlib.colormaps["viridis"]
    # A few shades, each of which is drawn at once.
    codes = np.where(np.isnan(values), 0, 1 + np.minimum(np.nan_to_num(values) * _SHADES, _SHADES - 1))
    return codes.astype(np.int64), [_UNKNOWN, *(to_hex(scale(k / (_SHADES - 1))) for k in range(_SHADES))]


def _explain(ax: Axes, tasks: Mapping[str, ArrayLike] | None, selectivity: Mapping[str, ArrayLike] | None) -> None:
    """A legend of the tasks, or the scale of selectivity."""
    if selectivity is not None:
        shades = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), "viridis")
        ax.figure.colorbar(shades, ax=ax, label="selectivity (0 to 1)", shrink=0.8)
    elif tasks is not None:
        last = _last_task(tasks)
        colours = task_colours(last)
        # Of very many tasks only some are named.
        for task in range(1, last + 1, -(-last // 12) or 1):
            ax.plot([], [], linestyle="none", marker="o", markersize=5, color=colours[task - 1], label=f"task {task}")
        ax.plot([], [], linestyle="none", marker="o", markersize=5, color=_UNKNOWN, label="no task")
        legend_above(ax, 4)
