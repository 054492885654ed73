"""One train of spikes, or one image, through a spiking network, with all that can be recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking._batch import DrawnSpikes
from neurosleep.spiking._coding import Coding, say_waiting
from neurosleep.spiking.engines import Engine
from neurosleep.spiking.geometry import propagate
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.recording.record import Record
from neurosleep.spiking.recording.recorder import Recorder
from neurosleep.spiking.recording.recording import Recording

__all__ = ["single_image", "single_train"]

# Steps run at once, so that memory does not grow with the length of a simulation.
_CHUNK = 1000

Trains = Mapping[str, SpikeEvents]


def single_train(
    network: SpikingNetwork, trains: Trains, steps: int, engine: Engine, record: Record, device: str
) -> Recording:
    """What ``network`` does with the first ``steps`` steps of ``trains``, by input population."""
    sizes, expected = ({p.name: p.size for p in network.inputs}, {name: events.n for name, events in trains.items()})
    if sizes != expected:
        raise SettingsError(
            "The inputs do not fit the network.", found=f"{expected}", expected=f"inputs {sizes} (name: neurons)"
        )
    chunks = (
        {name: events.slice(start, min(start + _CHUNK, steps)) for name, events in trains.items()}
        for start in range(0, steps, _CHUNK)
    )
    return _recorded(network, chunks, engine, record, device)


def single_image(
    network: SpikingNetwork,
    mean: Tensor,
    steps: int,
    coding: Coding,
    engine: Engine,
    record: Record,
    seed: int,
    device: str,
) -> Recording:
    """What ``network`` does with one image ``[1, n]``: values, or spikes a step in the mean."""
    (source,) = network.inputs
    if coding == "constant":
        silence = {source.name: SpikeEvents.empty(source.size, steps)}
        recording = single_train(_driven(network, mean), silence, steps, engine, record, device)
        sums = mean[0].double().cpu().numpy() * steps
        return dataclasses.replace(recording, counts={**recording.counts, source.name: sums}, coding=coding)
    drawn = DrawnSpikes(mean, coding, steps, (seed, 0), several=False)
    chunks = ({source.name: _events(part.fired, part.neurons, source.size)} for part in drawn)
    recording = _recorded(network, chunks, engine, record, device)
    say_waiting(drawn.queue.waiting, drawn.queue.sent)
    return dataclasses.replace(recording, coding=coding)


def _events(fired: npt.NDArray[np.generic], neurons: npt.NDArray[np.int64], n: int) -> SpikeEvents:
    times, entries = np.nonzero(fired)
    return SpikeEvents.from_times(times, neurons[entries], steps=len(fired), n=n)


def _driven(network: SpikingNetwork, values: Tensor) -> SpikingNetwork:
    """``network`` with biases that are what the constant ``values`` ``[1, n]`` of its input make arrive in every step.

    Raises
    ------
    UnsupportedError
        Of networks of chips, whose biases are integers, and where the input arrives late or at a relay: that is no
        bias.
    """
    (source,) = network.inputs
    if not network.real_valued:
        raise UnsupportedError(
            "A constant input sends graded values, and a chip takes spikes.", expected="coding 'bernoulli' or 'poisson'"
        )
    populations = {p.name: p for p in network.populations}
    for q in network.projections:
        if q.source != source.name:
            continue
        target = populations[q.target]
        if q.delay or target.kind == "relay":
            raise UnsupportedError(
                f"Of a constant input that arrives {'at a relay' if not q.delay else 'after a delay'}, from "
                f"{q.source!r} at {q.target!r}, nothing but counts and the read-out is recorded.",
                expected="coding 'bernoulli' or 'poisson', or no record",
            )
        current = q.scale * propagate(q, values.cpu(), source.shape)
        bias = torch.as_tensor(target.bias, dtype=network.dtype) + current[0]
        populations[q.target] = dataclasses.replace(target, bias=bias)
    return dataclasses.replace(network, populations=tuple(populations.values()))


def _recorded(
    network: SpikingNetwork, chunks: Iterable[Trains], engine: Engine, record: Record, device: str
) -> Recording:
    session = engine.start(network, device=device)
    recorder = Recorder(record, {p.name: p.size for p in network.populations}, network.dt, network)
    for chunk in chunks:
        recorder.run(session, chunk)
    read = [p.name for p in network.layers if p.kind == "li"]
    membranes = session.membranes() if read else {}
    recording = recorder.recording({name: membranes[name].numpy() for name in read})
    return dataclasses.replace(recording, engine=engine.name, last=network.last.name)
