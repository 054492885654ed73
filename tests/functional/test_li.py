from __future__ import annotations

import pytest
import torch

from neurosleep.functional import li_step


@pytest.mark.parametrize(("decay", "leak"), [(0.5, 0.0), (0.9, -0.5), (1.0, 2.0), (0.0, 0.25)])
def test_constant_input_follows_the_closed_form(decay, leak):
    # v_n = leak + a^n (v_0 - leak) + I (1 + a + ... + a^(n-1)); far above any threshold, nothing happens.
    a, b = torch.tensor(decay, dtype=torch.float64), torch.tensor(leak, dtype=torch.float64)
    v = torch.tensor([[3.0]], dtype=torch.float64)
    for _ in range(12):
        v = li_step(torch.tensor([[7.0]], dtype=torch.float64), v, a, b)
    expected = leak + decay**12 * (3.0 - leak) + 7.0 * sum(decay**k for k in range(12))
    assert v.item() == pytest.approx(expected, rel=1e-12)
