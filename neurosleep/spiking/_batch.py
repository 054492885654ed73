"""Many images at once through a spiking network, and what its last population says after every step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.functional import torch_generator
from neurosleep.spiking.engines import engine_names, get_engine
from neurosleep.spiking.network import SpikingNetwork

__all__ = ["BATCH_CODINGS", "BatchCoding", "BatchRecording", "simulate_batch"]

BatchCoding = Literal["constant", "bernoulli", "poisson"]
BATCH_CODINGS: tuple[str, ...] = get_args(BatchCoding)


@dataclass(frozen=True, eq=False)
class BatchRecording:
    """What a batch did.

    Attributes
    ----------
    steps, dt:
        Number of steps and their length in seconds.
    totals:
        By population, ``[batch, n]``: its number of spikes; of the input and of relays the sum of what they sent.
    read_out:
        ``[steps, batch, n]``: of the last population the spikes so far after every step, or its membrane potential
        where it never fires (kind ``li``).
    """

    steps: int
    dt: float
    totals: Mapping[str, Tensor]
    read_out: Tensor

    def rate(self, population: str) -> Tensor:
        """Spikes per step of each neuron, ``[batch, n]``."""
        return self.totals[population] / self.steps

    def accuracy(self, labels: Tensor) -> Tensor:
        """The fraction of images whose label has the largest read-out, after every step: ``[steps]``."""
        if labels.shape != self.read_out.shape[1:2]:
            raise SettingsError(
                f"{tuple(labels.shape)} labels were given.", expected=f"one for each of {self.read_out.shape[1]} images"
            )
        return (self.read_out.argmax(2) == labels).double().mean(1)


@torch.no_grad()
def simulate_batch(
    network: SpikingNetwork,
    images: Tensor,
    steps: int,
    *,
    coding: BatchCoding = "constant",
    max_rate: float = 1000.0,
    engine: str = "reference",
    seed: int = 0,
    device: str = "cpu",
) -> BatchRecording:
    r"""Let ``network`` answer to all ``images`` at once; it starts at rest and its weights stay as they are.

    Parameters
    ----------
    network:
        A network with one input population, that the engine offers.
    images:
        ``[batch, *shape]`` or ``[batch, n]``, of as many values as the input has neurons.
    steps:
        How long each image is shown.
    coding:
        ``constant``: every value is sent as it is in every step, a graded input, and may have any sign. ``bernoulli``
        and ``poisson``: spikes of intensities from 0 to 1, with the probabilities of :func:`~neurosleep.simulate`.
    max_rate:
        Rate in Hz of an intensity of 1.
    engine, device, seed:
        An engine that steps batches. The spikes of a batch are drawn from one generator: of another batch size they are
        others, and not those of :func:`~neurosleep.simulate`.

    Raises
    ------
    SettingsError
        If the images do not fit the network or the coding.
    UnsupportedError
        If the engine steps no batches.
    """
    if coding not in BATCH_CODINGS:
        raise unknown_name("coding", str(coding), BATCH_CODINGS)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise SettingsError(f"The number of steps is {steps!r}.", expected="a whole number of at least 1")
    if not 0 <= max_rate < math.inf:
        raise SettingsError(f"max_rate is {max_rate!r}.", expected="a rate in Hz, >= 0")
    if len(network.inputs) != 1:
        raise SettingsError(f"The network has {len(network.inputs)} input populations.", expected="one")
    (source,) = network.inputs
    if images.ndim < 2 or len(images) == 0 or images.shape[1:].numel() != source.size:
        raise SettingsError(
            f"Images of shape {tuple(images.shape)} do not fit the network.",
            expected=f"at least one image of {source.size} values, [batch, {', '.join(map(str, source.shape))}]",
        )
    values = images.detach().flatten(1).to(device=device, dtype=network.dtype)
    if not torch.isfinite(values).all():
        raise SettingsError("The images hold NaN or infinite values.", expected="finite numbers")
    if coding != "constant" and ((values < 0).any() or (values > 1).any()):
        raise SettingsError(
            f"The images hold intensities outside 0 to 1, of which {coding!r} makes no spikes.",
            expected="every intensity from 0 to 1",
            hint="scale the images, or coding='constant' takes any values",
        )
    start = getattr(get_engine(engine), "start_batch", None)
    if start is None:
        able = [name for name in engine_names() if hasattr(get_engine(name), "start_batch")]
        raise UnsupportedError(
            f"The engine {engine!r} steps no batches.", expected="one of: " + ", ".join(able), hint="engine='reference'"
        )
    session = start(network, len(images), device=device)
    chance = values * (max_rate * network.dt)
    chance = chance.clamp_max(1) if coding == "bernoulli" else -torch.expm1(-chance)
    generator = torch_generator(seed, "coding batch")
    last = network.order[-1]
    integrates = network.population(last).kind == "li"
    totals = {p.name: values.new_zeros(len(images), p.size) for p in network.populations}
    said = values.new_empty(steps, len(images), network.population(last).size)
    for t in range(steps):
        if coding == "constant":
            sent = values
        else:
            sent = (torch.rand(chance.shape, generator=generator, dtype=chance.dtype).to(device)) < chance
        for name, found in session.step({source.name: sent}).items():
            totals[name] += found
        said[t] = session.batch_membranes()[last] if integrates else totals[last]
    return BatchRecording(steps, network.dt, totals, said)
