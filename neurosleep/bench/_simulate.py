"""Seconds per step of a batch through a converted network, against the loop that a user of snnTorch would write."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from time import process_time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.bench._simulate_grids import GRIDS, bench_grid
from neurosleep.bench._users_loops import UsersLoop
from neurosleep.conversion import convert
from neurosleep.data import load_dataset, to_float
from neurosleep.errors import unknown_name
from neurosleep.functional import torch_generator
from neurosleep.spiking import simulate

__all__ = ["bench_simulate"]

_SIZES = (784, 1200, 1200, 10)
_BATCH, _STEPS = 256, 100
# Training images of the full MNIST and of the embedded subset, and how often they are seen.
_TRAINING = {"mnist": (60_000, 1), "mnist-mini": (2000, 3)}
_TURNS = {"event": 8, "reference": 3, "snntorch": 3}


def _trained(name: str, images: Tensor, labels: Tensor, seed: int) -> nn.Sequential:
    """A ReLU network with biases, trained by Adam."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(_SIZES):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(_TRAINING[name][1]):
        order = torch.randperm(len(images), generator=torch_generator(seed, "order", epoch))
        for part in torch.split(order, 128):
            optimiser.zero_grad()
            F.cross_entropy(model(images[part]), labels[part]).backward()  # type: ignore[no-untyped-call, unused-ignore]
            optimiser.step()
    return model.eval()


def _timed(answer: Callable[[], Tensor]) -> tuple[float, Tensor]:
    start = process_time()
    result = answer()
    return process_time() - start, result


def bench_simulate(data: str | None = None, seed: int = 0, network: str = "mlp") -> dict[str, Any]:
    """One run, one thread: processor seconds per step of a batch of images, and their ratios.

    ``event`` is :func:`~neurosleep.simulate` as it comes; ``reference`` is the same with that engine; ``snntorch`` is a
    loop with snnTorch neurons in inference mode, as a user would write it. ``data`` is the folder of the full MNIST;
    without it the embedded subset trains the network.

    Parameters
    ----------
    data, seed:
        Where the images are, and the seed of the network.
    network:
        ``mlp``: 784-1200-1200-10, trained and converted by the recipe ``percentile``; 256 images, 100 steps of Poisson
        spikes, whose drawing is timed too. ``cnn``: two convolutions of 5 x 5 with average pooling, trained; 128
        constant images, 50 steps. ``vgg``: VGG-11 for 32 x 32 with average pooling, its weights random; 32 constant
        images, 20 steps. Of these two, every peer must give the same potentials with weights rounded to powers of two,
        and the engines nearly the same spikes with its own, before any time is taken: ``spikes_apart`` is the share of
        spikes that one engine fires alone, ``first_spikes_apart`` how many of these an image has none before, and
        ``largest_distance_to_threshold`` how far from the threshold the reference's potential is there, None if there
        are none. ``spikingjelly`` is timed where it is installed. Times are medians of turns taken alternately, and
        ``noise`` holds the lowest and the highest ratio of a turn.

    Raises
    ------
    UnknownNameError
        If there is no such network.

    See Also
    --------
    neurosleep.bench.BENCHMARKS : all by name
    neurosleep.simulate : what is timed

    Examples
    --------
    >>> from neurosleep.bench import bench_simulate
    >>> bench_simulate()["ratios"]  # doctest: +SKIP
    """
    if network != "mlp":
        if network not in GRIDS:
            raise unknown_name("network", network, ("mlp", *GRIDS))
        return bench_grid(network, data, seed)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        name = "mnist" if data else "mnist-mini"
        found = load_dataset(name, data)
        count = _TRAINING[name][0]
        training, images = (
            torch.from_numpy(to_float(x)).flatten(1) for x in (found.images[:count], found.test_images[:_BATCH])
        )
        labels = torch.from_numpy(found.test_labels[: len(images)])
        model = _trained(name, training, torch.from_numpy(found.labels[:count]), seed)
        converted = convert(model, training[:2000], recipe="percentile")
        loop = UsersLoop(converted)
        ours = {"event": None, "reference": "reference"}  # by the engine to ask for
        used = simulate(converted, images, 1, coding="bernoulli").engine  # compiles
        if used != "event":
            raise AssertionError(f"The default engine is {used!r}: the times would bear a wrong name.")

        def answer(what: str) -> Tensor:
            if what == "snntorch":
                return loop.answer(images, _STEPS)
            engine = ours[what]
            found = simulate(converted, images, _STEPS, coding="bernoulli", seed=seed, engine=engine)
            return torch.from_numpy(found.read_out)

        # The best of several turns, taken alternately, so that a busy moment of the machine hits all alike.
        seconds, right = dict.fromkeys(_TURNS, float("inf")), {}
        for turn in range(max(_TURNS.values())):
            for what, turns in _TURNS.items():
                if turn < turns:
                    spent, said = _timed(lambda what=what: answer(what))  # type: ignore[misc]
                    seconds[what] = min(seconds[what], spent / _STEPS)
                    right[what] = float((said[-1].argmax(1) == labels).double().mean())
        with torch.inference_mode():
            right["model"] = float((model(images).argmax(1) == labels).double().mean())
    finally:
        torch.set_num_threads(before)
    pairs = (("snntorch", "event"), ("snntorch", "reference"), ("reference", "event"))
    return {
        "name": "simulate",
        "threads": 1,
        "seconds": seconds,
        "unit": "step",
        "ratios": {f"{a}_over_{b}": seconds[a] / seconds[b] for a, b in pairs},
        "images": len(images),
        "accuracy": right,
    }
