"""SRC on convolutions: each weight changes by what the rule does to its synapses at all places, the same in engines."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neurosleep.errors import UnsupportedError
from neurosleep.functional import PooledSRC, SpikeEvents, SRCRule, weight_factor
from neurosleep.spiking import Conv, Dense, Population, SpikingNetwork, get_engine
from neurosleep.spiking.engines.event import grid_kernels, mixed, pooled_kernels, synapses
from neurosleep.spiking.geometry import synapses_with
from tests.spiking.grids import random_network
from tests.uncompiled import uncompile

STEPS = 12
# Steps of them are powers of two, and sums of them exact; means and the steep factor are rounded.
RULES = {
    "sum": PooledSRC(2**-6, 2**-7, "constant", pooling="sum"),
    "mean": PooledSRC(2**-6, 2**-7, "constant"),
    "steep": PooledSRC(0.01, 0.003),
}


def learning(network: SpikingNetwork) -> SpikingNetwork:
    projections = [dataclasses.replace(q, plastic=True) if isinstance(q, Conv) else q for q in network.projections]
    return dataclasses.replace(network, projections=tuple(projections))


def check_equal(seed: int, name: str) -> bool:
    """In two pieces, so that weights cross the border; whether any convolution changed."""
    network, rule = learning(random_network(seed)), RULES[name]
    if name != "sum":
        # Nothing is exact from the first change on: far from ties from the start.
        generator = torch.Generator().manual_seed(seed)
        noise = [torch.randn(w.shape, dtype=w.dtype, generator=generator) for w in network.weights]
        network = network.with_weights([w + 1e-3 * n for w, n in zip(network.weights, noise, strict=True)])
    reference = get_engine("reference").start(network, rule)
    try:
        event = get_engine("event").start(network, rule)
    except UnsupportedError as error:
        assert "ends in" in str(error)
        return False
    events = SpikeEvents.from_dense(np.random.default_rng(seed).random((STEPS, network.inputs[0].size)) < 0.4)
    for start, stop in ((0, 5), (5, STEPS)):
        found, expected = (session.run({"in": events.slice(start, stop)}) for session in (event, reference))
        for population, spikes in expected.items():
            assert found[population].equals(spikes), population
    changed = False
    for q, one, other in zip(network.weighted, event.weights(), reference.weights(), strict=True):
        assert torch.equal(one, other) if name == "sum" else torch.allclose(one, other, rtol=1e-11, atol=1e-11)
        changed |= isinstance(q, Conv) and not torch.equal(one, q.weight)
    for bound in (0.5, 1.0, 1e9):
        assert event.outliers(bound) == reference.outliers(bound)
    return changed


CASES = {"seed": st.integers(0, 2**32 - 1), "name": st.sampled_from(list(RULES))}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(**CASES)
def test_shared_weights_change_as_in_the_reference(seed: int, name: str) -> None:
    check_equal(seed, name)


@pytest.mark.full
@settings(max_examples=3000, deadline=None)
@given(**CASES)
def test_shared_weights_of_many_networks_change_as_in_the_reference(seed: int, name: str) -> None:
    check_equal(seed, name)


def test_blocks_of_few_channels_and_the_compiled_rule_as_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synapses, "_LEAST", 2)
    monkeypatch.setattr(synapses, "_STATE", 1)
    assert sum(check_equal(seed, name) for seed in range(40) for name in RULES) > 20
    uncompile(monkeypatch, pooled_kernels, grid_kernels, mixed)
    with np.errstate(over="ignore"):
        assert sum(check_equal(seed, name) for seed in range(0, 40, 4) for name in RULES) > 2


def unrolled(q: Conv, shape: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[tuple[int, ...], int, int]]:
    """Every synapse of a convolution over two axes: place of its weight, its unit, its input."""
    (_, height, width), (outs, out_height, out_width) = shape, target
    group_out, group_in = outs // q.groups, q.weight.shape[1]
    synapses = []
    for o, y, x in itertools.product(range(outs), range(out_height), range(out_width)):
        for c, ky, kx in itertools.product(range(group_in), range(q.kernel[0]), range(q.kernel[1])):
            at = [
                place * q.stride[a] - q.padding[a] + k * q.dilation[a]
                for a, (place, k) in enumerate(((y, ky), (x, kx)))
            ]
            if 0 <= at[0] < height and 0 <= at[1] < width:
                source = ((o // group_out * group_in + c) * height + at[0]) * width + at[1]
                synapses.append(((o, c, ky, kx), (o * out_height + y) * out_width + x, source))
    return synapses


@pytest.mark.parametrize("options", [{}, {"padding": 1, "stride": 2}, {"dilation": 2, "padding": (2, 1), "groups": 2}])
@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_a_weight_changes_by_the_mean_or_sum_over_its_synapses(options: dict[str, object], pooling: str) -> None:
    """Against the rule applied to every synapse by itself, from the weight before the step."""
    generator = torch.Generator().manual_seed(1)
    groups = int(options.get("groups", 1))  # type: ignore[call-overload]
    weight = 0.01 * torch.randn(4, 2 // groups, 3, 3, generator=generator, dtype=torch.float64)
    q = Conv("in", "out", weight, **options)  # type: ignore[arg-type]
    shape = (2, 6, 7)
    target = tuple(torch.nn.functional.conv2d(torch.zeros(1, *shape, dtype=torch.float64), weight, None, q.stride,
        q.padding, q.dilation, groups).shape[1:])  # fmt: skip
    pre, post = (torch.rand(int(np.prod(s)), generator=generator) < 0.4 for s in (shape, target))
    both, alone = (synapses_with(q, side, post, shape, target) for side in (pre, ~pre))
    rule = PooledSRC(0.02, 0.005, pooling=pooling)  # type: ignore[arg-type]
    found = weight.clone()
    rule.step_pooled_(found, both, alone)
    changes: dict[tuple[int, ...], list[float]] = {}
    for place, unit, source in unrolled(q, shape, target):
        if post[unit]:
            step = rule.inc if pre[source] else -rule.dec
            changes.setdefault(place, []).append(step * float(weight_factor(weight[place])))
    expected = weight.clone()
    for place, steps in changes.items():
        expected[place] += sum(steps) / (len(steps) if pooling == "mean" else 1)
    assert changes and torch.allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("engine", ["event", "reference", "snntorch", "norse"])
def test_of_a_single_place_it_is_the_rule_of_matrices(engine: str) -> None:
    if engine == "norse":
        pytest.importorskip("norse")
    weight = torch.tensor(np.random.default_rng(0).integers(-8, 16, (5, 3)) / 8)
    units = Population("out", "lif", (5, 1, 1), threshold=0.5, decay=0.5)

    def slept(projection: Conv | Dense, rule: SRCRule | PooledSRC) -> Tensor:
        network = SpikingNetwork((Population("in", "input", (3, 1, 1)), units), (projection,))
        session = get_engine(engine).start(network, rule)
        session.run({"in": SpikeEvents.from_dense(np.random.default_rng(1).random((40, 3)) < 0.5)})
        return session.weights()[0].reshape(5, 3)

    steps = (2**-5, 2**-6, "constant")
    dense = slept(Dense("in", "out", weight), SRCRule(*steps))  # type: ignore[arg-type]
    assert not torch.equal(dense, weight)
    assert torch.equal(dense, slept(Dense("in", "out", weight), PooledSRC(*steps)))  # type: ignore[arg-type]
    for pooling in ("mean", "sum"):
        pooled = PooledSRC(*steps, pooling=pooling)  # type: ignore[arg-type]
        assert torch.equal(dense, slept(Conv("in", "out", weight[..., None, None], plastic=True), pooled))


def test_what_the_compiled_rule_cannot_learn_is_refused_by_name() -> None:
    populations = (
        Population("in", "input", (1, 4)),
        Population("a", "lif", (1, 4)),
        Population("sum", "relay", (1, 4)),
    )
    kernel, matrix = torch.ones(1, 1, 3), torch.eye(4)
    for projections, match in (
        ((Conv("in", "a", kernel, padding=1), Dense("in", "a", matrix)), "is a convolution, and a plastic matrix ends"),
        ((Conv("in", "a", kernel, padding=1), Conv("a", "sum", kernel, padding=1)), "'a' -> 'sum' whose weight"),
    ):
        network = learning(SpikingNetwork(populations, projections))
        with pytest.raises(UnsupportedError, match=match):
            get_engine("event").start(network, RULES["mean"])
        get_engine("event").start(network, SRCRule(0.1, 0.1))
        get_engine("reference").start(network, RULES["mean"])


def test_convolutions_that_are_not_plastic_stay_and_so_do_all_under_other_rules() -> None:
    populations = (Population("in", "input", (1, 4)), Population("out", "lif", (2, 4), threshold=0.25))
    kernel = torch.ones(2, 1, 3)
    for engine, rule, plastic in itertools.product(
        ("event", "reference"), (RULES["mean"], SRCRule(0.1, 0.1)), (True, False)
    ):
        projection = Conv("in", "out", kernel, padding=1, plastic=plastic)
        session = get_engine(engine).start(SpikingNetwork(populations, (projection,)), rule)
        spikes = session.run({"in": SpikeEvents.from_dense(np.ones((5, 4), dtype=bool))})
        assert spikes["out"].count == 40
        assert torch.equal(session.weights()[0], kernel) is not (plastic and rule is RULES["mean"])
