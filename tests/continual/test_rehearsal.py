"""Rehearsal: how many images are replayed, which, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosleep.continual import Learner, Progress, Rehearsal, Strategy
from neurosleep.data import Task, to_float
from neurosleep.errors import SettingsError
from neurosleep.learning import Backprop
from neurosleep.networks import MLP

# Training images of each digit of MNIST; the pools before tasks 2 to 5 are 12665, 24754, 36017 and 48200.
MNIST = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
CROSS_MODAL = (30000, 30000, 30000, 30000)


def numbered(counts: tuple[int, ...] = MNIST, train: int = 50) -> list[Task]:
    """Tasks of two classes whose images are one number each, no two alike."""
    tasks, start = [], 0
    for k in range(0, len(counts), 2):
        labels = np.repeat(np.array([k, k + 1]), counts[k : k + 2])
        images = np.arange(start, start + len(labels), dtype=np.float64)[:, None]
        start += len(labels)
        tasks.append(Task(str(k), (k, k + 1), images[:train], labels[:train], images, labels, images[:1], labels[:1]))
    return tasks


def replayed(strategy: Rehearsal, tasks: list[Task], task: int, seed: int = 0) -> tuple[list[float], Tensor]:
    """The numbers of the replayed images, and their labels."""
    learner = Learner(MLP([1, 10]), [], tasks, seed, task)
    own = torch.from_numpy(tasks[task].train_images.astype(np.float32))
    images, labels = strategy.training_data(learner, own, torch.from_numpy(tasks[task].train_labels))
    # The task's own come first, as they are.
    assert torch.equal(images[: len(own)], own)
    assert labels[: len(own)].tolist() == tasks[task].train_labels.tolist()
    return images[len(own) :, 0].tolist(), labels[len(own) :]


@pytest.mark.parametrize(
    ("counts", "fraction", "expected"),
    [
        (MNIST, 0.01, [100, 200, 400, 500]),
        (MNIST, 0.0075, [100, 200, 300, 400]),
        (MNIST, 0.25, [3200, 6200, 9000, 12100]),
        # At most as many as there are.
        (MNIST, 1.0, [12665, 24754, 36000, 48200]),
        # Where no batch would be left, whole images: a fraction above 0 is never none.
        (MNIST, 0.001, [13, 25, 36, 48]),
        (MNIST, 1e-6, [2, 4, 6, 8]),
        (MNIST, 0.0, [0, 0, 0, 0]),
        ((700, 700, 10, 10), 0.0075, [11]),
        ((2, 1, 10, 10), 0.0075, [2]),
        (CROSS_MODAL, 0.01, [600]),
        (CROSS_MODAL, 0.025, [1500]),
        # A half is rounded up, also where Python would round it to even.
        ((30000, 20000, 1, 1), 0.005, [300]),
        ((15000, 10000, 1, 1), 0.01, [300]),
        ((30000, 10000, 1, 1), 0.01125, [500]),
    ],
)
def test_the_counts_are_those_of_the_released_scripts(
    counts: tuple[int, ...], fraction: float, expected: list[int]
) -> None:
    tasks = numbered(counts)
    assert [len(replayed(Rehearsal(fraction), tasks, task)[0]) for task in range(1, len(tasks))] == expected
    assert replayed(Rehearsal(fraction), tasks, 0)[0] == []


def test_other_multiples() -> None:
    tasks = numbered()
    assert len(replayed(Rehearsal(0.01, multiple=1), tasks, 1)[0]) == 127
    assert len(replayed(Rehearsal(0.01, multiple=1000), tasks, 4)[0]) == 482
    assert len(replayed(Rehearsal(1.0, multiple=1), tasks, 3)[0]) == 36017


@pytest.mark.parametrize("task", [1, 2, 4])
def test_they_are_drawn_without_replacement_from_all_images_of_old_tasks_only(task: int) -> None:
    tasks = numbered()
    pool = {float(x): int(y) for t in tasks[:task] for x, y in zip(t.pool_images[:, 0], t.pool_labels, strict=True)}
    numbers, labels = replayed(Rehearsal(0.1), tasks, task)
    assert len(set(numbers)) == len(numbers) > 1000
    assert [pool[number] for number in numbers] == labels.tolist()
    # From the whole pool of every task, evenly: not only from the images that were trained on.
    shares = [np.isin(t.pool_images[:, 0], numbers).mean() for t in tasks[:task]]
    assert shares == pytest.approx([0.1] * task, abs=0.015)
    assert np.isin(tasks[0].train_images[:, 0], numbers).mean() < 0.4


def test_they_are_drawn_afresh_for_each_task_and_seed() -> None:
    tasks, strategy = numbered(), Rehearsal(0.1)
    first = set(replayed(strategy, tasks, 1)[0])
    assert set(replayed(strategy, tasks, 1)[0]) == first
    other = set(replayed(strategy, tasks, 1, seed=1)[0])
    assert len(other) == len(first)
    assert len(other & first) < 0.2 * len(first)
    later = {number for number in replayed(strategy, tasks, 2)[0] if number < 12665}
    assert len(later & first) < 0.2 * len(first)


def test_a_fraction_of_all_trains_on_everything(make_tasks: Callable[..., list[Task]]) -> None:
    tasks = make_tasks()
    learner = Learner(MLP([12, 6]), [], tasks, 0, 2)
    own = torch.zeros(1, 12)
    images, labels = Rehearsal(1.0, multiple=1).training_data(learner, own, torch.zeros(1, dtype=torch.int64))
    pool = np.concatenate([task.pool_images for task in tasks[:2]]).reshape(-1, 12).astype(np.float32) / 255
    np.testing.assert_allclose(images[1:].numpy(), pool, rtol=1e-6)
    assert labels[1:].tolist() == [c for task in tasks[:2] for c in task.pool_labels.tolist()]


def test_no_fraction_is_sequential_bit_for_bit(
    make_learner: Callable[..., Learner], learn: Callable[..., Progress]
) -> None:
    plain, none, some = (make_learner() for _ in range(3))
    first, second = learn(plain, Strategy()), learn(none, Rehearsal(0.0))
    assert (first.after, first.before_sleep) == (second.after, second.before_sleep)
    assert all(torch.equal(a, b) for a, b in zip(plain.network.weights, none.network.weights, strict=True))
    learn(some, Rehearsal(0.2, multiple=1))
    assert not torch.equal(plain.network.weights[0], some.network.weights[0])


def test_what_is_replayed_is_counted(make_learner: Callable[..., Learner], learn: Callable[..., Progress]) -> None:
    # 30 or 60 old images, a thousandth of them: one for each old class, and none is not said to be some.
    assert learn(make_learner(), Rehearsal(0.001)).replayed == [0, 2, 4]
    assert learn(make_learner(), Rehearsal(0.2, multiple=1)).replayed == [0, 8, 16]
    assert learn(make_learner(), Strategy()).replayed == [0, 0, 0]


def test_replayed_tasks_are_remembered(make_learner: Callable[..., Learner], learn: Callable[..., Progress]) -> None:
    training = Backprop(loss="cross-entropy", batch=10, epochs=15)
    found = [
        learn(make_learner(output="softmax"), Rehearsal(fraction, multiple=1), training).after[-1]
        for fraction in (0.0, 1.0)
    ]
    assert sum(found[0][:2]) < 0.6
    assert sum(found[1][:2]) > 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"fraction": -0.01},
        {"fraction": 1.01},
        {"fraction": float("nan")},
        {"fraction": True},
        {"fraction": "some"},
        {"multiple": 1.5},
        {"multiple": 0},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=f"rehearsal.{next(iter(wrong))}"):
        Rehearsal(**wrong)


def test_a_memory_of_so_many_images_is_shared_by_the_old_classes_and_repeated(
    make_learner: Callable[..., Learner],
) -> None:
    learner, strategy = make_learner(), Rehearsal(stored=10)
    images, targets = learner_data(learner, 0)
    assert strategy.training_data(learner, images, targets)[0] is images
    learner.task = 2
    images, targets = learner_data(learner, 2)
    found, labels = strategy.training_data(learner, images, targets)
    n = len(targets)
    assert torch.equal(found[:n], images) and len(labels) == 2 * n
    old, old_labels = found[n:], labels[n:]
    # Ten images of four classes: three of the oldest two, two of the others, in turn.
    assert len(torch.unique(old[:10], dim=0)) == 10 and torch.equal(old[10:20], old[:10])
    assert torch.bincount(old_labels[:10]).tolist() == [3, 3, 2, 2]
    first = learner.tasks[0]
    expected = to_float(first.train_images[first.train_labels == 0][:3])
    assert np.array_equal(old[:3].numpy(), expected)
    with pytest.raises(SettingsError, match="stored"):
        Rehearsal(stored=0)


def learner_data(learner: Learner, task: int) -> tuple[torch.Tensor, torch.Tensor]:
    given = learner.tasks[task]
    return torch.from_numpy(to_float(given.train_images)), torch.from_numpy(given.train_labels)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [1e-6, 0.0075])
def test_a_fraction_too_small_for_a_batch_has_every_old_class(fraction: float, seed: int) -> None:
    tasks = numbered((60, 3, 40, 2, 50, 50), train=5)
    for task in (1, 2):
        images, labels = replayed(Rehearsal(fraction), tasks, task, seed)
        assert sorted(labels.tolist()) == list(range(2 * task))
        assert len(set(images)) == 2 * task
