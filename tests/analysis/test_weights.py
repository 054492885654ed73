"""Histograms, shares and stable ranks of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.analysis import stable_rank, weight_histogram, weight_summary
from neurosleep.networks import MLP


@pytest.mark.parametrize("seed", range(5))
def test_histograms_count_every_synapse_once(seed: int, pair: Any) -> None:
    before, after, _, _ = pair(seed)
    with torch.no_grad():
        after.weights[0][:4] = before.weights[0][:4]
    table, summary = weight_histogram(before, after, bins=13), weight_summary(before, after)
    for row, early, late in zip(summary.rows(), before.weights, after.weights, strict=True):
        own = table.where(layer=row["layer"])
        total = {q: int(own.where(quantity=q)["count"].sum()) for q in dict.fromkeys(own["quantity"].tolist())}
        n = early.numel()
        assert total["before"] == total["after"] == total["change"] == row["synapses"] == n
        assert total["grown before"] == total["grown after"] == int((late > early).sum()) == round(row["grown"] * n)
        assert total["shrunk before"] == total["shrunk after"] == int((late < early).sum()) == round(row["shrunk"] * n)
        assert row["grown"] + row["shrunk"] + row["unchanged"] == pytest.approx(1)
        moved = row["grown"] * row["mean_growth"] + row["shrunk"] * row["mean_shrinkage"]
        assert row["mean_after"] - row["mean_before"] == pytest.approx(moved, abs=1e-9)
        bins = own.where(quantity="before")
        np.testing.assert_array_equal(bins["low"][1:], bins["high"][:-1])
        np.testing.assert_array_equal(bins["low"], own.where(quantity="grown after")["low"])
    assert summary["unchanged"][0] > 0


def test_the_same_network_shows_no_change(pair: Any) -> None:
    before, _, _, _ = pair(0)
    table = weight_histogram(before, before)
    assert not table.where(quantity="grown before")["count"].any()
    change = table.where(layer="hidden1", quantity="change")
    assert change["low"][0] < 0 < change["high"][-1] and change["count"].sum() == 108
    summary = weight_summary(before, before)
    assert (summary["unchanged"] == 1).all() and np.isnan(summary["mean_growth"]).all()
    assert (stable_rank(before, before)["change"] == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_stable_rank_against_singular_values(seed: int, pair: Any) -> None:
    before, after, _, _ = pair(seed)
    for row, early, late in zip(stable_rank(before, after).rows(), before.weights, after.weights, strict=True):
        for moment, weight in (("before", early), ("after", late)):
            s = torch.linalg.svdvals(weight.detach().double())
            assert row[moment] == pytest.approx(float((s**2).sum() / s[0] ** 2))
            assert 1 <= row[moment] <= row["full"]


def test_stable_rank_of_known_matrices() -> None:
    one, other = MLP([5, 3, 3]), MLP([5, 3, 3])
    with torch.no_grad():
        one.weights[0].copy_(torch.outer(torch.tensor([1.0, 2, 3]), torch.arange(5.0)))
        one.weights[1].copy_(4 * torch.eye(3))
        for weight in other.weights:
            weight.zero_()
    table = stable_rank(one, other)
    assert table["before"] == pytest.approx([1, 3]) and np.isnan(table["after"]).all()
    assert table["full"].tolist() == [3, 3]
