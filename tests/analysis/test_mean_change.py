"""The network between two moments that has each unit's mean change alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurosleep.analysis import analyse_sleep, class_correlation, with_mean_change
from neurosleep.errors import NeurosleepError
from neurosleep.networks import MLP


@given(seed=st.integers(0, 1000), amount=st.floats(-2, 2))
def test_a_change_of_units_as_wholes_is_all_of_it(seed: int, amount: float) -> None:
    torch.manual_seed(seed)
    before = MLP([5, 4, 3])
    after = copy.deepcopy(before)
    with torch.no_grad():
        for weight in after.weights:
            weight += amount * torch.rand(len(weight), 1)
    for between, late in zip(with_mean_change(before, after).weights, after.weights, strict=True):
        torch.testing.assert_close(between, late, rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 1000))
def test_what_is_left_has_no_mean(seed: int) -> None:
    torch.manual_seed(seed)
    before, after = MLP([5, 4, 3]), MLP([5, 4, 3])
    early = [weight.clone() for weight in before.weights]
    between = with_mean_change(before, after)
    for weight, late, kept, own in zip(between.weights, after.weights, before.weights, early, strict=True):
        assert (late - weight).mean(dim=1).abs().max() < 1e-6
        # The same amount for all inputs of a unit, and the network that was given stays as it is.
        assert (weight - own).std(dim=1).max() < 1e-6
        assert torch.equal(kept, own)


def test_the_two_parts_add_up_to_the_change(pair: Any) -> None:
    before, after, x, y = pair(0)
    tables = analyse_sleep(before, after, None, x, y, [[0, 1], [2]])
    whole, unit, rest = (tables[f"{kind}_correlation"] for kind in ("centred", "unit", "pattern"))
    assert unit["change"] + rest["change"] == pytest.approx(whole["change"], abs=1e-9)
    assert abs(unit["change"]).max() > 0 and abs(rest["change"]).max() > 0
    between = with_mean_change(before, after)
    by_hand = class_correlation(between, after, x, y, centred=True)
    same = by_hand["change"][(by_hand["class_a"] == by_hand["class_b"]) & (by_hand["layer"] == "hidden1")]
    assert rest["change"][0] == pytest.approx(same.mean())


def test_networks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(NeurosleepError, match="different layers"):
        with_mean_change(MLP([5, 4, 3]), MLP([5, 3, 3]))
