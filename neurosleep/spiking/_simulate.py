"""Run a spiking network, without plasticity, on given spikes or on images turned into spike trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from neurosleep._checks import as_images, check_count, check_device, check_unread
from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.functional import SpikeEvents, numpy_generator
from neurosleep.spiking._coding import OneAStep, check_network, drawn, expected_spikes, gain_of, paced, say_waiting
from neurosleep.spiking.engines import get_engine
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.recording.record import Record
from neurosleep.spiking.recording.recorder import Recorder
from neurosleep.spiking.recording.recording import Recording

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
    coding: Coding = "bernoulli",
    max_rate: float | None = None,
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
        inputs), as a boolean tensor or array ``[time, n]`` or ``[time, batch, n]``; or images, ``[batch, n]`` or
        ``[batch, *shape]`` of intensities from 0 to 1, of which ``coding`` makes spike trains.
    steps:
        Needed for images; for spikes the number of their steps if not given, else at most that number.
    coding, max_rate:
        Of images only: an input of intensity x fires x times a step in the mean, at ``max_rate`` r (Hz; None: 1/dt)
        :math:`r\,dt\,x` times. ``bernoulli``: with that probability in each step. ``poisson``: so often in the mean,
        by a Poisson process; where that has several spikes in one step, all but one wait for the next. With another
        rate than 1/dt the biases are multiplied by :math:`r\,dt` too, so that the network computes the same, so much
        stronger.
    engine, device, record, seed:
        As for :func:`~neurosleep.sleep`; sample b of a batch draws its spikes from (seed, b). Of spikes nothing is
        drawn.

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

    Warns
    -----
    NeurosleepWarning
        If intensities stand for more than one spike a step, or Poisson spikes still wait at the end: their share.

    See Also
    --------
    simulate_batch : many images at once
    neurosleep.sleep : with a plasticity rule

    Examples
    --------
    >>> from neurosleep.spiking import Population, Projection
    >>> populations = (Population("input", "input", (2,)), Population("output", "lif", (1,), threshold=1.0))
    >>> network = SpikingNetwork(populations, (Projection("input", "output", weight=torch.tensor([[0.5, 0.5]])),))
    >>> spikes = SpikeEvents.from_dense(torch.ones(10, 2, dtype=torch.bool))
    >>> simulate(network, spikes, engine="reference").counts["output"]
    array([10])
    """
    check_network(network)
    device = str(check_device(device))
    if str(coding) == "constant":
        raise SettingsError(
            "coding is 'constant', which sends graded values and no spikes.",
            expected="one of: " + ", ".join(CODINGS),
            hint="neurosleep.simulate_batch shows images that way",
        )
    if coding not in CODINGS:
        raise unknown_name("coding", coding, CODINGS)
    gain = gain_of(max_rate, network.dt)
    if steps is not None:
        steps = check_count("The number of steps", steps)
    record = record or Record()
    boolean = getattr(inputs, "dtype", None) in (np.dtype(bool), torch.bool)
    if boolean or isinstance(inputs, SpikeEvents | Mapping):
        unread = {"coding": (coding, "bernoulli"), "max_rate": (max_rate, None)}
        check_unread("An input of spikes", unread, "images, of which spikes are drawn, have them")
    if isinstance(inputs, SpikeEvents | Mapping):
        return _single(network, _by_population(network, inputs), steps, engine, record, device)
    only = _only_input(network)
    if not isinstance(inputs, Tensor) and getattr(inputs, "dtype", None) == np.bool_:
        inputs = torch.from_numpy(np.ascontiguousarray(inputs))
    if isinstance(inputs, Tensor) and inputs.dtype == torch.bool:
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
    record = _counts(record)
    images = _intensities(inputs)
    mean = expected_spikes(images, coding, gain, several=False).numpy()
    network = paced(network, gain)
    coded = [_Coded(only, p, coding, seed, b) for b, p in enumerate(mean)]
    found = _batch([_run(network, source, steps, engine, record, device) for source in coded])
    say_waiting(sum(source.queue.waiting for source in coded), sum(source.queue.sent for source in coded))
    return found


class _Coded:
    """Spike trains of one image, drawn chunk by chunk, one after the other."""

    def __init__(
        self, name: str, mean: np.ndarray[tuple[int], np.dtype[np.float64]], coding: Coding, seed: int, b: int
    ) -> None:
        self._name, self._mean, self._coding, self._key = name, mean, coding, (seed, b)
        self.sizes = {name: len(mean)}
        self.queue = OneAStep(len(mean))

    def chunk(self, start: int, stop: int) -> dict[str, SpikeEvents]:
        seed, b = self._key
        # A whole chunk is drawn, so that a shorter simulation is the beginning of a longer one.
        found = drawn(self._mean, self._coding, _CHUNK, numpy_generator(seed, "coding", b, start // _CHUNK))[
            : stop - start
        ]
        fired = self.queue(found) if found.dtype == np.uint8 else found
        return {self._name: SpikeEvents.from_dense(fired)}


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


def _intensities(inputs: Tensor) -> Tensor:
    images = as_images("inputs", inputs, SettingsError)
    if images.ndim < 2:
        raise SettingsError(f"Images of shape {tuple(images.shape)} cannot be read.", expected="[batch, n] or more")
    if not torch.isfinite(images).all():
        raise SettingsError("The images hold NaN or infinite values.", expected="finite numbers")
    return images.cpu().to(torch.float64).flatten(1)


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
