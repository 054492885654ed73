"""Batches of simulate: constant currents by hand, spike codings by their rates, read-outs over time; the compiled
batches of the event engine against the reference's.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosleep as ns
from neurosleep.errors import SettingsError, UnknownNameError, UnsupportedError
from neurosleep.spiking import Dense, Identity, Population, Projection, SpikingNetwork, Transposed, _batch
from neurosleep.spiking.engines import SnnTorchEngine, get_engine
from neurosleep.spiking.engines.batch import ConstantInput, SpikeInput
from neurosleep.spiking.engines.event import batch as event_batch
from neurosleep.spiking.engines.event import batch_kernels, kernels
from neurosleep.spiking.engines.event.population import BLOCK
from tests.uncompiled import uncompile


def network(kind: str = "lif") -> SpikingNetwork:
    weight = torch.tensor([[0.5, 0.25, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]], dtype=torch.float64)
    return SpikingNetwork(
        (Population("input", "input", (1, 2, 2)), Population("out", kind, (2,), reset="subtract")),  # type: ignore[arg-type]
        (Dense("input", "out", weight),),
    )


def test_constant_currents_are_graded_inputs() -> None:
    images = torch.tensor([[[[1.0, 1.0], [0.5, 0.25]]], [[[0.0, 0.0], [-1.0, -1.5]]]])
    found = ns.simulate(network(), images, 8)
    # Currents 0.75 and 0.25 in the first image, 0 and 0.5 in the second.
    assert found.counts["out"].tolist() == [[6, 2], [0, 4]]
    assert found.read_out[:, 1, 1].tolist() == [0, 1, 1, 2, 2, 3, 3, 4]
    assert found.rate("out")[0].tolist() == [750.0, 250.0]  # Hz: 6 and 2 spikes in 8 ms
    assert found.accuracy(torch.tensor([0, 1])).tolist() == [0.5, *[1.0] * 7]
    potential = ns.simulate(network("li"), images, 8).read_out
    assert potential[:, 0, 1].tolist() == [0.25 * k for k in range(1, 9)]


@pytest.mark.parametrize("coding", ["bernoulli", "poisson"])
def test_spikes_are_drawn_at_the_intensity(coding: Any) -> None:
    images = torch.zeros(50, 4)
    images[:, 1] = 0.8
    found = ns.simulate(network(), images, 400, coding=coding, max_rate=500.0)
    assert found.counts["input"][:, [0, 2, 3]].sum() == 0
    # Four standard deviations of a Poisson mean of 20,000 draws.
    assert float(found.rate("input")[:, 1].mean()) == pytest.approx(400, abs=18)
    again = ns.simulate(network(), images, 400, coding=coding, max_rate=500.0)
    assert np.array_equal(again.read_out, found.read_out)


def test_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SnnTorchEngine, "batches", False)
    images = torch.rand(2, 4)
    with pytest.raises(SettingsError, match="do not fit"):
        ns.simulate(network(), torch.rand(2, 5), 3)
    with pytest.raises(SettingsError, match="outside 0 to 1"):
        ns.simulate(network(), -images, 3, coding="poisson")
    with pytest.raises(SettingsError, match="NaN"):
        ns.simulate(network(), images * float("nan"), 3)
    with pytest.raises(SettingsError, match="number of steps"):
        ns.simulate(network(), images, 0)
    with pytest.raises(UnknownNameError, match="konstant"):
        ns.simulate(network(), images, 3, coding="konstant")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="'snntorch' steps no batches"):
        ns.simulate(network(), images, 3, engine="snntorch")
    with pytest.raises(SettingsError, match="labels"):
        ns.simulate(network(), images, 3).accuracy(torch.tensor([1]))


# --- the compiled batches ---------------------------------------------------------------------------------------------


def dyadic(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """Numbers with which all sums, products and comparisons of a short run are exact."""
    return torch.tensor(rng.integers(-8, 16, shape) / 8, dtype=torch.float64)


@st.composite
def networks(draw: st.DrawFn) -> SpikingNetwork:
    """Random graphs of one input and up to four populations, with every setting that the event engine offers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    names = ["in", *(f"p{k}" for k in range(len(sizes)))]
    populations = [Population("in", "input", (draw(st.integers(1, 20)),))]
    for name, size in zip(names[1:], sizes, strict=True):
        each = draw(st.booleans())
        shape = (size,) if each else ()
        populations.append(
            Population(
                name,
                draw(st.sampled_from(["lif", "lif", "lif", "li"])),
                (size,),
                threshold=torch.tensor(rng.integers(0, 16, shape) / 8, dtype=torch.float64),
                decay=draw(st.sampled_from([0.0, 0.5, 1.0])),
                leak=draw(st.sampled_from([0.0, 0.25])),
                reset_value=draw(st.sampled_from([0.0, -0.25])),
                bias=dyadic(rng, *shape) / 4,
                refractory=draw(st.sampled_from([0, 0, 1, 3])),
                compare=draw(st.sampled_from([">=", ">"])),
                reset=draw(st.sampled_from(["subtract", "to_value"])),
                amount=draw(st.sampled_from([None, 0.375])),
                while_refractory=draw(st.sampled_from(["hold", "integrate"])),
            )
        )
    projections: list[Projection] = []
    for k, target in enumerate(populations[1:], 1):
        # From what comes before it at once or later, from what does not with a delay.
        for n, source in enumerate(populations):
            if not draw(st.booleans()) and not (n == k - 1 and draw(st.booleans())):
                continue
            delay = draw(st.sampled_from([0, 0, 0, 1, 3] if n < k else [1, 1, 2]))
            weight = dyadic(rng, target.size, source.size)
            scale = draw(st.sampled_from([1.0, 0.5]))
            projections.append(Dense(source.name, target.name, weight, scale=scale, delay=delay))
    shared = [p for p in projections if p.source != "in" and p.kind == "dense"]
    if shared and draw(st.booleans()):
        p = draw(st.sampled_from(shared))
        projections.append(Transposed(p.target, p.source, of=(p.source, p.target), delay=1))
    return SpikingNetwork(tuple(populations), tuple(projections))


