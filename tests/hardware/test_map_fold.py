"""Relays on chips: folded into weights with the same spikes, kept where the chip itself pools, else refused."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import neurosleep as ns
from neurosleep.errors import MappingError
from neurosleep.hardware.rewrite.fold import fold_relays
from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, Reshape, SpikingNetwork
from neurosleep.spiking.geometry import output_shape

WITHOUT_POOLS = ns.load_profile("generic_int8")


def quarters(*shape: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(-8, 9, shape, generator=generator).double() / 4


def spikes(steps: int, n: int, rate: float = 0.3) -> torch.Tensor:
    return torch.rand(steps, n, generator=torch.Generator().manual_seed(1)) < rate


def assert_same_spikes(a: SpikingNetwork, b: SpikingNetwork, steps: int = 40) -> None:
    """Trains of all neurons of ``a``, exactly; numbers have to be dyadic."""
    record = ns.Record(spikes="all")
    train = spikes(steps, a.populations[0].size)
    first, second = (ns.simulate(n, train, engine="reference", record=record) for n in (a, b))
    for p in a.populations:
        if p.kind == "lif":
            assert torch.equal(first.spikes[p.name].to_dense(), second.spikes[p.name].to_dense()), p.name


def window(draw: st.DrawFn, kind: str, shape: tuple[int, ...], generator: torch.Generator) -> Any:
    """A convolution or a pooling, but for its populations."""
    axes = len(shape) - 1
    numbers = st.integers(1, 3)
    kernel = tuple(min(draw(numbers), n) for n in shape[1:])
    stride, padding = (tuple(draw(s) for _ in range(axes)) for s in (numbers, st.integers(0, 2)))
    if kind == "pool":
        # Averages over 3 are not dyadic.
        kernel = tuple(2 if k == 3 else k for k in kernel)
        padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
        mode = draw(st.sampled_from(["average", "sum"]))
        return functools.partial(Pool, kernel=kernel, stride=stride, padding=padding, mode=mode)
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(axes))
    dilation = tuple(d if d * (k - 1) + 1 <= n else 1 for d, k, n in zip(dilation, kernel, shape[1:], strict=True))
    groups = draw(st.sampled_from([g for g in (1, 2) if shape[0] % g == 0]))
    out = groups * draw(st.integers(1, 2))
    weight = quarters(out, shape[0] // groups, *kernel, generator=generator)
    return functools.partial(Conv, weight=weight, stride=stride, padding=padding, dilation=dilation, groups=groups)


@st.composite
def relayed(draw: st.DrawFn) -> SpikingNetwork:
    """Neurons, a relay, perhaps another one, and neurons, joined by whatever there is."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    shape = draw(st.sampled_from([(1, 6, 5), (2, 7, 6), (2, 9), (1, 8, 8)]))
    populations = [Population("input", "input", shape), Population("before", "lif", shape)]
    n = populations[0].size
    projections = [Dense("input", "before", quarters(n, n, generator=generator))]
    relays = draw(st.integers(1, 2))
    for k in range(relays + 1):
        last, source = k == relays, populations[-1]
        kinds = ["dense", "flatten", "identity", *(("conv", "pool") if len(source.shape) > 1 else ())]
        kind, name = draw(st.sampled_from(kinds)), "after" if last else f"relay{k}"
        scale = draw(st.sampled_from([0.5, 1.0, -2.0]))
        delay = draw(st.sampled_from([0, 0, 1]))
        if kind in ("conv", "pool"):
            made = window(draw, kind, source.shape, generator)(source.name, name, scale=scale, delay=delay)
            target_shape = output_shape(made, source.shape)
        elif kind == "dense":
            target_shape = (draw(st.integers(1, 5)),)
            weight = quarters(target_shape[0], source.size, generator=generator)
            made = Dense(source.name, name, weight, scale=scale, delay=delay)
        else:
            target_shape = (source.size,) if kind == "flatten" else source.shape
            made = (Reshape if kind == "flatten" else Identity)(source.name, name, scale=scale, delay=delay)
        projections.append(made)
        if last:
            populations.append(Population(name, "lif", target_shape, threshold=2.0, decay=0.5, reset="subtract"))
        else:
            # A bias of a relay acts from the first step on where there is a delay behind it: not the same then.
            populations.append(Population(name, "relay", target_shape))
    if draw(st.booleans()):
        source, target = draw(st.sampled_from(populations[:-1])), populations[-1]
        skip = quarters(target.size, source.size, generator=generator)
        projections.append(Dense(source.name, "after", skip))
    if projections[2].delay == 0 and draw(st.booleans()) and relays == 1:
        bias = quarters(populations[2].size, generator=generator)
        populations[2] = dataclasses.replace(populations[2], bias=bias)
    return SpikingNetwork(tuple(populations), tuple(projections))


@settings(max_examples=150, deadline=None)
@given(relayed())
def test_the_same_spikes_without_relays(network: SpikingNetwork) -> None:
    folded, findings = fold_relays(network, WITHOUT_POOLS)
    assert {p.name for p in folded.populations} == {"input", "before", "after"}
    assert any("is folded" in f.text for f in findings)
    assert_same_spikes(network, folded)


