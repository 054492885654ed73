"""Seconds per step of a batch through converted convolutional networks, against users' loops of the same networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib.util import find_spec
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.bench._spikes_apart import SpikesApart, spikes_apart
from neurosleep.bench._users_loops import MultiStepLoop, UsersLoop
from neurosleep.conversion import convert
from neurosleep.data import load_dataset, to_float
from neurosleep.functional import Compare, torch_generator
from neurosleep.spiking import Conv, Dense, Pool, Projection, SpikingNetwork, simulate

__all__ = ["GRIDS", "bench_grid", "rounded"]

# Images that train, and that thresholds are found with.
_TRAINING, _CALIBRATION = 6000, 200
# Weights and images rounded to multiples of these give sums that float32 holds exactly.
_WEIGHT, _IMAGE = 2.0**-8, 2.0**-4
# Of all spikes so many may differ between engines, as sums are rounded in another order, and so near to its threshold
# must a unit be that is the first to fire in one engine only.
_APART, _NEAR = 1e-4, 1e-5


class Grid(NamedTuple):
    """A network to be timed."""

    make: Callable[[], nn.Sequential]
    trained: bool
    side: int
    channels: int
    batch: int
    steps: int
    turns: int


def _cnn() -> nn.Sequential:
    first, second = nn.Conv2d(1, 32, 5, padding=2), nn.Conv2d(32, 64, 5, padding=2)
    parts = [first, nn.ReLU(), nn.AvgPool2d(2), second, nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(64 * 7 * 7, 10))


def _vgg() -> nn.Sequential:
    """VGG-11 (Simonyan & Zisserman 2015, configuration A) for 32 x 32: averages for maxima, and one layer on top."""
    parts: list[nn.Module] = []
    before = 3
    for width in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
        if not width:
            parts.append(nn.AvgPool2d(2))
            continue
        convolution = nn.Conv2d(before, width, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        parts += [convolution, nn.ReLU()]
        before = width
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(512, 10))


GRIDS = {"cnn": Grid(_cnn, True, 28, 1, 128, 50, 3), "vgg": Grid(_vgg, False, 32, 3, 32, 20, 3)}


def _images(pixels: Any, grid: Grid) -> Tensor:
    """Of that size, with that many equal channels."""
    images = torch.from_numpy(to_float(pixels)).reshape(len(pixels), 1, 28, 28)
    edge = (grid.side - 28) // 2
    return F.pad(images, [edge] * 4).expand(-1, grid.channels, -1, -1).contiguous()


def _trained(grid: Grid, images: Tensor, labels: Tensor, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = grid.make()
    if grid.trained:
        optimiser = torch.optim.Adam(model.parameters(), 1e-3)
        for part in torch.split(torch.randperm(len(images), generator=torch_generator(seed, "order")), 64):
            optimiser.zero_grad()
            F.cross_entropy(model(images[part]), labels[part]).backward()  # type: ignore[no-untyped-call, unused-ignore]
            optimiser.step()
    return model.eval()


def rounded(network: SpikingNetwork, compare: Compare = ">=") -> SpikingNetwork:
    """The same chain with weights and biases in multiples of a power of two, their scales multiplied in."""
    projections: list[Projection] = []
    populations = [network.inputs[0]]
    factor = 1.0
    for population in network.layers:
        q = network.projections[network.incoming(population.name)[0]]
        factor *= q.scale
        if isinstance(q, Pool):
            projections.append(dataclasses.replace(q, scale=1.0))
        else:
            assert isinstance(q, Conv | Dense)
            weight = (factor * q.weight / _WEIGHT).round() * _WEIGHT
            projections.append(dataclasses.replace(q, weight=weight, scale=1.0))
            factor = 1.0
        bias = (torch.as_tensor(population.bias) / _WEIGHT).round() * _WEIGHT
        populations.append(dataclasses.replace(population, bias=bias, compare=compare))
    return dataclasses.replace(network, populations=tuple(populations), projections=tuple(projections))


def _check_same(network: SpikingNetwork, images: Tensor, grid: Grid, jelly: bool) -> SpikesApart:
    """Refuse peers that compute another network; by which spikes the engines differ."""
    shown = (images[:8] / _IMAGE).round() * _IMAGE
    # snnTorch fires beyond the threshold, SpikingJelly from it on.
    peers: list[tuple[str, Compare, Callable[[SpikingNetwork], Tensor]]] = [
        ("snntorch", ">", lambda exact: UsersLoop(exact).run(lambda t: shown, grid.steps)[1]),
    ]
    if jelly:
        peers.append(("spikingjelly", ">=", lambda exact: MultiStepLoop(exact).run(shown, grid.steps)))
    for name, compare, answer in peers:
        exact = rounded(network, compare)
        for engine in ("event", "reference"):
            ours = simulate(exact, shown, grid.steps, engine=engine).read_out
            if not np.array_equal(ours, answer(exact).numpy()):
                raise AssertionError(f"The engine {engine!r} and {name} differ in a network of rounded weights.")
    apart = spikes_apart(network, images, grid.steps)
    if apart.share > _APART:
        raise AssertionError(f"{apart.share:.1e} of the spikes of the engines 'event' and 'reference' differ.")
    if (apart.distance or 0.0) > _NEAR:
        raise AssertionError(f"A spike of one engine only, where the potential is {apart.distance} from the threshold.")
    return apart


def bench_grid(which: str, data: str | None, seed: int) -> dict[str, Any]:
    """As :func:`~neurosleep.bench.bench_simulate` says of ``cnn`` and ``vgg``."""
    grid, before = GRIDS[which], torch.get_num_threads()
    jelly = find_spec("spikingjelly") is not None
    torch.set_num_threads(1)
    try:
        found = load_dataset("mnist" if data else "mnist-mini", data)
        training = _images(found.images[:_TRAINING], grid)
        images = _images(found.test_images[: grid.batch], grid)
        model = _trained(grid, training, torch.from_numpy(found.labels[:_TRAINING]), seed)
        network = convert(model, training[:_CALIBRATION], recipe="percentile")
        if (used := simulate(network, images[:1], 1).engine) != "event":
            raise AssertionError(f"The default engine is {used!r}: the times would bear a wrong name.")
        apart = _check_same(network, images, grid, jelly)
        loop = UsersLoop(network)
        ways: dict[str, Callable[[], object]] = {
            "event": lambda: simulate(network, images, grid.steps),
            "snntorch": lambda: loop.run(lambda t: images, grid.steps),
            "reference": lambda: simulate(network, images, grid.steps, engine="reference"),
        }
        if jelly:
            several = MultiStepLoop(network)
            ways["spikingjelly"] = lambda: several.run(images, grid.steps)
        taken: dict[str, list[float]] = {what: [] for what in ways}
        for _ in range(grid.turns):
            for what, answer in ways.items():
                start = process_time()
                answer()
                taken[what].append((process_time() - start) / grid.steps)
        shown = simulate(network, images, grid.steps)
    finally:
        torch.set_num_threads(before)
    pairs = [(a, "event") for a in ways if a != "event"] + [("snntorch", "reference")]
    quotients = {f"{a}_over_{b}": [x / y for x, y in zip(taken[a], taken[b], strict=True)] for a, b in pairs}
    firing = [p for p in network.layers if p.kind == "lif"]
    return {
        "name": "simulate",
        "network": which,
        "threads": 1,
        "seconds": {what: float(np.median(times)) for what, times in taken.items()},
        "unit": "step",
        "ratios": {key: float(np.median(values)) for key, values in quotients.items()},
        "noise": {key: [min(values), max(values)] for key, values in quotients.items()},
        "images": len(images),
        "spikes_per_step": {p.name: float(shown.counts[p.name].mean()) / grid.steps for p in firing},
        "spikes_apart": apart.share,
        "first_spikes_apart": apart.first,
        "largest_distance_to_threshold": apart.distance,
        "skipped": {} if jelly else {"spikingjelly": "not installed"},
    }
