"""NeuroBench's own measures of a network, and the synaptic operations that both count."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor

import neurosleep as ns
from neurosleep.errors import MissingExtraError, SettingsError, UnsupportedError
from neurosleep.hardware import count_activity, neurobench_metrics
from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, SpikingNetwork


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def convolutional(delay: int = 0, pool: bool = False) -> SpikingNetwork:
    """A convolution, in parts 0, and a dense layer; a pool between them where asked for."""
    weight = drawn(3, 2, 3, 3) - 0.4
    shape = (3, 3, 3) if pool else (3, 6, 6)
    between = (Pool("maps", "pooled", kernel=2),) if pool else ()
    n, before = (27, "pooled") if pool else (108, "maps")
    return SpikingNetwork(
        (
            Population("input", "input", (2, 6, 6)),
            Population("maps", "lif", (3, 6, 6), threshold=1.5),
            *((Population("pooled", "lif", shape, threshold=0.5),) if pool else ()),
            Population("output", "lif", (4,), threshold=2.0),
        ),
        (
            Conv("input", "maps", weight.where(weight.abs() > 0.1, 0.0), padding=1),
            *between,
            Dense(before, "output", drawn(4, n, seed=1) - 0.4, delay=delay),
        ),
    )


def spikes(steps: int = 12, batch: int = 3, size: int = 72) -> Tensor:
    return drawn(steps, batch, size, seed=2) < 0.3


def measured(network: SpikingNetwork, inputs: Tensor) -> dict[str, Any]:
    pytest.importorskip("neurobench", reason='needs pip install "neurosleep[neurobench]"')
    return neurobench_metrics(network, inputs)


def test_both_count_the_same_synaptic_operations() -> None:
    network, inputs = convolutional(), spikes()
    found = measured(network, inputs)
    recording = ns.simulate(network, inputs, engine="reference")
    activity = count_activity(network, recording)
    assert activity.spikes > 50 and recording.counts["output"].sum() > 0
    operations = found["synaptic_operations"]
    assert operations["Effective_ACs"] == pytest.approx(activity.synaptic_events / 3, abs=1e-6)
    assert operations["Effective_MACs"] == 0
    zeros = int((network.weights[0] == 0).sum())
    assert zeros > 0
    assert found["connection_sparsity"] == round(zeros / (54 + 432), 4)
    assert found["activation_sparsity"] == pytest.approx(1 - activity.spikes / (12 * 3 * 112))
    assert found["footprint"] >= 8 * (54 + 432)
    # A weight of 0 counted like any other: what is left to NeuroBench's "Dense" is that not every neuron fires.
    everything = count_activity(network, recording, zeros="count").synaptic_events / 3
    assert operations["Effective_ACs"] < everything < operations["Dense"]


def test_both_count_the_same_in_a_converted_network() -> None:
    torch.manual_seed(0)
    network = ns.convert(ns.MLP([40, 30, 10]), calibration=torch.rand(20, 40), recipe="percentile")
    inputs = spikes(30, 4, 40)
    found = measured(network, inputs)["synaptic_operations"]
    counted = count_activity(network, ns.simulate(network, inputs, engine="reference")).synaptic_events
    assert found["Effective_ACs"] == counted / 4 > 0


def test_graded_inputs_are_products() -> None:
    network, images = convolutional(), drawn(2, 72, seed=3)
    found = measured(network, images.expand(9, 2, 72))["synaptic_operations"]
    counted = count_activity(network, ns.simulate(network, images, 9, engine="reference"))
    total = found["Effective_MACs"] + found["Effective_ACs"]
    assert total == pytest.approx(counted.synaptic_events / 2, abs=1e-6)
    assert found["Effective_MACs"] > found["Effective_ACs"] > 0


def test_pools_and_what_is_under_way_are_counted_here_alone() -> None:
    inputs = spikes()
    pooled = convolutional(pool=True)
    recording = ns.simulate(pooled, inputs, engine="reference")
    through_pool = recording.counts["maps"].sum() / 3
    counted = count_activity(pooled, recording).synaptic_events / 3
    found = measured(pooled, inputs)["synaptic_operations"]["Effective_ACs"]
    assert found == pytest.approx(counted - through_pool, abs=1e-6) and through_pool > 0
    late = convolutional(delay=2)
    recording = ns.simulate(late, inputs, engine="reference")
    shorter = ns.simulate(late, inputs[:-2], engine="reference")
    under_way = 4 * (recording.counts["maps"].sum() - shorter.counts["maps"].sum()) / 3
    found = measured(late, inputs)["synaptic_operations"]["Effective_ACs"]
    assert found == pytest.approx(count_activity(late, recording).synaptic_events / 3 - under_way, abs=1e-6)
    assert under_way > 0


def test_what_cannot_be_measured_is_refused() -> None:
    pytest.importorskip("neurobench", reason='needs pip install "neurosleep[neurobench]"')
    for wrong in (spikes(size=71), spikes()[0], spikes(steps=0)):
        with pytest.raises(SettingsError, match="do not fit the network"):
            neurobench_metrics(convolutional(), wrong)
    joined = SpikingNetwork(
        (Population("input", "input", (3,)), Population("output", "lif", (3,))),
        (Identity("input", "output"),),
    )
    with pytest.raises(UnsupportedError, match="no weights to measure"):
        neurobench_metrics(joined, spikes(size=3))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurobench", None)
    with pytest.raises(MissingExtraError, match=r'pip install "neurosleep\[neurobench\]"'):
        neurobench_metrics(convolutional(), spikes())
