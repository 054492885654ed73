"""One sleep phase: a drive, a plasticity rule and an engine make a spiking network sleep."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import torch

from neurosleep._checks import check_count, check_device, check_number, check_unread
from neurosleep._progress import ShowProgress, shows_progress, tell_progress
from neurosleep._shown import brief
from neurosleep.errors import NeurosleepWarning, SettingsError, UnsupportedError
from neurosleep.functional import EngineRule, MeanDrive, PlasticityRule
from neurosleep.replay._drawing import CHUNK, check_drive, pieces
from neurosleep.replay.result import Divergence, SleepResult
from neurosleep.replay.streams import FirstStream, Streams, bytes_of, check_memory_of
from neurosleep.spiking import Conv, Engine, Record, Recorder, Session, SpikingNetwork, get_engine
from neurosleep.spiking.given import check_spiking
from neurosleep.spiking.plastic import changes

__all__ = ["CHUNK", "Limits", "Moment", "check_rule", "check_sleep", "sleep", "step_sleep"]


@dataclass(frozen=True)
class Limits:
    """Where a sleep ends as diverged, looked at every 1000 steps.

    Parameters
    ----------
    weights:
        A weight beyond this size ends it, as one that is not finite does. Weights in a chip's integers are bounded by
        its grid, which knows no other bound.
    spikes:
        More spikes per step than this, of all populations but the inputs, in the mean of 1000 steps: a network in a
        seizure learns nothing, and slowly. None: no limit.

    See Also
    --------
    neurosleep.sleep : which keeps within them

    Examples
    --------
    >>> from neurosleep import Limits
    >>> Limits(spikes=50)
    Limits(spikes=50)
    """

    weights: float = 1e6
    spikes: float | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        check_number("The limit of weights", self.weights, above=0)
        if self.spikes is not None:
            check_number("The limit of spikes per step", self.spikes, above=0)


@dataclass(frozen=True, eq=False)
class Moment:
    """A sleep phase while it goes on, at the end of a piece of at most 1000 steps.

    Attributes
    ----------
    step, steps:
        Steps slept so far, and of the whole sleep.
    window, dt:
        Steps of the piece, and their length in seconds.
    spikes:
        Spikes in the piece, by population.
    network:
        Makes the network as it is at this moment; it copies all weights, and is best not called every time.

    See Also
    --------
    neurosleep.sleep : whose ``watch`` is called with it

    Examples
    --------
    >>> from neurosleep.replay import Moment
    >>> def show(moment: Moment) -> None:
    ...     print(f"{moment.step} of {moment.steps} steps, {moment.spikes['hidden1']} spikes")
    >>> show(Moment(step=1000, steps=5000, window=1000, dt=0.001, spikes={"hidden1": 12}, network=lambda: None))
    1000 of 5000 steps, 12 spikes
    """

    step: int
    steps: int
    window: int
    dt: float
    spikes: Mapping[str, int]
    network: Callable[[], SpikingNetwork]

    __repr__ = brief


def check_rule(rule: object) -> None:
    """Refuse what is no plasticity rule, such as the name or the class of one."""
    if isinstance(rule, type) or not isinstance(rule, PlasticityRule | EngineRule):
        raise SettingsError(
            f"{rule!r:.60} is no plasticity rule.",
            expected="a rule with its parameters, such as SRCRule(0.032, 0.0033)",
            hint="neurosleep.functional.make_rule makes one of a name and parameters",
        )


@shows_progress
def sleep(
    network: SpikingNetwork,
    *,
    drive: MeanDrive | Streams,
    rule: PlasticityRule | EngineRule,
    steps: int,
    engine: str | None = None,
    record: Record | None = None,
    seed: int = 0,
    task: int = 0,
    limits: Limits = Limits(),
    device: str = "cpu",
    progress: ShowProgress | Callable[[int], None] = False,
    watch: Callable[[Moment], None] | None = None,
) -> SleepResult:
    """Let ``network`` fire spontaneously and change; a new network comes back, the given one is untouched.

    Parameters
    ----------
    network:
        With exactly one input population, as large as the drive. Convolutions stay as they are; the rule
        :class:`~neurosleep.functional.PooledSRC` changes those that are plastic
        (:func:`~neurosleep.conversion.plastic_convolutions`).
    drive, rule, steps:
        Noise, plasticity rule, and number of steps (at least 1). A network that ``map_to`` made takes a rule of its
        chip (:func:`~neurosleep.hardware.chip_rule`) and the engine ``fixed``. With
        :class:`~neurosleep.replay.Streams` of a drive so many copies of the state, each with noise of its own, go
        through every step, and share the weights.
    engine:
        Name of a registered engine; several streams take ``event``, ``reference`` or ``torch``. None: ``event``, and
        on a CUDA device ``torch``.
    record:
        What to keep; spike counts if not given. Of several streams the first is recorded.
    seed, task:
        Key of the drive's random stream: chunk k of it is drawn from (seed, task, k); of several streams all are, in
        chunks of fewer steps.
    device:
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``; the network after sleep lies on the CPU.
    limits:
        Beyond which weights or firing it ends as diverged.
    progress:
        Whether to show how far it is (:func:`~neurosleep.show_progress`); or what is called with the number of steps
        done so far.
    watch:
        Called after each piece of the sleep with what it is like, of several streams the first; it changes nothing.

    Raises
    ------
    SettingsError
        If ``network`` is no SpikingNetwork, or drive, rule, steps, limits or engine make no sense.
    UnsupportedError
        If the network has convolutions and no other weight that the rule could change.

    Warns
    -----
    NeurosleepWarning
        If not one neuron fires in the whole sleep, or the weights of convolutions stay while others change.

    See Also
    --------
    consolidate : conversion, sleep and waking in one call
    neurosleep.wake : the weights after sleep, in the awake network

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.functional import SRCRule
    >>> from neurosleep.spiking import Dense, Population
    >>> populations = (Population("input", "input", (2,)), Population("output", "lif", (1,), threshold=0.4))
    >>> network = SpikingNetwork(populations, (Dense("input", "output", torch.tensor([[0.5, 0.5]])),))
    >>> drive = MeanDrive(np.array([0.2, 0.2]), max_rate=100.0)
    >>> sleep(network, drive=drive, rule=SRCRule(0.01, 0.001), steps=200, engine="reference").status
    'done'

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7, Algorithm 1.
    """
    noise, chosen, device = check_sleep(network, drive, rule, steps, limits, engine, device)
    _warn_of_convolutions(_still(network, rule))
    session = chosen.start_streams(network, rule, noise.streams, noise.updates, device=device)
    return step_sleep(network, session, noise, steps, record, seed, task, limits, progress, watch)


def step_sleep(
    network: SpikingNetwork,
    stepped: Session,
    noise: Streams,
    steps: int,
    record: Record | None,
    seed: int,
    task: int,
    limits: Limits,
    progress: ShowProgress | Callable[[int], None] = False,
    watch: Callable[[Moment], None] | None = None,
) -> SleepResult:
    """The sleep of ``network`` that the session ``stepped`` steps, of what has been checked."""
    inputs, started = network.inputs[0], perf_counter()
    session = FirstStream(stepped, network, noise.streams)
    recorder = Recorder(record or Record(), {p.name: p.size for p in network.populations}, network.dt, network)
    done = 0

    def result(status: Literal["done", "diverged"], where: Divergence | None = None) -> SleepResult:
        slept = network if status == "diverged" else network.with_weights(session.weights())
        return SleepResult(slept, recorder.recording(), status, perf_counter() - started, where, session.fired)

    for events in pieces(noise, steps, network.dt, seed, task):
        before, done = session.fired, done + events.steps
        spikes = recorder.run(session, {inputs.name: events})
        rate = (session.fired - before) / (events.steps * noise.streams)
        if limits.spikes is not None and rate > limits.spikes:
            return result("diverged", Divergence(done, f"firing: {rate:.0f} spikes per step", rate))
        for number in session.outliers(limits.weights)[:1]:
            projection = network.weighted[number]
            largest = float(session.weights()[number].abs().max())
            return result("diverged", Divergence(done, f"{projection.source} -> {projection.target}", largest))
        tell_progress("sleep, steps", done, steps)
        if callable(progress):
            progress(done)
        if watch is not None:
            present = Moment(
                done,
                steps,
                events.steps,
                network.dt,
                spikes,
                lambda: network.with_weights(session.weights()),
            )
            watch(present)
    if not session.fired:
        _warn_of_silence(network, session.driven, steps)
    return result("done")


def _usual_engine(device: str) -> str:
    """The engine that steps a sleep on ``device`` where none is named."""
    return "torch" if torch.device(device).type == "cuda" else "event"


def check_sleep(
    network: SpikingNetwork,
    drive: MeanDrive | Streams,
    rule: PlasticityRule | EngineRule,
    steps: int,
    limits: Limits,
    engine: str | None,
    device: str,
) -> tuple[Streams, Engine, str]:
    """Refuse, before anything is done, a sleep that makes no sense; its noise as streams, its engine and its device."""
    check_spiking(network, "put to sleep")
    check_count("sleep steps", steps)
    noise = drive if isinstance(drive, Streams) else Streams(drive, 1)
    check_drive(network, noise.drive)
    check_rule(rule)
    if not isinstance(rule, PlasticityRule):
        unread = {"limits.weights": (limits.weights, Limits.weights)}
        check_unread("A rule of a chip", unread, "the chip's grid bounds weights")
    device = str(check_device(device))
    convolutions = _still(network, rule)
    if convolutions and not any(changes(rule, q) for q in network.projections):
        raise UnsupportedError(
            f"Under the rule {rule.name!r} no weight of this network would change.",
            found=f"convolutions ({convolutions}), whose weights many synapses share, and no plastic projection",
            expected="a network with at least one plastic Dense projection",
            hint="the rule PooledSRC changes convolutions that plastic_convolutions marks, and homeostatic sleep "
            "(regulate_spikes, or consolidate with an NREM stage) all of them",
        )
    chosen = get_engine(engine or _usual_engine(device))
    chosen.check_streams(network, rule, noise.streams, noise.updates, device=device)
    check_memory_of(noise.streams, bytes_of(network, noise.streams))
    return noise, chosen, device


def _still(network: SpikingNetwork, rule: PlasticityRule | EngineRule) -> str:
    """The convolutions of ``network`` if the rule changes none of them."""
    convolutions = [q for q in network.projections if isinstance(q, Conv)]
    if any(changes(rule, q) for q in convolutions):
        return ""
    return ", ".join(f"{q.source} -> {q.target}" for q in convolutions)


def _warn_of_convolutions(listed: str) -> None:
    """Say which convolutions stay as they are."""
    if not listed:
        return
    warnings.warn(
        f"The convolutions {listed} stay as they are: a weight that many synapses share is changed by no plasticity "
        "rule but PooledSRC, where plastic_convolutions marks it; homeostatic sleep (regulate_spikes, NREM stages of "
        "consolidate) changes them too.",
        NeurosleepWarning,
        stacklevel=4,
    )


def _warn_of_silence(network: SpikingNetwork, inputs: int, steps: int) -> None:
    thresholds = ", ".join(f"{p.name} {float(torch.as_tensor(p.threshold).min()):.3g}" for p in network.layers)
    warnings.warn(
        f"Not one neuron fired in {steps} steps of sleep, so that no weight changed: {inputs} input spikes were too "
        f"few or too weak for the thresholds ({thresholds}). Lower these (thresholds_for_rates finds some), or raise "
        "the drive's max_rate.",
        NeurosleepWarning,
        stacklevel=4,
    )
