"""The engine `torch`: the spikes of the reference, of one network and of many, on the CPU as on any device of torch."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import neurosleep as ns
from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.functional import Oja, PairSTDP, SpikeEvents, SRCRule
from neurosleep.spiking import Dense, Population, SpikingNetwork, Transposed, _batch
from neurosleep.spiking.engines import TorchEngine, get_engine
from neurosleep.spiking.engines.tensor import graphs
from neurosleep.spiking.engines.tensor import session as tensor_session
from neurosleep.spiking.engines.tensor.networks import Networks
from neurosleep.spiking.engines.tensor.neurons import Neurons
from neurosleep.spiking.engines.tensor.plasticity import Learner
from neurosleep.spiking.engines.tensor.stack import Stack
from tests.spiking.grids import dyadic, random_network
from tests.spiking.tape import Tape, recording
from tests.spiking.test_grid_batches import assert_equal, mixed

SEEDS, STEPS = st.integers(0, 2**32 - 1), st.integers(1, 9)
RULES = st.sampled_from([None, SRCRule(0.25, 0.125, "constant"), PairSTDP(0.25, 0.125, 0.5, 0.5, -1, 1)])


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So short that states and delayed values cross their borders."""
    monkeypatch.setattr(tensor_session, "_MOST_STEPS", 3)
    monkeypatch.setattr(_batch, "CHUNK", 5)


def with_kinds(network: SpikingNetwork, seed: int) -> SpikingNetwork:
    """The same with some populations of kinds and resets that only torch engines have."""
    rng = np.random.default_rng(seed)
    populations = []
    for p in network.populations:
        if p.kind in ("lif", "li") and not rng.integers(3):
            kind = "cuba_lif" if p.kind == "lif" else "li"
            p = dataclasses.replace(p, kind=kind, synaptic_decay=0.5)
        elif p.kind == "lif" and not rng.integers(3):
            late: Any = rng.choice(["next", "guarded"])
            p = dataclasses.replace(p, reset="subtract", refractory=0, reset_time=late)
        populations.append(p)
    return dataclasses.replace(network, populations=tuple(populations))


def images(network: SpikingNetwork, batch: int, coding: str, seed: int) -> Tensor:
    shape, rng = (batch, network.inputs[0].size), np.random.default_rng(seed)
    return dyadic(rng, *shape) / 2 if coding == "constant" else torch.tensor(rng.integers(0, 5, shape) / 4)


def train(network: SpikingNetwork, steps: int, seed: int) -> dict[str, SpikeEvents]:
    rng = np.random.default_rng(seed)
    return {p.name: SpikeEvents.from_dense(rng.random((steps, p.size)) < 0.4) for p in network.inputs}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=SEEDS, batch=st.integers(1, 4), steps=STEPS, coding=st.sampled_from(["constant", "bernoulli", "poisson"]))
def test_batches_spike_as_those_of_the_reference(seed: int, batch: int, steps: int, coding: Any) -> None:
    network = with_kinds(random_network(seed), seed)
    shown = images(network, batch, coding, seed)
    assert_equal(
        *(ns.simulate(network, shown, steps, coding=coding, engine=e, seed=seed) for e in ("torch", "reference"))
    )


def test_a_transposed_weight_is_stepped() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        populations = (Population("in", "input", (4,)), *(Population(n, "lif", (3,), 0.5) for n in "ab"))
        forward = [Dense(a, b, dyadic(rng, 3, m)) for a, b, m in (("in", "a", 4), ("a", "b", 3))]
        network = SpikingNetwork(populations, (*forward, Transposed("b", "a", of=("a", "b"), delay=1 + seed % 3)))
        check_train(network, None, 11, seed)


