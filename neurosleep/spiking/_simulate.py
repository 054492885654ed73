"""Run a spiking network, without plasticity, on given spikes or on images turned into spike trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.functional import SpikeEvents, numpy_generator
from neurosleep.spiking.engines import get_engine
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.recorder import Recorder
from neurosleep.spiking.recording import Record, Recording

__all__ = ["CODINGS", "Coding", "simulate"]

Coding = Literal["bernoulli", "poisson"]
CODINGS: tuple[str, ...] = get_args(Coding)

# Steps drawn and run at once, so that memory does not grow with the length of a simulation.
_CHUNK = 1000

Trains = Mapping[str, SpikeEvents]


def simulate(
    network: SpikingNetwork,
    inputs: SpikeEvents | Trains | Tensor,
    steps: int | None = None,
    *,
    coding: Coding = "poisson",
    max_rate: float = 1000.0,
    engine: str = "event",
    record: Record | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Recording:
    r"""Let ``network`` answer to ``inputs``; it starts at rest and its weights stay as they are.

    Parameters
    ----------
    network:
        Any network that the engine offers.
    inputs:
        Spikes as :class:`~neurosleep.functional.SpikeEvents` (a mapping by population name if there are several
        inputs), as a boolean tensor ``[time, n]`` or ``[time, batch, n]``; or images, a float tensor ``[batch, n]`` or
        ``[batch, *shape]`` of intensities from 0 to 1, of which ``coding`` makes spike trains.
    steps:
        Needed for images; for spikes the number of their steps if not given, else at most that number.
    coding, max_rate:
        With images: an input of intensity x fires in a step with probability :math:`\min(1, r\,dt\,x)`
        (``"bernoulli"``) or :math:`1 - e^{-r\,dt\,x}` (``"poisson"``), where r is ``max_rate`` in Hz.
    engine, device, record, seed:
        As for :func:`~neurosleep.sleep`; sample b of a batch draws its spikes from (seed, b).

    Returns
    -------
    Recording
        Counts are ``[n]`` by population for a single train, ``[batch, n]`` for a batch; likewise ``potentials``, of
        leaky integrators. Single spikes, and anything over time, are recorded of a single train only.

    Raises
    ------
    SettingsError
        If the inputs do not fit the network, or intensities lie outside 0 to 1.
    UnsupportedError
        If single spikes of a batch, or its potentials or weights, are to be recorded.
    """
    if str(coding) == "constant":
        raise SettingsError(
            "coding is 'constant', which sends graded values and no spikes.",
            expected="one of: " + ", ".join(CODINGS),
            hint="neurosleep.simulate_batch shows images that way",
        )
    if coding not in CODINGS:
        raise unknown_name("coding", coding, CODINGS)
    if not 0 <= max_rate < float("inf"):
        raise SettingsError(f"max_rate is {max_rate!r}.", expected="a rate in Hz, >= 0")
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise SettingsError(f"The number of steps is {steps!r}.", expected="a whole number of at least 1")
    record = record or Record()
    if not isinstance(inputs, Tensor):
        return _single(network, _by_population(network, inputs), steps, engine, record, device)
    only = _only_input(network)
    if inputs.dtype == torch.bool:
        if inputs.ndim == 2:
            return _single(network, {only: SpikeEvents.from_dense(inputs)}, steps, engine, record, device)
        if inputs.ndim != 3:
            raise SettingsError(
                f"Spikes of shape {tuple(inputs.shape)} cannot be read.", expected="[time, n] or [time, batch, n]"
            )
        trains = [SpikeEvents.from_dense(inputs[:, b]) for b in range(inputs.shape[1])]
        return _batch([_single(network, {only: t}, steps, engine, _counts(record), device) for t in trains])
    if steps is None:
        raise SettingsError("Images need a number of steps.", expected="steps=..., at least 1")
    images = _intensities(inputs)
    probability = images * (max_rate * network.dt)
    probability = np.minimum(probability, 1.0) if coding == "bernoulli" else -np.expm1(-probability)
    return _batch(
        [
            _run(network, _Coded(only, p, seed, b), steps, engine, _counts(record), device)
            for b, p in enumerate(probability)
        ]
    )


class _Coded:
    """Spike trains of one image, drawn chunk by chunk."""

    def __init__(self, name: str, probability: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int, b: int) -> None:
        self._name, self._p, self._key = name, probability, (seed, b)
        self.sizes = {name: len(probability)}

    def chunk(self, start: int, stop: int) -> dict[str, SpikeEvents]:
        seed, b = self._key
        generator = numpy_generator(seed, "coding", b, start // _CHUNK)
        times, neurons = np.nonzero(generator.random((_CHUNK, len(self._p))) < self._p)
        events = SpikeEvents._trusted_times(times, neurons, steps=_CHUNK, n=len(self._p))
        return {self._name: events.slice(0, stop - start)}


class _Given:
    """Spike trains that are there already."""

    def __init__(self, trains: Trains) -> None:
        self._trains = trains
        self.sizes = {name: events.n for name, events in trains.items()}

    def chunk(self, start: int, stop: int) -> dict[str, SpikeEvents]:
        return {name: events.slice(start, stop) for name, events in self._trains.items()}


def _by_population(network: SpikingNetwork, inputs: SpikeEvents | Trains) -> Trains:
    return {_only_input(network): inputs} if isinstance(inputs, SpikeEvents) else inputs


def _only_input(network: SpikingNetwork) -> str:
    names = [p.name for p in network.inputs]
    if len(names) != 1:
        raise SettingsError(
            "Inputs without a name need a network with one input population.",
            found=", ".join(names) or "none",
            expected="a mapping from population name to SpikeEvents",
        )
    return names[0]


def _counts(record: Record) -> Record:
    if record.spikes != "counts" or record.groups or record.samples or record.folder is not None:
        raise UnsupportedError(
            "Single spikes of a batch cannot be recorded, nor its groups, potentials or weights over time.",
            expected='Record(spikes="counts")',
            hint="simulate one sample at a time to see its spikes",
        )
    return record


def _intensities(images: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    if images.ndim < 2:
        raise SettingsError(f"Images of shape {tuple(images.shape)} cannot be read.", expected="[batch, n] or more")
    found = images.detach().cpu().to(torch.float64).reshape(len(images), images.shape[1:].numel())
    if len(found) == 0 or not torch.isfinite(found).all() or (found < 0).any() or (found > 1).any():
        raise SettingsError(
            "The images are empty or hold intensities that are no numbers from 0 to 1.",
            expected="at least one image, every intensity from 0 to 1",
            hint="scale the images; spikes are given as a boolean tensor",
        )
    return found.numpy()


def _single(
    network: SpikingNetwork, trains: Trains, steps: int | None, engine: str, record: Record, device: str
) -> Recording:
    lengths = {name: events.steps for name, events in trains.items()}
    shortest = min(lengths.values(), default=0)
    if len(set(lengths.values())) > 1 or shortest < (steps or 1):
        raise SettingsError(
            "The input spikes do not cover the steps.",
            found=", ".join(f"{name}: {n} steps" for name, n in lengths.items()) or "no input",
            expected=f"all of one length, at least {steps or 1} steps",
        )
    return _run(network, _Given(trains), steps or shortest, engine, record, device)


def _run(
    network: SpikingNetwork, source: _Coded | _Given, steps: int, engine: str, record: Record, device: str
) -> Recording:
    expected = {p.name: p.size for p in network.inputs}
    if source.sizes != expected:
        raise SettingsError(
            "The inputs do not fit the network.", found=f"{source.sizes}", expected=f"inputs {expected} (name: neurons)"
        )
    session = get_engine(engine).start(network, device=device)
    recorder = Recorder(record, {p.name: p.size for p in network.populations}, network.dt, network)
    for start in range(0, steps, _CHUNK):
        recorder.run(session, source.chunk(start, min(start + _CHUNK, steps)))
    read = [p.name for p in network.layers if p.kind == "li"]
    membranes = session.membranes() if read else {}
    return recorder.recording({name: membranes[name].numpy() for name in read})


def _batch(recordings: list[Recording]) -> Recording:
    if not recordings:
        raise SettingsError("The batch is empty.", expected="at least one sample")
    first = recordings[0]
    counts = {name: np.stack([r.counts[name] for r in recordings]) for name in first.counts}
    potentials = {name: np.stack([r.potentials[name] for r in recordings]) for name in first.potentials}
    return Recording(steps=first.steps, dt=first.dt, counts=counts, window=first.window, potentials=potentials)
