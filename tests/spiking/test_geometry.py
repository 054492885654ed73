"""Convolution, pooling and graded relays in the engines, against torch's own; and networks whose shapes do not fit."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import SpikeEvents, SRCRule
from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, Reshape, SpikingNetwork, get_engine
from neurosleep.spiking.engines import ReferenceEngine
from neurosleep.spiking.geometry import output_shape

ENGINES = ("reference", "event", "snntorch", "norse", "torch")


def conv_chain(rng: random.Random, axes: int) -> tuple[SpikingNetwork, Any]:
    """A random chain input -conv-> relay -pool-> relay -flatten-> LIF, and its current by torch modules."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.randint(low, high) for _ in range(axes))

    groups = rng.choice([1, 2])
    channels, out = groups * rng.randint(1, 2), groups * rng.randint(1, 3)
    shape = (channels, *each(7, 10))
    conv_options = {"stride": each(1, 2), "padding": each(0, 2), "dilation": each(1, 2), "groups": groups}
    kernel = each(1, 3)
    weight = torch.randint(-4, 6, (out, channels // groups, *kernel), generator=generator).double() / 8
    conv = Conv("input", "conv", weight, **conv_options, scale=0.5)
    middle = output_shape(conv, shape)
    mode, stride = rng.choice(["average", "sum"]), each(1, 2)
    pool_kernel = tuple(min(k, n) for k, n in zip(each(1, 3), middle[1:], strict=True))
    padding = tuple(k // 2 for k in pool_kernel)
    pool_options = {"mode": mode, "kernel": pool_kernel, "stride": stride, "padding": padding}
    pool = Pool("conv", "pool", **pool_options, scale=2.0)
    after = output_shape(pool, middle)
    size = torch.Size(after).numel()
    bias = torch.randint(-2, 3, (torch.Size(middle).numel(),), generator=generator).double() / 4
    network = SpikingNetwork(
        (
            Population("input", "input", shape),
            Population("conv", "relay", middle, bias=bias),
            Population("pool", "relay", after),
            # Averages of 3, 6 or 9 values are not dyadic: a threshold that no sum of eighths and quarters meets.
            Population("out", "lif", (size,), threshold=0.0171, decay=0.5),
        ),
        (conv, pool, Reshape("pool", "out", scale=0.25)),
    )
    conv_module = (torch.nn.Conv2d if axes == 2 else torch.nn.Conv1d)(
        channels, out, kernel, bias=False, **conv_options
    ).double()
    conv_module.weight.data = weight

    def current(spikes: Tensor) -> Tensor:
        x = 0.5 * conv_module(spikes.double()) + bias.reshape(middle)
        if axes == 2:
            pooled = torch.nn.functional.avg_pool2d(x, pool_kernel, stride, padding, count_include_pad=True)
        else:
            pooled = torch.nn.functional.avg_pool1d(x, pool_kernel, stride, padding, count_include_pad=True)
        if mode == "sum":
            pooled = pooled * torch.Size(pool_kernel).numel()
        return 0.25 * (2.0 * pooled.flatten(1))

    return network, current


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("seed", range(12))
@torch.no_grad()
def test_a_batch_through_convolution_pooling_and_flattening_as_torch_computes_it(seed: int, axes: int) -> None:
    network, current = conv_chain(random.Random(seed), axes)
    shape = network.population("input").shape
    session = ReferenceEngine().start_batch(network, 3)
    v = torch.zeros(3, network.population("out").size, dtype=torch.float64)
    for t in range(10):
        spikes = torch.rand(3, *shape, generator=torch.Generator().manual_seed(100 * seed + t)) < 0.5
        v = 0.5 * v + current(spikes)
        found = session.step({"input": spikes.flatten(1)})["out"]
        # The sum of an average may be rounded in another order: no decision closer than that is compared.
        clear = (v - 0.0171).abs() > 1e-9
        assert torch.equal(found[clear], (v >= 0.0171)[clear])
        v = torch.where(found, 0.0, v)
        assert torch.allclose(session.batch_membranes()["out"], v, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_engines_agree_on_convolutions(seed: int) -> None:
    network, _ = conv_chain(random.Random(seed), 2)
    n = network.population("input").size
    events = SpikeEvents.from_dense(torch.rand(40, n, generator=torch.Generator().manual_seed(seed)) < 0.4)
    found = [get_engine(name).start(network).run({"input": events}) for name in ENGINES]
    assert found[0]["out"].count > 0
    for other in found[1:]:
        assert other["out"].equals(found[0]["out"])
        assert other["conv"].equals(found[0]["conv"])


@torch.no_grad()
def test_relays_pass_on_graded_sums_and_graded_inputs_take_the_place_of_spikes() -> None:
    network = SpikingNetwork(
        (
            Population("input", "input", (2,)),
            Population("sum", "relay", (1,), bias=0.25),
            Population("out", "lif", (1,), threshold=1e9, decay=1.0),
        ),
        (
            Dense("input", "sum", torch.tensor([[0.5, -2.0]], dtype=torch.float64)),
            Identity("sum", "out", scale=3.0, delay=1),
        ),
    )
    session = ReferenceEngine().start_batch(network, 2)
    values = torch.tensor([[0.5, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert session.step({"input": values})["sum"].tolist() == [[0.5], [-1.75]]
    session.step({"input": torch.zeros(2, 2, dtype=torch.bool)})
    assert session.batch_membranes()["out"].tolist() == [[1.5], [-5.25]]


@pytest.mark.parametrize("name", ENGINES)
def test_no_rule_changes_shared_weights(name: str) -> None:
    network, _ = conv_chain(random.Random(0), 2)
    session = get_engine(name).start(network, SRCRule(1e-3, 1e-4))
    fired = session.run({"input": SpikeEvents.from_dense(torch.ones(20, network.population("input").size))})
    assert fired["out"].count > 0 and not any(projection.plastic for projection in network.projections)
    assert torch.equal(session.weights()[0], network.weights[0])


def build(shape: tuple[int, ...], target: tuple[int, ...], kind: Any, *given: Any, **options: Any) -> SpikingNetwork:
    return SpikingNetwork(
        (Population("a", "input", shape), Population("b", "relay", target)), (kind("a", "b", *given, **options),)
    )


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (((1, 4, 4), (2, 2, 3), Conv, torch.ones(2, 1, 3, 3)), {}, r"makes the shape \(2, 2, 2\)"),
        (((16,), (2, 2, 2), Conv, torch.ones(2, 1, 3, 3)), {}, "shape"),
        (((3, 4, 4), (2, 2, 2), Conv, torch.ones(2, 1, 3, 3)), {}, "does not fit 3 input channels"),
        (((2, 4, 4), (3, 2, 2), Conv, torch.ones(3, 1, 3, 3)), {"groups": 2}, "groups"),
        (((1, 4, 4), (2, 2, 2), Conv, None), {}, "the weight cannot be None"),
        (((1, 4, 4), (2, 2, 2), Conv, torch.ones(2, 3)), {}, r"the weight has shape \(2, 3\)"),
        (
            ((1, 9), (2, 2, 2), Conv, torch.ones(2, 1, 3, 3)),
            {},
            r"kernel \(3, 3\) starts at a population of shape \(1, 9\)",
        ),
        (((1, 9), (1, 4), Pool, 2), {}, r"kernel \(2, 2\) starts at a population of shape \(1, 9\)"),
        (((1, 4, 4), (2, 2, 2), Conv, torch.ones(2, 1, 9, 9)), {}, "larger than the population"),
        (((1, 4, 4), (2, 2, 2), Conv, torch.ones(2, 1, 3, 3)), {"stride": (0, 1)}, "stride is"),
        (((1, 4, 4), (2, 2, 2), Conv, torch.ones(2, 1, 3, 3)), {"stride": (1,)}, "stride is"),
        (((1, 4, 4), (2, 2, 2), Conv, torch.ones(2, 1, 3, 3)), {"padding": 1.5}, "padding is"),
        (((1, 4, 4), (1, 2, 2), Pool, None), {}, "kernel is None"),
        (((1, 4, 4), (1, 2, 2), Pool, (1, 2, 3)), {}, r"kernel is \(1, 2, 3\)"),
        (((1, 4, 4), (1, 2, 2), Pool, "22"), {}, "kernel is '22'"),
        (((1, 4, 4), (1, 2, 2), Pool, (2, 2)), {"stride": (2, 2, 2)}, "stride is"),
        (((2, 4, 4), (2, 2, 2), Conv, torch.ones(2, 1, 3, 3)), {"groups": 0}, "groups cannot be 0"),
        (((1, 4, 4), (1, 2, 3), Pool, (2, 2)), {}, r"makes the shape \(1, 2, 2\)"),
        (((1, 4, 4), (1, 4, 4), Pool, (2, 2)), {"padding": (2, 2)}, "half the kernel"),
        (((1, 4, 4), (15,), Reshape), {}, "joins 16 neurons to 15"),
        (((4,), (5,), Identity), {}, "joins 4 neurons to 5"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_at_construction(
    arguments: tuple[Any, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        build(*arguments, **options)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="strides"):
        build((1, 4, 4), (1, 2, 2), Pool, kernel=(2, 2), strides=(2, 2))
    with pytest.raises(UnknownNameError, match="maximum"):
        build((1, 4, 4), (1, 2, 2), Pool, kernel=(2, 2), mode="maximum")
    for kind in (Pool, Reshape, Identity):
        with pytest.raises(TypeError, match="weight"):
            kind("a", "b", weight=torch.ones(1))  # type: ignore[operator]
