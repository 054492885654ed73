"""The figures of one run: what each needs, how it is drawn, what it shows in words, and its data as a table."""

from __future__ import annotations

import itertools
import math
import shutil
from dataclasses import replace
from pathlib import Path

from neurosleep import plot
from neurosleep.errors import SettingsError
from neurosleep.experiments.report.images import Budget, Image, as_csv, image
from neurosleep.experiments.report.learnt import LEARNT
from neurosleep.experiments.report.numbers import counted, percent
from neurosleep.experiments.report.read import Rows, Run, input_weights, load_spikes
from neurosleep.experiments.report.run_figure import RunFigure, Tabulated
from neurosleep.experiments.report.zoom import zoom_data
from neurosleep.experiments.run_folder import write_whole
from neurosleep.functional import SpikeEvents
from neurosleep.plot._style import Figure
from neurosleep.spiking import Recording

__all__ = ["FIGURES", "animation_of", "run_image", "write_animation"]

RASTER_STEPS = 2000
# Moments of a sleep that are shown as images, and over how many steps each.
IMAGES, IMAGE_STEPS = 8, 20
# Fewer inter-spike intervals make no distribution.
FEWEST_INTERVALS = 50
# Units whose weights are shown as images.
FIELDS = 15


def run_image(figure: RunFigure, run: Run, budget: Budget) -> Image | None:
    """The figure for the page, if there is room."""
    zoom = zoom_data(run, budget) if figure.name == "raster" else None
    content, points = figure.embedded(run)
    made = image(content, *figure.words(run), budget, name=figure.name, zoom=zoom)
    if made is None:
        return None
    points = points if points is not None and budget.take(len(points)) else None
    return replace(made, points=points, table=run.link(f"figures/{figure.name}.csv"))


def write_animation(run: Run) -> list[Path]:
    """``figures/sleep.gif``, in which the recorded sleep passes, and its rates as ``sleep.csv``, if there is one.

    For slides also ``sleep.mp4``, where ffmpeg is there.
    """
    if not _has_spikes(run) or not any(events.steps for events in (run.spikes or {}).values()):
        return []
    spikes = run.spikes or {}
    path = run.folder / "figures" / "sleep.gif"
    weights = [row for row in _last_weights(run) if int(row["after_task"]) == run.spikes_after and row["change"]]
    title = f"{run.name}: the sleep after task {run.spikes_after}"
    endings = (".gif", ".mp4") if shutil.which("ffmpeg") else (".gif",)
    films = [path.with_suffix(ending) for ending in endings]
    for film in films:
        plot.animate_sleep(spikes, film, dt=run.dt, tasks=run.preferred or None, weights=weights, title=title)
    rows = plot.sleep_rows(spikes, dt=run.dt)
    write_whole(path.with_suffix(".csv"), as_csv(rows, ("population", "start_s", "stop_s", "rate_hz")))
    run.spikes = None
    return [*films, path.with_suffix(".csv")]


def animation_of(run: Run, budget: Budget) -> Image | None:
    """The animation that :func:`write_animation` left, if there is one and room for it."""
    path = run.folder / "figures" / "sleep.gif"
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        run.notes.append(f"{path.name} cannot be read: {error.strerror}.")
        return None
    if not content.startswith(b"GIF8"):
        return None
    alt = f"Animation of five seconds: spikes, rates and weights of {run.name} in a sleep, as time passes."
    made = image(
        content, alt, "Animation of a sleep phase: spikes, rates, and weights where recorded.", budget, name="sleep"
    )
    if made is None:
        run.notes.append("The animation is left out to keep this file small; it is figures/sleep.gif.")
    return made


# --- accuracy ---------------------------------------------------------------------------------------------------------


def _draw_accuracy(run: Run, fig: Figure) -> None:
    plot.accuracy(run.accuracy, ax=fig.add_subplot())


def _accuracy_words(run: Run) -> tuple[str, str]:
    phases = len({(row["after_task"], row["phase"]) for row in run.accuracy})
    sleeps = any(row["phase"] == "sleep" for row in run.accuracy)
    end = f"; it ends at {percent(run.score)} over all classes" if run.score is not None else ""
    tasks = len({row["on_task"] for row in run.accuracy})
    return (
        f"Line chart: accuracy of {run.name} on {counted(tasks, 'task')} through {counted(phases, 'phase')}{end}.",
        "Accuracy on each task after every phase" + ("; shaded: after sleep." if sleeps else "."),
    )