def both(net: SpikingNetwork, batch: int, steps: int, coding: Any, seed: int) -> list[ns.Recording]:
    shape = (batch, net.inputs[0].size)
    rng = np.random.default_rng(seed)
    images = dyadic(rng, *shape) if coding == "constant" else torch.tensor(rng.integers(0, 5, shape) / 4)
    return [ns.simulate(net, images, steps, coding=coding, engine=e, seed=seed) for e in ("event", "reference")]


def assert_equal(found: ns.Recording, expected: ns.Recording) -> None:
    assert found.counts.keys() == expected.counts.keys()
    for name, total in expected.counts.items():
        assert found.counts[name].dtype == total.dtype
        assert np.array_equal(found.counts[name], total), name
    assert found.read_out.dtype == expected.read_out.dtype
    assert np.array_equal(found.read_out, expected.read_out)


def check_equal(net: SpikingNetwork, batch: int, steps: int, coding: Any, seed: int, group: int, chunk: int) -> None:
    """Groups, blocks and chunks so small that states and delayed spikes cross their borders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_batch, "_GROUP", group)
        patch.setattr(_batch, "CHUNK", chunk)
        patch.setattr(_batch, "_BLOCK", 2 * group + 1)
        assert_equal(*both(net, batch, steps, coding, seed))


CASES = {
    "net": networks(),
    "batch": st.integers(1, 7),
    "steps": st.integers(1, 24),
    "coding": st.sampled_from(["constant", "bernoulli", "poisson"]),
    "seed": st.integers(0, 2**31),
    "group": st.integers(1, 4),
    "chunk": st.sampled_from([1, 2, 5, 128]),
}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(**CASES)
def test_compiled_batches_spike_as_those_of_the_reference(**case: Any) -> None:
    check_equal(**case)


@pytest.mark.full
@settings(max_examples=5000, deadline=None)
@given(**CASES)
def test_compiled_batches_spike_as_those_of_the_reference_in_many_networks(**case: Any) -> None:
    check_equal(**case)


def layered(sizes: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> SpikingNetwork:
    """As conversion makes them: soft resets, biases, potentials to read. More units than a block has."""
    g = torch.Generator().manual_seed(seed)
    populations = [Population("input", "input", sizes[:1])]
    projections = []
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        kind, name = ("li" if k == len(sizes) - 2 else "lif"), f"l{k}"
        bias = 0.05 * torch.randn(n_out, generator=g, dtype=torch.float64)
        populations.append(Population(name, kind, (n_out,), reset="subtract", bias=bias))  # type: ignore[arg-type]
        weight = torch.randn(n_out, n_in, generator=g, dtype=torch.float64).to(dtype)
        projections.append(Dense(populations[-2].name, name, weight, scale=1.3 / n_in**0.5))
    return SpikingNetwork(tuple(populations), tuple(projections))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 0.01), (torch.float64, 0.0)])
def test_ordinary_weights_say_the_same_labels(dtype: torch.dtype, tolerance: float) -> None:
    net = layered((50, 700, 10), dtype)
    images, labels = torch.rand(100, 50, generator=torch.Generator().manual_seed(1)), torch.arange(100) % 10
    event, reference = (ns.simulate(net, images, 60, coding="poisson", engine=e) for e in ("event", "reference"))
    assert np.array_equal(event.counts["input"], reference.counts["input"])
    apart = np.abs(event.counts["l0"] - reference.counts["l0"]).sum() / reference.counts["l0"].sum()
    assert float(apart) <= 1e-4
    assert float(np.abs(event.accuracy(labels) - reference.accuracy(labels)).max()) <= tolerance


def test_what_fires_all_the_time_is_counted_all_the_time() -> None:
    """More spikes than there is room for at first."""
    net = SpikingNetwork(
        (Population("input", "input", (3,)), Population("a", "lif", (700,), threshold=0.0)),
        (Dense("input", "a", torch.ones(700, 3)),),
    )
    event, reference = (
        ns.simulate(net, torch.ones(3, 3), 40, coding="bernoulli", engine=e) for e in ("event", "reference")
    )
    assert (event.counts["a"] == 40).all()
    assert_equal(event, reference)


def test_an_input_may_be_the_last_population() -> None:
    net = SpikingNetwork(
        (Population("a", "lif", (2,)), Population("b", "lif", (1,)), Population("z", "input", (2,))),
        (Dense("z", "a", torch.eye(2), delay=1),),
    )
    assert net.last.name == "z"
    for coding in ("constant", "bernoulli"):
        assert_equal(*both(net, 3, 6, coding, 0))


def test_what_is_read_sends_nothing_to_others() -> None:
    names = ("input", "b", "a", "out")
    populations = [Population("input", "input", (2,)), *(Population(name, "lif", (2,)) for name in names[1:])]
    synapses = [Dense(a, b, torch.eye(2), delay=1) for a, b in itertools.pairwise(names)]
    own = Dense("out", "out", torch.zeros(2, 2), delay=1)
    net = SpikingNetwork(tuple(reversed(populations)), (*synapses, own))
    assert net.last.name == "out" != net.order[-1]
    event, reference = (ns.simulate(net, torch.ones(3, 2), 6, engine=e) for e in ("event", "reference"))
    assert_equal(event, reference)
    # Every step's spikes arrive three steps later.
    assert event.read_out[:, 0, 0].tolist() == [0, 0, 0, 1, 2, 3]


def test_a_session_goes_on_where_it_stood() -> None:
    net = layered((6, 9, 3), torch.float64)
    fired = np.random.default_rng(0).random((9, 6)) < 0.5
    samples, neurons = np.array([0, 0, 1, 1, 3, 3]), np.array([0, 4, 1, 5, 2, 3])
    found = []
    for parts in ((9,), (4, 5), (1,) * 9):
        session = get_engine("event").start_batch(net, 4)
        cuts = np.cumsum((0, *parts))
        chunks = [SpikeInput(4, 6, samples, neurons, fired[a:b]) for a, b in itertools.pairwise(cuts)]
        found.append(torch.cat([session.advance(chunk) for chunk in chunks]))
        assert torch.equal(found[-1], found[0])
        assert session.totals()["input"].sum() == fired.sum()
    session = get_engine("reference").start_batch(net, 4)
    assert torch.allclose(session.advance(SpikeInput(4, 6, samples, neurons, fired)), found[0], rtol=1e-12)
    session = get_engine("event").start_batch(net, 2)
    twice = torch.cat([session.advance(ConstantInput(torch.ones(2, 6, dtype=torch.float64), n)) for n in (3, 4)])
    session = get_engine("event").start_batch(net, 2)
    assert torch.equal(session.advance(ConstantInput(torch.ones(2, 6, dtype=torch.float64), 7)), twice)


def test_units_that_only_fill_a_block_never_fire() -> None:
    """A refractory population of two blocks, of which the first one fires to its end."""
    net = SpikingNetwork(
        (Population("in", "input", (1,)), Population("a", "lif", (BLOCK + 1,), bias=2.0, refractory=1)),
        (Dense("in", "a", torch.zeros(BLOCK + 1, 1)),),
    )
    assert_equal(*both(net, 2, 4, "constant", 0))


def test_the_compiled_loops_do_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = [layered((7, 5, 3), torch.float64)]
    weight = torch.tensor(np.random.default_rng(1).normal(0.3, 0.5, (4, 7)))
    for fields in ({"refractory": 2, "compare": ">"}, {"reset": "subtract", "compare": ">"}):
        nets.append(
            SpikingNetwork(
                (Population("in", "input", (7,)), Population("a", "lif", (4,), **fields)),  # type: ignore[arg-type]
                (
                    Dense("in", "a", weight, delay=2),
                    Dense("a", "a", weight @ weight.T, delay=1),
                ),
            )
        )
    compiled = [both(net, 3, 8, coding, 2)[0] for net in nets for coding in ("constant", "poisson")]
    uncompile(monkeypatch, kernels, batch_kernels, event_batch)
    with np.errstate(over="ignore"):
        plain = [both(net, 3, 8, coding, 2)[0] for net in nets for coding in ("constant", "poisson")]
    for found, expected in zip(compiled, plain, strict=True):
        assert np.allclose(found.read_out, expected.read_out, rtol=1e-12)
        assert all(np.array_equal(found.counts[name], total) for name, total in expected.counts.items())


def test_without_a_name_the_fastest_engine_that_can_is_taken() -> None:
    images = torch.rand(2, 4)
    assert ns.simulate(network(), images, 3).engine == "event"
    assert ns.simulate(network(), images, 3, engine="reference").engine == "reference"
    synaptic = SpikingNetwork(
        (*network().populations, Population("late", "cuba_lif", (2,), synaptic_decay=0.5)),
        (*network().projections, Identity("out", "late")),
    )
    assert ns.simulate(synaptic, images, 3).engine == "reference"
    with pytest.raises(UnsupportedError, match="cannot step population 'late'"):
        ns.simulate(synaptic, images, 3, engine="event")
    with pytest.raises(UnsupportedError, match="on the device 'meta'"):
        get_engine("event").start_batch(network(), 2, device="meta")
    with pytest.raises(UnsupportedError, match="with 2 input populations"):
        get_engine("event").start_batch(SpikingNetwork((*network().populations, Population("b", "input", (1,))), ()), 2)
    with pytest.raises(SettingsError, match="batch size is 0"):
        get_engine("event").start_batch(network(), 0)


def test_blocks_of_a_large_batch_draw_spikes_of_their_own() -> None:
    images = torch.full((_batch._BLOCK + 3, 4), 0.5)
    found = ns.simulate(network(), images, 200, coding="bernoulli")
    assert found.read_out.shape == (200, len(images), 2)
    assert not np.array_equal(found.counts["input"][:3], found.counts["input"][-3:])
    assert float(found.rate("input")[-3:].mean()) == pytest.approx(500, abs=50)