def small(*, relay_bias: float = 0.0, padding: int = 0, size: int = 9, reset: Any = "subtract") -> SpikingNetwork:
    """Convolution, average pooling, convolution, average pooling, matrix."""
    generator = torch.Generator().manual_seed(0)
    between = (size - 2) // 2 + 2 * padding - 1
    shapes = [(1, size, size), (2, size - 2, size - 2), (2, (size - 2) // 2, (size - 2) // 2), (4, between, between)]
    last = (4, between // 2, between // 2)
    populations = [
        Population("input", "input", shapes[0]),
        Population("first", "lif", shapes[1], threshold=1.5, reset=reset),
        Population("pooled", "relay", shapes[2], bias=relay_bias),
        Population("second", "lif", shapes[3], threshold=1.5, reset=reset),
        Population("again", "relay", last),
        Population("output", "lif", (3,), threshold=1.5, reset=reset),
    ]
    projections = [
        Conv("input", "first", quarters(2, 1, 3, 3, generator=generator)),
        Pool("first", "pooled", 2),
        Conv("pooled", "second", quarters(4, 2, 2, 2, generator=generator), padding=padding),
        Pool("second", "again", 2),
        Dense("again", "output", quarters(3, populations[4].size, generator=generator)),
    ]
    return SpikingNetwork(tuple(populations), tuple(projections))


def test_poolings_become_longer_strides_and_matrices() -> None:
    network = small(relay_bias=0.5)
    folded, _ = fold_relays(network, WITHOUT_POOLS)
    _, second, third = folded.projections
    assert (second.kind, second.stride, tuple(second.weight.shape)) == ("conv", (2, 2), (4, 2, 4, 4))  # type: ignore[union-attr]
    assert (third.kind, tuple(third.weight.shape)) == ("dense", (3, folded.population("second").size))  # type: ignore[union-attr]
    assert_same_spikes(network, folded, 200)


def test_padding_after_a_pooling_that_leaves_an_edge_over_makes_a_matrix() -> None:
    # 7 neurons in a row pool to 3, and the seventh is no zero.
    network = small(padding=1)
    folded, findings = fold_relays(network, WITHOUT_POOLS)
    assert folded.projections[1].kind == "dense"
    assert [f.layer for f in findings if "fits no single convolution" in f.text] == ["second"]
    assert_same_spikes(network, folded, 200)
    exact, _ = fold_relays(small(padding=1, size=10), WITHOUT_POOLS)
    assert exact.projections[1].kind == "conv"


@pytest.mark.parametrize(
    ("profile", "reset"), [("loihi1", "to_value"), ("generic_int8", "subtract"), ("speck2f", "subtract")]
)
def test_a_small_convolutional_network_maps(profile: str, reset: Any) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 8, 3, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10, bias=False),
    )
    images = torch.rand(6, 1, 14, 14)
    network = ns.convert(net, images, recipe="percentile", reset=reset).to(torch.float64)
    before = [w.clone() for w in network.weights]
    mapped = ns.map_to(network, profile)
    report = mapped.report
    assert report.fits
    assert [(row.source, row.layer) for row in report.layers] == [
        ("input", "hidden1"),
        ("hidden1", "hidden2"),
        ("hidden2", "output"),
    ] or profile == "speck2f"
    assert all(torch.equal(a, b) for a, b in zip(before, network.weights, strict=True))
    recordings = [
        ns.simulate(n, images, 100, coding="bernoulli", engine=e)
        for n, e in ((network, "reference"), (mapped, "fixed"))
    ]
    for name in ("hidden1", "hidden2"):
        exact, found = (r.counts[name].sum() for r in recordings)
        assert exact > 500
        assert abs(found - exact) < 0.05 * exact


def test_speck_pools_on_its_way() -> None:
    network = small()
    mapped = ns.map_to(network, "speck2f")
    report = mapped.report
    assert [p.kind for p in mapped.populations] == [p.kind for p in network.populations]
    assert mapped.projections[1].mode == "sum"  # type: ignore[attr-defined]
    # Each layer takes a core, a pooling none; the matrix is a kernel of 1 x 1 on 4 channels for 3 neurons.
    assert (report.cores, len(report.layers)) == (3, 3)
    assert [row.memory_bits for row in report.layers] == [1 * 2**4 * 2 * 8, 2 * 2**2 * 4 * 8, 4 * 1 * 4 * 8]
    found, exact = (
        ns.simulate(n, spikes(1000, 81), engine=e).counts for n, e in ((mapped, "fixed"), (network, "reference"))
    )
    for name in ("first", "second", "output"):
        assert exact[name].sum() > 0
        assert abs(found[name] - exact[name]).sum() <= 0.1 * exact[name].sum()
    # What it does not pool itself is folded like elsewhere.
    wide = dataclasses.replace(network.projections[1], mode="sum")  # type: ignore[call-arg]
    kept, _ = fold_relays(
        dataclasses.replace(network, projections=(network.projections[0], wide, *network.projections[2:])),
        ns.load_profile("speck2f"),
    )
    assert {p.name for p in kept.populations} >= {"pooled", "again"}
    biased, _ = fold_relays(small(relay_bias=0.5), ns.load_profile("speck2f"))
    assert "pooled" not in {p.name for p in biased.populations}


def test_what_cannot_be_folded_is_refused() -> None:
    network = small(reset="to_value")
    ends = dataclasses.replace(network, populations=(*network.populations[:-1], Population("output", "relay", (3,))))
    with pytest.raises(MappingError, match="output: a relay passes on sums") as refused:
        ns.map_to(ends, "loihi1")
    assert "kind 'li'" in str(refused.value)
    loop = Identity("pooled", "pooled", scale=0.5, delay=1)
    with pytest.raises(MappingError, match="pooled: a relay passes on sums"):
        ns.map_to(dataclasses.replace(network, projections=(*network.projections, loop)), "generic_int8")


def test_ideal_keeps_relays() -> None:
    network = small()
    mapped = ns.map_to(network, "ideal")
    assert mapped.populations == network.populations
    unlike = {"weight": None}
    assert [type(q) for q in mapped.projections] == [type(q) for q in network.projections]
    assert [vars(q) | unlike for q in mapped.projections] == [vars(q) | unlike for q in network.projections]
