from __future__ import annotations

import pytest
import torch

from neurosleep.functional import CubaLIFState, LIFParams, cuba_lif_step

F64 = torch.float64


def params(**fields):
    values = {"threshold": 1.0, "decay": 0.5, "leak": 0.0, "reset_value": 0.0, "amount": 1.0}
    choices = {k: v for k, v in fields.items() if isinstance(v, str)}
    values.update({k: v for k, v in fields.items() if k in values})
    tensors = {k: torch.as_tensor(v, dtype=F64) for k, v in values.items()}
    return LIFParams(**tensors, refractory=torch.tensor(fields.get("refractory", 0)), **choices)


def run(currents, p, synaptic_decay):
    state = CubaLIFState(
        torch.zeros(1, 1, dtype=F64), torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1, dtype=F64)
    )
    rows = []
    for current in currents:
        spiked, state = cuba_lif_step(
            torch.tensor([[current]], dtype=F64), state, p, torch.tensor(synaptic_decay, dtype=F64)
        )
        rows.append((int(spiked), state.v.item(), state.i.item()))
    return rows


def test_current_and_potential_by_hand():
    # i = 0.5, 0.25, 0.125, ...; v = 0.5, 0.25 + 0.25, 0.25 + 0.125, ...: every number is exact in binary.
    assert run([0.5, 0, 0, 0], params(), 0.5) == [(0, 0.5, 0.5), (0, 0.5, 0.25), (0, 0.375, 0.125), (0, 0.25, 0.0625)]


def test_a_spike_resets_the_potential_and_not_the_current():
    # i = 1, 0.5; v = 1 fires and is 0; then v = 0 + 0.5.
    assert run([1.0, 0, 0], params(), 0.5) == [(1, 0.0, 1.0), (0, 0.5, 0.5), (0, 0.5, 0.25)]
    # The soft reset takes 1 from 3: v = 2; then 1 + 1.5 = 2.5 fires and is 1.5; then 0.75 + 0.75 = 1.5 fires.
    assert run([3.0, 0, 0], params(reset="subtract"), 0.5) == [(1, 2.0, 3.0), (1, 1.5, 1.5), (1, 0.5, 0.75)]


def test_the_current_decays_while_a_refractory_unit_holds_its_potential():
    # Two steps of holding at 0; then v = 0.25 from the current that is left.
    assert run([2.0, 0, 0, 0], params(refractory=2), 0.5) == [(1, 0, 2.0), (0, 0, 1.0), (0, 0, 0.5), (0, 0.25, 0.25)]


@pytest.mark.parametrize(("a", "b"), [(0.9, 0.8), (0.5, 0.99), (0.0, 0.3)])
def test_constant_input_follows_the_closed_form(a, b):
    # i_n = I (1 - b^n)/(1 - b); v_n = sum over k of a^(n-k) i_k, as long as nothing fires.
    n, current = 25, 1e-4
    i = [current * (1 - b**k) / (1 - b) for k in range(1, n + 1)]
    v = sum(a ** (n - k) * i[k - 1] for k in range(1, n + 1))
    last = run([current] * n, params(decay=a), b)[-1]
    assert last[0] == 0 and last[1:] == pytest.approx((v, i[-1]), rel=1e-12)


def test_the_state_before_the_step_is_left_alone():
    state = CubaLIFState(torch.zeros(1, 2, dtype=F64), torch.zeros(1, 2, dtype=torch.int64), torch.ones(1, 2).double())
    cuba_lif_step(torch.ones(1, 2, dtype=F64), state, params(), torch.tensor(0.5))
    assert not state.v.any() and (state.i == 1).all()
