from __future__ import annotations

import pytest
import torch

from neurosleep.errors import SettingsError
from neurosleep.functional import BCM, bcm_step, plasticity_step

F64 = torch.float64
YES, NO = torch.tensor([True]), torch.tensor([False])


def test_the_threshold_slides_to_the_mean_square_of_the_activity() -> None:
    rule, weight = BCM(rate=0.0, target=0.5, decay=0.0, decay_threshold=0.99), torch.zeros(1, 1, dtype=F64)
    traces = rule.initial_traces(weight)
    assert traces[2].item() == 0.5
    # Every second step a spike: the mean of y squared is 1/2, so the threshold tends to 1/2 / 0.5 = 1, from below.
    passed = []
    for t in range(3000):
        weight, traces = plasticity_step(weight, NO, YES if t % 2 else NO, traces, rule)
        passed.append(traces[2].item())
    assert passed[99] < passed[299] < passed[999] < passed[2999]
    assert passed[-1] == pytest.approx(1.0, abs=0.01)
    # And back to 0 once the unit is silent.
    for _ in range(1000):
        weight, traces = plasticity_step(weight, NO, NO, traces, rule)
    assert traces[2].item() < 1e-3


def test_activity_above_the_threshold_potentiates_and_below_it_depresses() -> None:
    x = torch.tensor([1.0, 0.0], dtype=F64)
    y, threshold = torch.tensor([2.0, 1.0, 1.5, 0.0], dtype=F64), torch.tensor([1.5] * 4, dtype=F64)
    changed = bcm_step(torch.zeros(4, 2, dtype=F64), x, y, threshold, rate=0.25)
    assert changed[:, 0].tolist() == [0.25, -0.125, 0.0, 0.0] and not changed[:, 1].any()


def test_the_sliding_threshold_holds_a_linear_units_activity_at_its_target() -> None:
    # One pattern, y = w x: the fixed point of the two equations is y = theta = target, from below and from above.
    for start in (0.2, 3.0):
        weight, threshold, x = (
            torch.tensor([[start]], dtype=F64),
            torch.tensor([0.5], dtype=F64),
            torch.ones(1).double(),
        )
        for _ in range(6000):
            y = weight @ x
            weight = bcm_step(weight, x, y, threshold, rate=0.002)
            threshold = 0.98 * threshold + 0.02 * y * y / 0.5
        assert weight.item() == pytest.approx(0.5, abs=0.01)


def test_steps_by_hand_on_traces() -> None:
    rule, weight = BCM(rate=0.5, target=0.5, decay=0.5, decay_threshold=0.75), torch.zeros(1, 1, dtype=F64)
    weight, traces = plasticity_step(weight, YES, YES, rule.initial_traces(weight), rule)
    assert weight.item() == 0.5 * 1 * (1 - 0.5) * 1
    assert [trace.item() for trace in traces] == [1.0, 1.0, 0.75 * 0.5 + 0.25 * 1 / 0.5]
    weight, _ = plasticity_step(weight, NO, NO, traces, rule)
    assert weight.item() == 0.25 + 0.5 * 0.5 * (0.5 - 0.875) * 0.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": -1}, "rate is -1"),
        ({"target": 0}, "target is 0"),
        ({"decay": 1}, "decay is 1"),
        ({"decay_threshold": -1}, "decay_threshold is -1"),
    ],
)
def test_impossible_parameters_are_refused(fields, message) -> None:
    with pytest.raises(SettingsError, match=message):
        BCM(**{"rate": 0.1, **fields})
