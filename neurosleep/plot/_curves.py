"""What changes from phase to phase and during a sleep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from neurosleep._checks import check_number
from neurosleep.errors import SettingsError
from neurosleep.plot._room import columns_for, fitted, room_of
from neurosleep.plot._spikes import window_rows
from neurosleep.plot._style import GREY, MARKERS, PALETTE, Row, axes, field, plain, say, task_colours
from neurosleep.spiking import Recording

__all__ = ["accuracy", "rates"]

Scale = Literal["auto", "linear", "log"]
# Half of a population's windows below this share of the highest rate can hardly be told from silence on a linear axis.
_HARDLY = 0.05


def accuracy(rows: Sequence[Row], *, chance: float | None = None, ax: Axes | None = None) -> Axes:
    """Accuracy in % of each task through the phases wake 1, sleep 1, wake 2, …, and the mean of the tasks in black.

    Parameters
    ----------
    rows:
        With the columns ``after_task`` (from 1), ``phase`` (``wake`` or ``sleep``), ``on_task`` (from 1) and
        ``accuracy`` (a fraction); numbers or the text of a CSV file. Undefined accuracies leave a gap.
    chance:
        The fraction that guessing would get right, drawn as a dotted line.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing or a value makes no sense.

    See Also
    --------
    accuracy_matrix, comparison, progress : other views of accuracies

    Examples
    --------
    >>> from neurosleep.plot import accuracy
    >>> rows = [
    ...     {"after_task": 1, "phase": "wake", "on_task": 1, "accuracy": 0.98},
    ...     {"after_task": 2, "phase": "wake", "on_task": 1, "accuracy": 0.12},
    ...     {"after_task": 2, "phase": "sleep", "on_task": 1, "accuracy": 0.61},
    ... ]
    >>> ax = accuracy(rows, chance=0.1)
    >>> ax.get_ylabel()
    'accuracy (%)'
    """
    ax = axes(ax, 7.0, 3.8)
    values: dict[tuple[int, int, int], float] = {}
    for row in rows:
        phase = row.get("phase")
        if phase not in ("wake", "sleep"):
            raise SettingsError(f"A row has the phase {phase!r}.", expected="wake or sleep")
        key = (_whole(row, "after_task"), int(phase == "sleep"), _whole(row, "on_task"))
        values[key] = 100 * field(row, "accuracy")
    phases = sorted({key[:2] for key in values})
    tasks = sorted({key[2] for key in values})

    table = np.array([[values.get((*phase, task), math.nan) for task in tasks] for phase in phases])
    at = np.arange(len(phases))
    for k, colour in enumerate(task_colours(len(tasks))):
        if len(phases) == 1:
            # One moment makes no line: bars, side by side.
            width = 0.8 / len(tasks)
            ax.bar((k + 0.5) * width - 0.4, table[0, k], width=0.9 * width, color=colour, label=f"task {tasks[k]}")
            continue
        marker = MARKERS[k % len(MARKERS)]
        ax.plot(at, table[:, k], color=colour, marker=marker, markersize=5, linewidth=1.4, label=f"task {tasks[k]}")
    if not phases:
        say(ax, "no accuracy was measured")
    elif len(tasks) > 1:
        complete = not np.isnan(table).any()
        measured = (~np.isnan(table)).sum(axis=1)
        mean = np.where(measured > 0, np.nansum(table, axis=1) / np.maximum(measured, 1), math.nan)
        label = "mean of all tasks" if complete else "mean of tasks measured"
        if len(phases) > 1:
            ax.plot(at, mean, color="black", marker=".", linewidth=2.4, label=label)
        elif measured[0]:
            ax.axhline(mean[0], color="black", linestyle="--", linewidth=1.6, label=label)
    for x, (_, sleeping) in enumerate(phases):
        if sleeping:
            ax.axvspan(x - 0.5, x + 0.5, color="#eceff4", zorder=0, linewidth=0)
    if chance is not None:
        ax.axhline(100 * chance, color=GREY, linestyle=":", linewidth=1.2, label="chance")
    crowded = len(phases) > 8
    names = [f"{'sleep' if sleeping else 'wake'} {task}" for task, sleeping in phases]
    # Beyond some thirty phases the labels would run together: every other one, every third, …
    stride = math.ceil(len(phases) / 30) or 1
    ax.set_xticks(at[::stride], names[::stride])
    if crowded:
        ax.tick_params(axis="x", labelrotation=90 if len(phases) > 14 else 45)
    ax.set_xlim(-0.5, max(len(phases), 1) - 0.5)
    ax.set_ylim(-3, 103)
    ax.set_ylabel("accuracy (%)")
    if phases or chance is not None:
        _legend(ax)
    return ax


def rates(
    rows: Sequence[Row] | Recording, *, dt: float | None = None, scale: Scale = "auto", ax: Axes | None = None
) -> Axes:
    """Mean firing rate in Hz of a neuron of each population over the sleep time in s, one sleep phase after another.

    Parameters
    ----------
    rows:
        With the columns ``after_task`` (from 1), ``population``, ``neurons``, ``start_step`` (within that sleep),
        ``steps`` (length of the window) and ``spikes`` (of all its neurons in the window); each window is drawn at
        its middle. Or a recording of one sleep.
    dt:
        Length of a step in seconds; if not given, that of the recording, or 0.001.
    scale:
        Of the rates: ``"linear"``; ``"log"``, down to the lowest rate above 0, below which the axis is linear, so that
        silence has its place at 0; or, by default, ``"auto"``: logarithmic where a population that fires would
        otherwise lie at the bottom, with half of its windows below a twentieth of the highest rate.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing or a value makes no sense.

    See Also
    --------
    raster : the single spikes

    Examples
    --------
    >>> from neurosleep.plot import rates
    >>> row = {"after_task": 1, "population": "hidden1", "neurons": 40, "steps": 100}
    >>> rows = [{**row, "start_step": 0, "spikes": 80}, {**row, "start_step": 100, "spikes": 20}]
    >>> ax = rates(rows, dt=0.001)
    """
    if isinstance(rows, Recording):
        dt = rows.dt if dt is None else dt
        rows = window_rows(rows)
    dt = check_number("The step length dt", 0.001 if dt is None else dt, above=0)
    if scale not in get_args(Scale):
        raise SettingsError(f"There is no scale {scale!r} of rates.", expected=", ".join(get_args(Scale)))
    ax = axes(ax, 7.0, 3.4)
    windows: dict[str, dict[int, list[tuple[float, float]]]] = {}
    ends: dict[int, float] = {}
    for row in rows:
        if "population" not in row:
            raise SettingsError("A row has no column 'population'.", expected="the name of a population")
        sleep = _whole(row, "after_task")
        start = field(row, "start_step")
        steps = check_number("The number of steps in a window", field(row, "steps"), above=0)
        neurons = check_number("The number of neurons", field(row, "neurons"), above=0)
        rate = field(row, "spikes") / (neurons * steps * dt)
        windows.setdefault(str(row["population"]), {}).setdefault(sleep, []).append((start + steps / 2, rate))
        ends[sleep] = max(ends.get(sleep, 0.0), start + steps)
    sleeps = sorted(ends)
    starts = dict(zip(sleeps, np.cumsum([0.0] + [ends[sleep] for sleep in sleeps]), strict=False))

    highest = 0.0
    for k, (name, of_sleep) in enumerate(windows.items()):
        x: list[float] = []
        y: list[float] = []
        for sleep in sorted(of_sleep):
            if x:  # a gap between two sleeps
                x.append(math.nan)
                y.append(math.nan)
            for middle, rate in sorted(of_sleep[sleep]):
                x.append((starts[sleep] + middle) * dt)
                y.append(rate)
        highest = max([highest, *(rate for rate in y if math.isfinite(rate))])
        few = max(len(points) for points in of_sleep.values()) <= 30
        ax.plot(
            x,
            y,
            color=PALETTE[k % len(PALETTE)],
            linestyle="-" if k < len(PALETTE) else "--",
            linewidth=1.4,
            marker=MARKERS[k % len(MARKERS)] if few else "none",
            markersize=4,
            label=plain(name),
        )
    if not windows:
        say(ax, "no firing was recorded")
    else:
        for k, sleep in enumerate(sleeps):
            if k:
                ax.axvline(starts[sleep] * dt, color="#b0b0b0", linewidth=0.8)
            middle = (starts[sleep] + ends[sleep] / 2) * dt
            if len(sleeps) <= 24:
                # Of many, the first says what the numbers are.
                text = f"sleep {sleep}" if len(sleeps) <= 3 or not k else str(sleep)
                ax.text(middle, 1.0, text, transform=ax.get_xaxis_transform(), ha="center", va="bottom", color=GREY)
        ax.set_xlim(0, sum(ends.values()) * dt)
        _legend(ax, lift=0.1)
    fired = [[rate for points in of.values() for _, rate in points if 0 < rate < math.inf] for of in windows.values()]
    if highest and (scale == "log" or (scale == "auto" and _hardly_seen(fired, highest))):
        lowest = min(min(part) for part in fired if part)
        ax.set_yscale("symlog", linthresh=lowest, linscale=0.5)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_ylim(0, 1.5 * highest)
    else:
        ax.set_ylim(0, 1.08 * highest if highest else 1.0)
    ax.set_xlabel("sleep time (s)")
    ax.set_ylabel("mean rate (Hz)")
    return ax


def _hardly_seen(fired: Sequence[Sequence[float]], highest: float) -> bool:
    """Whether a linear axis would hide the firing of a population; ``fired`` has the rates above 0 of each."""
    return any(float(np.median(part)) < _HARDLY * highest for part in fired if part)


def _whole(row: Row, column: str) -> int:
    value = field(row, column)
    if not math.isfinite(value) or value != int(value):
        raise SettingsError(f"The column {column!r} holds {row[column]!r}.", expected="an integer")
    return int(value)


def _legend(ax: Axes, most: int = 14, lift: float = 0.0) -> None:
    """The legend where it hides no line: beside the axes, above those of a narrow figure (by ``lift`` of their height).

    Of very many lines only every so many are named, and the last ones.
    """
    handles, labels = ax.get_legend_handles_labels()
    if len(handles) > most:
        last = 2
        chosen = [
            *range(0, len(handles) - last, math.ceil(len(handles) / most)),
            *range(len(handles) - last, len(handles)),
        ]
        handles, labels = [handles[k] for k in chosen], [labels[k] for k in chosen]
    root = ax.get_figure(root=True)
    above = root is not None and root.get_figwidth() < 5.5 and len(handles) <= 9
    columns, short = columns_for(ax, labels, 3 if above else 1)
    ax.legend(
        handles,
        short if above else [plain(fitted(label, 0.3 * room_of(ax), 9.0)) for label in labels],
        loc="lower left" if above else "upper left",
        bbox_to_anchor=(0.0, 1.01 + lift) if above else (1.01, 1.0),
        ncols=columns,
        columnspacing=1.2,
        borderaxespad=0,
        frameon=False,
        fontsize=9,
    )
