"""The task sequence of an experiment, from its settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from neurosleep.continual import Strategy
from neurosleep.data import Task, class_incremental, cross_modal, load_dataset, patches, scale_by_maximum
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import numpy_generator

__all__ = ["LastTaskOnly", "kind_of", "tasks_of"]


class LastTaskOnly(Strategy):
    """The control of the released cross-modal script: the last task alone, from the initial weights."""

    def tasks(self, tasks: list[Task]) -> list[Task]:
        """The last one."""
        return tasks[-1:]


def kind_of(settings: Mapping[str, Any], tasks: int) -> str:
    """What metrics.json calls the scenario."""
    if settings["data"]["sequence"] is not None:
        return "cross-modal"
    return "class-incremental" if tasks > 1 else "single"


def tasks_of(settings: Mapping[str, Any], folder: str | None, seed: int) -> list[Task]:
    """The tasks in the order in which they are learnt.

    ``seed`` decides the order where it is random, and the pixels of patches.

    Raises
    ------
    NeurosleepError
        If the data cannot be read, or a setting under ``data`` makes no sense for it.
    """
    data = settings["data"]
    for key, known in (
        ("order", ("label", "random")),
        ("evaluate", ("test", "train")),
        ("control", ("sequence", "last")),
        ("split", ("test", "validation")),
        ("scale", ("none", "maximum", "maximum-of-each")),
    ):
        if data[key] not in known:
            raise unknown_name(key, str(data[key]), known)
    if data["sequence"] is not None:
        tasks = cross_modal(
            [load_dataset(name, folder) for name in data["sequence"]],
            images_per_task=data["images_per_task"],
            split=data["split"],
        )
    else:
        if data["name"] == "patches":
            if data["split"] != "test":
                raise SettingsError(
                    "Patches have one image per class, none to validate on.", expected="data.split test"
                )
            dataset = patches(width=data["width"], overlap=data["overlap"], seed=seed)
        else:
            dataset = load_dataset(data["name"], folder)
            if data["scale"] != "none":
                dataset = scale_by_maximum(dataset, faithful=data["scale"] == "maximum-of-each")
        classes, n = data["tasks"], data["classes_per_task"]
        if n < 1:
            raise SettingsError(f"data.classes_per_task is {n!r}.", expected="at least 1")
        if classes is None:
            classes = [range(c, min(c + n, dataset.n_classes)) for c in range(0, dataset.n_classes, n)]
        tasks = class_incremental(dataset, classes, images_per_task=data["images_per_task"], split=data["split"])
    if data["order"] == "random":
        tasks = [tasks[k] for k in numpy_generator(seed, "task order").permutation(len(tasks))]
    if data["evaluate"] == "train":
        tasks = [dataclasses.replace(t, test_images=t.pool_images, test_labels=t.pool_labels) for t in tasks]
    return tasks
