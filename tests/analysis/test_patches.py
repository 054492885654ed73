"""The toy task: drive and weights by kind of pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosleep.analysis import patch_drive, patch_weights
from neurosleep.errors import DataError, SettingsError
from neurosleep.networks import MLP

TASKS = [[0, 1], [2, 3]]
LABELS = torch.arange(4)


def patches() -> torch.Tensor:
    """Pixels 0 and 1 on in all, 2..9 two for each patch, 10 in patches 0 and 1, 11 in none."""
    x = torch.zeros(4, 12)
    x[:, :2] = 1
    for k in range(4):
        x[k, 2 + 2 * k : 4 + 2 * k] = 1
    x[:2, 10] = 1
    return x


def network(seed: int = 0) -> MLP:
    return MLP([12, 4], init=1.0, generator=torch.Generator().manual_seed(seed))


def test_drive_is_that_of_the_definition() -> None:
    before, after = network(0), network(1)
    table = patch_drive(before, after, patches(), LABELS, TASKS)
    w = before.weights[0].detach().double().numpy()
    row = table.where(**{"class": 0, "moment": "before"}).rows()[0]
    assert row["task"] == 1
    assert row["own"] == pytest.approx(w[0, :2].sum() + w[0, 2:4].sum())
    assert row["other"] == pytest.approx(max(w[2, :2].sum(), w[3, :2].sum()) + max(w[2, 2:4].sum(), w[3, 2:4].sum()))
    assert row["margin"] == pytest.approx(row["own"] - row["other"])
    assert len(table) == 8
    same = patch_drive(before, before, patches(), LABELS, TASKS)
    np.testing.assert_array_equal(same.where(moment="before")["margin"], same.where(moment="after")["margin"])


def test_a_positive_margin_means_no_confusion_with_the_other_task() -> None:
    kept = 0
    x = patches()
    x[:, 10] = 0  # only overlap and unique pixels
    for seed in range(200):
        net = network(seed)
        table = patch_drive(net, net, x, LABELS, TASKS).where(moment="before")
        best = net(x).argmax(1).numpy()
        for row in table.rows():
            if row["margin"] > 0:
                kept += 1
                assert best[row["class"]] // 2 == row["task"] - 1
    assert kept > 50


def test_every_synapse_from_a_used_pixel_has_one_kind() -> None:
    before, after = network(0), network(1)
    table = patch_weights(before, after, patches(), LABELS, TASKS)
    # For each of four outputs: 2 overlap, 2 own, 2 sibling, 4 of the other task; pixels 10 and 11 are of no kind.
    assert len(table) == 40 and not np.isin(table["pixel"], (10, 11)).any()
    for output in range(4):
        own = table.where(output=output)
        assert {kind: len(own.where(kind=kind)) for kind in dict.fromkeys(own["kind"].tolist())} == {
            "overlap": 2,
            "own": 2,
            "sibling": 2,
            "other task": 4,
        }
    with torch.no_grad():
        for row in table.rows():
            assert row["before"] == float(before.weights[0][row["output"], row["pixel"]])
            assert row["after"] == float(after.weights[0][row["output"], row["pixel"]])
    assert set(table.where(output=3, kind="own")["pixel"].tolist()) == {8, 9}


def test_what_is_no_patch_task_is_refused() -> None:
    net, x = network(), patches()
    for analysis in (patch_drive, patch_weights):
        with pytest.raises(DataError, match="0 and 1"):
            analysis(net, net, x * 0.5, LABELS, TASKS)
        with pytest.raises(DataError, match="2 layers"):
            analysis(MLP([12, 5, 4]), MLP([12, 5, 4]), x, LABELS, TASKS)
        for tasks in ([[0, 1, 2, 3]], [[0, 1], [2]]):
            with pytest.raises(SettingsError, match="do not fit the patches"):
                analysis(net, net, x, LABELS, tasks)
        with pytest.raises(SettingsError, match="do not fit the patches"):
            analysis(net, net, x.repeat(2, 1), LABELS.repeat(2), TASKS)
        with pytest.raises(SettingsError, match="do not fit the patches"):
            analysis(net, net, x, LABELS + 1, [[1, 2], [3, 4]])
    with pytest.raises(DataError, match="one patch only or in all"):
        patch_weights(net, net, torch.zeros(4, 12), LABELS, TASKS)
