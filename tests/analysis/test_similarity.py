"""Likeness of sleep and wake, against plain NumPy."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.analysis import sleep_wake_similarity
from neurosleep.functional import SpikeEvents
from neurosleep.networks import MLP
from neurosleep.spiking import Recording


@pytest.mark.parametrize("seed", range(5))
def test_against_plain_correlations(seed: int, pair: Any, sleep_phase: Any) -> None:
    before, _, x, y = pair(seed)
    sleep = sleep_phase(seed)
    table = sleep_wake_similarity(before, sleep, x, y, window=400, windows=3)
    before.eval()
    with torch.no_grad():
        activities = [a.double().numpy() for a in before.activities(x)[:2]]
    for name, a in zip(("hidden1", "hidden2"), activities, strict=True):
        own = table.where(layer=name)
        counts = sleep.counts[name]
        moving = a[:, a.std(axis=0) > 0]
        r = np.corrcoef(moving.T)
        pairwise = r[~np.eye(len(r), dtype=bool)].mean()
        for c, row in enumerate(own.rows()):
            mean = a[y.numpy() == c].mean(axis=0)
            images = [np.corrcoef(image, counts)[0, 1] for image in a[y.numpy() == c] if image.std() > 0]
            assert row["per_image"] == pytest.approx(np.mean(images), abs=1e-9)
            # A window as long as the sleep is the whole sleep, each time.
            assert row["per_window"] == pytest.approx(np.corrcoef(mean, counts)[0, 1], abs=1e-9)
            assert row["per_window_sd"] == pytest.approx(0, abs=1e-9) and row["windows"] == 3
            assert row["unit_correlation"] == pytest.approx(pairwise, abs=1e-7)
            assert row["normalised"] == pytest.approx(row["per_window"] / row["unit_correlation"])


def test_windows_lie_within_the_sleep_and_silent_ones_do_not_count() -> None:
    net = MLP([3, 3, 2])
    with torch.no_grad():
        net.weights[0].copy_(torch.eye(3))
    # The first half fires like the image, the second is silent.
    dense = np.zeros((200, 3))
    dense[:100] = [1, 0, 0]
    events = SpikeEvents.from_dense(dense)
    sleep = Recording(200, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    x, y = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]), torch.tensor([0, 1])
    first, second = sleep_wake_similarity(net, sleep, x, y, window=10, windows=300).rows()
    assert first["per_window"] == pytest.approx(1) and second["per_window"] == pytest.approx(-0.5)
    assert 100 < first["windows"] < 200
    # A window longer than the sleep is the sleep.
    assert sleep_wake_similarity(net, sleep, x, y, window=10_000, windows=7)["windows"].tolist() == [7, 7]


def test_without_spikes_or_without_firing(pair: Any, sleep_phase: Any) -> None:
    before, _, x, y = pair(0)
    counts_only = dataclasses.replace(sleep_phase(0), spikes={})
    table = sleep_wake_similarity(before, counts_only, x, y)
    assert np.isnan(table["per_window"]).all() and (table["windows"] == 0).all()
    assert np.isfinite(table["per_image"]).all()
    silent = Recording(9, 0.001, {name: np.zeros(n, np.int64) for name, n in (("hidden1", 9), ("hidden2", 8))})
    assert np.isnan(sleep_wake_similarity(before, silent, x, y)["per_image"]).all()


def test_units_that_never_change_have_no_correlation() -> None:
    net = MLP([2, 3, 2])
    with torch.no_grad():
        net.weights[0].copy_(torch.tensor([[1.0, 0], [0, 0], [0, 0.1]]))
    x = torch.tensor([[1.0, 1.0], [0.5, 1.0]])
    sleep = Recording(5, 0.001, {"hidden1": np.array([1, 0, 0])})
    table = sleep_wake_similarity(net, sleep, x, torch.tensor([0, 0]))
    assert np.isnan(table["unit_correlation"]).all()
