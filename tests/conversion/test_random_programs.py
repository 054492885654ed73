"""Random torch programs convert right, or are refused by layer and operation; random CNNs convert right."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

import neurosleep as ns
from neurosleep.conversion._trace import trace
from neurosleep.conversion._verify import computed
from neurosleep.errors import ConversionError
from tests.conversion.programs import Program, program
from tests.conversion.test_random_models import error_bound


@torch.no_grad()
def is_right(model: Program, images: Tensor) -> bool:
    """Whether it converts; then to what it computes, exactly in rates, and over time within what spikes can say."""
    kind, close = torch.float64, 1e-9
    try:
        expected = copy.deepcopy(model).double()(images.double())
    except RuntimeError:  # it has a line that makes numbers of single precision
        kind, close = torch.float32, 1e-5
        expected = copy.deepcopy(model)(images)
    try:
        network = ns.convert(model, images, recipe="max")
    except ConversionError as error:
        assert error.layer and error.operation and error.expected, str(error)
        return False
    scale = max(float(expected.abs().max()), 1.0)
    plan = trace(copy.deepcopy(model).to(kind), images.to(kind), check=False)
    assert float((computed(plan, images.to(kind)) - expected.flatten(1)).abs().max()) < close * scale, repr(model)
    steps = 60
    shown = ns.simulate(network, images, steps)
    factor = network.report.largest[-1] if network.last.kind == "lif" else 1.0
    reached = factor * torch.from_numpy(shown.read_out[-1]).double() / steps
    bound = factor * error_bound(network, steps, "constant") + 1e-3 * scale
    assert float((reached - expected.flatten(1)).abs().max()) < bound, repr(model)
    return True


def check(seeds: range, refused: bool) -> float:
    """The share of programs that convert; those that the model itself does not run twice are left out."""
    results = [is_right(*program(seed, refused)) for seed in seeds]
    return sum(results) / len(results)


def test_a_program_converts_right_or_is_refused_by_name() -> None:
    assert 0.05 < check(range(50), True) < 0.5


@pytest.mark.full
def test_500_programs_convert_right_or_are_refused_by_name() -> None:
    assert 0.05 < check(range(50, 550), True) < 0.5


def test_random_cnns_convert_right() -> None:
    assert check(range(30), False) > 0.8


@pytest.mark.full
def test_300_random_cnns_convert_right() -> None:
    assert check(range(30, 330), False) > 0.8
