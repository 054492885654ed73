from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.errors import SettingsError
from neurosleep.functional import PairSTDP, TripletSTDP, plasticity_step

F64 = torch.float64


def final_weight(pre, post, rule, w=0.0) -> float:
    """One synapse: its weight after the given spike trains."""
    weight = torch.tensor([[w]], dtype=F64)
    traces = rule.initial_traces(weight)
    for s, r in zip(pre, post, strict=True):
        bits = torch.tensor([s], dtype=torch.bool), torch.tensor([r], dtype=torch.bool)
        weight, traces = plasticity_step(weight, *bits, traces, rule)
    return weight.item()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.floats(0, 0.9), st.floats(0, 0.9))
def test_without_triplets_it_is_pair_stdp(spikes, decay_plus, decay_minus) -> None:
    pre, post = [s for s, _ in spikes], [r for _, r in spikes]
    pairs = PairSTDP(0.03, 0.02, decay_plus, decay_minus, w_min=-0.25, w_max=0.25)
    rule = TripletSTDP(0.03, 0.02, 0.0, 0.0, decay_plus, decay_minus, w_min=-0.25, w_max=0.25)
    assert final_weight(pre, post, rule) == final_weight(pre, post, pairs)


RULE = TripletSTDP(1 / 4, 1 / 8, 1 / 2, 1 / 16, *[0.5] * 4)


@pytest.mark.parametrize(
    ("pre", "post", "change"),
    [
        # post, pre, post: o1 = 1/2 at the input's spike; then r1 = 1/2 and o2 = 1/4 from the first spike of the unit.
        ([0, 1, 0], [1, 0, 1], -(1 / 2) * (1 / 8) + (1 / 2) * (1 / 4 + 1 / 2 * 1 / 4)),
        # pre, post, pre: r1 = 1/2, o2 = 0; then o1 = 1/2 and r2 = 1/4 from the first spike of the input.
        ([1, 0, 1], [0, 1, 0], (1 / 2) * (1 / 4) - (1 / 2) * (1 / 8 + 1 / 16 * 1 / 4)),
        # Both in one step potentiate; what this step added to the slow traces does not count.
        ([1], [1], 1 / 4),
    ],
)
def test_triplets_by_hand(pre, post, change) -> None:
    assert final_weight(pre, post, RULE) == change


def test_the_frequency_of_pairs_matters_as_in_the_experiments() -> None:
    # The paper's: pairs 10 ms apart leave weights alone at low frequencies, and potentiate more and more at high ones.
    rule = TripletSTDP(0.0, 7.1e-3, 6.5e-3, 0.0, decay_y=math.exp(-1 / 114))
    changes = []
    for hertz in (1, 10, 20, 40):
        period = 1000 // hertz
        pre = [t % period == 0 for t in range(60 * period)]
        post = [t % period == 10 for t in range(60 * period)]
        changes.append(final_weight(pre, post, rule))
    assert changes == sorted(changes) and abs(changes[0]) < 0.1 < changes[-1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"a3_plus": -1}, "a3_plus is -1"), ({"decay_x": 1.0}, "decay_x is 1.0"), ({"w_max": -math.inf}, "bounds are")],
)
def test_impossible_parameters_are_refused(fields, message) -> None:
    with pytest.raises(SettingsError, match=message):
        TripletSTDP(**{"a2_plus": 0.1, "a2_minus": 0.1, "a3_plus": 0.1, "a3_minus": 0.1, **fields})
