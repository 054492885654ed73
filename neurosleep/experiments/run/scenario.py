"""The task sequence of an experiment, from its settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from neurosleep.continual import Strategy
from neurosleep.data import (
    Dataset,
    Task,
    blurred_stream,
    class_incremental,
    cross_modal,
    disturb,
    limit_images,
    load_dataset,
    patches,
    permutations_of,
    permuted,
    scale_by_maximum,
    standardise_by_first,
    to_float,
)
from neurosleep.errors import SettingsError
from neurosleep.experiments.experiment import Data, Experiment
from neurosleep.functional import numpy_generator

__all__ = ["LastTaskOnly", "kind_of", "standardise", "tasks_of"]


class LastTaskOnly(Strategy):
    """The control of the released cross-modal script: the last task alone, from the initial weights."""

    def tasks(self, tasks: list[Task]) -> list[Task]:
        """The last one."""
        return tasks[-1:]


def kind_of(settings: Experiment, tasks: int) -> str:
    """What metrics.json calls the scenario."""
    if settings.data.sequence is not None:
        return "cross-modal"
    if settings.data.permutations is not None:
        return "domain-incremental"
    if settings.data.blur is not None:
        return "smooth stream"
    return "class-incremental" if tasks > 1 else "single"


def standardise(dataset: Dataset, deviations: float = 1.0) -> Dataset:
    """The data set less its mean, divided by ``deviations`` times its standard deviation, as float32.

    Mean and deviation are those of the training images as network inputs (bytes are scaled to 0..1), of each channel
    where there are several (``[n, height, width, channels]``), else of all pixels together.

    Raises
    ------
    SettingsError
        If ``deviations`` is not positive, or the images are all alike.
    """
    if not 0 < deviations < float("inf"):
        raise SettingsError(f"data.deviations is {deviations!r}.", expected="a number > 0")
    shape = dataset.images.shape[1:]
    channels = shape[-1] if len(shape) == 3 else 1
    train, test = (to_float(images).reshape(-1, channels) for images in (dataset.images, dataset.test_images))
    mean = train.mean(axis=0, dtype=np.float64).astype(np.float32)
    sd = train.std(axis=0, dtype=np.float64).astype(np.float32)
    if not (sd > 0).all():
        raise SettingsError(f"The images of {dataset.name!r} have no spread.", expected="images that differ")
    for images in (train, test):
        images -= mean
        images /= np.float32(deviations) * sd
    return dataclasses.replace(dataset, images=train.reshape(-1, *shape), test_images=test.reshape(-1, *shape))


def tasks_of(settings: Experiment, folder: str | None, seed: int) -> list[Task]:
    """The tasks in the order in which they are learnt.

    ``seed`` decides the order where it is random, the pixels of patches, permutations and noise.

    Raises
    ------
    NeurosleepError
        If the data cannot be read, or a setting under ``data`` makes no sense for it.
    """
    data = settings.data
    if data.sequence is not None:
        tasks = cross_modal(
            [load_dataset(name, folder) for name in data.sequence],
            images_per_task=data.images_per_task,
            split=data.split,
        )
    else:
        if data.name == "patches":
            if data.split != "test":
                raise SettingsError(
                    "Patches have one image per class, none to validate on.", expected="data.split test"
                )
            dataset = patches(width=data.width, overlap=data.overlap, seed=seed)
        else:
            dataset = load_dataset(data.name, folder)
            if data.scale == "standard":
                dataset = standardise(dataset, 1.0 if data.deviations is None else data.deviations)
            elif data.scale != "none":
                dataset = scale_by_maximum(dataset, faithful=data.scale == "maximum-of-each")
        tasks = _cut(dataset, data, seed)
    if data.order == "random":
        tasks = [tasks[k] for k in numpy_generator(seed, "task order").permutation(len(tasks))]
    tasks = _limited(tasks, data)
    if data.evaluate == "train":
        tasks = [dataclasses.replace(t, test_images=t.pool_images, test_labels=t.pool_labels) for t in tasks]
    if data.noise is not None:
        tasks = [_noisy(task, data, numpy_generator(seed, "test noise", k)) for k, task in enumerate(tasks)]
    return standardise_by_first(tasks) if data.standardise else tasks


def _limited(tasks: list[Task], data: Data) -> list[Task]:
    """The tasks with fewer images, as the settings have it."""
    if data.images_per_class is None and data.class_shares is None and data.tests_per_task is None:
        return tasks
    return limit_images(tasks, per_class=data.images_per_class, shares=data.class_shares, tests=data.tests_per_task)


def _noisy(task: Task, data: Data, generator: np.random.Generator) -> Task:
    """The task with noise in its test images."""
    assert data.noise is not None and data.noise_strength is not None  # both or neither
    return dataclasses.replace(task, test_images=disturb(task.test_images, data.noise, data.noise_strength, generator))


def _cut(dataset: Dataset, data: Data, seed: int) -> list[Task]:
    """The tasks of one data set: by its classes, or all of them through one permutation of the pixels after another."""
    if data.permutations is not None:
        if data.tasks is not None:
            raise SettingsError(
                f"data.permutations is {data.permutations}, and data.tasks is given.",
                expected="one of them: with permutations each task has all classes",
            )
        first = permuted(dataset, 1, seed=seed, images_per_task=data.images_per_task, split=data.split)
        # Limited first: many permutations of images that are not used would take much memory.
        return permutations_of(_limited(first, data)[0], data.permutations, seed=seed)
    n = data.classes_per_task
    classes: Sequence[Sequence[int]] | None = data.tasks
    if classes is None:
        classes = [range(c, min(c + n, dataset.n_classes)) for c in range(0, dataset.n_classes, n)]
    if data.blur is not None and data.parts is not None:
        return blurred_stream(dataset, classes, blur=data.blur, parts=data.parts, seed=seed, split=data.split)
    return class_incremental(dataset, classes, images_per_task=data.images_per_task, split=data.split)
