"""A converted chain as users of snnTorch and SpikingJelly would write it: what the engines are timed against."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurosleep.spiking import Conv, Dense, Pool, Population, SpikingNetwork

__all__ = ["MultiStepLoop", "UsersLoop", "stages_of"]


class Stage(NamedTuple):
    """Poolings and a weight of the network as one module, and the neurons that they lead to."""

    module: nn.Module
    population: Population


def stages_of(network: SpikingNetwork) -> list[Stage]:
    """The chain in modules of torch; all scales are multiplied into the weights."""
    stages: list[Stage] = []
    waiting: list[nn.Module] = []
    factor = 1.0
    for population in network.layers:
        (number,) = network.incoming(population.name)
        projection = network.projections[number]
        assert projection.delay == 0 and population.decay == 1
        factor *= projection.scale
        if isinstance(projection, Pool):
            assert population.kind == "relay" and projection.mode == "average"
            window: Any = (projection.kernel, projection.stride, projection.padding)
            waiting.append(nn.AvgPool2d(*window))
            continue
        assert isinstance(projection, Conv | Dense)
        weight, synapse = factor * projection.weight, _synapse(projection, network.dtype)
        bias = torch.as_tensor(population.bias, dtype=network.dtype).expand(population.size)
        with torch.no_grad():
            synapse.weight.copy_(weight)
            synapse.bias.copy_(bias.reshape(len(weight), -1)[:, 0])
        flat = isinstance(projection, Dense) and len(network.population(projection.source).shape) > 1
        parts = [*waiting, *([nn.Flatten()] if flat else []), synapse]
        stages.append(Stage(nn.Sequential(*parts), population))
        waiting, factor = [], 1.0
    return stages


def _synapse(projection: Conv | Dense, dtype: torch.dtype) -> Any:
    if isinstance(projection, Dense):
        n_out, n_in = projection.weight.shape
        return nn.Linear(n_in, n_out, dtype=dtype)
    n_out, n_in = projection.weight.shape[:2]
    names = ("stride", "padding", "dilation", "groups")
    options: dict[str, Any] = {name: getattr(projection, name) for name in names}
    kernel: Any = projection.kernel
    return nn.Conv2d(n_in * projection.groups, n_out, kernel, **options, dtype=dtype)


class UsersLoop:
    """With snnTorch: layers and ``Leaky`` neurons in turn, one step after another.

    Resets are snnTorch's own, by subtraction and a step late, which without a leak makes the same spikes.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        import snntorch

        self.stages, self.neurons = stages_of(network), []
        for _, population in self.stages:
            fires = population.kind == "lif"
            neuron = snntorch.Leaky(
                beta=1.0,
                threshold=population.threshold if fires else math.inf,
                reset_mechanism="subtract" if fires else "none",
            )
            snntorch.SpikingNeuron.instances.remove(neuron)
            self.neurons.append(neuron)

    def run(self, draw: Callable[[int], Tensor], steps: int) -> tuple[Tensor, Tensor]:
        """Spikes and potentials of the last layer, ``[steps, batch, n]``; ``draw(t)`` gives the input of a step."""
        membranes = [torch.zeros(0) for _ in self.neurons]
        spikes_of, membranes_of = [], []
        with torch.inference_mode():
            for t in range(steps):
                spikes = draw(t)
                for k, ((module, _), neuron) in enumerate(zip(self.stages, self.neurons, strict=True)):
                    current = module(spikes)
                    spikes, membranes[k] = neuron(current, membranes[k] if t else torch.zeros_like(current))
                spikes_of.append(spikes)
                membranes_of.append(membranes[-1])
            return torch.stack(spikes_of), torch.stack(membranes_of)

    def answer(self, images: Tensor, steps: int) -> Tensor:
        """Potentials of the last layer to Poisson spikes, drawn by the fastest of torch's ways."""
        chance = -torch.expm1(-images)
        return self.run(lambda t: (torch.rand_like(chance) < chance).to(images.dtype), steps)[1]


class MultiStepLoop:
    """With SpikingJelly: a layer after another, each over all steps; what comes of constant images is computed once."""

    def __init__(self, network: SpikingNetwork) -> None:
        neuron = import_module("spikingjelly.activation_based.neuron")

        self.stages = stages_of(network)
        self.neurons = [
            neuron.IFNode(v_threshold=p.threshold, v_reset=None, step_mode="m") if p.kind == "lif" else None
            for _, p in self.stages
        ]

    def run(self, images: Tensor, steps: int) -> Tensor:
        """Potentials of the last layer, an integrator, ``[steps, batch, n]``, to constant ``images``."""
        with torch.inference_mode():
            sent: Tensor | None = None
            for (module, _), neuron in zip(self.stages, self.neurons, strict=True):
                made = module(images if sent is None else sent.flatten(0, 1))
                current = made.expand(steps, *made.shape) if sent is None else made.unflatten(0, (steps, -1))
                if neuron is None:
                    return torch.cumsum(current, 0)
                neuron.reset()
                sent = neuron(current)
            assert sent is not None
            return sent.cumsum(0)
