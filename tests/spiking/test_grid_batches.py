"""Batches of the event engine through convolutions, pooling and graded sums: the spikes of the reference."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, Reshape, SpikingNetwork, _batch
from neurosleep.spiking.engines import get_engine
from neurosleep.spiking.engines.batch import ConstantInput, SpikeInput
from neurosleep.spiking.engines.event import batch as event_batch
from neurosleep.spiking.engines.event import batch_kernels, grid_kernels, kernels, synapses
from neurosleep.spiking.geometry import output_shape, propagate
from tests.spiking.grids import dyadic, random_network
from tests.uncompiled import uncompile


def assert_equal(found: ns.Recording, expected: ns.Recording) -> None:
    assert found.counts.keys() == expected.counts.keys()
    for name, total in expected.counts.items():
        assert np.array_equal(found.counts[name], total), name
    assert found.potentials.keys() == expected.potentials.keys()
    for name, last in expected.potentials.items():
        assert np.array_equal(found.potentials[name], last), name
    assert np.array_equal(found.read_out, expected.read_out)


def both(network: SpikingNetwork, batch: int, steps: int, coding: Any, seed: int) -> list[ns.Recording]:
    shape, rng = (batch, network.inputs[0].size), np.random.default_rng(seed)
    images = dyadic(rng, *shape) / 2 if coding == "constant" else torch.tensor(rng.integers(0, 5, shape) / 4)
    return [ns.simulate(network, images, steps, coding=coding, engine=e, seed=seed) for e in ("event", "reference")]


def check_equal(seed: int, batch: int, steps: int, coding: Any, blocks: bool) -> None:
    """Groups, chunks and blocks of channels so small that states and delayed values cross their borders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_batch, "_GROUP", 2)
        patch.setattr(event_batch, "_ROOM", 1)
        patch.setattr(event_batch, "_LEAST_STEPS", 3)
        patch.setattr(_batch, "CHUNK", 5)
        if blocks:
            patch.setattr(synapses, "_LEAST", 2)
            patch.setattr(synapses, "_STATE", 1)
        assert_equal(*both(random_network(seed), batch, steps, coding, seed))


CASES = {
    "seed": st.integers(0, 2**32 - 1),
    "batch": st.integers(1, 5),
    "steps": st.integers(1, 9),
    "coding": st.sampled_from(["constant", "bernoulli", "poisson"]),
    "blocks": st.booleans(),
}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(**CASES)
def test_grids_spike_as_those_of_the_reference(**case: Any) -> None:
    check_equal(**case)


@pytest.mark.full
@settings(max_examples=5000, deadline=None)
@given(**CASES)
def test_grids_spike_as_those_of_the_reference_in_many_networks(**case: Any) -> None:
    check_equal(**case)


