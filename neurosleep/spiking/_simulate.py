"""Run a spiking network, without plasticity, on given spikes or on images, one or a batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep._checks import as_images, check_count, check_device, check_unread
from neurosleep._progress import ShowProgress, shows_progress
from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.functional import SpikeEvents
from neurosleep.spiking._batch import batch_of_images, batch_of_trains
from neurosleep.spiking._coding import CODINGS, Coding, expected_spikes, gain_of, paced, say_waiting
from neurosleep.spiking._single import single_image, single_train
from neurosleep.spiking.engines import Engine, fastest_engine, get_engine
from neurosleep.spiking.given import check_spiking
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.recording.record import Record
from neurosleep.spiking.recording.recording import Recording

__all__ = ["simulate"]

Spikes = SpikeEvents | Tensor | npt.NDArray[np.generic]
Trains = Mapping[str, Spikes]


@shows_progress
@torch.no_grad()
def simulate(
    network: SpikingNetwork,
    x: SpikeEvents | Trains | Tensor | npt.NDArray[np.generic],
    steps: int | None = None,
    *,
    coding: Coding = "constant",
    max_rate: float | None = None,
    engine: str | None = None,
    record: Record | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: ShowProgress = False,
) -> Recording:
    r"""Let ``network`` answer to ``x``; it starts at rest and its weights stay as they are.

    Parameters
    ----------
    network:
        Any network that the engine offers; of images and batches, one with a single input population.
    x:
        Images: one, of the input's shape or flat ``[n]``, or a batch ``[batch, *shape]`` or ``[batch, n]``; any float
        type, or ``uint8``, of which 255 becomes 1. Or spikes: :class:`~neurosleep.functional.SpikeEvents` or booleans
        ``[time, n]`` (a mapping by population name if there are several inputs), of a batch ``[time, batch, n]``.
    steps:
        How long images are shown; of spikes their number of steps if not given, else at most that.
    coding, max_rate:
        Of images only. ``constant``: every value is sent as it is in every step, a graded input, and may have any
        sign. ``bernoulli`` and ``poisson``: spikes of intensities from 0 to 1; an input of intensity x fires x times a
        step in the mean, at ``max_rate`` r (Hz; None: 1/dt) :math:`r\,dt\,x` times, with that probability or as often
        as a Poisson process does. Of a batch it may then fire several times in a step; of one image, and where an
        engine sends one spike of a neuron a step, as a chip does, the others wait for the next. With another rate than
        1/dt the biases are multiplied by :math:`r\,dt` too, so that the network computes the same, so much stronger.
    engine:
        Name of a registered engine; a batch needs one that steps batches. None: ``event``, which compiles when it is
        first used, on the CPU, and ``torch`` on a CUDA device; ``reference`` where these do not offer all kinds that
        the network has.
    record:
        What to keep besides counts, of one image or train: single spikes, potentials, rates over time. A constant input
        sends no spikes that could be kept.
    device:
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. Where its memory is too small for a batch, this goes on in halves.
    seed:
        Every engine is given the same spikes. They are drawn for 256 samples at once: sample b of a batch has others
        than the same image alone. Of spikes nothing is drawn.

    Returns
    -------
    Recording
        ``counts`` by population, ``[n]``, of a batch ``[batch, n]``: spikes, int64; of a constant input and, in a
        batch, of relays the sum of what they sent, float64. ``read_out`` ``[steps, n]`` or ``[steps, batch, n]``.
        ``potentials`` of leaky integrators after the last step. ``engine`` and ``coding`` say what was done.
    progress:
        Whether to show how far it is (:func:`~neurosleep.show_progress`).

    Raises
    ------
    SettingsError
        If the inputs do not fit the network or the coding.
    UnsupportedError
        If the engine steps no such network, or no batches; if single spikes of a batch, or anything of it over time,
        are to be recorded.

    Warns
    -----
    NeurosleepWarning
        If intensities stand for more spikes a step than are sent, or spikes still wait at the end: their share.

    See Also
    --------
    neurosleep.sleep : with a plasticity rule
    neurosleep.conversion.compare : what a conversion costs, layer by layer

    Examples
    --------
    >>> from neurosleep.spiking import Dense, Population
    >>> populations = (Population("input", "input", (2,)), Population("output", "lif", (1,), threshold=1.0))
    >>> network = SpikingNetwork(populations, (Dense("input", "output", torch.tensor([[0.5, 0.5]])),))
    >>> shown = simulate(network, torch.ones(3, 2), 10, engine="reference")
    >>> shown.counts["output"].tolist(), shown.read_out.shape
    ([[10], [10], [10]], (10, 3, 1))
    >>> spikes = SpikeEvents.from_dense(torch.ones(10, 2, dtype=torch.bool))
    >>> simulate(network, spikes, engine="reference").counts["output"]
    array([10])
    """
    check_spiking(network, "simulated")
    device = str(check_device(device))
    if coding not in CODINGS:
        raise unknown_name("coding", str(coding), CODINGS)
    if steps is not None:
        steps = check_count("The number of steps", steps)
    if getattr(x, "dtype", None) in (np.dtype(bool), torch.bool) or isinstance(x, SpikeEvents | Mapping):
        unread = {"coding": (coding, "constant"), "max_rate": (max_rate, None)}
        check_unread("An input of spikes", unread, "images, of which spikes are drawn, have them")
        return _of_spikes(network, x, steps, engine, record, device)
    if coding == "constant":
        unread = {"max_rate": (max_rate, None)}
        check_unread("coding='constant'", unread, "coding='bernoulli' or 'poisson', which make spikes, have it")
    values, single = _values(network, x)
    if steps is None:
        raise SettingsError("Images need a number of steps.", expected="steps=..., at least 1")
    gain = gain_of(max_rate, network.dt)
    recorded = single and record is not None
    chosen = _engine(engine, network, device, batch=not recorded)
    # Recording changes nothing: what can be recorded has one spike a step.
    several = coding == "poisson" and chosen.spike_counts and not single
    mean = values
    if coding != "constant":
        mean = expected_spikes(values, coding, gain, several)
        network = paced(network, gain)
    if recorded:
        assert record is not None
        return single_image(network, mean, steps, coding, chosen, record, seed, device)
    _check_counts(record)
    shown, waiting, sent = batch_of_images(network, mean, steps, coding, several, chosen, seed, device)
    say_waiting(waiting, sent)
    return _only(shown) if single else shown


def _only(batch: Recording) -> Recording:
    """The one sample of ``batch`` by itself."""
    assert batch.outputs is not None
    counts = {name: values[0] for name, values in batch.counts.items()}
    potentials = {name: values[0] for name, values in batch.potentials.items()}
    return dataclasses.replace(batch, counts=counts, potentials=potentials, outputs=batch.outputs[:, 0])


def _of_spikes(
    network: SpikingNetwork,
    x: SpikeEvents | Trains | Tensor | npt.NDArray[np.generic],
    steps: int | None,
    engine: str | None,
    record: Record | None,
    device: str,
) -> Recording:
    if not isinstance(x, SpikeEvents | Mapping):
        spikes = x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))
        if spikes.ndim not in (2, 3):
            raise SettingsError(
                f"Spikes of shape {tuple(spikes.shape)} cannot be read.", expected="[time, n] or [time, batch, n]"
            )
        if spikes.ndim == 3:
            _check_counts(record)
            _check_covered({_only_input(network): len(spikes)}, steps)
            chosen = _engine(engine, network, device, batch=True)
            return batch_of_trains(network, spikes[:steps].cpu().numpy(), chosen, device)
        x = SpikeEvents.from_dense(spikes)
    trains = {_only_input(network): x} if isinstance(x, SpikeEvents) else {k: _train(k, one) for k, one in x.items()}
    length = _check_covered({name: events.steps for name, events in trains.items()}, steps)
    return single_train(network, trains, length, _engine(engine, network, device), record or Record(), device)


def _train(name: str, x: object) -> SpikeEvents:
    """The spikes that the input population ``name`` is given."""
    if isinstance(x, SpikeEvents):
        return x
    boolean = getattr(x, "dtype", None) in (np.dtype(bool), torch.bool)
    if boolean and isinstance(x, Tensor | np.ndarray) and x.ndim == 2:
        return SpikeEvents.from_dense(x)
    given = f"{type(x).__name__}"
    if isinstance(x, Tensor | np.ndarray):
        given += f" of {x.dtype} and shape {tuple(x.shape)}"
    raise SettingsError(
        f"The input {name!r} cannot be read as spikes.",
        found=given,
        expected="SpikeEvents, or booleans [time, n]; a mapping holds one train of each input, no images and no batch",
        hint="values above 0 become spikes with x > 0",
    )


def _values(network: SpikingNetwork, x: object) -> tuple[Tensor, bool]:
    """Images as finite values ``[batch, n]`` of the network's type, and whether it is one image alone."""
    images = as_images("x", x, SettingsError)
    _only_input(network)
    (source,) = network.inputs
    single = images.shape in (source.shape, (source.size,))
    batch = images[None] if single else images
    if batch.ndim < 2 or batch.shape[1:].numel() != source.size:
        shape = ", ".join(map(str, source.shape))
        raise SettingsError(
            f"Images of shape {tuple(images.shape)} do not fit the network.",
            expected=f"one image [{shape}], or a batch [batch, {shape}], of {source.size} values each",
        )
    values = batch.flatten(1).to(network.dtype)
    if not torch.isfinite(values).all():
        raise SettingsError("The images hold NaN or infinite values.", expected="finite numbers")
    return values, single


