from __future__ import annotations

import pytest
import torch

from neurosleep.functional import LIFParams, LIFState, lif_step, reset_spiked

F64 = torch.float64


def params(**fields):
    values = {"threshold": 1.0, "decay": 1.0, "leak": 0.0, "reset_value": 0.0, "amount": 1.0}
    choices = {k: v for k, v in fields.items() if isinstance(v, str)}
    values.update({k: v for k, v in fields.items() if k in values})
    tensors = {k: torch.as_tensor(v, dtype=F64) for k, v in values.items()}
    return LIFParams(**tensors, refractory=torch.tensor(fields.get("refractory", 0)), **choices)


def run(currents, p, v=0.0):
    state = LIFState(torch.tensor([[v]], dtype=F64), torch.zeros(1, 1, dtype=torch.int64))
    spikes, potentials = [], []
    for current in currents:
        spiked, state = lif_step(torch.tensor([[current]], dtype=F64), state, p)
        spikes.append(int(spiked))
        potentials.append(state.v.item())
    return spikes, potentials


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("leak", [0.0, -0.5])
def test_potential_follows_the_closed_form(decay, leak):
    # v_n = leak + a^n (v_0 - leak) + I (1 - a^n)/(1 - a), as long as nothing fires.
    n, current, v0 = 30, 0.01, 0.3
    _, potentials = run([current] * n, params(decay=decay, leak=leak), v0)
    expected = leak + decay**n * (v0 - leak) + current * (1 - decay**n) / (1 - decay)
    assert potentials[-1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("decay", "current", "period"), [(0.9, 0.3, 4), (1.0, 0.25, 4), (0.5, 1.0, 1), (0.5, 0.75, 2)])
def test_constant_input_fires_periodically(decay, current, period):
    # The smallest n with I (1 - a^n)/(1 - a) >= 1, by hand.
    spikes, _ = run([current] * 12, params(decay=decay))
    assert [t + 1 for t, s in enumerate(spikes) if s] == list(range(period, 13, period))


def test_equality_fires_only_with_the_weak_comparison():
    assert run([1.0], params(compare=">=")) == ([1], [0.0])
    assert run([1.0], params(compare=">")) == ([0], [1.0])


def test_hard_reset_goes_to_the_value():
    assert run([3.0, 0.0], params(reset_value=0.25)) == ([1, 0], [0.25, 0.25])


def test_soft_reset_takes_the_amount_away():
    assert run([2.5, 0.0, 0.0], params(reset="subtract")) == ([1, 1, 0], [1.5, 0.5, 0.5])
    assert run([2.5], params(reset="subtract", amount=0.25)) == ([1], [2.25])


def test_refractory_unit_holds_its_potential_for_as_many_steps():
    assert run([1.0] * 6, params(refractory=2)) == ([1, 0, 0, 1, 0, 0], [0.0] * 6)


def test_refractory_unit_may_go_on_integrating():
    p = params(refractory=2, while_refractory="integrate")
    assert run([1.0, 0.5, 0.5, 0.0], p) == ([1, 0, 0, 1], [0.0, 0.5, 1.0, 0.0])


def test_threshold_0_fires_at_rest_only_with_the_weak_comparison():
    assert run([0.0] * 3, params(threshold=0.0))[0] == [1, 1, 1]
    assert run([0.0] * 3, params(threshold=0.0, compare=">"))[0] == [0, 0, 0]


def test_batches_and_neurons_are_independent():
    p = params(threshold=torch.tensor([1.0, 2.0, 3.0]))
    state = LIFState(torch.zeros(2, 3, dtype=F64), torch.zeros(2, 3, dtype=torch.int64))
    spiked, after = lif_step(torch.tensor([[2.0] * 3, [0.5] * 3], dtype=F64), state, p)
    assert spiked.tolist() == [[True, True, False], [False, False, False]]
    assert after.v.tolist() == [[0.0, 0.0, 2.0], [0.5, 0.5, 0.5]]
    assert not state.v.any(), "the state before the step is left alone"


def test_reset_spiked_leaves_silent_units_alone():
    v = torch.tensor([1.5, 1.5], dtype=F64)
    spiked = torch.tensor([True, False])
    assert reset_spiked(v, spiked, params(reset_value=-1.0)).tolist() == [-1.0, 1.5]
    assert reset_spiked(v, spiked, params(reset="subtract", amount=0.5)).tolist() == [1.0, 1.5]


def test_a_reset_in_the_next_step_comes_after_decay_and_input():
    # v = 3 fires; 1.5 - 1 = 0.5; 0.25. The same step would give 2, then 1 which fires again.
    p = params(decay=0.5, reset="subtract", reset_time="next")
    assert run([3.0, 0.0, 0.0], p) == ([1, 0, 0], [3.0, 0.5, 0.25])
    same = params(decay=0.5, reset="subtract")
    assert run([3.0, 0.0, 0.0], same) == ([1, 1, 0], [2.0, 0.0, 0.0])
    # It is the reset of the same step by amount/decay, seen from the other side of the reset.
    scaled = params(decay=0.5, reset="subtract", amount=2.0)
    currents = [0.25, 1.75, 0.5, 2.5, 0.0, 4.0, 1.0, 0.75]
    assert run(currents, p)[0] == run(currents, scaled)[0]


def test_a_guarded_reset_counts_a_potential_left_beyond_the_threshold_less_the_amount():
    # v = 3 - 1 = 2, still beyond 1: compared as 2 - 1 = 1 in the next step, which is not above 1; it stays 2. Again
    # beyond: 2.5 - 1 = 1.5 fires, and 1 is taken away once: 1.5; then 1.5 - 1 = 0.5 does not fire.
    p = params(reset="subtract", reset_time="guarded", compare=">")
    assert run([3.0, 0.0, 0.5, 0.0], p) == ([1, 0, 1, 0], [2.0, 2.0, 1.5, 1.5])
    # Nothing differs from the same step as long as no potential is beyond the threshold after its reset.
    currents = [0.5, 0.75, 1.0, 0.25, 0.875]
    assert run(currents, p) == run(currents, params(reset="subtract", compare=">"))