def _after_tasks(run: Run) -> list[list[float | None]]:
    """Accuracy on every task after every task, the sleep included where there was one."""
    accuracies: dict[int, dict[int, float | None]] = {}
    for row in sorted(run.accuracy, key=lambda row: str(row["phase"]) == "sleep"):
        value = row["accuracy"]
        known = None if value in (None, "") or math.isnan(float(value)) else float(value)
        accuracies.setdefault(int(float(row["after_task"])), {})[int(float(row["on_task"]))] = known
    tasks = max((task for values in accuracies.values() for task in values), default=0)
    return [[accuracies[after].get(task) for task in range(1, tasks + 1)] for after in sorted(accuracies)]


def _draw_matrix(run: Run, fig: Figure) -> None:
    plot.accuracy_matrix(_after_tasks(run), ax=fig.add_subplot())


def _matrix_words(run: Run) -> tuple[str, str]:
    rows = [", ".join(percent(value, unit="") for value in row) for row in _after_tasks(run)]
    told = (
        "; ".join(f"after task {k}: {row}" for k, row in enumerate(rows, start=1)) if len(rows) <= 12 else "table below"
    )
    return (
        f"Accuracy of {run.name} in % on each task in turn, {told}.",
        "Accuracy in % on each task (columns) after each task (rows), after sleep where there is one.",
    )


def _matrix_table(run: Run) -> Tabulated:
    return ("after_task", "on_task", "accuracy"), [
        {"after_task": after, "on_task": on, "accuracy": value}
        for after, row in enumerate(_after_tasks(run), start=1)
        for on, value in enumerate(row, start=1)
    ]


def _has_matrix(run: Run) -> bool:
    matrix = _after_tasks(run)
    known = [value for row in matrix for value in row if value is not None]
    return len(matrix) > 1 and bool(known) and all(0 <= value <= 1 for value in known)


# --- firing -----------------------------------------------------------------------------------------------------------


def first_steps(run: Run) -> dict[str, SpikeEvents]:
    """The start of the recorded sleep phase."""
    return {name: events.slice(0, min(events.steps, RASTER_STEPS)) for name, events in (run.spikes or {}).items()}


def _draw_raster(run: Run, fig: Figure) -> None:
    plot.raster(first_steps(run), dt=run.dt, tasks=run.preferred or None, ax=fig.add_subplot())


def _raster_words(run: Run) -> tuple[str, str]:
    events = first_steps(run)
    steps = max((part.steps for part in events.values()), default=0)
    count = counted(sum(part.count for part in events.values()), "spike")
    return (
        f"Raster plot: {count} of {', '.join(events) or 'no population'} in {counted(steps, 'step')}, {run.name}.",
        f"Spikes in the first {counted(steps, 'step')} of the sleep after task {run.spikes_after}."
        + (" The colour is the task whose images excite the neuron most." if run.preferred else ""),
    )


def _raster_table(run: Run) -> Tabulated:
    """One row per spike."""
    return ("population", "time_s", "neuron"), [
        {"population": name, "time_s": round(int(step) * run.dt, 9), "neuron": int(neuron)}
        for name, events in first_steps(run).items()
        for step, neuron in zip(events.times, events.indices, strict=True)
    ]


def _draw_hypnogram(run: Run, fig: Figure) -> None:
    spikes = run.spikes or {}
    steps = max(events.steps for events in spikes.values())
    counts = {name: events.counts() for name, events in spikes.items()}
    recording = Recording(steps, run.dt, dict(counts), spikes=spikes, hypnogram=run.hypnogram)
    plot.sleep_overview(recording, start=_shown_from(run), steps=min(steps, RASTER_STEPS), fig=fig)