def check_train(network: SpikingNetwork, rule: Any, steps: int, seed: int) -> None:
    one, other = (get_engine(name).start(network, rule) for name in ("torch", "reference"))
    inputs = train(network, steps, seed)
    for low, high in itertools.pairwise((0, steps // 2, steps)):
        part = {name: events.slice(low, high) for name, events in inputs.items()}
        fired, expected = one.run(part), other.run(part)
        assert fired.keys() == expected.keys()
        assert all(fired[name].equals(expected[name]) for name in fired)
    for w, right in zip(one.weights(), other.weights(), strict=True):
        assert torch.equal(w, right)
    for name, v in other.membranes().items():
        assert torch.equal(one.membranes()[name], v)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=SEEDS, steps=STEPS, rule=RULES)
def test_trains_and_plasticity_are_those_of_the_reference(seed: int, steps: int, rule: Any) -> None:
    check_train(with_kinds(random_network(seed), seed), rule, steps, seed)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=SEEDS, steps=STEPS, rule=RULES, count=st.integers(1, 4))
def test_many_networks_do_what_each_does_by_itself(seed: int, steps: int, rule: Any, count: int) -> None:
    first = with_kinds(random_network(seed), seed)
    rng = np.random.default_rng(seed)

    def other() -> SpikingNetwork:
        projections = tuple(
            dataclasses.replace(q, weight=dyadic(rng, *q.weight.shape)) if isinstance(q, Dense) else q
            for q in first.projections
        )
        populations = tuple(
            p if p.kind == "input" else dataclasses.replace(p, threshold=float(rng.integers(1, 16)) / 8)
            for p in first.populations
        )
        return dataclasses.replace(
            first, populations=populations, projections=tuple(_scaled(q, rng) for q in projections)
        )

    networks = [first, *(other() for _ in range(count - 1))]
    inputs = [train(first, steps, seed + k) for k in range(count)]
    together = TorchEngine().start_many(networks, rule)
    found = together.run(inputs)
    for k, network in enumerate(networks):
        alone = get_engine("reference").start(network, rule)
        expected = alone.run(inputs[k])
        assert all(found[k][name].equals(expected[name]) for name in expected)
        assert all(torch.equal(*pair) for pair in zip(together.weights(k), alone.weights(), strict=True))
        assert all(torch.equal(together.membranes(k)[name], v) for name, v in alone.membranes().items())


def _scaled(q: Any, rng: np.random.Generator) -> Any:
    made = dataclasses.replace(q) if isinstance(q, Dense) else q
    return dataclasses.replace(made, scale=float(rng.choice([0.5, 1.0]))) if isinstance(q, Dense) else made


