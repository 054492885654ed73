"""The figures of what a run learnt: training curves, confusion matrix, weights before and after sleep."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from neurosleep import plot
from neurosleep.errors import RunFolderError
from neurosleep.experiments.inside import is_there, read_text
from neurosleep.experiments.report.numbers import counted, percent
from neurosleep.experiments.report.read import Rows, Run
from neurosleep.experiments.report.run_figure import RunFigure, Tabulated
from neurosleep.plot._style import Figure

__all__ = ["LEARNT"]

_WEIGHTS = ("layer", "quantity", "low", "high", "count")


def _draw_training(run: Run, fig: Figure) -> None:
    plot.training(run.training, fig=fig)


def _training_words(run: Run) -> tuple[str, str]:
    last = run.training[-1]["accuracy"]
    end = f"; at the end {percent(float(last))} of the training images are right" if last else ""
    return (
        f"Line charts: accuracy and loss of {run.name} in training, over {counted(len(run.training), 'epoch')}{end}.",
        "Accuracy and mean loss on the training batches of each epoch, task by task, dropout included.",
    )


def _draw_confusion(run: Run, fig: Figure) -> None:
    plot.confusion(run.confusion, ax=fig.add_subplot())


def _by_class(rows: Rows) -> dict[int, float]:
    """Accuracy on each class."""
    images: dict[int, int] = {}
    right: dict[int, int] = {}
    for row in rows:
        known, answer, count = (int(float(row[key])) for key in ("class", "answer", "images"))
        images[known] = images.get(known, 0) + count
        right[known] = right.get(known, 0) + count * (known == answer)
    return {known: right[known] / images[known] for known in sorted(images)}


def _confusion_words(run: Run) -> tuple[str, str]:
    accuracies = _by_class(run.confusion)
    told = ", ".join(f"{known}: {percent(value)}" for known, value in list(accuracies.items())[:20])
    more = ", …" if len(accuracies) > 20 else ""
    return (
        f"Confusion matrix of {run.name} at its end; accuracy by class: {told}{more}.",
        "Answers to the test images of each class at the end of the run, in %; beside each class its accuracy.",
    )


def _weights(run: Run) -> Rows:
    path = run.folder / "analysis" / "weight_histogram.csv"
    if not is_there(path):
        return []
    try:
        rows = [dict(row) for row in csv.DictReader(io.StringIO(read_text(path)))]
        sound = (float(row["low"]) <= float(row["high"]) and float(row["count"]) >= 0 and row["layer"] for row in rows)
        return rows if all(sound) and all("quantity" in row for row in rows) else []
    except (RunFolderError, csv.Error, KeyError, TypeError, ValueError):
        return []


def _layers(rows: Rows) -> Sequence[str]:
    return list(dict.fromkeys(str(row["layer"]) for row in rows))[:4]


def _draw_weights(run: Run, fig: Figure) -> None:
    rows = _weights(run)
    layers = _layers(rows)
    panels = fig.subplots(len(layers), 1, squeeze=False)[:, 0]
    for ax, layer in zip(panels, layers, strict=True):
        plot.weight_histogram(rows, layer=layer, ax=ax)
        # One legend for all, and short titles: the panels are low.
        legend = ax.get_legend()
        if legend is not None:
            legend.remove()
        ax.set_title(layer, loc="center", fontsize=9)
        ax.set_xlabel("weight" if ax is panels[-1] else "")
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False, fontsize=9)


def _weights_words(run: Run) -> tuple[str, str]:
    names = ", ".join(_layers(_weights(run)))
    return (
        f"Histograms: weights into {names} of {run.name} before and after the last sleep phase.",
        "Weights before and after the last sleep phase, layer by layer; counts on a logarithmic axis.",
    )


def _weights_table(run: Run) -> Tabulated:
    return _WEIGHTS, _weights(run)


LEARNT: tuple[RunFigure, ...] = (
    RunFigure(
        "confusion",
        3.8,
        lambda run: "answers to the test images of each class",
        lambda run: bool(run.confusion),
        _draw_confusion,
        _confusion_words,
        lambda run: (("class", "answer", "images"), run.confusion),
    ),
    RunFigure(
        "training",
        3.6,
        lambda run: "accuracy and loss in training",
        lambda run: bool(run.training),
        _draw_training,
        _training_words,
        lambda run: (("task", "epoch", "loss", "accuracy"), run.training),
    ),
    RunFigure(
        "weights",
        5.4,
        lambda run: "weights before and after the last sleep phase",
        lambda run: bool(_weights(run)),
        _draw_weights,
        _weights_words,
        _weights_table,
    ),
)
