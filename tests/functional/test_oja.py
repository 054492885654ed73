from __future__ import annotations

import pytest
import torch

from neurosleep.errors import SettingsError
from neurosleep.functional import Oja, oja_step, plasticity_step

F64 = torch.float64


def test_weights_converge_to_the_principal_component_at_norm_1() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=generator, dtype=F64) @ torch.diag(
        torch.tensor([3, 1, 1, 0.5, 0.5, 0.2]).double()
    )
    weight = 0.1 * torch.randn(2, 6, generator=generator, dtype=F64)
    for n in range(6000):
        x = mixing @ torch.randn(6, generator=generator, dtype=F64)
        weight = oja_step(weight, x, weight @ x, rate=0.05 / (20 + 0.1 * n))
    _, vectors = torch.linalg.eigh(mixing @ mixing.T)
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(2, dtype=F64), rtol=0.02, atol=0)
    assert (weight @ vectors[:, -1]).abs().min() > 0.99


def test_the_norm_tends_to_1_from_either_side() -> None:
    x = torch.tensor([0.6, 0.8], dtype=F64)
    for length in (0.1, 5.0):
        weight = length * x[None]
        for _ in range(2000):
            weight = oja_step(weight, x, weight @ x, rate=0.01)
        torch.testing.assert_close(weight, x[None])


def test_steps_by_hand_on_traces() -> None:
    rule, weight = Oja(rate=0.5, decay=0.5), torch.tensor([[0.25, 0.5]], dtype=F64)
    traces = rule.initial_traces(weight)
    weight, traces = plasticity_step(weight, torch.tensor([True, False]), torch.tensor([False]), traces, rule)
    assert weight.tolist() == [[0.25, 0.5]]
    weight, traces = plasticity_step(weight, torch.tensor([False, True]), torch.tensor([True]), traces, rule)
    assert [trace.tolist() for trace in traces] == [[0.5, 1.0], [1.0]]
    assert weight.tolist() == [[0.25 + 0.5 * (0.5 - 0.25), 0.5 + 0.5 * (1.0 - 0.5)]]


@pytest.mark.parametrize(("fields", "message"), [({"rate": -1}, "rate is -1"), ({"decay": 1}, "decay is 1")])
def test_impossible_parameters_are_refused(fields, message) -> None:
    with pytest.raises(SettingsError, match=message):
        Oja(**{"rate": 0.1, **fields})
