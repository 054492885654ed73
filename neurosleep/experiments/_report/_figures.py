"""The figures of one run: what each needs, how it is drawn, what it shows in words, and its data as a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from neurosleep import plot
from neurosleep.experiments._report._images import Budget, Image, image
from neurosleep.experiments._report._numbers import counted, percent
from neurosleep.experiments._report._read import Rows, Run, load_night, matrix_of
from neurosleep.experiments._report._zoom import zoom_data
from neurosleep.functional import SpikeEvents

__all__ = ["ANALYSES", "FIGURES", "RunFigure", "analyses_of", "run_image"]

RASTER_STEPS = 2000
_Table = tuple[Sequence[str], Rows]

# The figures that a run's analyses left beside their tables, in the order in which they are shown.
ANALYSES = {
    "class_correlation": "Correlation of the activities that two classes cause, before and after the last sleep",
    "correlation_change": "What the last sleep changed in the correlations within and between classes",
    "sparseness": "Sparseness of the activities before and after the last sleep",
    "representation_change": "How far the last sleep moved the activities of each class",
    "task_specific_firing": "Firing in sleep of the neurons that a class prefers, against random ones",
    "sleep_wake_similarity": "Likeness of the firing in sleep to the activity that each class causes awake",
    "input_drive": "Input to the neurons of old and new tasks before and after the last sleep",
    "weight_histogram": "Weights before and after the last sleep",
    "stable_rank": "Stable rank of the weights before and after the last sleep",
    "patch_drive": "Input from each image to the outputs of its own and of the other task",
    "patch_weights": "Weights from the pixels of one image, of several and of none",
    "settling": "How far the states still move in each step of the free phase",
    "state_trajectories": "States of single units through the free phase of one image",
    "activation_spread": "How active the units are after the free phase",
}


@dataclass(frozen=True)
class RunFigure:
    """One figure of a run.

    Attributes
    ----------
    name:
        Stem of its files.
    height:
        In inches, at a width of 4.8: narrow enough for its text to be read on a phone too, where the width counts.
    title:
        Of the figure when it stands alone.
    there:
        Whether the run has the data for it.
    draw:
        On an empty figure.
    words:
        Alternative text and caption.
    table:
        The data that it shows: column names and rows.
    dots:
        Whether it is a picture of many dots or squares, which as vectors would be large.
    """

    name: str
    height: float
    title: Callable[[Run], str]
    there: Callable[[Run], bool]
    draw: Callable[[Run, Any], None]
    words: Callable[[Run], tuple[str, str]]
    table: Callable[[Run], _Table]
    dots: bool = False

    def png(self, run: Run, *, dpi: float = 150) -> bytes:
        """The figure alone, titled, as a PNG file."""
        fig = plot.figure(6.0, self.height + 0.4, title=f"{run.name}: {self.title(run)}")
        self.draw(run, fig)
        return plot.to_png_bytes(fig, dpi=dpi)

    def embedded(self, run: Run) -> bytes:
        """The figure as it stands under a heading and above a caption."""
        fig = plot.figure(4.8, self.height)
        self.draw(run, fig)
        return plot.to_png_bytes(fig, dpi=140) if self.dots else plot.to_svg_bytes(fig)


def run_image(figure: RunFigure, run: Run, budget: Budget) -> Image | None:
    """The figure for the page, if there is room."""
    zoom = zoom_data(run, budget) if figure.name == "raster" else None
    return image(figure.embedded(run), *figure.words(run), budget, name=figure.name, zoom=zoom)


def analyses_of(run: Run, budget: Budget) -> tuple[list[Image], int]:
    """The figures that the run's analyses left, as far as there is room, and the number of those left out."""
    found = [
        (path, name)
        for name in ANALYSES
        for path in sorted((run.folder / "figures").glob(f"{name}*.png"))
        if re.fullmatch(rf"{name}(_[a-z]+\d*)?", path.stem)
    ]
    images = []
    for path, name in found:
        part = path.stem.removeprefix(name).strip("_")
        who = run.name + (f", {part}" if part else "")
        try:
            png = path.read_bytes()
        except OSError as error:
            run.notes.append(f"{path.name} cannot be read: {error.strerror}.")
            continue
        made = image(png, f"{ANALYSES[name]}: {who}.", f"{ANALYSES[name]} ({part or 'all layers'}).", budget)
        if made is not None:
            images.append(made)
    return images, len(found) - len(images)


