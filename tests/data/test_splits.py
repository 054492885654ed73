from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.data import (
    Dataset,
    Task,
    class_incremental,
    cross_modal,
    joint,
    load_dataset,
    permuted,
    validation_split,
)
from neurosleep.errors import DataError, SettingsError, UnknownNameError

pytestmark = pytest.mark.filterwarnings("error")

Array = np.ndarray[Any, Any]
Make = Callable[..., Dataset]


def rows(images: Array) -> list[int]:
    """The row numbers that the fixture ``numbered`` wrote into the pixels."""
    flat = images.reshape(len(images), -1).astype(int)
    return [256 * int(a) + int(b) for a, b in zip(flat[:, 0], flat[:, 1], strict=True)]


def is_test(images: Array) -> list[int]:
    return [int(part) for part in images.reshape(len(images), -1)[:, -1]]


def image_and_label(images: Array, labels: Array) -> list[tuple[bytes, int]]:
    return [(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)]


@st.composite
def labelled(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """Training labels, test labels and a number of classes; each class occurs at least twice in training."""
    n_classes = draw(st.integers(1, 7))
    some = st.lists(st.integers(0, n_classes - 1), max_size=60)
    train = draw(st.permutations(list(range(n_classes)) * 2 + draw(some)))
    test = draw(st.permutations(list(range(n_classes)) + draw(some)))
    return train, test, n_classes


def make(labels: list[int], test_labels: list[int], n_classes: int) -> Dataset:
    def images(n: int, part: int) -> Array:
        out = np.zeros((n, 4), np.uint8)
        out[:, 1] = np.arange(n)
        out[:, 3] = part
        return out

    return Dataset(
        "made",
        images(len(labels), 0),
        np.array(labels),
        images(len(test_labels), 1),
        np.array(test_labels),
        n_classes,
        "here",
    )


@settings(deadline=None, max_examples=200)
@given(labelled())
def test_class_incremental_loses_and_doubles_no_image_and_keeps_order(drawn: tuple[list[int], list[int], int]) -> None:
    data = make(*drawn)
    tasks = class_incremental(data)
    assert [c for task in tasks for c in task.classes] == list(range(data.n_classes))
    assert sorted(r for task in tasks for r in rows(task.pool_images)) == list(range(len(data.labels)))
    assert sorted(r for task in tasks for r in rows(task.test_images)) == list(range(len(data.test_labels)))
    for task in tasks:
        assert rows(task.pool_images) == sorted(rows(task.pool_images))
        assert rows(task.test_images) == sorted(rows(task.test_images))
        assert task.pool_labels.tolist() == [drawn[0][r] for r in rows(task.pool_images)]
        assert task.test_labels.tolist() == [drawn[1][r] for r in rows(task.test_images)]
        assert rows(task.train_images) == rows(task.pool_images)
        assert set(task.pool_labels.tolist()) == set(task.test_labels.tolist()) == set(task.classes)
        assert set(is_test(task.pool_images)) == {0} and set(is_test(task.test_images)) == {1}


@settings(deadline=None, max_examples=200)
@given(labelled())
def test_validation_split_holds_out_the_last_tenth_of_each_class(drawn: tuple[list[int], list[int], int]) -> None:
    data = make(*drawn)
    split = validation_split(data)
    train, held = rows(split.images), rows(split.test_images)
    assert sorted(train + held) == list(range(len(data.labels)))
    assert train == sorted(train) and held == sorted(held)
    assert set(is_test(split.test_images)) == {0}
    for c in range(data.n_classes):
        own = [r for r, label in enumerate(drawn[0]) if label == c]
        n = max(1, len(own) // 10)
        assert [r for r in held if drawn[0][r] == c] == own[-n:]
        assert [r for r in train if drawn[0][r] == c] == own[:-n]
    assert split.labels.tolist() == [drawn[0][r] for r in train]
    assert split.test_labels.tolist() == [drawn[0][r] for r in held]


@settings(deadline=None, max_examples=100)
@given(labelled())
def test_joint_is_the_union_of_the_pools(drawn: tuple[list[int], list[int], int]) -> None:
    data = make(*drawn)
    tasks = class_incremental(data, images_per_task=1)
    whole = joint(tasks)
    assert whole.classes == tuple(range(data.n_classes)) and whole.name == "joint"
    assert rows(whole.train_images) == [r for task in tasks for r in rows(task.pool_images)]
    assert sorted(image_and_label(whole.train_images, whole.train_labels)) == sorted(
        image_and_label(data.images, data.labels)
    )
    assert np.array_equal(whole.pool_images, whole.train_images)
    assert sorted(image_and_label(whole.test_images, whole.test_labels)) == sorted(
        image_and_label(data.test_images, data.test_labels)
    )


@settings(deadline=None, max_examples=100)
@given(labelled(), st.integers(0, 2**32), st.integers(1, 4))
def test_permuted_moves_pixels_and_nothing_else(
    drawn: tuple[list[int], list[int], int], seed: int, n_tasks: int
) -> None:
    data = make(*drawn)
    tasks = permuted(data, n_tasks, seed=seed)
    assert np.array_equal(tasks[0].pool_images, data.images)
    for task in tasks:
        assert task.classes == tuple(range(data.n_classes))
        assert np.array_equal(task.pool_labels, data.labels)
        assert np.array_equal(np.sort(task.pool_images, axis=1), np.sort(data.images, axis=1))
        assert np.array_equal(np.sort(task.test_images, axis=1), np.sort(data.test_images, axis=1))
    for task, again in zip(tasks, permuted(data, n_tasks + 1, seed=seed), strict=False):
        assert np.array_equal(task.pool_images, again.pool_images)
        assert np.array_equal(task.test_images, again.test_images)


def test_first_n_images_train_and_all_stay_in_the_pool(numbered: Make) -> None:
    data = numbered([0, 2, 1, 0, 3, 1, 0, 1, 2, 3], [3, 2, 1, 0], 4)
    tasks = class_incremental(data, images_per_task=3)
    assert [task.name for task in tasks] == ["0,1", "2,3"]
    assert [rows(task.train_images) for task in tasks] == [[0, 2, 3], [1, 4, 8]]
    assert [rows(task.pool_images) for task in tasks] == [[0, 2, 3, 5, 6, 7], [1, 4, 8, 9]]
    assert [task.train_labels.tolist() for task in tasks] == [[0, 1, 0], [2, 3, 2]]
    assert [rows(task.test_images) for task in tasks] == [[2, 3], [0, 1]]
    assert tasks[0].train_images.dtype == np.uint8 and tasks[0].train_labels.dtype == np.int64


def test_tasks_of_any_classes_in_any_order(numbered: Make) -> None:
    data = numbered([0, 1, 2, 3], [0, 1, 2, 3], 4)
    numbers: Any = ((np.int64(3), 0), [2])
    tasks = class_incremental(data, numbers)
    assert all(type(c) is int for task in tasks for c in task.classes)
    assert [task.classes for task in tasks] == [(3, 0), (2,)]
    assert [task.name for task in tasks] == ["3,0", "2"]
    assert [rows(task.train_images) for task in tasks] == [[0, 3], [2]]


def test_an_odd_last_class_stands_alone(numbered: Make) -> None:
    assert [t.classes for t in class_incremental(numbered([0, 1, 2], [0, 1, 2], 3))] == [(0, 1), (2,)]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([[0, 1], [4]], "Task 1 has a class.*'numbered'.*\n.*4\n.*0 to 3"),
        ([[-1]], "Task 0 has a class"),
        ([["0"]], "Task 0 has a class"),
        ([[True]], "Task 0 has a class"),
        ([[0], []], "Task 1 is empty"),
        ([], "no tasks"),
        ([0, 1], "tasks cannot be read"),
        ([[0, 1], [2, 0]], "Class 0 is named twice.*\n.*task 0 and in task 1"),
        ([[1, 1]], "Class 1 is named twice"),
    ],
)
def test_refuses_impossible_tasks(numbered: Make, tasks: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        class_incremental(numbered([0, 1, 2, 3], [0, 1, 2, 3], 4), tasks)


def test_refuses_a_class_without_images(numbered: Make) -> None:
    with pytest.raises(DataError, match=r"no training images.*'2,3'.*\n.*class 3"):
        class_incremental(numbered([0, 1, 2], [0, 1, 2, 3], 4))
    with pytest.raises(DataError, match=r"no test images.*'0,1'.*\n.*class 0"):
        class_incremental(numbered([0, 1, 2, 3], [1, 2, 3], 4))


SEQUENCES: list[Callable[..., list[Task]]] = [
    class_incremental,
    lambda data, **options: permuted(data, 2, seed=0, **options),
    lambda data, **options: cross_modal([data, data], **options),
]


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("n", [0, -1, True, 2.0, "3"])
def test_refuses_an_impossible_number_of_images(numbered: Make, sequence: Callable[..., list[Task]], n: Any) -> None:
    with pytest.raises(SettingsError, match="images_per_task"):
        sequence(numbered([0, 1], [0, 1], 2), images_per_task=n)


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_refuses_more_images_than_there_are_and_says_how_many(
    numbered: Make, sequence: Callable[..., list[Task]]
) -> None:
    data = numbered([0, 1, 1], [0, 1], 2)
    assert len(sequence(data, images_per_task=3)[0].train_labels) == 3
    with pytest.raises(DataError, match=r"fewer training images.*\n.*3 images\n.*images_per_task = 4\n.*3 or less"):
        sequence(data, images_per_task=4)


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_validation_never_touches_the_test_part(numbered: Make, sequence: Callable[..., list[Task]]) -> None:
    data = numbered([0, 1] * 15, [0, 1], 2)
    for task in sequence(data, split="test"):
        assert len(task.pool_labels) == 30 and len(task.test_labels) == 2
    for task in sequence(data, split="validation"):
        assert len(task.pool_labels) == 28 and len(task.test_labels) == 2
        # The pixel that marks the test part is 0 in the whole validation part, wherever a permutation put it.
        assert task.test_images.max() == 29 and task.pool_images.max() == 27
    with pytest.raises(UnknownNameError, match="no split named 'valid'"):
        sequence(data, split="valid")


def test_validation_split_says_so_and_needs_two_images(numbered: Make) -> None:
    data = numbered([0, 1, 0, 1], [0, 1], 2)
    assert validation_split(data).origin == (
        "made by the test; validation split: last tenth of each class of the training part"
    )
    with pytest.raises(DataError, match=r"cannot be split.*\n.*one training image of class 1"):
        validation_split(numbered([0, 1, 0], [0], 2))


def test_permutations_differ_between_tasks_and_seeds_and_agree_between_parts() -> None:
    pixels = np.arange(100, dtype=np.uint8).reshape(1, 10, 10)
    data = Dataset("pixels", pixels, np.array([0]), pixels, np.array([0]), 1, "here")
    tasks = permuted(data, 3, seed=7)
    assert [task.name for task in tasks] == ["permutation 0", "permutation 1", "permutation 2"]
    assert all(np.array_equal(task.pool_images, task.test_images) for task in tasks)
    assert all(task.pool_images.shape == (1, 10, 10) for task in tasks)
    others = [tasks[1], tasks[2], permuted(data, 2, seed=8)[1]]
    assert len({task.pool_images.tobytes() for task in [tasks[0], *others]}) == 4


@pytest.mark.parametrize("n", [0, -2, True, 1.5])
def test_permuted_refuses_an_impossible_number_of_tasks(numbered: Make, n: Any) -> None:
    with pytest.raises(SettingsError, match="n_tasks"):
        permuted(numbered([0], [0], 1), n, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, True])