def test_the_random_networks_hold_every_feature() -> None:
    nets = [random_network(seed) for seed in range(200)]
    projections = [q for net in nets for q in net.projections]
    convolutions = [q for q in projections if isinstance(q, Conv)]
    assert {type(q) for q in projections} == {Conv, Dense, Identity, Pool, Reshape}
    assert {len(q.kernel) for q in convolutions} == {1, 2}
    assert any(q.groups == len(q.weight) > 1 for q in convolutions)
    assert any(1 < q.groups < len(q.weight) for q in convolutions)
    assert {s for q in convolutions for s in q.stride} == {1, 2, 3}
    assert {d for q in convolutions for d in q.dilation} == {1, 2}
    assert {p.kind for net in nets for p in net.layers} == {"lif", "li", "relay"}
    found = [both(net, 2, 6, "bernoulli", 0)[0].counts for net in nets[:40]]
    active = [float((counts[p.name] != 0).mean()) for net, counts in zip(nets, found, strict=False) for p in net.layers]
    assert 0.2 < np.mean(active) < 0.9


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("shape", [(6, 9), (6, 7, 5)])
def test_runs_add_up_to_the_convolution(shape: tuple[int, ...], groups: int) -> None:
    """In real numbers, with more channels than a block has."""
    generator = torch.Generator().manual_seed(0)
    axes = len(shape) - 1
    weight = torch.randn(48, 6 // groups, *(3, 2)[:axes], generator=generator, dtype=torch.float64)
    q = Conv("in", "a", weight, (2, 1)[:axes], (1, 2)[:axes], (1, 3)[:axes], groups, scale=0.7)
    target = Population("a", "li", output_shape(q, shape), bias=0.1)
    network = SpikingNetwork((Population("in", "input", shape), target), (q,))
    spikes = torch.rand(1, 4, network.inputs[0].size, generator=generator) < 0.5
    found = ns.simulate(network, spikes.numpy(), engine="event").potentials["a"]
    expected = 0.1 + 0.7 * propagate(q, spikes[0].double(), shape)
    assert np.allclose(found, expected.numpy(), rtol=1e-12, atol=1e-12)


class Mixed(nn.Module):
    """Everything that conversion makes relays of: both poolings, a residual sum, batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.third = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 12, 3, stride=2, bias=False)
        self.largest, self.average, self.head = nn.MaxPool2d(2), nn.AvgPool2d(3, padding=1), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.largest(torch.relu(self.norm(self.first(x))))
        x = torch.relu(self.second(x) + x)
        return self.head(self.average(torch.relu(self.third(x))).mean((2, 3)))


def mixed() -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = Mixed(), torch.rand(40, 2, 12, 12)
        model(x)
    return model.eval(), x


@pytest.mark.parametrize("coding", ["constant", "poisson"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_converted_networks_spike_as_those_of_the_reference(dtype: torch.dtype, coding: Any) -> None:
    model, x = mixed()
    network = ns.convert(model, x).to(dtype)
    assert ns.simulate(network, x, 1).engine == "event"
    event, reference = (ns.simulate(network, x, 60, coding=coding, engine=e) for e in ("event", "reference"))
    for p in network.layers:
        counts = reference.counts[p.name]
        if p.kind == "lif":
            apart = np.abs(event.counts[p.name] - counts).sum() / counts.sum()
            assert counts.sum() > 0 and apart <= (0 if dtype == torch.float64 else 1e-4)
        else:
            assert np.allclose(event.counts[p.name], counts, rtol=1e-9 if dtype == torch.float64 else 2e-3, atol=1e-3)
    assert np.allclose(event.read_out, reference.read_out, rtol=1e-9, atol=1e-9 if dtype == torch.float64 else 0.05)


def test_a_constant_input_is_computed_once_through_relays(monkeypatch: pytest.MonkeyPatch) -> None:
    network = SpikingNetwork(
        (
            Population("in", "input", (1, 4, 4)),
            Population("small", "relay", (1, 2, 2), bias=0.25),
            Population("flat", "relay", (4,)),
            Population("out", "lif", (4,), reset="subtract"),
        ),
        (
            Pool("in", "small", 2),
            Reshape("small", "flat", scale=0.5),
            Dense("flat", "out", torch.eye(4, dtype=torch.float64)),
        ),
    )
    calls: list[str] = []
    run = event_batch.run_grid
    monkeypatch.setattr(event_batch, "run_grid", lambda *given: calls.append("stepped") or run(*given))
    event, reference = both(network, 3, 20, "constant", 0)
    assert_equal(event, reference)
    # Only what may fire is stepped.
    assert calls == ["stepped"]
    last = SpikingNetwork(network.populations[:2], network.projections[:1])
    assert_equal(*both(last, 3, 20, "constant", 0))


def test_a_session_goes_on_where_it_stood() -> None:
    model, x = mixed()
    network = ns.convert(model, x).to(torch.float64)
    size = network.inputs[0].size
    fired = np.random.default_rng(0).random((9, 2 * size)) < 0.3
    samples, neurons = np.divmod(np.arange(2 * size), size)
    for constant in (False, True):
        found = []
        for parts in ((9,), (4, 5), (1,) * 9):
            session = get_engine("event").start_batch(network, 2)
            cuts = np.cumsum((0, *parts))
            values = x[:2].flatten(1).double()
            given = [
                ConstantInput(values, b - a) if constant else SpikeInput(2, size, samples, neurons, fired[a:b])
                for a, b in itertools.pairwise(cuts)
            ]
            found.append(torch.cat([session.advance(part) for part in given]))
            assert torch.equal(found[-1], found[0])


def test_the_compiled_loops_do_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synapses, "_LEAST", 2)
    monkeypatch.setattr(synapses, "_STATE", 1)
    nets = [random_network(seed) for seed in (1, 5, 8, 13)]
    compiled = [both(net, 2, 4, coding, 2)[0] for net in nets for coding in ("constant", "poisson")]
    uncompile(monkeypatch, kernels, batch_kernels, grid_kernels, event_batch)
    with np.errstate(over="ignore"):
        plain = [both(net, 2, 4, coding, 2)[0] for net in nets for coding in ("constant", "poisson")]
    for found, expected in zip(compiled, plain, strict=True):
        assert_equal(found, expected)
