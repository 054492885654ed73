"""The analyses of a run, as tables and figures in its folder: of its last sleep phase, or of an equilibrium network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from neurosleep import plot
from neurosleep.analysis import (
    Table,
    activation_spread,
    analyse_sleep,
    confusion_change,
    patch_drive,
    patch_weights,
    preferred_class,
    settling,
    state_trajectories,
    weight_histogram,
)
from neurosleep.data import Task, to_float
from neurosleep.experiments.run_folder import write_whole
from neurosleep.networks import MLP, EquilibriumNetwork
from neurosleep.plot._style import Axes
from neurosleep.replay import RegulatedLayers
from neurosleep.spiking import Recording

__all__ = ["renamed", "write_analysis", "write_homeostasis", "write_preferred_task", "write_settling", "write_weights"]

# Test images that settle for the tables of an equilibrium network.
_SETTLING_IMAGES = 500
# Test images of each task that say which neurons it excites.
_PREFERENCE_IMAGES = 200
# Tables with a figure for each layer.
_BY_LAYER = ("class_correlation", "task_specific_firing", "unit_drives", "weight_histogram", "state_trajectories")


def write_analysis(
    folder: Path, before: MLP, after: MLP, recording: Recording | None, tasks: Sequence[Task], *, seed: int = 0
) -> list[Path]:
    """Analyse one sleep and write ``analysis/NAME.csv`` and ``figures/NAME.png`` below ``folder``.

    ``before`` and ``after`` are the awake networks around the sleep, ``recording`` its spikes if it kept any (the
    input's first), and ``tasks`` those learnt so far.
    """
    if recording is not None:
        recording = renamed(recording, ["input", *(f"hidden{k}" for k in range(1, len(after.weights))), "output"])
    images = np.concatenate([task.test_images.reshape(len(task.test_images), -1) for task in tasks])
    labels = np.concatenate([task.test_labels for task in tasks])
    x, y = torch.from_numpy(to_float(images)), torch.from_numpy(labels)
    classes = [task.classes for task in tasks]
    tables = analyse_sleep(before, after, recording, x, y, classes, seed=seed)
    if len(before.weights) == 1 and len(tasks) > 1:
        tables["patch_drive"] = patch_drive(before, after, x, y, classes)
        tables["patch_weights"] = patch_weights(before, after, x, y, classes)
    return _write(folder, tables)


def renamed(recording: Recording, names: Sequence[str]) -> Recording:
    """``recording`` with these names for its populations in their order; each conversion has names of its own."""
    name = dict(zip(recording.counts, names, strict=False))
    return dataclasses.replace(
        recording,
        counts={name[key]: counts for key, counts in recording.counts.items()},
        spikes={name[key]: events for key, events in recording.spikes.items()},
    )


def write_homeostasis(
    folder: Path, before: nn.Module, after: nn.Module, regulated: RegulatedLayers | None, tests: Sequence[Task]
) -> list[Path]:
    """Write the drive of every unit and the answers before and after a sleep, in the files of :func:`write_analysis`.

    ``before`` and ``after`` are the awake networks around the sleep, ``regulated`` what its last NREM stage did, and
    ``tests`` the tasks learnt so far, of which the last is new.
    """
    images = np.concatenate([task.test_images for task in tests])
    labels = torch.from_numpy(np.concatenate([task.test_labels for task in tests]))
    tables = {"confusion_change": confusion_change(before, after, torch.from_numpy(to_float(images)), labels)}
    if regulated is not None:
        hidden = [layer.name for layer in regulated.layers if not layer.output]
        names = {name: f"hidden{k}" for k, name in enumerate(hidden, start=1)}
        rows = [row | {"layer": names.get(row["layer"], "output")} for row in regulated.rows()]
        tables["unit_drives"] = Table.from_rows(rows)
    classes = sorted({int(one) for task in tests for one in task.classes})
    new = sorted({int(one) for one in tests[-1].classes} - {int(one) for task in tests[:-1] for one in task.classes})
    # Where no class is new, as of permuted images, old and new outputs are the same.
    ages = {"classes": classes, "new_classes": new} if new else {}
    return _write(folder, tables, {"unit_drives_output": ages})


def write_settling(
    folder: Path,
    network: EquilibriumNetwork,
    tasks: Sequence[Task],
    *,
    before: EquilibriumNetwork | None = None,
    seed: int = 0,
) -> list[Path]:
    """Write how ``network`` settles, and how active its units are then, in the files of :func:`write_analysis`.

    ``before`` is the same before its last sleep, if it slept: its tables are called ``..._before``. The images are the
    first ones of each task's test images, some 500 in all.
    """
    each = max(1, _SETTLING_IMAGES // len(tasks))
    images = np.concatenate([task.test_images[:each].reshape(len(task.test_images[:each]), -1) for task in tasks])
    x = torch.from_numpy(to_float(images))
    tables = {
        "settling": settling(network, x),
        "state_trajectories": state_trajectories(network, x, seed=seed),
        "activation_spread": activation_spread(network, x),
    }
    if before is not None:
        tables |= {"settling_before": settling(before, x), "activation_spread_before": activation_spread(before, x)}
    return _write(folder, tables)


def write_weights(folder: Path, before: MLP, after: MLP) -> Path:
    """Write ``analysis/weight_histogram.csv``: the weights of each layer before and after the last sleep."""
    path = folder / "analysis" / "weight_histogram.csv"
    weight_histogram(before, after).to_csv(path)
    return path


def write_preferred_task(folder: Path, network: MLP, tasks: Sequence[Task]) -> Path:
    """Write ``analysis/preferred_task.csv``: the task (from 1) whose images excite each neuron most, 0 where none does.

    Of the neurons of every layer after the input, in the network as it is; some of the test images are enough.
    """
    images = [task.test_images[:_PREFERENCE_IMAGES] for task in tasks]
    x = np.concatenate([part.reshape(len(part), -1) for part in images])
    numbers = np.repeat(np.arange(1, len(tasks) + 1), [len(part) for part in images])
    preferred = preferred_class(network, torch.from_numpy(to_float(x)), numbers)
    rows = [
        {"population": name, "neuron": neuron, "task": max(task, 0)}
        for name, of_layer in preferred.items()
        for neuron, task in enumerate(of_layer.tolist())
    ]
    path = folder / "analysis" / "preferred_task.csv"
    Table.from_rows(rows).to_csv(path)
    return path


def _write(
    folder: Path, tables: Mapping[str, Table], options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> list[Path]:
    """Tables and their figures; ``options`` by name of the figure are those of the function that draws it."""
    written = []
    for name, table in tables.items():
        path = folder / "analysis" / f"{name}.csv"
        table.to_csv(path)
        written.append(path)
        for label, draw in _drawings(name, table, options):
            figure = plot.figure(5.6, 3.6)
            draw(figure.subplots())
            path = folder / "figures" / f"{label}.png"
            write_whole(path, plot.to_png_bytes(figure, dpi=120))
            # Beside the figure the rows that it shows.
            _rows_of(label, name, table).to_csv(path.with_suffix(".csv"))
            written += [path, path.with_suffix(".csv")]
    return written


def _rows_of(label: str, name: str, table: Table) -> Table:
    """The rows of a table that a figure shows: those of the layer or the task that its name ends with, or all."""
    rows = table.rows()
    part = label.removeprefix("correlation_change").removeprefix(name).removeprefix("_before_").strip("_")
    own = [row for row in rows if part in (row.get("layer"), f"task{row.get('task')}")] if part else rows
    return Table.from_rows(own or rows)


def _drawings(
    name: str, table: Table, options: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, Callable[[Axes], object]]]:
    """Name of each figure of a table, and the function that draws it."""
    if name == "patch_weights":
        return [(f"{name}_task{t}", _drawn(plot.patch_weights, table, task=t)) for t in (1, 2)]
    if name == "confusion_change":
        return [
            (name, _drawn(plot.confusion_change, table)),
            (f"{name}_moved", _drawn(plot.confusion_change, table, value="moved")),
        ]
    function = getattr(plot, name.removesuffix("_before"), None)
    if function is None:
        return []
    if name not in _BY_LAYER:
        return [(name, _drawn(function, table))]
    layers = dict.fromkeys(str(row["layer"]) for row in table.rows())
    drawings: list[tuple[str, Callable[[Axes], object]]] = [
        (label, _drawn(function, table, layer=layer, **options.get(label, {})))
        for layer in layers
        for label in [f"{name}_{layer}"]
    ]
    if name == "class_correlation":
        drawings += [
            (f"{name}_before_{layer}", _drawn(function, table, layer=layer, value="before")) for layer in layers
        ]
        drawings += [
            (f"correlation_change_{layer}", _drawn(plot.correlation_change, table, layer=layer)) for layer in layers
        ]
    return drawings


def _drawn(function: Callable[..., Axes], table: Table, **options: Any) -> Callable[[Axes], object]:
    return lambda ax: function(table, ax=ax, **options)