def test_permuted_refuses_an_impossible_seed(numbered: Make, seed: Any) -> None:
    with pytest.raises(SettingsError, match="seed"):
        permuted(numbered([0], [0], 1), 1, seed=seed)


def test_cross_modal_takes_one_set_after_the_other(numbered: Make) -> None:
    a, b = numbered([0, 1], [1], 2, "a"), numbered([1, 1, 0], [0], 2, "b")
    tasks = cross_modal([a, b])
    assert [(task.name, task.classes) for task in tasks] == [("a", (0, 1)), ("b", (0, 1))]
    assert [task.train_labels.tolist() for task in tasks] == [[0, 1], [1, 1, 0]]
    assert joint(tasks).test_labels.tolist() == [1, 0]


def test_cross_modal_refuses_sets_that_do_not_agree(numbered: Make) -> None:
    a = numbered([0, 1], [1], 2, "a")
    with pytest.raises(DataError, match=r"'a' and 'b' cannot share.*\n.*2 classes; 2x3 uint8, 3 classes"):
        cross_modal([a, numbered([0, 1], [1], 3, "b")])
    flat = Dataset("flat", a.images.reshape(2, 6), a.labels, a.test_images.reshape(1, 6), a.test_labels, 2, "here")
    with pytest.raises(DataError, match=r"'a' and 'flat' cannot share.*\n.*2x3 uint8.*; 6 uint8"):
        cross_modal([a, flat])
    with pytest.raises(SettingsError, match="needs data sets"):
        cross_modal([])


