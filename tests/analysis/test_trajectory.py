"""Principal components of weights, without the matrix of all weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosleep.analysis import Table, weight_trajectory
from neurosleep.analysis._trajectory import products
from neurosleep.errors import DataError, SettingsError

SHAPES = ((7, 5), (3, 7))


def points(seed: int, n: int = 6) -> list[list[torch.Tensor]]:
    source = torch.Generator().manual_seed(seed)
    return [[torch.randn(shape, generator=source) for shape in SHAPES] for _ in range(n)]


def of(weights: list[list[torch.Tensor]], components: int = 2) -> Table:
    n = len(weights)
    return weight_trajectory(weights, runs=["a"] * n, moments=[f"wake {k}" for k in range(n)], components=components)


@pytest.mark.parametrize("seed", range(5))
def test_against_the_singular_values_of_the_whole_matrix(seed: int) -> None:
    weights = points(seed)
    flat = torch.stack([torch.cat([w.flatten() for w in point]) for point in weights]).double()
    u, s, _ = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    table = of(weights, 3)
    for k in range(3):
        expected = (u[:, k] * s[k]).numpy()
        expected *= np.sign(expected[np.abs(expected).argmax()])
        np.testing.assert_allclose(table[f"pc{k + 1}"], expected, atol=1e-6)
        assert table[f"share{k + 1}"][0] == pytest.approx(float(s[k] ** 2 / (s**2).sum()))


def test_all_components_keep_all_distances() -> None:
    weights = points(1)
    table = of(weights, 5)
    assert sum(table[f"share{k}"][0] for k in range(1, 6)) == pytest.approx(1)
    at = np.column_stack([table[f"pc{k}"] for k in range(1, 6)])
    for a in range(6):
        for b in range(6):
            distance = sum(float(((u - v).double() ** 2).sum()) for u, v in zip(weights[a], weights[b], strict=True))
            assert np.linalg.norm(at[a] - at[b]) == pytest.approx(distance**0.5, abs=1e-6)


def test_a_straight_way_is_one_component() -> None:
    start, step = points(2, 2)
    table = of([[w + k * v for w, v in zip(start, step, strict=True)] for k in range(5)])
    assert table["share1"][0] == pytest.approx(1, abs=1e-9)
    assert np.abs(np.diff(table["pc1"], 2)).max() < 1e-5 and np.abs(table["pc2"]).max() < 1e-4


def test_parts_do_not_matter() -> None:
    weights = points(3)
    np.testing.assert_allclose(products(weights, 4), products(weights), atol=1e-10)


def test_points_that_are_all_the_same() -> None:
    table = of(points(0, 1) * 3)
    assert (table["pc1"] == 0).all() and np.isnan(table["share1"]).all()


def test_what_is_no_trajectory_is_refused() -> None:
    weights = points(0)
    with pytest.raises(DataError, match="6 points, 5 runs"):
        weight_trajectory(weights, runs=["a"] * 5, moments=["m"] * 6)
    with pytest.raises(DataError, match="at least two"):
        of(weights[:1])
    with pytest.raises(DataError, match="different shapes"):
        of([*weights, weights[0][:1]])
    with pytest.raises(SettingsError, match="from 1 to 5"):
        of(weights, 6)
    weights[2][1][0, 0] = float("nan")
    with pytest.raises(DataError, match="finite"):
        of(weights)
