from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.functional import FACTORS, weight_factor


def g(w, *arguments, dtype=torch.float64):
    return weight_factor(torch.tensor([w], dtype=dtype), *arguments).item()


def test_steep_factor_has_the_values_of_the_released_code():
    # 1 at 0, 0.0134 at 0.005, about 2 below -0.005.
    assert g(0.0) == 1.0
    assert g(0.005) == pytest.approx(0.0134, abs=5e-5)
    assert g(-0.005) == pytest.approx(2 - 0.0134, abs=5e-5)
    assert g(0.001) == pytest.approx(2 / (1 + math.e), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steep_factor_does_not_overflow(dtype):
    assert g(-1e6, dtype=dtype) == 2.0
    assert 0 <= g(1e6, dtype=dtype) < 1e-20


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(-0.05, 0.05), st.floats(1e-4, 1))
def test_steep_factor_equals_the_formula_as_the_code_writes_it(w, width):
    x = max(-60.0, min(60.0, w / width))
    assert g(w, "steep", width) == pytest.approx(2 * (1 - 1 / (1 + math.exp(-x))), abs=1e-12)
    assert g(w, "steep", width) + g(-w, "steep", width) == pytest.approx(2, abs=1e-12)


def test_steep_factor_scales_with_its_width():
    assert g(0.5, "steep", 0.1) == pytest.approx(g(0.005, "steep", 0.001), rel=1e-9)


def test_logistic_factor_falls_or_rises_as_the_sigmoid_does():
    assert g(0.0, "logistic") == 0.5
    assert g(2.0, "logistic") == pytest.approx(1 / (1 + math.exp(-2)), rel=1e-12)


def test_constant_factor_is_1():
    assert g(-3.0, "constant") == g(3.0, "constant") == 1.0


@pytest.mark.parametrize("factor", FACTORS)
def test_factors_keep_shape_and_type(factor):
    w = torch.zeros(2, 3, 4)
    assert weight_factor(w, factor).shape == w.shape
    assert weight_factor(w, factor).dtype == torch.float32
