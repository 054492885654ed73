from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosleep.functional import SpikeEvents, numpy_generator
from neurosleep.networks import MLP
from neurosleep.spiking import Recording

Pair = tuple[MLP, MLP, Tensor, Tensor]


@pytest.fixture
def pair() -> Callable[[int], Pair]:
    """A random network before and after a random change of its weights, 60 images of 3 classes and their labels."""

    def make(seed: int, sizes: tuple[int, ...] = (12, 9, 8, 3)) -> Pair:
        source = torch.Generator().manual_seed(seed)
        before = MLP(sizes, dropout=0.2, init=0.5, generator=source)
        after = MLP(sizes, dropout=0.2, init=0.5, generator=source)
        with torch.no_grad():
            for late, early in zip(after.weights, before.weights, strict=True):
                late.copy_(early + 0.3 * late)
        labels = torch.arange(60) % 3
        images = torch.rand(60, sizes[0], generator=source) + torch.rand(3, sizes[0], generator=source)[labels]
        return before, after, images, labels

    return make


@pytest.fixture
def sleep_phase() -> Callable[..., Recording]:
    """A recording of random spikes of a network with the given layers (or with counts given for some of them)."""

    def make(seed: int, sizes: tuple[int, ...] = (12, 9, 8, 3), steps: int = 400) -> Recording:
        generator = numpy_generator(seed, "night")
        names = ["input", *(f"hidden{k}" for k in range(1, len(sizes) - 1)), "output"]
        spikes = {
            name: SpikeEvents.from_dense(generator.random((steps, n)) < generator.random(n) * 0.1)
            for name, n in zip(names, sizes, strict=True)
        }
        return Recording(steps, 0.001, {name: events.counts() for name, events in spikes.items()}, spikes=spikes)

    return make


@pytest.fixture
def random_trains() -> Callable[..., tuple[list[np.ndarray], float]]:
    """Spike times of some neurons and the length of the stretch, both in seconds.

    Odd seeds give times that are products of a step of 1 ms, as of a simulation; even ones any times.
    """

    def make(seed: int, n: int = 5, rate: float = 20.0) -> tuple[list[np.ndarray], float]:
        generator = numpy_generator(seed, "trains")
        stop = float(generator.integers(2, 6))
        trains = []
        for _ in range(n):
            if seed % 2:
                steps = np.flatnonzero(generator.random(round(stop * 1000)) < rate / 1000)
                trains.append(steps * 0.001)
            else:
                trains.append(np.sort(generator.random(generator.poisson(rate * stop))) * stop)
        return trains, stop

    return make
