from __future__ import annotations

import math

import pytest
import torch

from neurosleep.errors import SettingsError
from neurosleep.functional import PairSTDP, pair_stdp_step

F64 = torch.float64


def final_weight(pre, post, rule, w=0.0):
    """One synapse: its weight after the given spike trains."""
    weight = torch.tensor([[w]], dtype=F64)
    x, y = rule.initial_traces(weight)
    for s, r in zip(pre, post, strict=True):
        bits = torch.tensor([s], dtype=torch.bool), torch.tensor([r], dtype=torch.bool)
        weight, (x, y) = pair_stdp_step(weight, *bits, (x, y), rule)
    return weight.item()


RULE = PairSTDP(0.5, 0.25, decay_plus=0.5, decay_minus=0.5)


def test_pair_within_a_step_is_causal_and_potentiates():
    assert final_weight([1], [1], RULE) == 0.5


@pytest.mark.parametrize("gap", [1, 2, 5])
def test_potentiation_and_depression_fall_exponentially_with_the_gap(gap):
    first, second = [1] + [0] * gap, [0] * gap + [1]
    assert final_weight(first, second, RULE) == 0.5 * 0.5**gap
    assert final_weight(second, first, RULE) == -0.25 * 0.5**gap


def test_all_pairs_count():
    # Pre at 0 and 1, post at 2: x = 0.25 + 0.5. Then pre at 3: y = 0.5.
    assert final_weight([1, 1, 0, 1], [0, 0, 1, 0], RULE) == 0.5 * 0.75 - 0.25 * 0.5


def test_single_spikes_change_nothing():
    assert final_weight([1, 0, 1], [0, 0, 0], RULE, 0.7) == 0.7
    assert final_weight([0, 0, 0], [1, 0, 1], RULE, 0.7) == 0.7


def test_default_traces_last_20_steps():
    assert final_weight([1] + [0] * 20, [0] * 20 + [1], PairSTDP(1.0, 0.0)) == pytest.approx(math.exp(-1), rel=1e-12)


def test_bounds_hold():
    rule = PairSTDP(0.5, 0.25, 0.5, 0.5, w_min=-0.1, w_max=0.3)
    assert final_weight([1], [1], rule) == 0.3
    assert final_weight([0, 1], [1, 0], rule) == -0.1


def test_bounds_come_after_both_changes_of_a_step():
    # y = 0.5, so depression takes 0.5 and potentiation adds 0.5; bounded in between, the weight would end at 0.5.
    rule = PairSTDP(0.5, 1.0, 0.5, 0.5, w_min=0.0, w_max=2.0)
    assert final_weight([0, 1], [1, 1], rule, 0.25) == 0.25 - 0.5 + 0.5


def test_bounds_leave_weights_alone_whose_sides_are_silent():
    rule = PairSTDP(0.5, 0.25, 0.5, 0.5, w_max=0.3)
    assert final_weight([0, 0], [0, 0], rule, 0.9) == 0.9


def test_step_equals_the_formula_on_a_matrix():
    generator = torch.Generator().manual_seed(1)
    rule = PairSTDP(0.01, 0.02, 0.9, 0.8, w_min=-0.5, w_max=0.5)
    w = torch.rand(3, 4, generator=generator, dtype=F64) - 0.5
    x, y = torch.rand(4, generator=generator, dtype=F64), torch.rand(3, generator=generator, dtype=F64)
    pre, post = torch.tensor([1, 0, 1, 0]).bool(), torch.tensor([0, 1, 1]).bool()
    new, (x1, y1) = pair_stdp_step(w, pre, post, (x, y), rule)
    torch.testing.assert_close(x1, 0.9 * x + pre)
    torch.testing.assert_close(y1, 0.8 * y + post)
    expected = w + 0.01 * torch.outer(post.double(), x1) - 0.02 * torch.outer(0.8 * y, pre.double())
    torch.testing.assert_close(new, expected.clamp(-0.5, 0.5))


def test_given_weight_and_traces_are_left_alone():
    w, x, y = torch.zeros(1, 1), torch.ones(1), torch.ones(1)
    pair_stdp_step(w, torch.tensor([True]), torch.tensor([True]), (x, y), RULE)
    assert (w.item(), x.item(), y.item()) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a_plus": -1}, "a_plus is -1"),
        ({"a_minus": math.nan}, "a_minus is nan"),
        ({"decay_plus": 1.0}, "decay_plus is 1.0"),
        ({"decay_minus": -0.1}, "decay_minus is -0.1"),
        ({"w_min": 1.0, "w_max": 1.0}, "bounds are 1.0 to 1.0"),
        ({"w_max": math.nan}, "bounds are -inf to nan"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(SettingsError, match=message):
        PairSTDP(**{"a_plus": 0.1, "a_minus": 0.1, **fields})