def test_joint_refuses_nothing_and_mixtures(numbered: Make) -> None:
    with pytest.raises(SettingsError, match="nothing to join"):
        joint([])
    data = numbered([0, 1], [0, 1], 2)
    floats = Dataset("f", data.images / 255.0, data.labels, data.test_images / 255.0, data.test_labels, 2, "here")
    with pytest.raises(DataError, match=r"cannot be joined.*\n.*uint8; 2x3 float64"):
        joint(class_incremental(data) + class_incremental(floats))


def test_five_tasks_of_the_embedded_digits() -> None:
    data = load_dataset("mnist-mini")
    tasks = class_incremental(data, images_per_task=500)
    assert [task.name for task in tasks] == ["0,1", "2,3", "4,5", "6,7", "8,9"]
    for task in tasks:
        own = np.isin(data.labels, task.classes)
        assert np.array_equal(task.pool_images, data.images[own])
        assert np.array_equal(task.train_images, data.images[own][:500])
        assert len(task.pool_labels) == 2000 and len(task.test_labels) == 400
    validation = class_incremental(data, split="validation")
    assert [(len(t.pool_labels), len(t.test_labels)) for t in validation] == [(1800, 200)] * 5
    assert len(joint(tasks).train_labels) == 10_000


def test_validation_split_passes_over_a_class_without_training_images(numbered: Make) -> None:
    split = validation_split(numbered([0, 2, 0, 2], [1], 3))
    assert rows(split.images) == [0, 1] and rows(split.test_images) == [2, 3] and split.n_classes == 3
