"""Homeostatic sleep in a chip's integers: drives measured there, and what changes in its registers or weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from neurosleep._checks import check_unread
from neurosleep.conversion import ConvertedNetwork, wake
from neurosleep.errors import UnsupportedError
from neurosleep.functional import (
    Homeostasis,
    HomeostaticChange,
    InputNoise,
    SlowOscillation,
    check_seed,
    torch_generator,
)
from neurosleep.hardware.arithmetic.chip_arithmetic import float64, largest_bias, largest_threshold, whole_bias
from neurosleep.hardware.mapping.from_chip import from_chip
from neurosleep.hardware.mapping.map_network import map_to
from neurosleep.hardware.profiles.homeostatic_ways import WayName, chosen_way
from neurosleep.hardware.profiles.load import load_profile
from neurosleep.replay import RegulatedLayer, RegulatedLayers, SpikingRegulation, StageOutcome
from neurosleep.replay.regulated_layers import regulated
from neurosleep.replay.spiking_drives import PopulationDrive, changed_network, population_drives
from neurosleep.replay.spiking_homeostasis import FrameStepper, check_regulates
from neurosleep.spiking import Dense, Population, SpikingNetwork, get_engine

if TYPE_CHECKING:
    from neurosleep.hardware.arithmetic.rounding import Rounding
    from neurosleep.hardware.mapping.mapped import MappedNetwork, MappedSynapses
    from neurosleep.hardware.profiles.profile import HardwareProfile

__all__ = ["ChipRegulation", "regulate_on_chip"]

N = TypeVar("N", bound=SpikingNetwork)


@dataclass(frozen=True, eq=False, repr=False)
class ChipRegulation(RegulatedLayers):
    """The outcome of :func:`regulate_on_chip`.

    Attributes
    ----------
    layers:
        What each population did, in units of the weights of the model; ``factor`` and ``offset`` are what the chip
        reached with its bits, ``mean_after`` and ``spread_after`` what they should have given.
    mapped:
        The network on the chip after sleep.
    network:
        The network as the host has it then: its own weights, and what changed in those of the chip.
    way:
        ``registers`` or ``weights``.
    limited:
        By population, how many thresholds, biases and weights met the end of their register.
    rates:
        By population, its mean firing rate in the up states, in Hz, float64 ``[n]``.
    steps:
        Of all up and down states.

    See Also
    --------
    regulate_on_chip : which makes it

    Examples
    --------
    >>> import neurosleep as ns
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False))
    >>> noise = InputNoise([0.5] * 4)
    >>> network = ns.convert(model, noise.frames(100, seed=0), read_out="spikes")
    >>> done = regulate_on_chip(network, noise, "generic_int8", oscillation=SlowOscillation(frames=100))
    >>> done.way, [layer.name for layer in done.layers]
    ('registers', ['hidden1', 'output'])
    """

    mapped: MappedNetwork
    network: SpikingNetwork
    way: WayName
    limited: Mapping[str, int]
    rates: Mapping[str, Tensor]
    steps: int
    #: Chips are not watched spike by spike.
    recording: ClassVar[None] = None

    @property
    def stages(self) -> tuple[StageOutcome, ...]:
        """The one stage that this is, as :class:`~neurosleep.replay.Consolidation` has them."""
        return (StageOutcome("NREM", "spikes", RegulatedLayers(self.layers), steps=self.steps),)

    def woken(self, model: nn.Module) -> nn.Module:
        """A copy of ``model``, from which the network was converted, with what the host reads from the chip.

        Registers become factors of rows and, where the model has them, biases; without biases the host moves the mean
        along the mean input.
        """
        if self.way == "weights":
            return wake(self.network, model)
        return SpikingRegulation(self.layers, self.network, self.rates, "fixed").woken(model)


@torch.no_grad()
def regulate_on_chip(
    network: ConvertedNetwork,
    noise: InputNoise,
    profile: HardwareProfile | str,
    rule: Homeostasis | None = None,
    *,
    oscillation: SlowOscillation | None = None,
    way: WayName | None = None,
    seed: int = 0,
    task: int = 0,
) -> ChipRegulation:
    r"""Homeostatic sleep of a network that is mapped to a chip, in the chip's arithmetic.

    The mapped network is stepped by the engine ``fixed`` in up states of noise; the drive of a unit is the sum of the
    integer weights that spikes bring to it. Then, with r and offset of the rule, either its registers change,

    .. math:: \theta \leftarrow round(\theta / r), \qquad b \leftarrow round(b + S\, offset / r),

    in multiples and to the ends of what they hold, or its row of weights is written anew, on the grid of weights; where
    a new row does not fit, all rows and thresholds of the population are made smaller.

    Parameters
    ----------
    network:
        As :func:`~neurosleep.convert` makes it, of fully connected layers, with ``read_out="spikes"``; with a reset
        that the chip has.
    noise:
        Of inputs within 0..1: a chip is sent spikes.
    profile:
        The chip; its name, file or profile.
    rule, oscillation:
        As of :func:`~neurosleep.replay.regulate_spikes`. In registers the mean is moved by the bias.
    way:
        ``registers`` or ``weights``. None: the first that the chip has (:func:`homeostatic_ways`).
    seed, task:
        Of the noise, and of stochastic rounding.

    Raises
    ------
    UnsupportedError
        If the chip lacks the registers, by name, or has no integer arithmetic that is emulated here.
    MappingError
        If the network does not fit the chip.

    See Also
    --------
    neurosleep.replay.regulate_spikes : the same in real numbers
    homeostatic_ways : which chips can

    Examples
    --------
    >>> import neurosleep as ns
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False))
    >>> noise = InputNoise([0.5] * 4)
    >>> network = ns.convert(model, noise.frames(100, seed=0), read_out="spikes")
    >>> done = regulate_on_chip(network, noise, "generic_int8", oscillation=SlowOscillation(frames=100))
    >>> bool(done.mapped.weights[0].equal(ns.map_to(network, "generic_int8").weights[0]))  # registers changed instead
    True
    """
    loaded = load_profile(profile) if isinstance(profile, str) else profile
    rule = Homeostasis() if rule is None else rule
    oscillation = SlowOscillation() if oscillation is None else oscillation
    check_regulates(network, noise, rule, oscillation)
    check_seed(seed)
    check_unread("Homeostasis on a chip", {"target": (rule.target, "layer")}, "target='layer', measured each time")
    chosen = chosen_way(loaded, way)
    _check_network(network, noise, loaded, chosen)
    mapped = map_to(network, loaded)
    if mapped.arithmetic is None or not mapped.synapses or None in mapped.synapses:
        raise UnsupportedError(
            f"Homeostasis in the arithmetic of {loaded.id!r} is not emulated.",
            found="potentials in real numbers, or weights without one scale a population",
            expected="a chip of integers with one grid of weights for each population",
            hint="neurosleep.replay.regulate_spikes, and map_to afterwards",
        )
    stepper = FrameStepper(noise, oscillation, get_engine("fixed"), "cpu", seed, task)
    work = _Chip(loaded, network.to(torch.float64), mapped, chosen, seed)
    layers = []
    for drive in population_drives(work.host, rule.layers):
        halves = stepper.halves(_below(work.mapped, drive), (drive,), 0, oscillation.frames)
        layers.append(work.regulate(drive, halves, rule))
    rates = {name: rate / network.dt for name, rate in stepper.rates.items()}
    steps = oscillation.steps * len(layers)
    return ChipRegulation(tuple(layers), work.mapped, work.host.to(network.dtype), chosen, work.limited, rates, steps)


def _check_network(network: SpikingNetwork, noise: InputNoise, profile: HardwareProfile, way: WayName) -> None:
    if noise.spread is not None:
        raise UnsupportedError(
            "The noise is normal, and a chip is sent spikes.",
            found="noise with a spread",
            expected="inputs within 0..1: InputNoise(mean) without a spread",
        )
    for p in network.layers:
        if p.kind not in ("lif", "cuba_lif"):
            raise UnsupportedError(
                f"Population {p.name!r} does not fire, and has no threshold that could change.",
                found=f"kind {p.kind!r}",
                expected="neurons",
                hint="convert(..., read_out='spikes')",
            )
        if way == "weights" and bool(float64(p.bias).any()):
            raise UnsupportedError(
                f"Population {p.name!r} has biases, which rewritten weights leave behind.",
                found="biases",
                expected="a network without biases, or way='registers'",
                hint=f"neurosleep profiles {profile.id} shows which registers there are",
            )
    for q in network.projections:
        if not isinstance(q, Dense):
            raise UnsupportedError(
                f"Projection {q.source!r} -> {q.target!r}: homeostasis on a chip changes fully connected layers.",
                found=f"kind {q.kind!r}",
                expected="a matrix of weights",
                hint="neurosleep.replay.regulate_spikes, and map_to afterwards",
            )


def _below(mapped: MappedNetwork, drive: PopulationDrive) -> MappedNetwork:
    """The part of a chain that decides what the sources of the drive send."""
    names = [p.name for p in mapped.populations]
    needed = set(names[: max(map(names.index, drive.sources)) + 1])
    return dataclasses.replace(
        mapped,
        populations=tuple(p for p in mapped.populations if p.name in needed),
        projections=tuple(q for q in mapped.projections if q.target in needed),
        synapses=(),
    )


class _Chip:
    """The network on the chip and as the host has it, of which one population after another changes."""

    def __init__(
        self, profile: HardwareProfile, host: SpikingNetwork, mapped: MappedNetwork, way: WayName, seed: int
    ) -> None:
        self._profile, self._way, self._seed = profile, way, seed
        self.host, self.mapped = host, mapped
        self.limited: dict[str, int] = {}

    def _stands_for(self, drive: PopulationDrive) -> tuple[int, MappedSynapses]:
        (k,) = drive.own
        stands_for = self.mapped.synapses[k]
        assert stands_for is not None  # regulate_on_chip checks it
        return k, stands_for

    def _as_measured(self, drive: PopulationDrive) -> SpikingNetwork:
        """The host's network with the weights and the bias that the chip has for the units of ``drive``."""
        network = from_chip(self.mapped, self.host)
        if self._way == "weights":
            return network
        _, stands_for = self._stands_for(drive)
        population = self.mapped.population(drive.name)
        bias = float64(population.bias).expand(population.size) / stands_for.scale
        return _with(network, dataclasses.replace(network.population(drive.name), bias=bias))

    def regulate(
        self, drive: PopulationDrive, halves: tuple[dict[str, Tensor], dict[str, Tensor]], rule: Homeostasis
    ) -> RegulatedLayer:
        """Measure one population, change it on the chip, and read what became of it."""
        seen = self._as_measured(drive)
        first, second = ({name: sent.double() for name, sent in half.items()} for half in halves)
        halves = first, second
        mean_by = "bias" if self._way == "registers" else rule.mean_by
        moments, shift, along = drive.moments(seen, halves, mean_by)
        layer, change = regulated(drive.name, moments, shift, rule, {}, output=drive.output, mean_input=along)
        if self._way == "weights":
            self._write_rows(drive, changed_network(seen, drive, change, along))
            return layer
        factor, offset = self._write_registers(drive, change)
        moved = None
        if not drive.has_bias(self.host):
            rates = {name: (halves[0][name] + halves[1][name]) / 2 for name in drive.sources}
            moved = drive.mean_input(seen, rates)
        return dataclasses.replace(layer, factor=factor, offset=offset, mean_input=moved)

    def _write_registers(self, drive: PopulationDrive, change: HomeostaticChange) -> tuple[Tensor, Tensor]:
        """New thresholds and biases; the factor and offset that they come to."""
        _, stands_for = self._stands_for(drive)
        profile, p = self._profile, self.mapped.population(drive.name)
        step = 1 << (profile.threshold.shift_bits or 0)
        old, bias = float64(p.threshold).expand(p.size), float64(p.bias).expand(p.size)
        wanted = torch.round(old / change.factor / step) * step
        threshold = wanted.clamp(step, largest_threshold(profile) // step * step)
        level = bias + stands_for.scale * change.offset / drive.scale / change.factor
        most = largest_bias(profile)
        moved = torch.where(change.offset == 0, bias, whole_bias(profile, level.clamp(-most, most)))
        self.limited[drive.name] = int((threshold != wanted).sum() + (level.abs() > most).sum())
        amount = None if p.amount is None else threshold
        new = dataclasses.replace(p, threshold=threshold, bias=moved, amount=amount)
        self.mapped = _with(self.mapped, new)
        factor = old / threshold
        return factor, (moved - bias) * factor * drive.scale / stands_for.scale

    def _write_rows(self, drive: PopulationDrive, wanted: SpikingNetwork) -> None:
        """New weights on the grid; where they do not fit, all of the population becomes smaller, thresholds too."""
        k, stands_for = self._stands_for(drive)
        (target,) = [q.weight for n, q in enumerate(wanted.projections) if n == k and isinstance(q, Dense)]
        q, p, grid = self.mapped.projections[k], self.mapped.population(drive.name), stands_for.grid
        assert isinstance(q, Dense)
        per_weight = stands_for.scale * stands_for.alpha / stands_for.unit
        smaller = min(1.0, grid.largest_scale(target) / per_weight)
        rounding: Rounding = self._profile.weights.rounding  # type: ignore[assignment]
        placed = grid.place(target, per_weight * smaller, rounding, torch_generator(self._seed, "homeostasis", k))
        self.limited[drive.name] = placed.saturated
        step = 1 << (self._profile.threshold.shift_bits or 0)
        threshold = (torch.round(float64(p.threshold) * smaller / step) * step).clamp_min(step)
        amount = None if p.amount is None else torch.round(float64(p.amount) * smaller)
        before = stands_for.weights(q.weight)
        projections, synapses = list(self.mapped.projections), list(self.mapped.synapses)
        projections[k] = dataclasses.replace(q, weight=placed.mantissas * stands_for.unit)
        placed_here = dataclasses.replace(stands_for, scale=stands_for.scale * smaller)
        synapses[k] = placed_here
        self.mapped = dataclasses.replace(
            _with(self.mapped, dataclasses.replace(p, threshold=threshold, amount=amount)),
            projections=tuple(projections),
            synapses=tuple(synapses),
        )
        after = placed_here.weights(placed.mantissas * stands_for.unit)
        weights = list(self.host.weights)
        place = [n for n, one in enumerate(self.host.projections) if isinstance(one, Dense)].index(k)
        weights[place] = weights[place] + (after - before)
        self.host = self.host.with_weights(weights)


def _with(network: N, population: Population) -> N:
    others = tuple(population if p.name == population.name else p for p in network.populations)
    return dataclasses.replace(network, populations=others)
