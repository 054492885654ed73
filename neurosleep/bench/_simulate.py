"""Seconds per step of a batch through a converted network, against the loop that a user of snnTorch would write."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from time import process_time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.conversion import convert
from neurosleep.data import load_dataset, to_float
from neurosleep.functional import torch_generator
from neurosleep.spiking import Dense, SpikingNetwork, simulate

__all__ = ["UsersLoop", "bench_simulate"]

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


class UsersLoop:
    """A converted chain as a user of snnTorch would write it: Linear and Leaky by layer, one step after another.

    Scales are multiplied into the weights. Resets are snnTorch's own, by subtraction and a step late, which without a
    leak makes the same spikes.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        import snntorch

        self.synapses, self.neurons = [], []
        for population in network.layers:
            (number,) = network.incoming(population.name)
            projection = network.projections[number]
            assert isinstance(projection, Dense) and population.decay == 1
            n_out, n_in = projection.weight.shape
            linear = nn.Linear(n_in, n_out).to(network.dtype)
            with torch.no_grad():
                linear.weight.copy_(projection.scale * projection.weight)
                linear.bias.copy_(torch.as_tensor(population.bias))
            fires = population.kind == "lif"
            neuron = snntorch.Leaky(
                beta=1.0,
                threshold=population.threshold if fires else torch.inf,
                reset_mechanism="subtract" if fires else "none",
            )
            snntorch.SpikingNeuron.instances.remove(neuron)
            self.synapses.append(linear)
            self.neurons.append(neuron)

    def run(self, draw: Callable[[int], Tensor], steps: int) -> tuple[Tensor, Tensor]:
        """Spikes and potentials of the last layer, ``[steps, batch, n]``; ``draw(t)`` gives the input spikes."""
        membranes = [torch.zeros(0) for _ in self.neurons]
        spikes_of, membranes_of = [], []
        with torch.inference_mode():
            for t in range(steps):
                spikes = draw(t)
                for k, (linear, neuron) in enumerate(zip(self.synapses, self.neurons, strict=True)):
                    current = linear(spikes)
                    spikes, membranes[k] = neuron(current, membranes[k] if t else torch.zeros_like(current))
                spikes_of.append(spikes)
                membranes_of.append(membranes[-1])
            return torch.stack(spikes_of), torch.stack(membranes_of)

    def answer(self, images: Tensor, steps: int) -> Tensor:
        """Potentials of the last layer to Poisson spikes, drawn by the fastest of torch's ways."""
        chance = -torch.expm1(-images)
        return self.run(lambda t: (torch.rand_like(chance) < chance).to(images.dtype), steps)[1]


def _timed(answer: Callable[[], Tensor]) -> tuple[float, Tensor]:
    start = process_time()
    result = answer()
    return process_time() - start, result


def bench_simulate(data: str | None = None, seed: int = 0) -> dict[str, Any]:
    """One run, one thread: processor seconds per step of a batch of 256 images, and their ratios.

    784-1200-1200-10, trained on MNIST and converted by the recipe ``percentile``; 100 steps of Poisson spikes, whose
    drawing is timed too. ``event`` is :func:`~neurosleep.simulate` as it comes; ``reference`` is the same with
    that engine; ``snntorch`` is a loop with snnTorch neurons in inference mode, as a user would write it. ``data`` is
    the folder of the full MNIST; without it the embedded subset trains the network.

    See Also
    --------
    neurosleep.bench.BENCHMARKS : all by name
    neurosleep.simulate : what is timed

    Examples
    --------
    >>> from neurosleep.bench import bench_simulate
    >>> bench_simulate()["ratios"]  # doctest: +SKIP
    """
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
        network = convert(model, training[:2000], recipe="percentile")
        loop = UsersLoop(network)
        ours = {"event": None, "reference": "reference"}  # by the engine to ask for
        used = simulate(network, images, 1, coding="bernoulli").engine  # compiles
        if used != "event":
            raise AssertionError(f"The default engine is {used!r}: the times would bear a wrong name.")

        def answer(what: str) -> Tensor:
            if what == "snntorch":
                return loop.answer(images, _STEPS)
            engine = ours[what]
            found = simulate(network, images, _STEPS, coding="bernoulli", seed=seed, engine=engine)
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
