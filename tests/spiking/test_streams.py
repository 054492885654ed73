"""Streams of noise that share the weights: each engine as the reference, one stream as a session without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.errors import SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import (
    PairSTDP,
    SpikeEvents,
    SRCRule,
    numpy_generator,
    src_rows,
    src_stream_rows,
    torch_generator,
)
from neurosleep.spiking import Conv, Dense, Population, SpikingNetwork, get_engine
from tests.spiking.test_equal_engines import population

EIGHTHS = SRCRule(0.25, 0.125, factor="constant")


def network(seed: int, dtype: torch.dtype = torch.float64) -> SpikingNetwork:
    """A graph without loops, delays only where that keeps the order, weights in eighths."""
    rng = numpy_generator(seed, "streams")
    populations = [Population("in", "input", (int(rng.integers(1, 9)),))]
    populations += [population(rng, f"p{k}") for k in range(int(rng.integers(1, 4)))]
    projections = []
    for t in range(1, len(populations)):
        for s in {t - 1, 0} if rng.integers(2) else {t - 1}:
            weight = torch.from_numpy(rng.integers(-6, 10, (populations[t].size, populations[s].size)) / 8).to(dtype)
            delay = int(rng.choice([0, 1, 5])) if s == 0 else 0
            ends = populations[s].name, populations[t].name
            scale, plastic = float(rng.choice([0.5, 1.0])), bool(rng.integers(4))
            projections.append(Dense(*ends, weight, scale=scale, delay=delay, plastic=plastic))
    return SpikingNetwork(tuple(populations), tuple(projections))


def spikes(seed: int, streams: int, n: int, steps: int = 30) -> SpikeEvents:
    rng = numpy_generator(seed, "noise")
    return SpikeEvents.from_dense(rng.random((steps, streams * n)) < rng.choice([0.1, 0.5]))


@pytest.mark.parametrize("engine", ["event", "torch"])
@given(seed=st.integers(0, 2**32 - 1), streams=st.integers(2, 6), updates=st.sampled_from(["sum", "mean"]))
@settings(max_examples=25)
def test_engines_step_and_learn_as_the_reference(engine: str, seed: int, streams: int, updates: str) -> None:
    net = network(seed)
    events = spikes(seed, streams, net.inputs[0].size)
    fast, plain = (get_engine(name).start_streams(net, EIGHTHS, streams, updates) for name in (engine, "reference"))
    for first, last in ((0, 7), (7, 8), (8, 8), (8, 30)):
        found, expected = (session.run({"in": events.slice(first, last)}) for session in (fast, plain))
        assert all(found[name].equals(expected[name]) for name in expected)
    for a, b in zip(fast.weights(), plain.weights(), strict=True):
        assert torch.equal(a, b)
    assert fast.outliers(1.0) == plain.outliers(1.0)
    for name, v in plain.membranes().items():
        torch.testing.assert_close(fast.membranes()[name], v)


@pytest.mark.parametrize("engine", ["event", "torch"])
@pytest.mark.parametrize("factor", ["steep", "logistic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_factor_of_a_weight_is_that_of_the_reference(factor: str, dtype: torch.dtype, engine: str) -> None:
    """Weights of any size: within what the exponential may differ by."""
    draw = torch_generator(0, "weights")
    populations = (
        Population("in", "input", (40,)),
        Population("hidden", "lif", (700,), threshold=0.3, decay=0.9),
        Population("out", "lif", (5,), threshold=0.05, decay=0.9, refractory=2),
    )
    layers = [(700, 40), (5, 700)]
    weights = [(torch.rand(*shape, generator=draw, dtype=torch.float64) / 50 - 0.005).to(dtype) for shape in layers]
    net = SpikingNetwork(populations, (Dense("in", "hidden", weights[0]), Dense("hidden", "out", weights[1])))
    rule = SRCRule(1e-3, 1e-4, factor=factor)
    fast, plain = (get_engine(name).start_streams(net, rule, 4) for name in (engine, "reference"))
    events = spikes(3, 4, 40, steps=100)
    found, expected = (session.run({"in": events}) for session in (fast, plain))
    assert all(found[name].equals(expected[name]) for name in expected)
    assert found["hidden"].count > 300 and found["out"].count > 3
    for a, b in zip(fast.weights(), plain.weights(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("engine", ["event", "reference", "torch"])
def test_streams_of_the_same_noise_are_one_stream(engine: str) -> None:
    """By the mean of their updates they go where one goes; without a rule each is what it would be alone."""
    net = network(5)
    one = spikes(5, 1, net.inputs[0].size)
    single = get_engine(engine).start(net, EIGHTHS)
    several = get_engine(engine).start_streams(net, EIGHTHS, 4, "mean")
    expected, found = single.run({"in": one}), several.run({"in": SpikeEvents.side_by_side([one] * 4)})
    assert sum(expected[p.name].count for p in net.layers) > 10
    for name, events in expected.items():
        assert found[name].equals(SpikeEvents.side_by_side([events] * 4))
    assert all(torch.equal(a, b) for a, b in zip(single.weights(), several.weights(), strict=True))
    alone = get_engine(engine).start_streams(net, EIGHTHS, 1)
    again = alone.run({"in": one})
    assert all(again[name].equals(expected[name]) for name in expected)
    noises = [spikes(seed, 1, net.inputs[0].size) for seed in (1, 2, 3)]
    together = get_engine(engine).start_streams(net, None, 3).run({"in": SpikeEvents.side_by_side(noises)})
    for stream, noise in enumerate(noises):
        for name, events in get_engine(engine).start(net).run({"in": noise}).items():
            assert together[name].part(stream * events.n, events.n).equals(events)


def test_coincidences_count_and_the_factor_is_taken_once() -> None:
    pre = torch.tensor([[True, False, False], [True, True, False]])
    rows = torch.tensor([[-0.002, 0.0, 0.001]], dtype=torch.float64)
    rule = SRCRule(0.5, 0.25)
    factor = (src_rows(rows, pre[0], SRCRule(1.0, 1.0)) - rows).abs()
    for updates, bracket in (("sum", [1.0, 0.25, -0.5]), ("mean", [0.5, 0.125, -0.25])):
        found = src_stream_rows(rows, pre, torch.tensor([[True], [True]]), rule, updates)
        torch.testing.assert_close(found, rows + torch.tensor([bracket], dtype=torch.float64) * factor)
    first = torch.tensor([[True], [False]])
    assert torch.equal(src_stream_rows(rows, pre, first, rule), src_rows(rows, pre[0], rule))


def test_what_an_engine_cannot_step_is_refused_by_name() -> None:
    net = network(5)
    for engine in ("snntorch", "norse"):
        with pytest.raises(UnsupportedError, match="one stream of noise"):
            get_engine(engine).start_streams(net, EIGHTHS, 2)
    with pytest.raises(UnsupportedError, match="step_streams_"):
        get_engine("reference").start_streams(net, PairSTDP(0.01, 0.01, 0.9, 0.9), 2)
    for streams in (0, -1, 1.5, True):
        with pytest.raises(SettingsError, match="number of streams"):
            get_engine("event").start_streams(net, EIGHTHS, streams)
    with pytest.raises(UnknownNameError, match="median"):
        get_engine("event").start_streams(net, EIGHTHS, 2, "median")
    with pytest.raises(SettingsError, match="too many"):
        get_engine("event").start_streams(net, EIGHTHS, 2**31)
    lif = Population("p", "lif", (3,))
    back = SpikingNetwork(
        (Population("in", "input", (3,)), lif), (Dense("in", "p", torch.eye(3)), Dense("p", "p", torch.eye(3), delay=1))
    )
    image = Population("in", "input", (1, 2, 2))
    conv = SpikingNetwork((image, Population("p", "lif", (1, 2, 2))), (Conv("in", "p", torch.ones(1, 1, 1, 1)),))
    for other, why in ((back, "feeds back"), (conv, "not Dense")):
        with pytest.raises(UnsupportedError, match=why):
            get_engine("event").start_streams(other, EIGHTHS, 2)
        size = other.inputs[0].size
        get_engine("reference").start_streams(other, EIGHTHS, 2).run({"in": spikes(0, 2, size, steps=3)})


def test_events_side_by_side_come_apart_again() -> None:
    parts = [spikes(seed, 1, 6) for seed in range(3)]
    wide = SpikeEvents.side_by_side(parts)
    assert (wide.n, wide.steps) == (18, 30)
    expected = np.concatenate([part.to_dense(torch.bool).numpy() for part in parts], 1)
    assert wide.equals(SpikeEvents.from_dense(expected))
    late = wide.slice(4, 20)
    for s, part in enumerate(parts):
        assert late.part(6 * s, 6).equals(part.slice(4, 20))
    assert SpikeEvents.side_by_side([part.slice(3, 9) for part in parts]).equals(wide.slice(3, 9))
    with pytest.raises(SettingsError, match="side by side"):
        SpikeEvents.side_by_side([parts[0], parts[1].slice(0, 3)])
