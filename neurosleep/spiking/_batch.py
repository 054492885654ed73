"""Many images at once through a spiking network, and what its last population says after every step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import numpy_generator
from neurosleep.spiking.engines import Engine, get_engine
from neurosleep.spiking.engines.batch import ConstantInput, SpikeInput
from neurosleep.spiking.network import SpikingNetwork

__all__ = ["BATCH_CODINGS", "BatchCoding", "BatchRecording", "simulate_batch"]

BatchCoding = Literal["constant", "bernoulli", "poisson"]
BATCH_CODINGS: tuple[str, ...] = get_args(BatchCoding)

# Samples that are stepped together and steps whose spikes are drawn at once, so that the room for them is bounded.
_BLOCK, _CHUNK = 256, 128


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
    engine:
        The engine that stepped it.
    coding:
        How the images were shown.
    """

    steps: int
    dt: float
    totals: Mapping[str, Tensor]
    read_out: Tensor
    engine: str
    coding: BatchCoding = "constant"

    def rate(self, population: str) -> Tensor:
        """Mean firing rate of each neuron in Hz, float64 ``[batch, n]``, as :meth:`Recording.rate` has it.

        Of an input that sent graded values, and of relays, the mean of what they sent in a second.
        """
        if population not in self.totals:
            raise unknown_name("population", str(population), self.totals)
        return self.totals[population].double() / (self.steps * self.dt)

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
    engine: str | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> BatchRecording:
    r"""Let ``network`` answer to all ``images`` at once; it starts at rest and its weights stay as they are.

    Parameters
    ----------
    network:
        A network with one input population.
    images:
        ``[batch, *shape]`` or ``[batch, n]``, of as many values as the input has neurons.
    steps:
        How long each image is shown.
    coding:
        ``constant``: every value is sent as it is in every step, a graded input, and may have any sign. ``bernoulli``
        and ``poisson``: spikes of intensities from 0 to 1, with the probabilities of :func:`~neurosleep.simulate`.
    max_rate:
        Rate in Hz of an intensity of 1.
    engine:
        An engine that steps batches. Left out, ``event`` where it offers all kinds that the network has, on the CPU,
        and else ``reference``; the recording names it. ``event`` compiles when it is first used.
    device, seed:
        Every engine is given the same spikes. They are drawn for many samples at once: of another batch size they are
        others, and not those of :func:`~neurosleep.simulate`.

    Raises
    ------
    SettingsError
        If the images do not fit the network or the coding.
    UnsupportedError
        If the engine steps no batches, or not such a network.
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
    chosen = _chosen(engine, network, device)
    chance = values * (max_rate * network.dt)
    chance = chance.clamp_max(1) if coding == "bernoulli" else -torch.expm1(-chance)
    parts = []
    for block, low in enumerate(range(0, len(values), _BLOCK)):
        own = values[low : low + _BLOCK]
        session = chosen.start_batch(network, len(own), device=device)
        if coding == "constant":
            said = session.advance(ConstantInput(own, steps))
        else:
            drawn = _spikes(chance[low : low + _BLOCK], steps, seed, block)
            said = torch.cat([session.advance(spikes) for spikes in drawn])
        parts.append((session.totals(), said))
    totals = {p.name: torch.cat([totals[p.name] for totals, _ in parts]) for p in network.populations}
    return BatchRecording(steps, network.dt, totals, torch.cat([said for _, said in parts], 1), chosen.name, coding)


def _chosen(engine: str | None, network: SpikingNetwork, device: str) -> Engine:
    """The engine of that name; of None the compiled one, or the definition where that one cannot step the network."""
    if engine is not None:
        return get_engine(engine)
    compiled = get_engine("event")
    return compiled if compiled.offers_batches(network, device) else get_engine("reference")


def _spikes(chance: Tensor, steps: int, seed: int, block: int) -> Iterator[SpikeInput]:
    """Spikes of one block of samples in chunks of steps; drawn only where there may be any."""
    # NumPy draws float32 and float64; of these two the wider holds any other type.
    real = np.float32 if chance.dtype == torch.float32 else np.float64
    p = chance.cpu().to(torch.float32 if real is np.float32 else torch.float64).numpy()
    samples, neurons = np.nonzero(p)
    p = p[samples, neurons]
    for chunk, start in enumerate(range(0, steps, _CHUNK)):
        generator = numpy_generator(seed, "coding batch", block, chunk)
        fired = np.empty((min(_CHUNK, steps - start), len(p)), dtype=np.bool_)
        for row in fired:
            np.less(generator.random(len(p), dtype=real), p, out=row)
        yield SpikeInput(len(chance), chance.shape[1], samples, neurons, fired)
