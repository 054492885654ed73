"""Units that a class excites, and their firing in sleep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.analysis import task_specific_firing, welch_test
from neurosleep.networks import MLP
from neurosleep.spiking import Recording


def recording(counts: list[int], steps: int = 1000) -> Recording:
    n = len(counts)
    return Recording(steps, 0.001, {"input": np.zeros(n, np.int64), "hidden1": np.array(counts, np.int64)})


def identity(n: int) -> MLP:
    net = MLP([n, n, 2])
    with torch.no_grad():
        net.weights[0].copy_(torch.eye(n))
    return net


def test_a_known_case() -> None:
    # Class 0 excites units 0 and 1, class 1 units 8 and 9; only 0 and 1 fire, 20 and 10 times in two seconds.
    x = torch.zeros(8, 10)
    x[:4, :2] = torch.rand(4, 2, generator=torch.Generator().manual_seed(0)) + 0.1
    x[4:7, 8:] = 1.0
    y = torch.tensor([0] * 4 + [1] * 4)  # the last image is silent
    table = task_specific_firing(identity(10), recording([20, 10] + [0] * 8, 2000), x, y, units=2)
    first, second = table.rows()
    assert (first["specific_hz"], second["specific_hz"]) == (7.5, 0.0)
    assert (first["images"], second["images"]) == (4, 3)
    assert first["units"] == 2 and first["layer"] == "hidden1"
    # More units than are active: only the active ones count.
    wide = task_specific_firing(identity(10), recording([20, 10] + [0] * 8, 2000), x, y, units=5)
    assert wide["specific_hz"].tolist() == [7.5, 0.0]
    # All units: what is random is the mean of the layer.
    everything = task_specific_firing(identity(10), recording([20, 10] + [0] * 8, 2000), x, y, units=10)
    assert everything["random_hz"] == pytest.approx(np.full(2, 1.5))


def test_tests_are_corrected_for_their_number() -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(90, 20, generator=generator), torch.arange(90) % 3
    table = task_specific_firing(identity(20), recording(list(range(20))), x, y, units=4)
    assert table["p_bonferroni"] == pytest.approx(np.minimum(1, 3 * table["p"]))
    silent = task_specific_firing(identity(20), recording([0] * 20), x, y, units=4)
    assert np.isnan(silent["p"]).all() and np.isnan(silent["p_bonferroni"]).all()
    assert (silent["specific_hz"] == 0).all()


def test_it_finds_nothing_where_there_is_nothing(pair: Any, sleep_phase: Any) -> None:
    # Firing that has nothing to do with the wake activity.
    before, _, x, y = pair(0)
    differences = []
    for seed in range(40):
        table = task_specific_firing(before, sleep_phase(seed), x, y, units=3, seed=seed)
        differences += (table["specific_hz"] - table["random_hz"]).tolist()
    assert abs(np.mean(differences)) < 4 * np.std(differences) / np.sqrt(len(differences) / 3)


def test_the_seed_decides_the_random_subsets(pair: Any, sleep_phase: Any) -> None:
    before, _, x, y = pair(0)
    once, again, other = (task_specific_firing(before, sleep_phase(0), x, y, seed=seed) for seed in (1, 1, 2))
    assert once.rows() == again.rows()
    assert once["specific_hz"].tolist() == other["specific_hz"].tolist()
    assert once["random_hz"].tolist() != other["random_hz"].tolist()


def test_the_columns_are_welchs_test_on_images(sleep_phase: Any, pair: Any) -> None:
    before, _, x, y = pair(4)
    sleep4 = sleep_phase(4)
    row = task_specific_firing(before, sleep4, x, y, units=8).where(layer="hidden2").rows()[0]
    # All eight units: every random subset is the whole layer.
    before.eval()
    a = before.activities(x)[1].detach().numpy()[y.numpy() == 0]
    rate = sleep4.rate("hidden2")
    active = [rate[image > 0].mean() for image in a if (image > 0).any()]
    assert row["specific_hz"] == pytest.approx(np.mean(active))
    assert row["t"] == pytest.approx(welch_test(np.array(active), np.full(len(active), rate.mean())).t)
