from __future__ import annotations

import pytest
import torch

from neurosleep.functional import cuba_li_step, li_step


@pytest.mark.parametrize(("decay", "leak"), [(0.5, 0.0), (0.9, -0.5), (1.0, 2.0), (0.0, 0.25)])
def test_constant_input_follows_the_closed_form(decay, leak):
    # v_n = leak + a^n (v_0 - leak) + I (1 + a + ... + a^(n-1)); far above any threshold, nothing happens.
    a, b = torch.tensor(decay, dtype=torch.float64), torch.tensor(leak, dtype=torch.float64)
    v = torch.tensor([[3.0]], dtype=torch.float64)
    for _ in range(12):
        v = li_step(torch.tensor([[7.0]], dtype=torch.float64), v, a, b)
    expected = leak + decay**12 * (3.0 - leak) + 7.0 * sum(decay**k for k in range(12))
    assert v.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("synaptic_decay", [0.0, 0.25, 0.8])
def test_the_response_to_one_spike_is_the_difference_of_two_exponentials(synaptic_decay):
    # v_n = sum over k of a^(n-k) b^k = (a^(n+1) - b^(n+1)) / (a - b), for one input of 1 in step 0 and leak 0.
    a, b = torch.tensor(0.9, dtype=torch.float64), torch.tensor(synaptic_decay, dtype=torch.float64)
    v = i = torch.zeros(1, 1, dtype=torch.float64)
    for n in range(12):
        v, i = cuba_li_step(torch.full_like(v, float(n == 0)), v, i, a, torch.zeros_like(a), b)
        assert v.item() == pytest.approx(
            (0.9 ** (n + 1) - synaptic_decay ** (n + 1)) / (0.9 - synaptic_decay), rel=1e-12
        )
