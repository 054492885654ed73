"""The homeostatic rule in spikes: up states of a slow oscillation, in which every unit measures its mean input current.

Each unit keeps one number a frame, its mean input current over the counted steps of the up state; over all frames these
have a mean and a spread. What a current varies within a frame is shot noise, and no part of it: the spread is the root
of the covariance of the means over the two halves of the counted steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurosleep._checks import check_count, check_device, check_unread
from neurosleep._progress import ShowProgress, shows_progress, tell_progress
from neurosleep.conversion import copied
from neurosleep.errors import DataError, SettingsError, UnsupportedError
from neurosleep.functional import Homeostasis, HomeostaticChange, InputNoise, SetPoint, SlowOscillation, check_seed
from neurosleep.replay._drives import trace_drives
from neurosleep.replay._regulation import apply_change
from neurosleep.replay._up_states import UpStates
from neurosleep.replay.regulated_layers import RegulatedLayer, RegulatedLayers, regulated
from neurosleep.replay.spiking_drives import PopulationDrive, changed_network, population_drives
from neurosleep.spiking import Engine, Record, Recording, SpikingNetwork, fastest_engine, get_engine
from neurosleep.spiking.engines.batch import ConstantInput
from neurosleep.spiking.engines.memory import in_pieces

__all__ = ["FrameStepper", "SpikingRegulation", "check_regulates", "regulate_spikes"]

# Frames that are stepped together.
_BLOCK = 250

#: Spikes a step of each population in the two halves of the counted steps, ``[frames, n]``.
Halves = tuple[dict[str, Tensor], dict[str, Tensor]]


@dataclass(frozen=True, eq=False, repr=False)
class SpikingRegulation(RegulatedLayers):
    """The outcome of :func:`regulate_spikes`.

    Attributes
    ----------
    network:
        The regulated network; the given one is untouched.
    layers:
        What each population did, in units of the weights (of the model that was converted), as :class:`Regulation` has
        them.
    rates:
        By population, its mean firing rate in the up states when it was last stepped, in Hz, float64 ``[n]``; of
        populations that no layer above listens to there is none.
    engine:
        The engine that stepped it.
    recording:
        What was recorded, with its hypnogram, if that was asked for.

    See Also
    --------
    regulate_spikes : which makes it
    Regulation : the same in rates

    Examples
    --------
    >>> from neurosleep.conversion import convert
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    >>> noise = InputNoise([0.5, 0.5])
    >>> network = convert(model, noise.frames(100, seed=0))
    >>> done = regulate_spikes(network, noise, oscillation=SlowOscillation(frames=100), engine="reference")
    >>> [layer.name for layer in done.layers]
    ['hidden1', 'output']
    """

    network: SpikingNetwork
    rates: Mapping[str, Tensor]
    engine: str
    recording: Recording | None = None

    def woken(self, model: nn.Module) -> nn.Module:
        """A copy of ``model``, from which the network was converted, with the same change of every unit.

        Biases and batch normalisation change as :func:`regulate` changes them, which
        :func:`~neurosleep.wake` does not.

        Raises
        ------
        UnsupportedError
            If its layers are not those of the network.
        """
        work = copied(model)
        example = torch.zeros(2, *self.network.inputs[0].shape, dtype=self.network.dtype)
        parameter = next(work.parameters())
        drives = trace_drives(work.eval(), example.to(parameter)).drives
        found, expected = [drive.units for drive in drives], [len(layer.factor) for layer in self.layers]
        if found != expected:
            raise UnsupportedError(
                "The layers of the model are not those of the regulated network.",
                found=f"units {found}",
                expected=f"units {expected}",
            )
        with torch.no_grad():
            for drive, layer in zip(drives, self.layers, strict=True):
                change = HomeostaticChange(layer.factor, layer.offset, layer.mean_after, layer.spread_after)
                change = HomeostaticChange(*(values.to(parameter.device) for values in change))
                along = None if layer.mean_input is None else layer.mean_input.to(parameter)
                # Batch normalisation would undo a change of the weights in the next training: its bias moves the mean.
                along = None if drive.mover.norm is not None else along
                apply_change(drive, change, along)
        for one, given in zip(work.modules(), model.modules(), strict=True):
            one.training = given.training
        return work


@shows_progress
@torch.no_grad()
def regulate_spikes(
    network: SpikingNetwork,
    noise: InputNoise,
    rule: Homeostasis | None = None,
    *,
    oscillation: SlowOscillation | None = None,
    every: int | None = None,
    engine: str | None = None,
    record: Record | None = None,
    set_points: Mapping[str, SetPoint] | None = None,
    seed: int = 0,
    task: int = 0,
    device: str = "cpu",
    progress: ShowProgress = False,
) -> SpikingRegulation:
    """Let every unit of a spiking network set mean and spread of its input current in a slow oscillation.

    In each up state one frame of noise is held: its inputs send it in every step, spikes where it is 0 and 1. Frames
    are stepped as a batch, each from rest, which is where the down state leaves all potentials.

    Parameters
    ----------
    network:
        A network without feedback, with one input population; as :func:`~neurosleep.convert` makes it with the recipe
        ``Percentile`` and a soft reset, rates stand for activities. Convolutions change as dense layers do, a unit is
        a channel then; dense projections that are not plastic stay.
    noise:
        What drives it, of the shape of the input or as many values.
    rule:
        The homeostatic rule; :class:`~neurosleep.functional.Homeostasis` with its defaults if not given. Its layers
        are names of populations.
    oscillation:
        Number of frames and lengths of up and down states.
    every:
        Frames between two changes of all layers at once, each of the rule's damping. None: as many passes of all frames
        as there are layers, and a layer changes at the end of its pass, the lowest first.
    engine:
        An engine that steps batches and declares ``homeostasis``; all give the same. None: the fastest on the device
        (``event`` on the CPU, ``torch`` on CUDA, else ``reference``).
    record:
        Which spikes and rates to record, of the whole network in every pass, in steps of their own beside the others,
        which takes longer; the numbers stay the same, to the bit. None: nothing.
    set_points, seed, task:
        As of :func:`regulate`; layers are populations here.
    device:
        Where it is stepped.
    progress:
        Whether to show how far it is (:func:`~neurosleep.show_progress`).

    Raises
    ------
    UnsupportedError
        If the network has feedback, or weights in a chip's arithmetic, or the engine cannot step it.
    DataError
        If the noise does not fit the network.
    SettingsError
        If an option is impossible.

    See Also
    --------
    regulate : the same in rates, of any module
    neurosleep.sleep : noise and a plasticity rule

    Examples
    --------
    >>> from neurosleep.conversion import convert
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> noise = InputNoise([0.5, 0.5])
    >>> network = convert(model, noise.frames(100, seed=0))
    >>> done = regulate_spikes(network, noise, oscillation=SlowOscillation(frames=100), engine="reference")
    >>> bool((done.layers[0].mean_after - done.layers[0].target.mean).abs().max() < 1e-5)
    True

    References
    ----------
    Turrigiano (2008), doi:10.1016/j.cell.2008.10.008; Cannon & Miller (2017), doi:10.1186/s13408-017-0043-7.
    """
    rule = Homeostasis() if rule is None else rule
    oscillation = SlowOscillation() if oscillation is None else oscillation
    check_regulates(network, noise, rule, oscillation)
    check_seed(seed)
    if rule.target == "layer":
        check_unread("Homeostasis(target='layer')", {"set_points": (set_points, None)}, "target='set-points' has them")
    drives = population_drives(network, rule.layers)
    if not drives:
        raise UnsupportedError("No population of the network has weights that may change.", expected="plastic=True")
    chosen = _chosen(engine, network, str(check_device(device)))
    watched = None if record is None else UpStates(record, network, oscillation, binary=noise.spread is None)
    stepper = FrameStepper(noise, oscillation, chosen, str(device), seed, task, watched)
    goals = dict(set_points or {})
    groups: list[tuple[tuple[PopulationDrive, ...], int, int]]
    if every is None:
        groups = [((drive,), 0, oscillation.frames) for drive in drives]
    else:
        check_count("The number of frames between two changes", every, 2, oscillation.frames)
        unread = {"downscale": (rule.downscale, 1.0)}
        check_unread("Homeostasis in many small changes", unread, "every=None scales down, once")
        starts = range(0, oscillation.frames - every + 1, every)
        groups = [(drives, start, every) for start in starts]
    layers: dict[str, RegulatedLayer] = {}
    for together, start, frames in groups:
        halves = stepper.halves(network, together, start, frames)
        before = network
        for drive in together:
            moments, shift, mean_input = drive.moments(before, halves, rule.mean_by)
            layer, change = regulated(
                drive.name, moments, shift, rule, goals, output=drive.output, mean_input=mean_input
            )
            network = changed_network(network, drive, change, mean_input if shift == "weights" else None)
            layers[drive.name] = layer if every is None else _since(layers.get(drive.name), layer)
            if layer.target is not None and rule.target == "set-points":
                goals.setdefault(drive.name, layer.target)
    rates = {name: rate / network.dt for name, rate in stepper.rates.items()}
    recording = None if watched is None else watched.recording(chosen.name)
    return SpikingRegulation(tuple(layers.values()), network, rates, chosen.name, recording)


def _since(first: RegulatedLayer | None, last: RegulatedLayer) -> RegulatedLayer:
    """What a layer became over several changes."""
    if first is None:
        return last
    return dataclasses.replace(
        last,
        mean_before=first.mean_before,
        spread_before=first.spread_before,
        factor=first.factor * last.factor,
        offset=first.offset * last.factor + last.offset,
    )


def check_regulates(
    network: SpikingNetwork, noise: InputNoise, rule: Homeostasis, oscillation: SlowOscillation
) -> None:
    """Refuse what cannot be regulated."""
    kinds = (
        ("network", network, SpikingNetwork),
        ("noise", noise, InputNoise),
        ("rule", rule, Homeostasis),
        ("oscillation", oscillation, SlowOscillation),
    )
    for name, value, kind in kinds:
        if not isinstance(value, kind):
            raise SettingsError(f"The {name} is {value!r:.60}.", expected=f"an object of {kind.__name__}")
    if not network.real_valued:
        raise UnsupportedError(
            "The weights of the network are in the arithmetic of a chip.",
            expected="a network that convert made",
            hint="regulate it first, and map it to the chip then",
        )
    if len(network.inputs) != 1:
        raise SettingsError(f"The network has {len(network.inputs)} input populations.", expected="one")
    if noise.mean.numel() != network.inputs[0].size:
        raise DataError(
            f"The noise has {noise.mean.numel()} values, the network {network.inputs[0].size} inputs.",
            expected="one value for each input",
        )


def _chosen(engine: str | None, network: SpikingNetwork, device: str) -> Engine:
    if engine is not None:
        named = get_engine(engine)
        named.check_homeostasis()
        return named
    return fastest_engine(network, device, batch=True)


class FrameStepper:
    """Steps networks through up states and counts the spikes of the two halves of their counted steps."""

    def __init__(
        self,
        noise: InputNoise,
        oscillation: SlowOscillation,
        engine: Engine,
        device: str,
        seed: int,
        task: int,
        watched: UpStates | None = None,
    ) -> None:
        self._noise, self._oscillation, self._device = noise, oscillation, device
        self._engine, self._key, self._watched = engine, (seed, task), watched
        self.rates: dict[str, Tensor] = {}

    def halves(self, network: SpikingNetwork, drives: tuple[PopulationDrive, ...], start: int, frames: int) -> Halves:
        """Spikes a step of all that the ``drives`` come from, over frames ``start`` to ``start + frames``."""
        wanted = {source for drive in drives for source in drive.sources}
        below, (seed, task) = _below(network, wanted), self._key
        blocks = []
        names = ", ".join(drive.name for drive in drives)
        for low in range(start, start + frames, _BLOCK):
            sent = self._noise.frames(min(_BLOCK, start + frames - low), seed=seed, task=task, start=low)
            held = sent.flatten(1).to(device=self._device, dtype=network.dtype)

            def piece(first: int, last: int, held: Tensor = held) -> Halves:
                return self._block(below, wanted, held[first:last])

            blocks += in_pieces(len(held), piece)
            if self._watched is not None:
                # In a session of its own: sums of graded inputs would be rounded otherwise if taken step by step.
                self._watched.watch(self._engine.start_batch(network, len(held), device=self._device), held)
            tell_progress(f"homeostasis of {names}, frames", low + len(held), self._oscillation.frames)
        first, second = ({name: torch.cat([block[k][name] for block in blocks]) for name in wanted} for k in (0, 1))
        h1, h2 = self._oscillation.halves
        for name in wanted:
            mean = (first[name].double().mean(0) * h1 + second[name].double().mean(0) * h2) / (h1 + h2)
            self.rates[name] = mean.cpu()
        return first, second

    def _block(self, network: SpikingNetwork, wanted: set[str], sent: Tensor) -> Halves:
        (source,) = network.inputs
        if len(network.populations) == 1:
            return {source.name: sent}, {source.name: sent}
        session = self._engine.start_batch(network, len(sent), device=self._device)
        counts = []
        for steps in (self._oscillation.settle, *self._oscillation.halves):
            if steps:
                session.advance(ConstantInput(sent, steps))
            counts.append(session.totals())
        before, middle, after = counts
        h1, h2 = self._oscillation.halves
        first = {name: (middle[name] - before[name]) / h1 for name in wanted}
        second = {name: (after[name] - middle[name]) / h2 for name in wanted}
        return first, second


def _below(network: SpikingNetwork, wanted: set[str]) -> SpikingNetwork:
    """The part of the network that decides what the ``wanted`` populations send."""
    needed = {network.inputs[0].name}
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [network.projections[k].source for k in network.incoming(name)]
    if len(needed) == len(network.populations):
        return network
    return SpikingNetwork(
        tuple(population for population in network.populations if population.name in needed),
        tuple(projection for projection in network.projections if projection.target in needed),
        network.dt,
        network.discretisation,
    )
