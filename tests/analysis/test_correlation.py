"""Block means of the Pearson matrix, without the matrix."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.analysis import Table, class_correlation, correlation_summary
from neurosleep.networks import MLP


def plain(network: MLP, x: torch.Tensor, y: torch.Tensor, layer: int, centred: bool = False) -> np.ndarray:
    """The same by NumPy's correlation matrix of all images, NaN left out."""
    network.eval()
    with torch.no_grad():
        a = torch.relu(network.activities(x)[layer]).double().numpy()
    a = a - a.mean(0) if centred else a
    classes = np.unique(y)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        r = np.corrcoef(a)
        return np.array([[np.nanmean(r[np.ix_(y == a, y == b)]) for b in classes] for a in classes])


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_it_equals_the_plain_matrix(seed: int, pair: Any, centred: bool) -> None:
    before, after, x, y = pair(seed)
    x[:4] = 0  # silent images have no correlation, unless they differ from the mean
    table = class_correlation(before, after, x, y, centred=centred)
    for k, layer in enumerate(("hidden1", "hidden2", "output")):
        own = table.where(layer=layer)
        for moment, network in (("before", before), ("after", after)):
            expected = plain(network, x, y, k, centred)
            np.testing.assert_allclose(own[moment].reshape(3, 3), expected, atol=1e-9)
            assert own["class_a"].reshape(3, 3)[:, 0].tolist() == [0, 1, 2]
        np.testing.assert_array_equal(own["change"], own["after"] - own["before"])


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_units_and_images_does_not_matter(seed: int, pair: Any) -> None:
    before, after, x, y = pair(seed)
    first = class_correlation(before, after, x, y)
    source = torch.Generator().manual_seed(seed)
    images = torch.randperm(len(x), generator=source)
    for network in (before, after):
        source.manual_seed(seed)
        units = torch.randperm(9, generator=source)
        with torch.no_grad():
            network.weights[0].copy_(network.weights[0][units].clone())
            network.weights[1].copy_(network.weights[1][:, units].clone())
    second = class_correlation(before, after, x[images], y[images])
    np.testing.assert_allclose(first["before"], second["before"], atol=1e-6)
    np.testing.assert_allclose(first["after"], second["after"], atol=1e-6)


def test_the_same_network_shows_no_change(pair: Any) -> None:
    before, _, x, y = pair(3)
    table = class_correlation(before, before, x, y)
    assert np.all(table["change"] == 0) and np.all(np.abs(table["before"]) <= 1)


def test_one_image_of_a_class_correlates_fully_with_itself_and_a_constant_one_not_at_all() -> None:
    net = MLP([2, 2, 2])
    with torch.no_grad():
        for weight in net.weights:
            weight.copy_(torch.eye(2))
    # The activity of the third image is 0.1 in both units: constant, though its mean is not exactly 0.1 in binary.
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 0.1]])
    table = class_correlation(net, net, x, torch.tensor([0, 1, 5])).where(layer="hidden1")
    n = np.nan
    np.testing.assert_allclose(table["before"].reshape(3, 3), [[1, -1, n], [-1, 1, n], [n, n, n]])
    summary = correlation_summary(class_correlation(net, net, x, torch.tensor([0, 1, 5])))
    assert summary["pairs"].tolist()[:2] == [2, 1]


def test_the_summary_counts_each_pair_once() -> None:
    table = Table(
        {
            "layer": np.array(["hidden1"] * 4 + ["output"] * 4),
            "class_a": np.array([3, 3, 8, 8] * 2),
            "class_b": np.array([3, 8, 3, 8] * 2),
            "before": np.array([0.9, 0.5, 0.5, 0.7] + [np.nan] * 4),
            "after": np.array([0.9, 0.1, 0.1, 0.8] + [np.nan] * 4),
            "change": np.array([0.0, -0.4, -0.4, 0.1] + [np.nan] * 4),
        }
    )
    same, different, *silent = correlation_summary(table).rows()
    assert (same["pair"], same["pairs"], same["fell"]) == ("same class", 2, 0.0)
    assert same["change"] == pytest.approx(0.05)
    assert (different["pairs"], different["change"], different["fell"]) == (1, -0.4, 1.0)
    assert [row["pairs"] for row in silent] == [0, 0] and np.isnan(silent[0]["change"])


def test_what_all_images_share_makes_them_alike_only_where_it_is_not_taken_away() -> None:
    """Two classes with a unit each beside one that answers to all: alike as they are, opposite about their mean."""
    shared, alone = (MLP([3, 3, 2]) for _ in range(2))
    with torch.no_grad():
        shared.weights[0].copy_(torch.diag(torch.tensor([1.0, 1.0, 5.0])))
        alone.weights[0].copy_(torch.diag(torch.tensor([1.0, 1.0, 0.0])))
    x, y = torch.tensor([[1.0, 0, 1], [0, 1, 1]]).repeat(5, 1), torch.tensor([0, 1]).repeat(5)
    raw, centred = (
        correlation_summary(class_correlation(shared, alone, x, y, centred=c)).where(layer="hidden1", pair=pair)
        for c in (False, True)
        for pair in ("different classes",)
    )
    assert raw["before"][0] > 0.8 and raw["after"][0] == pytest.approx(-0.5)
    assert centred["before"][0] == pytest.approx(-1) and centred["after"][0] == pytest.approx(-1)
