"""How far activity turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.analysis import representation_change
from neurosleep.networks import MLP


def test_the_same_direction_is_no_distance(pair: Any) -> None:
    before, after, x, y = pair(0)
    with torch.no_grad():
        for late, early in zip(after.weights, before.weights, strict=True):
            late.copy_(7 * early)
    table = representation_change(before, after, x, y)
    assert table["distance"] == pytest.approx(np.zeros(9), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_against_torch(seed: int, pair: Any) -> None:
    before, after, x, y = pair(seed)
    table = representation_change(before, after, x, y)
    before.eval(), after.eval()
    with torch.no_grad():
        a, b = before.activities(x)[1].double(), after.activities(x)[1].double()
    expected = 1 - torch.nn.functional.cosine_similarity(a, b)
    for row in table.where(layer="hidden2").rows():
        own = expected[(y == row["class"]) & (a.norm(dim=1) > 0) & (b.norm(dim=1) > 0)]
        assert row["images"] == len(own)
        assert row["distance"] == pytest.approx(float(own.mean()), abs=1e-6)
        assert row["distance_sd"] == pytest.approx(float(own.std()), abs=1e-6)


def test_other_units_are_distance_one_and_silence_is_undefined() -> None:
    one, other = MLP([2, 2, 2]), MLP([2, 2, 2])
    with torch.no_grad():
        one.weights[0].copy_(torch.tensor([[1.0, 1], [0, 0]]))
        other.weights[0].copy_(torch.tensor([[0.0, 0], [1, 1]]))
        one.weights[1].zero_()
    table = representation_change(one, other, torch.eye(2), torch.tensor([0, 1]))
    assert table.where(layer="hidden1")["distance"].tolist() == [1, 1]
    assert np.isnan(table.where(layer="output")["distance"]).all()
    assert table.where(layer="output")["images"].tolist() == [0, 0]