@pytest.mark.parametrize("factor", ["steep", "logistic", "constant"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sleep_is_that_of_the_reference(factor: Any, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    sizes = (30, 40, 20, 5)
    names = ("input", "a", "b", "output")
    network = SpikingNetwork(
        (
            Population("input", "input", (30,)),
            *(Population(n, "lif", (s,), 0.6, 0.95) for n, s in zip(names[1:], sizes[1:], strict=True)),
        ),
        tuple(
            Dense(a, b, torch.tensor(rng.normal(0.02, 0.2, (post, pre)), dtype=dtype))
            for a, b, post, pre in zip(names, names[1:], sizes[1:], sizes, strict=False)
        ),
    )
    drive = ns.MeanDrive(rng.random(30), 200.0)
    rule = SRCRule(0.01, 0.003, factor)
    found, expected = (
        ns.sleep(network, drive=drive, rule=rule, steps=500, engine=e, seed=3) for e in ("torch", "reference")
    )
    assert expected.recording.counts["output"].sum() > 0
    rtol = 1e-6 if dtype == torch.float64 else 2e-4
    for w, right in zip(found.network.weights, expected.network.weights, strict=True):
        assert torch.allclose(w, right, rtol=rtol, atol=rtol)
    spikes = sum(int(c.sum()) for c in expected.recording.counts.values())
    apart = sum(int(np.abs(found.recording.counts[n] - c).sum()) for n, c in expected.recording.counts.items())
    assert apart <= (0 if dtype == torch.float64 else 1e-4 * spikes)


@pytest.mark.parametrize("coding", ["constant", "poisson"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_converted_networks_spike_as_those_of_the_reference(dtype: torch.dtype, coding: Any) -> None:
    model, x = mixed()
    network = ns.convert(model, x).to(dtype)
    found, expected = (ns.simulate(network, x, 60, coding=coding, engine=e) for e in ("torch", "reference"))
    for p in network.layers:
        counts = expected.counts[p.name]
        if p.kind == "lif":
            apart = np.abs(found.counts[p.name] - counts).sum() / counts.sum()
            assert counts.sum() > 0 and apart <= (0 if dtype == torch.float64 else 1e-4)
    assert np.allclose(found.read_out, expected.read_out, rtol=1e-9, atol=1e-9 if dtype == torch.float64 else 0.05)


def on_fake_gpu(thing: Any) -> Any:
    """``thing`` with all tensors in it on a GPU that does not exist, of the same shapes."""
    if isinstance(thing, Tensor):
        return torch.empty(thing.shape, dtype=thing.dtype, device="cuda")
    if isinstance(thing, dict):
        return {key: on_fake_gpu(value) for key, value in thing.items()}
    if isinstance(thing, tuple):
        values = [on_fake_gpu(value) for value in thing]
        return type(thing)(*values) if hasattr(thing, "_fields") else tuple(values)
    if isinstance(thing, list):
        return [on_fake_gpu(value) for value in thing]
    if isinstance(thing, Stack | Neurons | Networks | Learner):
        for key, value in vars(thing).items():
            setattr(thing, key, "cuda" if key == "device" else on_fake_gpu(value))
    return thing


@pytest.mark.parametrize("rule", [None, SRCRule(0.25, 0.125), PairSTDP(0.25, 0.125)])
def test_a_stretch_stays_on_its_device_and_waits_for_nothing(rule: Any) -> None:
    """Where tensors have shapes and devices but no numbers, any copy to the host and any look at a number fails."""
    for seed in range(30):
        networks = [with_kinds(random_network(seed), seed)] * (1 + seed % 3)
        stepped = Networks(Stack(networks, "cpu"), 1, rule)
        steps = min(5, stepped.longest or 5)
        with FakeTensorMode():
            on_fake_gpu(stepped)
            sizes = {p.name: p.size for p in networks[0].inputs}
            given = {
                n: torch.empty(len(networks), steps, 1, m, dtype=torch.bool, device="cuda") for n, m in sizes.items()
            }
            sent, potentials = stepped.advance(given, steps)
            assert all(one.is_cuda for one in (*sent.values(), *potentials.values(), *stepped.totals.values()))


@pytest.mark.parametrize("case", ["batch", "constant batch", "sleep"])
def test_a_recorded_stretch_does_the_same(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the operations of one stretch written down and done again, as a CUDA graph does."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Tape)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    rule, steps = SRCRule(0.25, 0.125, "constant"), 17
    replays: list[Tape] = []
    replay = Tape.replay
    monkeypatch.setattr(Tape, "replay", lambda tape: replays.append(tape) or replay(tape))

    def answers(network: SpikingNetwork, on_cuda: bool, seed: int) -> list[Any]:
        monkeypatch.setattr(graphs, "_records", lambda device: on_cuda)
        if case == "sleep":
            session = TorchEngine().start(network, rule)
            fired = session.run(train(network, steps, seed))
            return [*(e.times for e in fired.values()), *(e.indices for e in fired.values()), *session.weights()]
        coding: Any = "constant" if case == "constant batch" else "bernoulli"
        found = ns.simulate(network, images(network, 2, coding, seed), steps, coding=coding, engine="torch")
        return [*found.counts.values(), *found.potentials.values(), found.read_out]

    for seed in range(12):
        network = with_kinds(random_network(seed), seed)
        for one, other in zip(*(answers(network, on, seed) for on in (True, False)), strict=True):
            assert np.array_equal(np.asarray(one), np.asarray(other))
    assert len(set(map(id, replays))) >= 6 and len(replays) > 12


def test_what_the_engine_does_not_do_is_refused_by_name() -> None:
    one = torch.ones(2, 2)
    populations = (Population("in", "input", (2,)), Population("a", "lif", (2,)), Population("b", "lif", (2,)))
    chain = SpikingNetwork(populations, (Dense("in", "a", one), Dense("a", "b", one)))
    with pytest.raises(UnsupportedError, match="'torch' does not offer the plasticity rule 'oja'"):
        get_engine("torch").start(chain, Oja(0.1, 0.1))
    shared = dataclasses.replace(chain, projections=(*chain.projections, Transposed("b", "a", of=("a", "b"))))
    with pytest.raises(UnsupportedError, match="no plasticity where projection 'b' -> 'a' uses a weight that changes"):
        get_engine("torch").start(shared, SRCRule(0.1, 0.1))
    relay = dataclasses.replace(chain, populations=(*populations[:2], Population("b", "relay", (2,))))
    with pytest.raises(UnsupportedError, match="projection 'a' -> 'b' whose weight the rule would change, ends in a"):
        get_engine("torch").start(relay, SRCRule(0.1, 0.1))
    two = SpikingNetwork((*populations, Population("more", "input", (2,))), chain.projections)
    with pytest.raises(UnsupportedError, match="no batches of a network with 2 input populations"):
        get_engine("torch").start_batch(two, 3)
    with pytest.raises(SettingsError, match="no networks"):
        TorchEngine().start_many([])
    with pytest.raises(SettingsError, match="Network 1 is built otherwise than network 0"):
        TorchEngine().start_many([chain, shared])


def test_weights_beyond_a_bound_are_named() -> None:
    one = torch.ones(2, 2)
    populations = (Population("in", "input", (2,)), Population("a", "lif", (2,)), Population("b", "lif", (2,)))

    def network(first: float, second: float) -> SpikingNetwork:
        return SpikingNetwork(populations, (Dense("in", "a", first * one), Dense("a", "b", second * one)))

    session = TorchEngine().start_many([network(1, 1), network(1, 5), network(-5, 1)])
    assert session.outliers(4.0) == [(2, 0), (1, 1)]
    session._networks.stack.weights[0][1, 0, 0] = torch.nan
    assert session.outliers(9.0) == [(1, 0)]
    single = get_engine("torch").start(network(1, 5))
    assert single.outliers(4.0) == [1] and single.outliers(6.0) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.cuda.is_available() is False")
@pytest.mark.parametrize("coding", ["constant", "bernoulli"])
def test_a_gpu_gives_the_spikes_of_the_reference(coding: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(20):
        network = with_kinds(random_network(seed), seed)
        shown = images(network, 3, coding, seed)
        found = ns.simulate(network, shown, 17, coding=coding, device="cuda")
        assert found.engine == "torch"
        assert_equal(found, ns.simulate(network, shown, 17, coding=coding, engine="reference"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.cuda.is_available() is False")
def test_a_gpu_sleeps_as_the_reference() -> None:
    for seed in range(20):
        network, rule = with_kinds(random_network(seed), seed), SRCRule(0.25, 0.125, "constant")
        one = get_engine("torch").start(network, rule, device="cuda")
        other = get_engine("reference").start(network, rule)
        inputs = train(network, 17, seed)
        fired, expected = one.run(inputs), other.run(inputs)
        assert all(fired[name].equals(expected[name]) for name in fired)
        assert all(torch.equal(*pair) for pair in zip(one.weights(), other.weights(), strict=True))


def test_sums_on_a_gpu_are_those_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with tensor_session._exact("cpu"):
        assert torch.backends.cudnn.allow_tf32
    with contextlib.suppress(KeyError), tensor_session._exact("cuda:1"):
        assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
        raise KeyError
    assert torch.backends.cudnn.allow_tf32
