"""Input to the units of old and new tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.analysis import input_drive
from neurosleep.networks import MLP

TASKS = [[0, 1], [2]]


@pytest.mark.parametrize("seed", range(5))
def test_against_the_plain_definition(seed: int, pair: Any) -> None:
    before, after, x, y = pair(seed)
    table = input_drive(before, after, x, y, TASKS, units=2)
    for network in (before, after):
        network.eval()
    with torch.no_grad():
        early, late = ([x, *network.activities(x)] for network in (before, after))
        for row in table.rows():
            k = int(row["layer"][-1]) - 1
            own = torch.isin(y, torch.tensor(TASKS[row["task"] - 1]))
            active = early[k + 1].double()
            chosen = (active[own].mean(0) - active[~own].mean(0)).topk(2).indices
            for moment, layers, network in (("before", early, before), ("after", late, after)):
                drive = (layers[k] @ network.weights[k].T)[own][:, chosen]
                assert row[moment] == pytest.approx(float(drive.mean()), abs=1e-6)
            assert row["change"] == row["after"] - row["before"]
    assert table["age"].tolist() == ["old", "new"] * 2


def test_it_is_linear_in_the_weights(pair: Any) -> None:
    before, after, x, y = pair(7)
    with torch.no_grad():
        after.weights[0].copy_(before.weights[0] * 3)
        after.weights[1].copy_(before.weights[1] * 2)
    table = input_drive(before, after, x, y, TASKS)
    first, second = table.where(layer="hidden1"), table.where(layer="hidden2")
    np.testing.assert_allclose(first["after"], 3 * first["before"], rtol=1e-5)
    np.testing.assert_allclose(second["after"], 6 * second["before"], rtol=1e-5)


def test_the_same_network_shows_no_change_and_other_classes_do_not_matter(pair: Any) -> None:
    before, after, x, y = pair(1)
    assert (input_drive(before, before, x, y, TASKS)["change"] == 0).all()
    kept = y != 1
    part = input_drive(before, after, x[kept], y[kept], [[0], [2]])
    whole = input_drive(before, after, x, y, [[0], [2]])
    for moment in ("before", "after"):
        np.testing.assert_allclose(whole[moment], part[moment], rtol=1e-6)


def test_a_known_case() -> None:
    net, slept = MLP([4, 4, 2]), MLP([4, 4, 2])
    with torch.no_grad():
        net.weights[0].copy_(torch.eye(4))
        slept.weights[0].copy_(torch.diag(torch.tensor([2.0, 2, 0.5, 0.5])))
    x, y = torch.eye(4), torch.arange(4)
    table = input_drive(net, slept, x, y, [[0, 1], [2, 3]], units=2)
    assert table["before"].tolist() == [0.5, 0.5] and table["after"].tolist() == [1.0, 0.25]


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_a_layers_activity_against_the_plain_definition(seed: int, pair: Any) -> None:
    before, after, x, y = pair(seed)
    table = input_drive(before, after, x, y, TASKS, units=2, share=True)
    for network in (before, after):
        network.eval()
    with torch.no_grad():
        early, late = (network.activities(x) for network in (before, after))
    for row in table.rows():
        k = int(row["layer"][-1]) - 1
        own = torch.isin(y, torch.tensor(TASKS[row["task"] - 1]))
        chosen = (early[k][own].mean(0) - early[k][~own].mean(0)).topk(2).indices
        for moment, layers in (("before", early), ("after", late)):
            total = layers[k][own].double().sum(0)
            assert row[moment] == pytest.approx(float(total[chosen].sum() / total.sum()), abs=1e-6)
        assert row["all_before"] == row["all_after"] == pytest.approx(2 / len(total))


def test_the_share_does_not_see_a_layer_that_is_driven_less_as_a_whole(pair: Any) -> None:
    before, after, x, y = pair(3)
    with torch.no_grad():
        for early, late in zip(before.weights, after.weights, strict=True):
            late.copy_(early * 0.25)
    np.testing.assert_allclose(input_drive(before, after, x, y, TASKS, share=True)["change"], 0, atol=1e-6)
    assert (input_drive(before, after, x, y, TASKS)["change"] != 0).all()
    with torch.no_grad():
        after.weights[0].zero_()
    assert np.isnan(input_drive(before, after, x, y, TASKS, share=True)["after"]).all()
