"""NIR: our networks come back bit for bit, those of others by NIR's own meaning; hostile files are refused."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import neurosleep as ns
from neurosleep.errors import ExchangeError, SettingsError, UnsupportedError
from neurosleep.exchange import ExchangeWarning, from_nir, read_nir, to_nir, write_nir
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Population, Projection, SpikingNetwork, get_engine

nir = pytest.importorskip("nir")
h5py = pytest.importorskip("h5py")

STEPS = 200


def trains(network: SpikingNetwork, seed: int = 0, steps: int = STEPS, p: float = 0.4) -> dict[str, np.ndarray]:
    """Spikes of every population but relays over random input, by the reference engine."""
    generator = torch.Generator().manual_seed(seed)
    inputs = {
        q.name: SpikeEvents.from_dense(torch.rand(steps, q.size, generator=generator) < p) for q in network.inputs
    }
    out = get_engine("reference").start(network).run(inputs)
    return {q.name: out[q.name].to_dense(torch.bool).numpy() for q in network.populations if q.kind != "relay"}


def random_network(seed: int) -> SpikingNetwork:
    """A chain with recurrent and feedback projections, every neuron kind and convention, numbers and tensors."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    dtype = draw.choice([torch.float32, torch.float64])

    def parameter(n: int, low: float, high: float) -> float | Tensor:
        values = low + (high - low) * torch.rand(n, generator=generator, dtype=dtype)
        return float(values[0]) if draw.random() < 0.5 else values

    sizes = [draw.randint(2, 8) for _ in range(draw.randint(2, 4))]
    populations = [Population("in", "input", (sizes[0],))]
    for k, n in enumerate(sizes[1:]):
        soft = draw.random() < 0.4
        populations.append(
            Population(
                draw.choice([f"p{k}", f"a/b {k}", f"x.{k}"]),
                draw.choice(["lif", "cuba_lif", "lif", "li" if k == len(sizes) - 2 else "lif"]),  # type: ignore[arg-type]
                (n,),
                threshold=parameter(n, 0.2, 1.5),
                decay=draw.choice([0.0, 1.0, parameter(n, 0.3, 1.0), parameter(n, 0.3, 1.0)]),
                leak=draw.choice([0.0, parameter(n, -0.3, 0.3)]),
                reset_value=draw.choice([0.0, parameter(n, -0.3, 0.1)]),
                bias=draw.choice([0.0, parameter(n, -0.1, 0.3)]),
                synaptic_decay=parameter(n, 0.0, 1.0),
                refractory=0 if soft else draw.randint(0, 2),
                compare=draw.choice([">=", ">"]),
                reset="subtract" if soft else "to_value",
                amount=draw.choice([None, parameter(n, 0.2, 1.0)]),
                reset_time=draw.choice(["same", "next", "guarded"]) if soft else "same",
            )
        )
    names = [p.name for p in populations]

    def weight(post: int, pre: int) -> Tensor:
        return 0.3 + torch.randn(post, pre, generator=generator, dtype=dtype)

    projections = [
        Projection(a, b, weight=weight(m, n), scale=draw.choice([1.0, 0.3, 2.0]), delay=draw.choice([0, 0, 2]))
        for a, b, n, m in zip(names, names[1:], sizes, sizes[1:], strict=False)
    ]
    if draw.random() < 0.5:
        n = sizes[1]
        projections.append(
            Projection(
                names[1],
                names[1],
                "recurrent",
                weight=weight(n, n),
                scale=draw.choice([1.0, -0.5]),
                delay=draw.randint(1, 3),
            )
        )
    if len(names) > 2 and draw.random() < 0.3:
        projections.append(Projection(names[2], names[1], weight=weight(sizes[1], sizes[2]), delay=1, plastic=False))
    return SpikingNetwork(
        tuple(populations),
        tuple(projections),
        dt=draw.choice([1e-3, 1e-4, 0.0123]),
        discretisation=draw.choice(["euler", "exponential"]),
    )


def check_round_trip(network: SpikingNetwork, tmp_path: Path) -> None:
    again = ns.load(ns.save(network, tmp_path / "net.nir"))
    assert isinstance(again, SpikingNetwork)
    assert [p.name for p in again.populations] == [p.name for p in network.populations]
    assert len(again.weights) == len(network.weights)
    for a, b in zip(again.weights, network.weights, strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)
    ours, theirs = trains(network), trains(again)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("seed", range(40))
def test_round_trip(seed: int, tmp_path: Path) -> None:
    check_round_trip(random_network(seed), tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40, 540))
def test_round_trip_of_many(seed: int, tmp_path: Path) -> None:
    check_round_trip(random_network(seed), tmp_path)


def test_random_networks_fire() -> None:
    rates = [trains(random_network(seed)) for seed in range(10)]
    shares = [spikes.mean() for found in rates for name, spikes in found.items() if name != "in"]
    assert sum(0.01 < share < 0.99 for share in shares) > len(shares) / 2