# --- accuracy ---------------------------------------------------------------------------------------------------------


def _draw_accuracy(run: Run, fig: Any) -> None:
    plot.accuracy(run.accuracy, ax=fig.add_subplot())


def _accuracy_words(run: Run) -> tuple[str, str]:
    phases = len({(row["after_task"], row["phase"]) for row in run.accuracy})
    asleep = any(row["phase"] == "sleep" for row in run.accuracy)
    end = f"; it ends at {percent(run.score)} over all classes" if run.score is not None else ""
    tasks = len({row["on_task"] for row in run.accuracy})
    return (
        f"Line chart: accuracy of {run.name} on {counted(tasks, 'task')} through {counted(phases, 'phase')}{end}.",
        "Accuracy on each task after every phase" + ("; shaded: after sleep." if asleep else "."),
    )


def _draw_matrix(run: Run, fig: Any) -> None:
    plot.accuracy_matrix(matrix_of(run, "accuracy_matrix"), ax=fig.add_subplot())


def _matrix_words(run: Run) -> tuple[str, str]:
    rows = [", ".join(percent(value, unit="") for value in row) for row in matrix_of(run, "accuracy_matrix")]
    told = (
        "; ".join(f"after task {k}: {row}" for k, row in enumerate(rows, start=1)) if len(rows) <= 12 else "table below"
    )
    return (
        f"Accuracy of {run.name} in % on each task in turn, {told}.",
        "Accuracy in % on each task (columns) after each task (rows), after sleep where there is one.",
    )


def _matrix_table(run: Run) -> _Table:
    return ("after_task", "on_task", "accuracy"), [
        {"after_task": after, "on_task": on, "accuracy": value}
        for after, row in enumerate(matrix_of(run, "accuracy_matrix"), start=1)
        for on, value in enumerate(row, start=1)
    ]


def _has_matrix(run: Run) -> bool:
    matrix = matrix_of(run, "accuracy_matrix")
    known = [value for row in matrix for value in row if value is not None]
    return len(matrix) > 1 and bool(known) and all(0 <= value <= 1 for value in known)


# --- firing -----------------------------------------------------------------------------------------------------------


def first_steps(run: Run) -> dict[str, SpikeEvents]:
    """The beginning of the recorded night."""
    return {name: events.slice(0, min(events.steps, RASTER_STEPS)) for name, events in (run.spikes or {}).items()}


def _draw_raster(run: Run, fig: Any) -> None:
    plot.raster(first_steps(run), dt=run.dt, ax=fig.add_subplot())


def _raster_words(run: Run) -> tuple[str, str]:
    events = first_steps(run)
    steps = max((part.steps for part in events.values()), default=0)
    count = counted(sum(part.count for part in events.values()), "spike")
    return (
        f"Raster plot: {count} of {', '.join(events) or 'no population'} in {counted(steps, 'step')}, {run.name}.",
        f"Spikes in the first {counted(steps, 'step')} of the sleep after task {run.spikes_after}.",
    )


def _raster_table(run: Run) -> _Table:
    """One row per spike."""
    return ("population", "time_s", "neuron"), [
        {"population": name, "time_s": round(int(step) * run.dt, 9), "neuron": int(neuron)}
        for name, events in first_steps(run).items()
        for step, neuron in zip(events.times, events.indices, strict=True)
    ]


def _draw_rates(run: Run, fig: Any) -> None:
    plot.rates(run.firing, dt=run.dt, ax=fig.add_subplot())


def _rates_words(run: Run) -> tuple[str, str]:
    populations = ", ".join(dict.fromkeys(str(row["population"]) for row in run.firing))
    return f"Line chart: firing rates of {populations} while {run.name} sleeps.", "Firing rates through the sleeps."


def _rates_table(run: Run) -> _Table:
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


def _has_spikes(run: Run) -> bool:
    load_night(run)
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
    RunFigure(
        "rates",
        3.0,
        lambda run: "firing rates through the sleeps",
        lambda run: bool(run.firing),
        _draw_rates,
        _rates_words,
        _rates_table,
    ),
)
