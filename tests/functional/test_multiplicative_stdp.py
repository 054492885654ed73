from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.errors import SettingsError
from neurosleep.functional import MultiplicativeSTDP, PairSTDP, plasticity_step

F64 = torch.float64


def trains(seed: int, steps: int, post: int, pre: int, p: float = 0.3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [(torch.rand(pre, generator=generator) < p, torch.rand(post, generator=generator) < p) for _ in range(steps)]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.integers(0, 1000), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(1, 3), st.floats(1, 3), st.floats(-2.0, 0.9)
)
def test_weights_keep_within_their_bounds_without_clipping(seed, a_plus, a_minus, mu_plus, mu_minus, w_min) -> None:
    # Traces stay below 2: no step is longer than the whole way.
    span = 1.0 - w_min
    rule = MultiplicativeSTDP(a_plus * span, a_minus * span, mu_plus, mu_minus, 0.5, 0.5, w_min, 1.0)
    weight = w_min + span * torch.rand(3, 4, generator=torch.Generator().manual_seed(seed), dtype=F64)
    x, y, traces = torch.zeros(4, dtype=F64), torch.zeros(3, dtype=F64), rule.initial_traces(weight)
    unclipped = weight
    for pre, post in trains(seed, 40, 3, 4):
        weight, traces = plasticity_step(weight, pre, post, traces, rule)
        x, y = 0.5 * x + pre, 0.5 * y
        down = rule.a_minus * torch.outer(y, pre.double())
        unclipped = unclipped - down * ((unclipped - w_min) / span).clamp(min=0) ** mu_minus
        up = rule.a_plus * torch.outer(post.double(), x)
        unclipped = unclipped + up * ((1 - unclipped) / span).clamp(min=0) ** mu_plus
        y = y + post
        assert w_min - 1e-12 <= unclipped.min() and unclipped.max() <= 1 + 1e-12
    torch.testing.assert_close(weight, unclipped, rtol=1e-9, atol=1e-9)


def test_without_exponents_it_is_the_additive_rule() -> None:
    weight = torch.rand(3, 4, generator=torch.Generator().manual_seed(1), dtype=F64)
    found, expected = [
        (weight, rule.initial_traces(weight), rule)
        for rule in (
            MultiplicativeSTDP(0.2, 0.6, 0.0, 0.0, 0.8, 0.7),
            PairSTDP(0.2, 0.6, 0.8, 0.7, w_min=0.0, w_max=1.0),
        )
    ]
    for pre, post in trains(1, 60, 3, 4):
        found, expected = (
            (*plasticity_step(w, pre, post, traces, rule), rule) for w, traces, rule in (found, expected)
        )
        assert found[0].equal(expected[0])
    assert found[0].min() == 0 and found[0].max() == 1


@pytest.mark.parametrize("w", [0.125, 0.5, 0.875])
def test_a_step_depends_on_the_distance_to_the_bound_that_it_leads_to(w) -> None:
    van_rossum = MultiplicativeSTDP(0.25, 0.5, mu_plus=0.0, decay_plus=0.5, decay_minus=0.5)
    weight, yes, no = torch.tensor([[w]], dtype=F64), torch.tensor([True]), torch.tensor([False])
    up, _ = plasticity_step(weight, yes, yes, van_rossum.initial_traces(weight), van_rossum)
    assert up.item() == min(w + 0.25, 1.0)
    _, traces = plasticity_step(weight, no, yes, van_rossum.initial_traces(weight), van_rossum)
    down, _ = plasticity_step(weight, yes, no, traces, van_rossum)
    assert down.item() == w - 0.5 * 0.5 * w


def test_weights_beyond_a_bound_come_back_without_an_undefined_power() -> None:
    rule = MultiplicativeSTDP(0.25, 0.25, 0.5, 0.5, 0.5, 0.5)
    weight, yes = torch.tensor([[-0.5, 1.5]], dtype=F64), torch.tensor([True])
    found, _ = plasticity_step(weight, torch.tensor([True, True]), yes, rule.initial_traces(weight), rule)
    assert found.min() >= 0 and found.max() == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a_plus": -1}, "a_plus is -1"),
        ({"mu_minus": math.nan}, "mu_minus is nan"),
        ({"decay_plus": 1.0}, "decay_plus is 1.0"),
        ({"w_min": 1.0}, "bounds are 1.0 to 1.0"),
        ({"w_max": math.inf}, "bounds are 0.0 to inf"),
    ],
)
def test_impossible_parameters_are_refused(fields, message) -> None:
    with pytest.raises(SettingsError, match=message):
        MultiplicativeSTDP(**{"a_plus": 0.1, "a_minus": 0.1, **fields})
