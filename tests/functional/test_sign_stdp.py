from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.errors import SettingsError
from neurosleep.functional import SignSTDP, SRCRule, plasticity_step

F64 = torch.float64


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_every_weight_of_a_unit_that_fires_changes_by_a_and_no_other(seed, window) -> None:
    generator, a = torch.Generator().manual_seed(seed), 1 / 64
    rule, weight = SignSTDP(a, window), torch.zeros(3, 4, dtype=F64)
    traces, last = rule.initial_traces(weight), [-100] * 4
    for t in range(30):
        pre, post = torch.rand(4, generator=generator) < 0.2, torch.rand(3, generator=generator) < 0.3
        last = [t if s else before for s, before in zip(pre.tolist(), last, strict=True)]
        changed, traces = plasticity_step(weight, pre, post, traces, rule)
        expected = [[a if t - then < window else -a for then in last] if r else [0.0] * 4 for r in post.tolist()]
        assert (changed - weight).tolist() == expected
        weight = changed


def test_within_one_step_it_is_the_sleep_rule_with_equal_steps() -> None:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(3, 4, generator=generator, dtype=F64)
    sign, src = SignSTDP(0.1, window=1), SRCRule(0.1, 0.1, "constant")
    found, expected, traces = weight, weight, sign.initial_traces(weight)
    for _ in range(20):
        pre, post = torch.rand(4, generator=generator) < 0.4, torch.rand(3, generator=generator) < 0.4
        found, traces = plasticity_step(found, pre, post, traces, sign)
        expected, _ = plasticity_step(expected, pre, post, (), src)
    assert found.equal(expected) and not found.equal(weight)


def test_bounds_hold() -> None:
    rule, weight, fired = SignSTDP(0.5, w_min=-0.25, w_max=0.25), torch.zeros(1, 2, dtype=F64), torch.tensor([True])
    changed, _ = plasticity_step(weight, torch.tensor([True, False]), fired, rule.initial_traces(weight), rule)
    assert changed.tolist() == [[0.25, -0.25]]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a": -1}, "a is -1"),
        ({"window": 0}, "window, in steps, cannot be 0"),
        ({"window": 2.5}, "cannot be 2.5"),
        ({"w_min": 1, "w_max": 0}, "bounds are 1 to 0"),
    ],
)
def test_impossible_parameters_are_refused(fields, message) -> None:
    with pytest.raises(SettingsError, match=message):
        SignSTDP(**{"a": 0.1, **fields})
