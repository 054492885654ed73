"""Sequences of tasks cut from data sets, and the validation split.

Everything keeps file order, and nothing is drawn at random but the pixel permutations: a split is a function of the
data, so that two runs, or two machines, train on the same images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count
from neurosleep.data.dataset import Array, Dataset, describe
from neurosleep.errors import DataError, SettingsError, unknown_name

__all__ = ["Task", "class_incremental", "cross_modal", "joint", "permutations_of", "permuted", "validation_split"]


@dataclass(frozen=True, eq=False)
class Task:
    """One task of a sequence.

    Parameters
    ----------
    name:
        Short name for tables and figures, such as ``"0,1"``.
    classes:
        The classes it holds.
    train_images, train_labels:
        What training uses: ``[n, *shape]`` in the dtype of the data set, and int64 ``[n]``.
    pool_images, pool_labels:
        ALL training images of the task, from which sleep statistics are taken; the training images are the first of
        these.
    test_images, test_labels:
        What it is evaluated on.

    See Also
    --------
    class_incremental, permuted, cross_modal : sequences of them
    joint : all of a sequence as one

    Examples
    --------
    >>> from neurosleep.data import class_incremental, patches
    >>> task = class_incremental(patches())[0]
    >>> task.name, task.classes, task.train_images.shape
    ('0,1', (0, 1), (2, 10, 10))
    """

    name: str
    classes: tuple[int, ...]
    train_images: Array = field(repr=False)
    train_labels: NDArray[np.int64] = field(repr=False)
    pool_images: Array = field(repr=False)
    pool_labels: NDArray[np.int64] = field(repr=False)
    test_images: Array = field(repr=False)
    test_labels: NDArray[np.int64] = field(repr=False)


def class_incremental(
    dataset: Dataset,
    tasks: Iterable[Iterable[int]] | None = None,
    *,
    images_per_task: int | None = None,
    split: str = "test",
) -> list[Task]:
    """Tasks that each bring new classes, as in the published class-incremental experiments.

    Parameters
    ----------
    dataset:
        Where the images come from.
    tasks:
        The classes of each task, such as ``[(0, 1), (2, 3)]``. Left out: consecutive pairs of all classes (an odd last
        class stands alone).
    images_per_task:
        Train on the first that many images of each task, in file order. Left out: on all of them.
    split:
        ``"test"`` evaluates on the test part; ``"validation"`` on the last tenth of each class of the training data,
        which then is not trained on, and the test part is not touched.

    Returns
    -------
    One :class:`Task` for each entry of ``tasks``, in that order.

    Raises
    ------
    SettingsError
        If a task is empty, a class does not exist or is named twice, or ``images_per_task`` is not positive.
    DataError
        If a class has no images, or a task has fewer than ``images_per_task``.

    See Also
    --------
    permuted, cross_modal : other sequences
    joint : its upper bound
    neurosleep.continual.learn_tasks : learns one

    Examples
    --------
    >>> from neurosleep.data import class_incremental, patches
    >>> [task.classes for task in class_incremental(patches())]
    [(0, 1), (2, 3)]
    """
    source = _choose(dataset, split)
    result = []
    for classes in _check_tasks(tasks, source):
        name = ",".join(str(c) for c in classes)
        train = np.isin(source.labels, classes)
        test = np.isin(source.test_labels, classes)
        for part, labels in (("training", source.labels[train]), ("test", source.test_labels[test])):
            absent = sorted(set(classes) - set(np.unique(labels).tolist()))
            if absent:
                raise DataError(
                    f"Data set {dataset.name!r} has no {part} images of a class that task {name!r} needs.",
                    found=f"none of class {absent[0]}",
                    expected="at least one image of each class",
                )
        result.append(
            _task(
                name,
                classes,
                (source.images[train], source.labels[train]),
                (source.test_images[test], source.test_labels[test]),
                images_per_task,
            )
        )
    return result


def permuted(
    dataset: Dataset, n_tasks: int, *, seed: int, images_per_task: int | None = None, split: str = "test"
) -> list[Task]:
    """Tasks with all classes each, seen through one fixed permutation of the pixels per task.

    Task 0 is unpermuted. The permutation of task k depends on ``seed`` and k only, so a longer sequence starts with the
    same tasks.

    Parameters
    ----------
    dataset, images_per_task, split:
        As in :func:`class_incremental`.
    n_tasks:
        How many tasks, at least 1.
    seed:
        Seed of the run, an integer >= 0.

    Raises
    ------
    SettingsError
        If ``n_tasks``, ``images_per_task`` or ``seed`` makes no sense.
    DataError
        If there are fewer than ``images_per_task`` images.

    See Also
    --------
    class_incremental, cross_modal : other sequences

    Examples
    --------
    >>> from neurosleep.data import patches, permuted
    >>> [task.classes for task in permuted(patches(), 3, seed=0)]
    [(0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3)]
    """
    source = _choose(dataset, split)
    pool, test = (source.images, source.labels), (source.test_images, source.test_labels)
    return permutations_of(_task("", tuple(range(source.n_classes)), pool, test, images_per_task), n_tasks, seed=seed)


def permutations_of(task: Task, n_tasks: int, *, seed: int) -> list[Task]:
    """A task as it is, and again through one fixed permutation of the pixels after another.

    See Also
    --------
    permuted : of all classes of a data set

    Examples
    --------
    >>> from neurosleep.data import class_incremental, patches, permutations_of
    >>> [task.name for task in permutations_of(class_incremental(patches())[0], 3, seed=0)]
    ['permutation 0', 'permutation 1', 'permutation 2']
    """
    # The generators live beside torch ones, and torch is not needed to read data.
    from neurosleep.functional.random import check_seed, numpy_generator

    check_seed(seed)
    result = [replace(task, name="permutation 0")]
    pixels = int(np.prod(task.pool_images.shape[1:]))
    for k in range(1, check_count("n_tasks", n_tasks)):
        order = numpy_generator(seed, "permutation", k).permutation(pixels)
        pool, n = _permute(task.pool_images, order), len(task.train_labels)
        test = _permute(task.test_images, order)
        result.append(replace(task, name=f"permutation {k}", train_images=pool[:n], pool_images=pool, test_images=test))
    return result


def cross_modal(datasets: Sequence[Dataset], *, images_per_task: int | None = None, split: str = "test") -> list[Task]:
    """Tasks that are whole data sets sharing one set of labels: task k is data set k.

    Parameters
    ----------
    datasets:
        Data sets with the same image shape, dtype and number of classes.
    images_per_task, split:
        As in :func:`class_incremental`.

    Raises
    ------
    SettingsError
        If no data set is given, or ``images_per_task`` is not positive.
    DataError
        If the data sets do not agree, or one has fewer than ``images_per_task`` images.

    See Also
    --------
    class_incremental, permuted : sequences of one data set

    Examples
    --------
    >>> from neurosleep.data import cross_modal, patches
    >>> [task.classes for task in cross_modal([patches(seed=0), patches(seed=1)])]
    [(0, 1, 2, 3), (0, 1, 2, 3)]
    """
    if not datasets:
        raise SettingsError("A cross-modal sequence needs data sets.", found="none", expected="at least one")
    first = datasets[0]
    for other in datasets[1:]:
        kinds = [f"{describe(d.images)}, {d.n_classes} classes" for d in (first, other)]
        if kinds[0] != kinds[1]:
            raise DataError(
                f"The data sets {first.name!r} and {other.name!r} cannot share one network.",
                found=f"{kinds[0]}; {kinds[1]}",
                expected="the same image shape, dtype and number of classes",
            )
    result = []
    for dataset in datasets:
        source = _choose(dataset, split)
        result.append(
            _task(
                dataset.name,
                tuple(range(source.n_classes)),
                (source.images, source.labels),
                (source.test_images, source.test_labels),
                images_per_task,
            )
        )
    return result


def joint(tasks: Sequence[Task]) -> Task:
    """All tasks as one, the upper target of continual learning.

    Training uses all training images (the pools) of the tasks, one task after the other; the test part likewise.

    Parameters
    ----------
    tasks:
        Tasks with images of one shape and dtype.

    Raises
    ------
    SettingsError
        If no task is given.
    DataError
        If the tasks' images are not of one kind.

    See Also
    --------
    class_incremental, permuted, cross_modal : the tasks

    Examples
    --------
    >>> from neurosleep.data import class_incremental, joint, patches
    >>> joint(class_incremental(patches())).classes
    (0, 1, 2, 3)
    """
    if not tasks:
        raise SettingsError("There is nothing to join.", found="no task", expected="at least one task")
    for task in tasks[1:]:
        kinds = [describe(t.pool_images) for t in (tasks[0], task)]
        if kinds[0] != kinds[1]:
            raise DataError(
                f"The tasks {tasks[0].name!r} and {task.name!r} cannot be joined.",
                found=f"{kinds[0]}; {kinds[1]}",
                expected="the same image shape and dtype",
            )
    images = np.concatenate([task.pool_images for task in tasks])
    labels = np.concatenate([task.pool_labels for task in tasks])
    return Task(
        name="joint",
        classes=tuple(sorted({c for task in tasks for c in task.classes})),
        train_images=images,
        train_labels=labels,
        pool_images=images,
        pool_labels=labels,
        test_images=np.concatenate([task.test_images for task in tasks]),
        test_labels=np.concatenate([task.test_labels for task in tasks]),
    )


def validation_split(dataset: Dataset) -> Dataset:
    """The data set to tune on: the last tenth of each class of the training data takes the place of the test part.

    Of a class with n training images, in file order, the last ``max(1, n // 10)`` become the test part and the others
    stay the training part. The test part of ``dataset`` is dropped unseen.

    Raises
    ------
    DataError
        If a class has a single training image, so that nothing would be left to train on.

    See Also
    --------
    class_incremental : takes ``split="validation"`` instead

    Examples
    --------
    >>> from neurosleep.data import load_dataset, validation_split
    >>> mnist = load_dataset("mnist-mini")
    >>> len(mnist.images), len(validation_split(mnist).images), len(validation_split(mnist).test_images)
    (10000, 9000, 1000)
    """
    held_out = np.zeros(len(dataset.labels), dtype=bool)
    for c in range(dataset.n_classes):
        rows = np.flatnonzero(dataset.labels == c)
        if len(rows) == 1:
            raise DataError(
                f"Data set {dataset.name!r} cannot be split for validation.",
                found=f"one training image of class {c}",
                expected="at least two training images of each class",
            )
        if len(rows):
            held_out[rows[-max(1, len(rows) // 10) :]] = True
    return Dataset(
        name=dataset.name,
        images=dataset.images[~held_out],
        labels=dataset.labels[~held_out],
        test_images=dataset.images[held_out],
        test_labels=dataset.labels[held_out],
        n_classes=dataset.n_classes,
        origin=f"{dataset.origin}; validation split: last tenth of each class of the training part",
    )


def _choose(dataset: Dataset, split: str) -> Dataset:
    if split == "test":
        return dataset
    if split == "validation":
        return validation_split(dataset)
    raise unknown_name("split", str(split), ("test", "validation"))


def _check_tasks(tasks: Iterable[Iterable[int]] | None, dataset: Dataset) -> list[tuple[int, ...]]:
    """The classes of each task as plain integers, after refusing what is no division of the classes."""
    n = dataset.n_classes
    if tasks is None:
        return [tuple(range(first, min(first + 2, n))) for first in range(0, n, 2)]
    try:
        given = [tuple(task) for task in tasks]
    except TypeError:
        raise SettingsError(
            "The tasks cannot be read.", found=repr(tasks), expected="a list of lists of classes, such as [[0, 1], [2]]"
        ) from None
    if not given:
        raise SettingsError("There are no tasks.", found=repr(tasks), expected="at least one list of classes")
    seen: dict[int, int] = {}
    for k, classes in enumerate(given):
        if not classes:
            raise SettingsError(f"Task {k} is empty.", found="no classes", expected="at least one class")
        for c in classes:
            if isinstance(c, bool) or not isinstance(c, (int, np.integer)) or not 0 <= c < n:
                raise SettingsError(
                    f"Task {k} has a class that data set {dataset.name!r} does not have.",
                    found=repr(c),
                    expected=f"classes from 0 to {n - 1}",
                )
            if c in seen:
                raise SettingsError(
                    f"Class {c} is named twice.",
                    found=f"in task {seen[c]} and in task {k}",
                    expected="each class in one task, once",
                )
            seen[int(c)] = k
    return [tuple(int(c) for c in classes) for classes in given]


def _task(
    name: str,
    classes: tuple[int, ...],
    pool: tuple[Array, NDArray[np.int64]],
    test: tuple[Array, NDArray[np.int64]],
    images_per_task: int | None,
) -> Task:
    images, labels = pool
    n = len(labels)
    if images_per_task is not None:
        n = check_count("images_per_task", images_per_task)
        if n > len(labels):
            raise DataError(
                f"Task {name!r} has fewer training images than were asked for.",
                found=f"{len(labels)} images",
                expected=f"at least images_per_task = {n}",
                hint=f"set images_per_task to {len(labels)} or less, or leave it out to use all",
            )
    return Task(name, classes, images[:n], labels[:n], images, labels, test[0], test[1])


def _permute(images: Array, order: NDArray[np.int64]) -> Array:
    flat = images.reshape(len(images), -1)
    return np.take(flat, order, axis=1).reshape(images.shape)
