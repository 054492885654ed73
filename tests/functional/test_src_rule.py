from __future__ import annotations

import math

import pytest
import torch

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import SRCRule, src_rows, src_step

F64 = torch.float64


def bools(*bits):
    return torch.tensor(bits, dtype=torch.bool)


def test_active_inputs_gain_and_silent_ones_lose_where_the_unit_fired():
    w = torch.tensor([[0.5, 0.5], [0.5, 0.5]], dtype=F64)
    new = src_step(w, bools(1, 0), bools(1, 0), SRCRule(0.25, 0.125, "constant"))
    assert new.tolist() == [[0.75, 0.375], [0.5, 0.5]]
    assert w.tolist() == [[0.5, 0.5], [0.5, 0.5]], "the given weight is left alone"


def test_steep_factor_freezes_positive_weights_and_doubles_the_step_of_negative_ones():
    # A negative weight gains 2 inc = 0.064 or loses 2 dec = 0.0067, a positive one neither.
    rule = SRCRule(inc=0.032, dec=0.0033447)
    w = torch.tensor([[0.1, -0.03, 0.0], [0.1, -0.03, 0.0]], dtype=F64)
    gained = src_step(w, bools(1, 1, 1), bools(1, 0), rule)[0].tolist()
    lost = src_step(w, bools(0, 0, 0), bools(1, 0), rule)[0].tolist()
    assert gained == pytest.approx([0.1, 0.034, 0.032], abs=1e-12)
    assert lost == pytest.approx([0.1, -0.03 - 2 * 0.0033447, -0.0033447], abs=1e-12)


def test_both_branches_use_the_weight_before_the_update():
    rule = SRCRule(0.5, 0.25, "logistic")
    w = torch.tensor([[math.log(3), -math.log(3)]], dtype=F64)  # sigmoid 3/4 and 1/4
    assert src_step(w, bools(1, 0), bools(1), rule)[0].tolist() == pytest.approx(
        [math.log(3) + 0.375, -math.log(3) - 0.0625], rel=1e-12
    )


def test_step_equals_the_pseudocode_of_the_released_code():
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(6, 9, generator=generator, dtype=F64) * 0.003
    pre, post = torch.rand(9, generator=generator) < 0.4, torch.rand(6, generator=generator) < 0.5
    rule, expected = SRCRule(0.01, 0.002), w.clone()
    for j in range(6):
        for i in range(9):
            factor = 2 * (1 - 1 / (1 + math.exp(-w[j, i].item() / 0.001)))
            if post[j]:
                expected[j, i] += 0.01 * factor if pre[i] else -0.002 * factor
    torch.testing.assert_close(src_step(w, pre, post, rule), expected, rtol=1e-9, atol=1e-15)


def test_nothing_changes_where_nothing_fires():
    w = torch.randn(3, 4)
    assert torch.equal(src_step(w, bools(1, 1, 1, 1), bools(0, 0, 0), SRCRule(1, 1)), w)


def test_weights_have_no_bound():
    w, rule = torch.zeros(1, 1, dtype=F64), SRCRule(1.0, 0.0, "constant")
    for _ in range(100):
        w = src_step(w, bools(1), bools(1), rule)
    assert w.item() == 100.0


def test_rows_and_step_in_place_agree_and_keep_the_type():
    w, rule = torch.randn(2, 3), SRCRule(0.1, 0.1)
    rows = src_rows(w, bools(1, 0, 1), rule)
    assert rows.dtype == torch.float32
    changed = w.clone()
    assert rule.step_(changed, bools(1, 0, 1), bools(1, 1), rule.initial_traces(w)) == ()
    assert torch.equal(changed, rows)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inc": -1}, "inc is -1"),
        ({"dec": math.nan}, "dec is nan"),
        ({"inc": math.inf}, "inc is inf"),
        ({"width": 0}, "width is 0"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(SettingsError, match=message):
        SRCRule(**{"inc": 0.1, "dec": 0.1, **fields})


def test_unknown_factor_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'steep'"):
        SRCRule(0.1, 0.1, "steap")