def _shown_from(run: Run) -> int:
    """The first step of the hypnogram that is shown: where one stage follows another, that is in the middle."""
    spans = run.hypnogram
    turn = next((b.start for a, b in itertools.pairwise(spans) if a.stage != b.stage), 0)
    return max(0, min(turn - RASTER_STEPS // 2, spans[-1].stop - RASTER_STEPS))


def _hypnogram_words(run: Run) -> tuple[str, str]:
    spans = run.hypnogram
    names = ", ".join(f"{state} in {stage}" for stage, state in dict.fromkeys((s.stage, s.state) for s in spans))
    shown, start = counted(min(spans[-1].stop, RASTER_STEPS), "step"), _shown_from(run)
    which = f"{shown} from step {start} on," if start else f"the first {shown}"
    return (
        f"Hypnogram of a sleep of {run.name} ({names}) over spikes and firing rates, in {shown}.",
        f"Stages and states of the sleep after task {run.spikes_after}, with its spikes and rates: {which} "
        f"of {counted(spans[-1].stop, 'step')}.",
    )


def _hypnogram_table(run: Run) -> Tabulated:
    return ("stage", "state", "cycle", "start_s", "seconds"), [
        {
            "stage": span.stage,
            "state": span.state,
            "cycle": span.cycle,
            "start_s": round(span.start * run.dt, 9),
            "seconds": round(span.length * run.dt, 9),
        }
        for span in run.hypnogram
    ]


def _draw_rates(run: Run, fig: Figure) -> None:
    plot.rates(run.firing, dt=run.dt, ax=fig.add_subplot())


def _rates_words(run: Run) -> tuple[str, str]:
    populations = ", ".join(dict.fromkeys(str(row["population"]) for row in run.firing))
    return f"Line chart: firing rates of {populations} while {run.name} sleeps.", "Firing rates through the sleeps."


def _rates_table(run: Run) -> Tabulated:
    """The firing windows with the mean rate of a neuron in Hz."""
    return ("after_task", "population", "start_s", "seconds", "rate_hz"), [
        {
            "after_task": row["after_task"],
            "population": row["population"],
            "start_s": float(row["start_step"]) * run.dt,
            "seconds": float(row["steps"]) * run.dt,
            "rate_hz": float(row["spikes"]) / (float(row["neurons"]) * float(row["steps"]) * run.dt),
        }
        for row in run.firing
    ]


# --- what is seen and looked for --------------------------------------------------------------------------------------


def _inputs(run: Run) -> SpikeEvents | None:
    """The spikes of the inputs, where these make an image."""
    load_spikes(run)
    events = (run.spikes or {}).get("input")
    if events is None or not events.steps:
        return None
    try:
        plot.image_shape(events.n)
    except SettingsError:
        return None
    return events


def _draw_images(run: Run, fig: Figure) -> None:
    events = _inputs(run)
    assert events is not None
    plot.sleep_images(events, windows=IMAGES, length=IMAGE_STEPS, dt=run.dt, ax=fig.add_subplot())


def _images_words(run: Run) -> tuple[str, str]:
    seconds = f"{IMAGE_STEPS * run.dt:g} s"
    return (
        f"Images: mean rate of the inputs over {seconds} each, at moments of a sleep of {run.name}.",
        f"What the network saw in the sleep after task {run.spikes_after}: input over {seconds}, at even distances.",
    )


def _images_table(run: Run) -> Tabulated:
    events = _inputs(run)
    assert events is not None
    spans, rates = plot.window_rates(events, windows=IMAGES, length=IMAGE_STEPS, dt=run.dt)
    return ("start_s", "stop_s", "pixel", "rate_hz"), [
        {"start_s": start, "stop_s": stop, "pixel": pixel, "rate_hz": float(rate)}
        for (start, stop), row in zip(spans, rates, strict=True)
        for pixel, rate in enumerate(row)
    ]


def _draw_fields(run: Run, fig: Figure) -> None:
    weights = input_weights(run)
    assert weights is not None
    plot.receptive_fields(weights, units=FIELDS, ax=fig.add_subplot())


def _fields_words(run: Run) -> tuple[str, str]:
    return (
        f"Images: weights from the pixels to {FIELDS} units of the first layer of {run.name}, positive and negative.",
        "Weights from the pixels to the units whose weights differ most from 0, at the end of the run.",
    )


def _fields_table(run: Run) -> Tabulated:
    weights = input_weights(run)
    assert weights is not None
    return ("unit", "pixel", "weight"), [
        {"unit": unit, "pixel": pixel, "weight": float(value)}
        for unit in plot.chosen_units(weights, FIELDS)
        for pixel, value in enumerate(weights[unit])
    ]


# --- intervals and weights --------------------------------------------------------------------------------------------


def _intervals_of(run: Run) -> dict[str, SpikeEvents]:
    """The populations with enough intervals for a distribution."""
    load_spikes(run)
    return {
        name: events
        for name, events in (run.spikes or {}).items()
        if sum(row["intervals"] for row in plot.interval_counts(events, dt=run.dt, bins=1)) >= FEWEST_INTERVALS
    }


def _draw_intervals(run: Run, fig: Figure) -> None:
    plot.intervals(_intervals_of(run), dt=run.dt, ax=fig.add_subplot())


def _intervals_words(run: Run) -> tuple[str, str]:
    return (
        f"Histogram: inter-spike intervals while {run.name} sleeps, by population.",
        f"Inter-spike interval (ISI) distribution in the sleep phase after task {run.spikes_after}.",
    )


def _intervals_table(run: Run) -> Tabulated:
    return ("population", "low_s", "high_s", "intervals"), plot.interval_counts(_intervals_of(run), dt=run.dt)


def _draw_weights(run: Run, fig: Figure) -> None:
    plot.weight_change(_last_weights(run), ax=fig.add_subplot())


def _weights_words(run: Run) -> tuple[str, str]:
    last = {str(row["projection"]): row["change"] for row in _last_weights(run)}
    told = ", ".join(f"{name} {float(value):.3g}" if value else f"{name} unknown" for name, value in last.items())
    return (
        f"Line chart: change of the weights while {run.name} sleeps; at the end {told}.",
        "Root mean square of the change of the weights since the start of the last sleep phase.",
    )


def _last_weights(run: Run) -> Rows:
    last = max((int(row["after_task"]) for row in run.weights), default=0)
    return [row for row in run.weights if int(row["after_task"]) == last]


def _has_spikes(run: Run) -> bool:
    load_spikes(run)
    return run.spikes is not None


FIGURES: tuple[RunFigure, ...] = (
    RunFigure(
        "accuracy",
        3.2,
        lambda run: "accuracy on each task after every phase",
        lambda run: bool(run.accuracy),
        _draw_accuracy,
        _accuracy_words,
        lambda run: (("after_task", "phase", "on_task", "accuracy"), run.accuracy),
    ),
    RunFigure(
        "accuracy_matrix",
        3.2,
        lambda run: "accuracy on each task after each task",
        _has_matrix,
        _draw_matrix,
        _matrix_words,
        _matrix_table,
    ),
    RunFigure(
        "raster",
        3.6,
        lambda run: f"spikes at the start of the sleep after task {run.spikes_after}",
        _has_spikes,
        _draw_raster,
        _raster_words,
        _raster_table,
        dots=True,
    ),
    *LEARNT,
    RunFigure(
        "hypnogram",
        5.6,
        lambda run: f"stages, spikes and rates in the sleep after task {run.spikes_after}",
        lambda run: _has_spikes(run) and bool(run.hypnogram) and bool(run.spikes),
        _draw_hypnogram,
        _hypnogram_words,
        _hypnogram_table,
        dots=True,
    ),
    RunFigure(
        "rates",
        3.0,
        lambda run: "firing rates through the sleeps",
        lambda run: bool(run.firing),
        _draw_rates,
        _rates_words,
        _rates_table,
    ),
    RunFigure(
        "weight_change",
        3.0,
        lambda run: "change of the weights in the last sleep",
        lambda run: bool(run.weights),
        _draw_weights,
        _weights_words,
        lambda run: (("after_task", "projection", "time_s", "change"), _last_weights(run)),
    ),
    RunFigure(
        "intervals",
        3.0,
        lambda run: f"inter-spike intervals in the sleep phase after task {run.spikes_after}",
        lambda run: bool(_intervals_of(run)),
        _draw_intervals,
        _intervals_words,
        _intervals_table,
    ),
    RunFigure(
        "sleep_images",
        2.6,
        lambda run: f"inputs in the sleep after task {run.spikes_after}",
        lambda run: _inputs(run) is not None,
        _draw_images,
        _images_words,
        _images_table,
        dots=True,
    ),
    RunFigure(
        "receptive_fields",
        3.2,
        lambda run: "weights from the pixels to single units",
        # Beside what was seen; a run of which nothing was recorded is to stay quick.
        lambda run: _has_spikes(run) and input_weights(run) is not None,
        _draw_fields,
        _fields_words,
        _fields_table,
        dots=True,
    ),
)
