"""Sparseness: its limits, and what must not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.analysis import sparseness, treves_rolls
from neurosleep.errors import DataError
from neurosleep.networks import MLP


def test_limits() -> None:
    for n in (2, 7, 1200):
        one_hot = np.zeros((1, n))
        one_hot[0, n // 2] = 3.7e-5
        assert treves_rolls(one_hot) == pytest.approx(1, abs=1e-12)
        assert treves_rolls(np.full((1, n), 0.1)) == pytest.approx(0, abs=1e-12)
        # k of n units alike: (1 - k/n) / (1 - 1/n)
        half = np.zeros((1, n))
        half[0, : n // 2] = 5
        assert treves_rolls(half) == pytest.approx((1 - (n // 2) / n) / (1 - 1 / n))
    assert np.isnan(treves_rolls(np.zeros((2, 5)))).all() and np.isnan(treves_rolls(np.ones((2, 1)))).all()
    assert treves_rolls(np.zeros((0, 4))).shape == (0,)


@pytest.mark.parametrize("seed", range(20))
def test_order_and_scale_of_the_units_do_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a = generator.random((6, 30)) ** 3
    s = treves_rolls(a)
    assert ((s >= 0) & (s <= 1)).all()
    np.testing.assert_allclose(treves_rolls(a[:, generator.permutation(30)]), s)
    np.testing.assert_allclose(treves_rolls(1e-200 * a), s)
    assert (treves_rolls(a**2) > s).all()


def test_what_has_no_sparseness_is_refused() -> None:
    for wrong in (np.array([[-0.1, 1.0]]), np.array([[np.nan, 1.0]]), np.array([1.0, 2.0])):
        with pytest.raises(DataError):
            treves_rolls(wrong)


def test_layers_of_a_known_network() -> None:
    net = MLP([4, 4, 2], dropout=0.5)
    off = MLP([4, 4, 2])
    with torch.no_grad():
        net.weights[0].copy_(torch.eye(4))
        net.weights[1].copy_(torch.tensor([[1.0, 1, 1, 1], [-1, -1, -1, -1]]))
        for weight in off.weights:
            weight.zero_()
    x = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    table = sparseness(net, off, x, torch.tensor([4, 6, 6]))
    rows = {(row["layer"], row["class"]): row for row in table.rows()}
    assert rows["hidden1", 4]["sparseness_before"] == pytest.approx(1)
    assert rows["hidden1", 6]["sparseness_before"] == pytest.approx(0), "the silent image is left out"
    assert rows["hidden1", 6]["active_before"] == pytest.approx(0.5), "the silent image counts as inactive"
    assert rows["output", 4]["sparseness_before"] == pytest.approx(1) and rows["output", 4]["active_before"] == 0.5
    assert all(np.isnan(row["sparseness_after"]) and row["active_after"] == 0 for row in table.rows())
    assert rows["hidden1", 6]["images"] == 2


def test_the_same_network_shows_no_change(pair: Any) -> None:
    before, _, x, y = pair(2)
    table = sparseness(before, before, x, y)
    np.testing.assert_array_equal(table["sparseness_before"], table["sparseness_after"])
    np.testing.assert_array_equal(table["active_before"], table["active_after"])