def _only_input(network: SpikingNetwork) -> str:
    names = [p.name for p in network.inputs]
    if len(names) != 1:
        raise SettingsError(
            "Inputs without a name need a network with one input population.",
            found=", ".join(names) or "none",
            expected="a mapping from population name to SpikeEvents",
        )
    return names[0]


def _check_covered(lengths: Mapping[str, int], steps: int | None) -> int:
    """The steps to be run: as many as are asked for, of spikes that are there."""
    shortest = min(lengths.values(), default=0)
    if len(set(lengths.values())) > 1 or shortest < (steps or 1):
        raise SettingsError(
            "The input spikes do not cover the steps.",
            found=", ".join(f"{name}: {n} steps" for name, n in lengths.items()) or "no input",
            expected=f"all of one length, at least {steps or 1} steps",
        )
    return steps or shortest


def _check_counts(record: Record | None) -> None:
    if record is None or (record.counts_only and record.rates_every == Record.rates_every):
        return
    raise UnsupportedError(
        "Single spikes of a batch cannot be recorded, nor its groups, nor rates, potentials or weights over time.",
        expected='Record(spikes="counts")',
        hint="simulate one sample at a time to see its spikes",
    )


def _engine(name: str | None, network: SpikingNetwork, device: str, *, batch: bool = False) -> Engine:
    """The engine of that name; of None the fastest on the device that can step the network."""
    return get_engine(name) if name is not None else fastest_engine(network, device, batch=batch)
