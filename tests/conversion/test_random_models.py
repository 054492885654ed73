"""Random chains, convolutions and branching graphs with operations in place, views, factors, biases and number types.

The plan comes to the model's output, or the model is refused; and so does, over time, the spiking network, within the
error that whole spikes make: a unit's count is off by what its inputs are off by at any time, and by one.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.conversion import convert
from neurosleep.conversion._trace import trace
from neurosleep.conversion._verify import computed
from neurosleep.errors import ConversionError
from neurosleep.spiking import Conv, Dense
from neurosleep.spiking.geometry import propagate

# What a line of forward may do: with one value, or with two.
ONE = [
    "layer",
    "layer",
    "relu",
    "relu",
    "relu_",
    "inplace",
    "alias",
    "identity",
    "dropout",
    "view",
    "mul",
    "imul",
    "idiv",
]
ONE += ["neg", "neg_", "mul_"]
TWO = ["add", "iadd", "sub", "isub", "add_", "out", "alpha"]
Line = tuple[str, int, int, float]


class Random(nn.Module):
    """Lines that are followed one after the other, over a list of values."""

    def __init__(self, lines: list[Line], conv: bool, bias: bool, factor: float) -> None:
        super().__init__()
        made = {k: self._layer(conv, bias) for k, line in enumerate(lines) if line[0] == "layer"}
        self.layers = nn.ModuleDict({str(k): layer for k, layer in made.items()})
        self.first = self._layer(conv, bias, first=True)
        self.last, self.lines, self.conv, self.factor = nn.Linear(18 if conv else 6, 3, bias), lines, conv, factor
        self.skip, self.drop, self.relu = nn.Identity(), nn.Dropout(0.3), nn.ReLU(inplace=True)

    @staticmethod
    def _layer(conv: bool, bias: bool, first: bool = False) -> nn.Module:
        return nn.Conv2d(1 if first else 2, 2, 3, padding=1, bias=bias) if conv else nn.Linear(6, 6, bias)

    def forward(self, x: Tensor) -> Tensor:
        values = [self.first(x)]
        for k, (what, i, j, number) in enumerate(self.lines):
            i, j = i % len(values), j % len(values)
            v, w = values[i], values[j]
            if what == "layer":
                values.append(self.layers[str(k)](v))
            elif what == "view":
                shape = (-1, 2, 3, 3) if self.conv else (-1, 6)
                values.append(v.view(-1, 3, 6 if self.conv else 2).flatten(1).reshape(*shape))
            elif what in ("relu", "identity", "dropout"):
                values.append({"relu": F.relu, "identity": self.skip, "dropout": self.drop}[what](v))
            elif what in ("alias", "neg", "mul"):
                values.append(v if what == "alias" else -v if what == "neg" else v * number)
            elif what == "add":
                values.append(v + w)
            elif what == "sub":
                values.append(v - w)
            elif what == "alpha":
                values.append(torch.add(v, w, alpha=number))
            elif what == "out":
                torch.sub(v, w, out=v)
            elif what == "relu_":
                torch.relu_(v)
            elif what == "inplace":
                self.relu(v)
            elif what == "neg_":
                v.neg_()
            elif what == "mul_":
                v.mul_(number)
            elif what == "add_":
                v.add_(w, alpha=number)
            else:
                if what == "imul":
                    v *= number
                elif what == "idiv":
                    v /= 1 + abs(number)
                elif what == "iadd":
                    v += w
                else:
                    v -= w
                values[i] = v
        y = self.last(values[-1].flatten(1))
        return y if self.factor == 0 else torch.relu(y) * self.factor


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    number = st.sampled_from([0.5, -0.5, 1.5, -1.0])
    place = st.integers(0, 9)
    return draw(st.lists(st.tuples(st.sampled_from(ONE + TWO), place, place, number), min_size=1, max_size=8))


CASES: dict[str, Any] = {
    "program": lines(),
    "conv": st.booleans(),
    "bias": st.booleans(),
    "factor": st.sampled_from([0.0, 0.0, 1.0, 0.5, -2.0]),
    "dtype": st.sampled_from([torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16]),
    "coding": st.sampled_from(["constant", "bernoulli", "poisson"]),
    "seed": st.integers(0, 2**20),
}


def error_bound(network: ns.SpikingNetwork, steps: int, coding: str) -> float:
    """How far the read-out over the steps may be off: the largest of any unit."""
    (source,) = network.inputs
    # Of a sum of independent draws of variance 1 at most, five standard deviations at any time.
    off = {source.name: torch.full((1, source.size), 0.0 if coding == "constant" else 5 * steps**0.5)}
    for name in network.order:
        population = network.population(name)
        if name == source.name:
            continue
        total = torch.zeros(1, population.size)
        for q in (network.projections[k] for k in network.incoming(name)):
            weight = q.weight.float().abs() if isinstance(q, Dense | Conv) else None
            arriving = propagate(q, off[q.source], network.population(q.source).shape, weight)
            total += abs(q.scale) * arriving
        # A unit that may fire once a step says late what comes at once, and the last spike is not out yet.
        off[name] = 2 * total + 2 if population.kind == "lif" else total
    return float(off[network.last.name].max()) / steps


def check(program: list[Line], conv: bool, bias: bool, factor: float, dtype: Any, coding: Any, seed: int) -> bool:
    torch.manual_seed(seed)
    model = Random(program, conv, bias, factor).eval().to(dtype)
    x = torch.rand(4, *((1, 3, 3) if conv else (6,))).to(dtype)
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        y = exact(x.double())
    scale = max(float(y.abs().max()), 1.0)
    try:
        # Without the comparison that convert makes at the end: what is followed here is right by itself.
        plan = trace(copy.deepcopy(model).double(), x.double(), check=False)
    except ConversionError:
        return False
    assert float((computed(plan, x.double()) - y).abs().max()) < 1e-9 * scale
    steps = 150 if coding == "constant" else 400
    network = convert(model, x, recipe="max")
    report = network.report
    assert network.dtype in (torch.float32, torch.float64)
    shown = ns.simulate(network, x.double(), steps, coding=coding)
    value = torch.from_numpy(shown.read_out[-1]).double() / steps
    if network.last.kind == "lif":
        value = value * report.largest[-1]
        bound = error_bound(network, steps, coding) * report.largest[-1]
    else:
        bound = error_bound(network, steps, coding)
    assert float((value - y).abs().max()) < bound + 1e-3 * scale
    return True


@settings(max_examples=30)
@given(**CASES)
def test_a_network_says_what_its_model_does_or_is_refused(**case: Any) -> None:
    check(**case)


@pytest.mark.full
@settings(max_examples=300)
@given(**CASES)
def test_many_networks_say_what_their_models_do_or_are_refused(**case: Any) -> None:
    check(**case)
