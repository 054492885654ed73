"""Many images at once through a spiking network, and what its last population says after every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from neurosleep._checks import as_images, check_count, check_device, check_unread
from neurosleep._shown import html_table, named, short_line
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import numpy_generator
from neurosleep.spiking._coding import OneAStep, check_network, drawn, expected_spikes, gain_of, paced, say_waiting
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

    def __repr__(self) -> str:
        sizes = [f"{name} {tuple(total.shape)[1]}" for name, total in self.totals.items()]
        what = f"{self.read_out.shape[1]} images, {self.steps} steps of {self.dt:g} s, coding {self.coding!r}"
        return short_line(f"<BatchRecording: {what}, engine {self.engine!r}; {named(sizes)}>")

    def _repr_html_(self) -> str:
        """One row per population: neurons, spikes and mean rate."""
        rows = [
            {"population": name, "neurons": total.shape[1], "spikes": float(total.sum()), "rate (Hz)": rate}
            for name, total in self.totals.items()
            for rate in [float(self.rate(name).mean())]
        ]
        return html_table(rows, f"{self.read_out.shape[1]} images, {self.steps} steps of {self.dt:g} s")

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
    max_rate: float | None = None,
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
        and ``poisson``: spikes of intensities from 0 to 1, as many a step in the mean; an intensity x fires with
        probability x, or so often as a Poisson process does, sometimes several times in a step. Where an engine sends
        one spike of a neuron a step, as a chip does, the others wait for the next.
    max_rate:
        Of spikes, the rate in Hz of an intensity of 1; None: 1/dt, one spike a step. At another rate the biases are
        multiplied by ``max_rate * dt`` as the inputs are, so that the network computes the same, so much stronger.
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

    Warns
    -----
    NeurosleepWarning
        If intensities stand for more spikes a step than are sent, or spikes still wait at the end: their share.

    See Also
    --------
    simulate : one train of spikes, with all that can be recorded

    Examples
    --------
    >>> from neurosleep.spiking import Population, Projection
    >>> populations = (Population("input", "input", (2,)), Population("output", "lif", (1,), threshold=1.0))
    >>> network = SpikingNetwork(populations, (Projection("input", "output", weight=torch.tensor([[0.5, 0.5]])),))
    >>> shown = simulate_batch(network, torch.ones(3, 2), 10, engine="reference")
    >>> shown.rate("output").flatten()
    tensor([1000., 1000., 1000.], dtype=torch.float64)
    """
    check_network(network)
    device = str(check_device(device))
    images = as_images("images", images, SettingsError)
    if coding not in BATCH_CODINGS:
        raise unknown_name("coding", str(coding), BATCH_CODINGS)
    steps = check_count("The number of steps", steps)
    if coding == "constant":
        unread = {"max_rate": (max_rate, None)}
        check_unread("coding='constant'", unread, "coding='bernoulli' or 'poisson', which make spikes, have it")
    gain = gain_of(max_rate, network.dt)
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
    chosen = _chosen(engine, network, device)
    several = coding == "poisson" and chosen.spike_counts
    mean = values
    if coding != "constant":
        mean = expected_spikes(values, coding, gain, several)
        network = paced(network, gain)
    parts, waiting, sent = [], 0, 0
    for block, low in enumerate(range(0, len(values), _BLOCK)):
        own = values[low : low + _BLOCK]
        session = chosen.start_batch(network, len(own), device=device)
        if coding == "constant":
            said = session.advance(ConstantInput(own, steps))
        else:
            spikes = _Spikes(mean[low : low + _BLOCK], coding, steps, (seed, block), several)
            said = torch.cat([session.advance(part) for part in spikes])
            waiting, sent = waiting + spikes.queue.waiting, sent + spikes.queue.sent
        parts.append((session.totals(), said))
    say_waiting(waiting, sent)
    totals = {p.name: torch.cat([totals[p.name] for totals, _ in parts]) for p in network.populations}
    return BatchRecording(steps, network.dt, totals, torch.cat([said for _, said in parts], 1), chosen.name, coding)


def _chosen(engine: str | None, network: SpikingNetwork, device: str) -> Engine:
    """The engine of that name; of None the compiled one, or the definition where that one cannot step the network."""
    if engine is not None:
        return get_engine(engine)
    compiled = get_engine("event")
    return compiled if compiled.offers_batches(network, device) else get_engine("reference")


class _Spikes:
    """Spikes of one block of samples in chunks of steps; drawn only where there may be any."""

    def __init__(self, mean: Tensor, coding: BatchCoding, steps: int, key: tuple[int, int], several: bool) -> None:
        self._shape, self._coding, self._steps, self._key, self._several = mean.shape, coding, steps, key, several
        dense = mean.cpu().numpy()
        self._samples, self._neurons = np.nonzero(dense)
        self._mean = dense[self._samples, self._neurons]
        self.queue = OneAStep(len(self._mean))

    def __iter__(self) -> Iterator[SpikeInput]:
        for chunk, start in enumerate(range(0, self._steps, _CHUNK)):
            generator = numpy_generator(self._key[0], "coding batch", self._key[1], chunk)
            fired = drawn(self._mean, self._coding, min(_CHUNK, self._steps - start), generator)
            if fired.dtype == np.uint8 and not self._several:
                fired = self.queue(fired)
            yield SpikeInput(self._shape[0], self._shape[1], self._samples, self._neurons, fired)
