"""The figures that a run's analyses left in its folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from neurosleep.experiments.report.images import Budget, Image, image
from neurosleep.experiments.report.read import Run

__all__ = ["ANALYSES", "analyses_of", "headed"]

# The figures that a run's analyses left beside their tables, in the order in which they are shown.
ANALYSES = {
    "unit_drives": "Mean and spread of each unit's drive under noise, before and after the last sleep",
    "confusion_change": "Answers that the last sleep changed",
    "class_correlation_before": "Correlation of the activities that two classes cause, before the last sleep",
    "class_correlation": "Correlation of the activities that two classes cause, after the last sleep",
    "correlation_change": "What the last sleep changed in the correlations within and between classes",
    "sparseness": "Sparseness of the activities before and after the last sleep",
    "representation_change": "How far the last sleep moved the activities of each class",
    "task_specific_firing": "Firing in sleep of class-selective neurons, against random ones",
    "sleep_wake_similarity": "Similarity of the firing in sleep to the awake activity of each class",
    "input_drive": "Input to the neurons of old and new tasks before and after the last sleep",
    "weight_histogram": "Weights before and after the last sleep",
    "stable_rank": "Stable rank of the weights before and after the last sleep",
    "patch_drive": "Input from each image to the outputs of its own and of the other task",
    "patch_weights": "Weights from the pixels of one image, of several and of none",
    "settling": "How far the states still move in each step of the free phase",
    "state_trajectories": "States of single units through the free phase of one image",
    "activation_spread": "How active the units are after the free phase",
}


# Of equilibrium networks, whether they sleep or not.
_SETTLING = {"settling", "state_trajectories", "activation_spread"}


def headed(images: Sequence[Image]) -> list[tuple[str, list[Image]]]:
    """The figures below headings that say what they show."""
    parts = {
        "How the network settles": [picture for picture in images if picture.name in _SETTLING],
        "What the last sleep changed": [picture for picture in images if picture.name not in _SETTLING],
    }
    return [(heading, members) for heading, members in parts.items() if members]


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
        words = f"{ANALYSES[name]}: {who}.", f"{ANALYSES[name]} ({part or 'all layers'})."
        made = image(png, *words, budget, name=name)
        if made is not None:
            images.append(replace(made, table=run.link(f"figures/{path.stem}.csv")))
    return images, len(found) - len(images)
