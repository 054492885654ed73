"""Potentials that hit a threshold exactly fire in integer arithmetic if, and only if, they do in the network."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosleep as ns
from neurosleep.hardware import MappedNetwork
from neurosleep.hardware.arithmetic.chip_arithmetic import chip_decay
from neurosleep.spiking import Dense, Population, SpikingNetwork


class Chip(NamedTuple):
    """What of such networks a chip has: neurons without leak, with one that halves, without memory; and the rest."""

    profile: str
    decays: tuple[float, ...] = (1.0, 0.5, 0.0)
    resets: tuple[str, ...] = ("to_value",)
    compares: tuple[str, ...] = (">=", ">")
    bias: bool = True
    largest: int = 15  # weights in units
    first: int = 0  # steps until inputs arrive


CHIPS = (
    Chip("loihi1", decays=(1.0, 0.5)),
    Chip("loihi2", decays=(1.0, 0.5), resets=("to_value", "subtract")),
    Chip("generic_int8", resets=("to_value", "subtract")),
    # Without a leak it loses 1 in every step.
    Chip("xylo_a2", decays=(0.5, 0.0), resets=("subtract",), bias=False),
    Chip("speck2f", decays=(1.0,), resets=("to_value", "subtract")),
    Chip("truenorth", decays=(1.0,), first=1),
    # What it subtracts is its threshold, which is therefore never another.
    Chip("truenorth", decays=(1.0,), resets=("subtract",), compares=(">=",), first=1),
    Chip("odin", decays=(1.0,), bias=False, largest=7),
    Chip("spinnaker1", first=1),
)


def dyadic(chip: Chip, seed: int, unit: float) -> tuple[SpikingNetwork, torch.Tensor]:
    """A network in multiples of ``unit`` and input spikes; with a decay, so few steps that halves stay whole."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high + 1, shape, generator=generator).double()

    def choose(values: tuple) -> object:
        return values[int(torch.randint(len(values), (), generator=generator))]

    inputs, n, decay = 6, 5, choose(chip.decays)
    signed = -chip.largest if draw(0, 2).item() and chip.profile != "odin" else 0
    weights = draw(signed, chip.largest, n, inputs)
    if chip.profile == "truenorth":  # one value of each sign for a neuron
        weights = weights.sign() * torch.where(weights > 0, draw(1, 15, n, 1), draw(1, 15, n, 1))
    bias = draw(-3, 3, n) if chip.bias and draw(0, 1).item() else torch.zeros(n)
    neurons = Population(
        "n",
        "lif",
        (n,),
        threshold=draw(1, 30, n) * unit,
        bias=bias.double() * unit,
        decay=decay,
        reset=choose(chip.resets),
        compare=choose(chip.compares),
    )
    steps = 3 if decay == 0.5 else 40
    spikes = torch.rand(steps, inputs, generator=generator) < 0.5
    if chip.profile == "odin":  # one event a step: what others of it do in between is the chip's own
        spikes &= torch.arange(inputs) == draw(0, inputs - 1, steps, 1)
    network = SpikingNetwork((Population("in", "input", (inputs,)), neurons), (Dense("in", "n", weights * unit),))
    return network, spikes


def hits(network: SpikingNetwork, spikes: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Spikes of the network itself, and how many potentials equalled their threshold."""
    p = network.population("n")
    v, fired, exact = torch.zeros(p.size).double(), [], 0
    for row in spikes.double():
        v = p.decay * v + network.projections[0].weight @ row + p.bias
        exact += int((v == p.threshold).sum())
        out = v >= p.threshold if p.compare == ">=" else v > p.threshold
        v = torch.where(out, v - p.threshold if p.reset == "subtract" else torch.zeros_like(v), v)
        fired.append(out)
    return torch.stack(fired), exact


def check(chip: Chip, seed: int, unit: float) -> int:
    network, spikes = dyadic(chip, seed, unit)
    if chip.profile in ("odin", "truenorth"):  # without negative potentials, and with what its grid holds
        network = network.with_weights([w.abs() for w in network.weights]) if chip.profile == "odin" else network
    expected, exact = hits(network, spikes)
    mapped = ns.map_to(network, chip.profile)
    assert isinstance(mapped, MappedNetwork)
    # Inputs arrive as many steps later as the chip says.
    late = torch.cat([spikes, torch.zeros(chip.first, spikes.shape[1], dtype=torch.bool)])
    found = ns.simulate(mapped, late, engine="fixed", record=ns.Record(spikes="all")).spikes["n"].to_dense().bool()
    if chip.first and bool(torch.as_tensor(network.population("n").bias).any()):
        return 0  # its bias is a step ahead of its inputs
    assert torch.equal(found[chip.first :], expected)
    return exact


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: f"{chip.profile}-{chip.resets[0]}")
def test_exact_hits_fire_as_in_the_network(chip: Chip) -> None:
    # Of random networks enough potentials hit for the comparison to matter.
    assert sum(check(chip, seed, 2.0 ** (seed % 7 - 3)) for seed in range(25)) > 10


@pytest.mark.full
@settings(max_examples=3000, deadline=None)
@given(st.sampled_from(CHIPS), st.integers(0, 2**31), st.integers(-12, 12))
def test_exact_hits_of_many_networks(chip: Chip, seed: int, exponent: int) -> None:
    check(chip, seed, 2.0**exponent)


def test_one_input_as_large_as_the_threshold_fires_whatever_the_other_weights_are() -> None:
    weights = torch.tensor([[1.0, 0.123456789, -0.77]], dtype=torch.float64)
    for profile in ("loihi1", "loihi2", "generic_int8"):
        for decay in (1.0, 0.9):
            network = SpikingNetwork(
                (Population("in", "input", (3,)), Population("n", "lif", (1,), threshold=1.0, decay=decay)),
                (Dense("in", "n", weights),),
            )
            mapped = ns.map_to(network, profile)
            inputs = torch.tensor([[True, False, False], [False, True, False]])
            found = ns.simulate(mapped, inputs, engine="fixed", record=ns.Record(spikes="all")).spikes["n"]
            assert found.to_dense().flatten().tolist() == [1, 0], (profile, decay)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.booleans())
def test_decays_are_the_nearest_of_the_chip(factor: float, current: bool) -> None:
    candidates = {
        "xylo_a2": [1 - 2.0**-shift for shift in range(16)],
        "loihi2": [k / 4096 for k in range(0 if current else 1, 4096 if current else 4097)],
        "generic_int8": [k / 4096 for k in range(4097)],
    }
    for profile, there in candidates.items():
        found = float(chip_decay(ns.load_profile(profile), torch.tensor([factor]), current=current))
        assert found in there
        assert abs(found - factor) <= min(abs(c - factor) for c in there) + 1e-12
