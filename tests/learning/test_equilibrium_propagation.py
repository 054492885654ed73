"""Equilibrium Propagation: it learns, and its gradient is the loss's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from neurosleep.data import load_dataset, to_float
from neurosleep.functional import torch_generator
from neurosleep.learning import EquilibriumPropagation, accuracy
from neurosleep.networks import EquilibriumMLP


def streams(name: str, epoch: int) -> torch.Generator:
    return torch_generator(3, name, 0, epoch)


def mini() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    d = load_dataset("mnist-mini")
    return (
        torch.from_numpy(to_float(d.images)).flatten(1),
        torch.from_numpy(d.labels),
        torch.from_numpy(to_float(d.test_images)).flatten(1),
        torch.from_numpy(d.test_labels),
    )


@pytest.mark.parametrize("estimator", ["symmetric", "one-sided", "random-sign"])
def test_it_learns_digits(estimator: str) -> None:
    images, labels, test_images, test_labels = mini()
    net = EquilibriumMLP([784, 64, 10], generator=torch_generator(0, "init"))
    learning = EquilibriumPropagation(estimator=estimator, free_steps=30, nudged_steps=8)  # type: ignore[arg-type]
    state = learning.state(net)
    assert list(learning.fit(net, images, labels, state, streams)) == [1]
    assert accuracy(net, test_images, test_labels) > 0.85
