"""The hypnogram of a sleep: its stages and their up and down states, alone or over the spikes and rates of the same."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurosleep._checks import check_count, check_number
from neurosleep.errors import DataError, SettingsError
from neurosleep.plot._curves import rates
from neurosleep.plot._raster import raster
from neurosleep.plot._spikes import populations
from neurosleep.plot._style import GREY, PALETTE, axes, figure, plain, say
from neurosleep.spiking import Record, Recorder, Recording, SleepSpan

__all__ = ["hypnogram", "sleep_overview"]

_COLOURS = {"up": PALETTE[0], "down": "#d3dfe8", "tonic": PALETTE[1]}
_NAMES = {"up": "up state", "down": "down state", "tonic": "tonic drive"}
# Windows of the rates in the figure with spikes.
_WINDOWS = 100


def hypnogram(recording: Recording | Sequence[SleepSpan], *, dt: float | None = None, ax: Axes | None = None) -> Axes:
    """Stages of a sleep over time in seconds, a row for each, coloured by state; cycles are divided by lines.

    Where there are so many up states that they could not be told apart, their share of the time is what is seen.

    Parameters
    ----------
    recording:
        A recording that has a hypnogram, or the spans themselves, such as ``result.hypnogram`` of
        :func:`~neurosleep.consolidate`.
    dt:
        Length of a step in seconds; if not given, that of the recording, or 0.001.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If ``dt`` is not positive, or something else is given.

    See Also
    --------
    sleep_overview : over the spikes and rates of the same sleep
    neurosleep.spiking.SleepSpan : what it is made of

    Examples
    --------
    >>> from neurosleep.plot import hypnogram
    >>> from neurosleep.spiking import SleepSpan
    >>> slow = [SleepSpan("NREM", "up", 0, 50), SleepSpan("NREM", "down", 50, 50)]
    >>> ax = hypnogram([*slow, SleepSpan("REM", "tonic", 100, 400)])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['NREM', 'REM']
    """
    spans, dt = _spans(recording, dt)
    ax = axes(ax, 7.0, 1.8)
    ax.set_xlabel("time (s)")
    if not spans:
        say(ax, "no stages of sleep were recorded")
        return ax
    stages = sorted({span.stage for span in spans})
    for k, stage in enumerate(stages):
        for state, colour in _COLOURS.items():
            bars = [(s.start * dt, s.length * dt) for s in spans if (s.stage, s.state) == (stage, state)]
            if bars:
                ax.broken_barh(bars, (k - 0.36, 0.72), facecolors=colour, linewidth=0, label=_NAMES[state])
    for last, span in itertools.pairwise(spans):
        if span.cycle != last.cycle:
            ax.axvline(span.start * dt, color=GREY, linewidth=0.8, linestyle="--")
    ax.set_yticks(range(len(stages)), [plain(stage) for stage in stages])
    ax.set_ylim(-0.6, len(stages) - 0.4)
    ax.set_xlim(spans[0].start * dt, spans[-1].stop * dt)
    ax.tick_params(axis="y", length=0)
    handles, labels = ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    ax.legend(
        list(entries.values()),
        list(entries),
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=3,
        frameon=False,
        fontsize=9,
        borderaxespad=0.2,
    )
    return ax


def sleep_overview(
    recording: Recording, *, start: int = 0, steps: int | None = None, fig: Figure | None = None
) -> Figure:
    """The hypnogram of a sleep over the spikes and the mean rates of its populations, on one time axis.

    Parameters
    ----------
    recording:
        With a hypnogram and single spikes: of a REM stage, or of NREM with ``record=Record(spikes="all")``.
    start, steps:
        First step, and number of steps that are shown; None: all to the end.
    fig:
        An empty figure to draw on; by default a new one.

    Raises
    ------
    SettingsError
        If the part lies outside the recording.
    DataError
        If there is no hypnogram, or no single spikes.

    See Also
    --------
    hypnogram, raster, rates : its parts

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> from neurosleep.plot import sleep_overview
    >>> model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
    >>> result = ns.consolidate(model, torch.full((16,), 0.5), record=ns.Record(spikes="all"), guard=False)
    >>> fig = sleep_overview(result.recording, steps=500)
    >>> len(fig.axes)
    3
    """
    check_count("The first step to show", start, 0, max(recording.steps - 1, 0))
    steps = recording.steps - start if steps is None else steps
    check_count("The number of steps to show", steps, 1)
    stop = min(start + steps, recording.steps)
    if not recording.hypnogram:
        raise DataError("The recording has no hypnogram.", expected="the recording of a stage of sleep")
    events, dt = populations(recording, None)
    part = {name: spikes.slice(start, stop) for name, spikes in events.items()}
    recorder = Recorder(
        Record(spikes="all", rates_every=max(1, (stop - start) // _WINDOWS)), {n: e.n for n, e in part.items()}, dt
    )
    recorder.add(part)
    cut = dataclasses.replace(recorder.recording(), hypnogram=_cut(recording.hypnogram, start, stop))
    fig = figure(7.0, 6.4) if fig is None else fig
    stages = len({span.stage for span in cut.hypnogram})
    top, middle, bottom = fig.subplots(3, 1, height_ratios=(0.35 + 0.35 * stages, 3.2, 1.7), sharex=True)
    hypnogram(cut, ax=top)
    raster(cut, ax=middle)
    rates(cut, ax=bottom)
    for ax in (top, middle):
        ax.set_xlabel("")
    for text in list(bottom.texts):
        text.remove()
    bottom.set_xlabel("time (s)" if not start else f"time (s), from {start * dt:g} s of the sleep on")
    bottom.set_xlim(0, (stop - start) * dt)
    return fig


def _cut(spans: Sequence[SleepSpan], start: int, stop: int) -> tuple[SleepSpan, ...]:
    parts = []
    for span in spans:
        first, last = max(span.start, start), min(span.stop, stop)
        if first < last:
            parts.append(dataclasses.replace(span, start=first - start, length=last - first))
    return tuple(parts)


def _spans(given: Recording | Sequence[SleepSpan], dt: float | None) -> tuple[tuple[SleepSpan, ...], float]:
    spans = given.hypnogram if isinstance(given, Recording) else given
    if not isinstance(spans, Sequence) or not all(isinstance(span, SleepSpan) for span in spans):
        raise SettingsError(
            f"A hypnogram cannot be drawn of a {type(given).__name__}.", expected="a recording, or SleepSpans in order"
        )
    usual = given.dt if isinstance(given, Recording) else 0.001
    return tuple(spans), check_number("The step length dt", usual if dt is None else dt, above=0)
