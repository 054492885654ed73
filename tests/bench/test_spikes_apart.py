"""Spikes of one engine only are counted, and the first of them held against the threshold."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from neurosleep.bench._simulate_grids import rounded
from neurosleep.bench._spikes_apart import spikes_apart
from neurosleep.conversion import convert
from neurosleep.functional import torch_generator
from neurosleep.spiking import SpikingNetwork
from neurosleep.spiking.engines.event.engine import EventEngine
from tests.bench.test_simulate import small


@pytest.fixture
def shown() -> tuple[SpikingNetwork, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = small("cnn").make().eval()
    images = torch.rand(6, 1, 28, 28, generator=torch_generator(0, "images"))
    return convert(model, images, recipe="percentile"), images


def test_engines_of_exact_sums_fire_the_same_spikes(shown: tuple[SpikingNetwork, Tensor]) -> None:
    network, images = shown
    assert spikes_apart(rounded(network), (16 * images).round() / 16, 20) == (0.0, 0, None)


def test_where_sums_are_rounded_in_another_order_a_unit_that_fires_alone_is_at_its_threshold(
    shown: tuple[SpikingNetwork, Tensor],
) -> None:
    network, images = shown
    apart = spikes_apart(network, images, 40)
    assert apart.share <= 1e-4 and (apart.distance or 0.0) <= 1e-5
    assert (apart.first == 0) == (apart.distance is None) == (apart.share == 0)


def test_the_distance_is_that_of_the_first_difference(
    shown: tuple[SpikingNetwork, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine with a threshold moved by a quarter parts from the other within that quarter; what follows may not."""
    network, images = shown
    lowest = next(p for p in network.layers if p.kind == "lif")
    start = EventEngine._start_batch

    def moved(self: EventEngine, given: SpikingNetwork, batch: int, device: str) -> object:
        return start(self, given.with_thresholds({lowest.name: float(lowest.threshold) + 0.25}), batch, device)

    monkeypatch.setattr(EventEngine, "_start_batch", moved)
    for used in (network, rounded(network)):
        apart = spikes_apart(used, images, 12)
        assert apart.first > 0 and apart.share > 0.01
        assert apart.distance is not None and 0.01 < apart.distance <= 0.25 + 1e-6
