"""What no analysis can use is refused by all of them, in words; the networks are left as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.analysis import (
    Table,
    class_correlation,
    input_drive,
    representation_change,
    sleep_wake_similarity,
    sparseness,
    stable_rank,
    task_specific_firing,
    weight_histogram,
    weight_summary,
)
from neurosleep.errors import DataError, NeurosleepError, SettingsError
from neurosleep.networks import MLP

TASKS = [[0, 1], [2]]
WITH_IMAGES: list[Callable[..., Table]] = [
    class_correlation,
    sparseness,
    representation_change,
    lambda before, after, x, y: input_drive(before, after, x, y, TASKS),
]
WITHOUT: list[Callable[..., Table]] = [weight_histogram, weight_summary, stable_rank]


@pytest.mark.parametrize("analysis", WITH_IMAGES)
def test_images_that_do_not_fit_are_refused(analysis: Callable[..., Table], pair: Any) -> None:
    before, after, x, y = pair(0)
    broken = x.clone()
    broken[3, 2] = float("nan")
    for images, labels in (
        (x[:, :-1], y),
        (x[:0], y[:0]),
        (x[0], y[:1]),
        (broken, y),
        (x, y[:-1]),
        (x, y.double()),
        (x, y[:, None]),
    ):
        with pytest.raises(DataError):
            analysis(before, after, images, labels)


@pytest.mark.parametrize("analysis", WITH_IMAGES)
def test_arrays_and_tensors_give_the_same_and_the_mode_stays(analysis: Callable[..., Table], pair: Any) -> None:
    before, after, x, y = pair(0)
    before.train()
    after.eval()
    one = analysis(before, after, x, y)
    assert before.training and not after.training
    other = analysis(before, after, x.numpy().astype(np.float64), y.numpy().astype(np.int32))
    assert one.rows() == other.rows()


@pytest.mark.parametrize("analysis", WITH_IMAGES)
def test_batches_do_not_matter(analysis: Callable[..., Table], pair: Any) -> None:
    before, after, x, y = pair(1)
    many = analysis(before, after, x.repeat(70, 1), y.repeat(70))
    few = analysis(before, after, x, y)
    for name in few.columns:
        if np.issubdtype(few[name].dtype, np.floating) and not name.endswith("_sd"):
            np.testing.assert_allclose(many[name], few[name], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("analysis", [*WITH_IMAGES, *WITHOUT])
def test_networks_that_do_not_belong_together_are_refused(analysis: Callable[..., Table], pair: Any) -> None:
    before, after, x, y = pair(0)
    rest = (x, y) if analysis in WITH_IMAGES else ()
    with pytest.raises(SettingsError, match="different layers"):
        analysis(before, MLP([12, 9, 3]), *rest)
    with torch.no_grad():
        after.weights[1][0, 0] = float("inf")
    with pytest.raises(DataError, match="into hidden2 after sleep"):
        analysis(before, after, *rest)


@pytest.mark.parametrize("analysis", [task_specific_firing, sleep_wake_similarity])
def test_recordings_of_another_network_are_refused(analysis: Callable[..., Table], pair: Any, sleep_phase: Any) -> None:
    before, _, x, y = pair(0)
    other = sleep_phase(0, sizes=(12, 9, 7, 3))
    with pytest.raises(DataError, match="'hidden2' of 8 neurons"):
        analysis(before, other, x, y)
    with pytest.raises(DataError, match="'hidden2' of 8 neurons"):
        analysis(before, sleep_phase(0, sizes=(12, 9, 3)), x, y)
    with pytest.raises(DataError, match="no steps"):
        analysis(before, sleep_phase(0, steps=0), x, y)
    with pytest.raises(DataError, match="no hidden layer"):
        analysis(MLP([12, 3]), other, x, y)


def test_numbers_that_make_no_sense_are_refused(pair: Any, sleep_phase: Any) -> None:
    before, after, x, y = pair(0)
    for wrong in (0, 9, 2.5):
        with pytest.raises(SettingsError, match="from 1 to 8"):
            task_specific_firing(before, sleep_phase(0), x, y, units=wrong)  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match="from 1 to 8"):
            input_drive(before, after, x, y, TASKS, units=wrong)  # type: ignore[arg-type]
    for wrong in ({"window": 0}, {"windows": 0}, {"window": 2.5}, {"seed": -1}):
        with pytest.raises(NeurosleepError):
            sleep_wake_similarity(before, sleep_phase(0), x, y, **wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingsError):
        weight_histogram(before, after, bins=0)


def test_tasks_that_do_not_fit_are_refused(pair: Any) -> None:
    before, after, x, y = pair(0)
    for tasks, match in (
        ([], "each class in one task"),
        ([[0, 1], [1, 2]], "each class in one task"),
        ([[0, 1], [7]], "no image of task 2"),
        ([[0, 1, 2]], "at least two tasks"),
    ):
        with pytest.raises(NeurosleepError, match=match):
            input_drive(before, after, x, y, tasks)
    with pytest.raises(DataError, match="no hidden layer"):
        input_drive(MLP([12, 3]), MLP([12, 3]), x, y, TASKS)
