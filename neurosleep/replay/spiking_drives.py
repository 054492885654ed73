"""The drives of the populations of a spiking network: the layers of units that homeostasis changes, in their order.

Everything is in units of the weights, as the model has them from which the network was converted: what a population
sends counts ``unit`` times its rate, and its summed input ``scale`` times the current of a step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from neurosleep.errors import UnsupportedError, unknown_name
from neurosleep.functional import DriveMoments, HomeostaticChange, MeanBy, Parts, Shift, has_mean, homeostatic_rows
from neurosleep.spiking import Conv, Dense, SpikingNetwork
from neurosleep.spiking.geometry import propagate

__all__ = ["PopulationDrive", "changed_network", "population_drives"]


@dataclass(frozen=True, eq=False)
class PopulationDrive:
    """The summed input of one population.

    Attributes
    ----------
    name, shape:
        Of the population.
    own, rest:
        Numbers of the projections whose weights change, and of the others that end here.
    scale, units_sent:
        What the current of a step counts, and by source what a spike a step counts.
    convolves:
        Whether a unit is a channel.
    output:
        Whether the network is read by it.
    """

    name: str
    shape: tuple[int, ...]
    own: tuple[int, ...]
    rest: tuple[int, ...]
    scale: float
    units_sent: Mapping[str, float]
    convolves: bool
    output: bool

    def units(self, network: SpikingNetwork) -> int:
        """Number of units, or of channels."""
        return len(_changing(network, self.own[0]).weight)

    @property
    def sources(self) -> tuple[str, ...]:
        """The populations whose rates make the drive."""
        return tuple(self.units_sent)

    def has_bias(self, network: SpikingNetwork) -> bool:
        """Whether the units have a bias."""
        bias = network.population(self.name).bias
        return isinstance(bias, Tensor) or bias != 0

    def mean_input(self, network: SpikingNetwork, rates: Mapping[str, Tensor]) -> Tensor | None:
        """Mean of what each row of the first weight is multiplied with, or None if the inputs have no mean to speak of.

        ``rates`` are spikes a step, ``[frames, n]`` by source.
        """
        projection = _changing(network, self.own[0])
        sent = rates[projection.source] * self.units_sent[projection.source]
        if isinstance(projection, Dense):
            patch, size = sent.mean(0, keepdim=True), sent.square().mean(0, keepdim=True)
        else:
            shape = network.population(projection.source).shape
            patch, size = (
                _mean_patch(projection, values.mean(0, keepdim=True), shape) for values in (sent, sent.square())
            )
        power = patch.double().flatten(1).square().sum(1)
        return patch if has_mean(power, size.double().flatten(1).sum(1), len(sent)) else None

    def parts(self, network: SpikingNetwork, rates: Mapping[str, Tensor], mean_input: Tensor | None) -> Parts:
        """What makes the drives, one row a frame (and position), from ``rates`` ``[frames, n]`` by source."""
        population = network.population(self.name)
        bias = torch.as_tensor(population.bias, dtype=network.dtype)
        frames = len(next(iter(rates.values())))
        own = (bias.to(next(iter(rates.values())).device) * self.scale).expand(frames, population.size)
        for k in self.own:
            own = own + self._arriving(network, k, rates)
        rest: Tensor | None = None
        for k in self.rest:
            arriving = self._arriving(network, k, rates)
            rest = arriving if rest is None else rest + arriving
        along = None
        if mean_input is not None:
            along = self._along(network, rates, mean_input)
        return self._rows(own), along, None if rest is None else self._rows(rest)

    def _arriving(
        self, network: SpikingNetwork, k: int, rates: Mapping[str, Tensor], weight: Tensor | None = None
    ) -> Tensor:
        """What arrives through projection ``k``, with another weight than its own if one is given."""
        projection = network.projections[k]
        source, shape = rates[projection.source], network.population(projection.source).shape
        if weight is None and isinstance(projection, Dense | Conv):
            weight = projection.weight
        moved = None if weight is None else weight.to(source.device)
        return projection.scale * self.scale * propagate(projection, source, shape, moved)

    def _along(self, network: SpikingNetwork, rates: Mapping[str, Tensor], mean_input: Tensor) -> Tensor:
        projection = _changing(network, self.own[0])
        if isinstance(projection, Dense):
            return self._arriving(network, self.own[0], rates, mean_input)
        groups = projection.groups
        channels = self.shape[0]
        kernels = mean_input if groups == 1 else mean_input[:: channels // groups]
        made = self._arriving(network, self.own[0], rates, kernels)
        rows = made.reshape(len(made), groups, -1).movedim(1, -1).reshape(-1, groups)
        return rows if groups == 1 else rows.repeat_interleave(channels // groups, 1)

    def _rows(self, drives: Tensor) -> Tensor:
        if not self.convolves:
            return drives
        return drives.reshape(len(drives), self.shape[0], -1).movedim(1, -1).reshape(-1, self.shape[0])

    def moments(
        self, network: SpikingNetwork, halves: tuple[Mapping[str, Tensor], Mapping[str, Tensor]], mean_by: MeanBy
    ) -> tuple[DriveMoments, Shift, Tensor | None]:
        """Mean and covariance of what makes the drives, what moves their mean, and along what."""
        shift: Shift = "bias" if self.has_bias(network) else "none"
        mean_input = None
        if shift == "none" or mean_by == "weights":
            rates = {name: (halves[0][name] + halves[1][name]) / 2 for name in self.sources}
            mean_input = self.mean_input(network, rates)
            shift = shift if mean_input is None else "weights"
        first, second = (self.parts(network, half, mean_input) for half in halves)
        return DriveMoments.of_halves(first, second), shift, mean_input


def _changing(network: SpikingNetwork, number: int) -> Dense | Conv:
    projection = network.projections[number]
    if isinstance(projection, Dense | Conv):
        return projection
    raise TypeError(f"projection {number} has no weight that changes")


def _mean_patch(projection: Conv, mean: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The mean patch of a convolution, padding included, as the gradient of its mean output."""
    weight, groups = projection.weight, projection.groups
    with torch.enable_grad():
        kernel = torch.zeros_like(weight[:groups]).to(mean).requires_grad_()
        made = propagate(projection, mean, shape, kernel).reshape(groups, -1)
        (patch,) = torch.autograd.grad(made.mean(1).sum(), kernel)
    return patch.repeat_interleave(len(weight) // groups, 0) if groups > 1 else patch


def population_drives(network: SpikingNetwork, layers: tuple[str, ...] | None) -> tuple[PopulationDrive, ...]:
    """The drives of all populations with weights that may change, in topological order.

    Raises
    ------
    UnsupportedError
        If the network has delays or shared weights, or a population that dense layers and convolutions end in.
    UnknownNameError
        If one of ``layers`` has no such weights.
    """
    drives: list[PopulationDrive] = []
    unit = {population.name: 1.0 for population in network.inputs}
    for population in network.layers:
        name, incoming = population.name, network.incoming(population.name)
        for k in incoming:
            projection = network.projections[k]
            if projection.delay:
                raise UnsupportedError(
                    f"Projection {projection.source!r} -> {projection.target!r} has a delay, or the weight of another.",
                    expected="a network without feedback, each weight in one place",
                )
        weighted = [k for k in incoming if isinstance(network.projections[k], Dense | Conv)]
        # Conversion makes no convolution plastic, as no synaptic rule can change a shared weight; this one can.
        own = tuple(k for k in weighted if network.projections[k].plastic or isinstance(network.projections[k], Conv))
        scale = 1.0
        if first := [network.projections[k] for k in (*own, *weighted, *incoming) if network.projections[k].scale]:
            scale = unit[first[0].source] / first[0].scale
        fires = population.kind in ("lif", "cuba_lif")
        unit[name] = scale * (float(torch.as_tensor(population.threshold).mean()) or 1.0 if fires else 1.0)
        if not own or (layers is not None and name not in layers):
            continue
        convolves = isinstance(network.projections[own[0]], Conv)
        if any(isinstance(network.projections[k], Conv) != convolves for k in own):
            raise UnsupportedError(
                f"Dense layers and convolutions end in population {name!r} together.", expected="one of the two kinds"
            )
        sources = {network.projections[k].source: unit[network.projections[k].source] for k in incoming}
        rest = tuple(k for k in incoming if k not in own)
        last = name == network.last.name
        drives.append(PopulationDrive(name, population.shape, own, rest, scale, sources, convolves, last))
    for name in layers or ():
        if name not in {drive.name for drive in drives}:
            raise unknown_name("layer with weights that may change", name, [p.name for p in network.layers])
    return tuple(drives)


def changed_network(
    network: SpikingNetwork, drive: PopulationDrive, change: HomeostaticChange, mean_input: Tensor | None
) -> SpikingNetwork:
    """The network with the changed weights and biases of one population; ``mean_input`` where the weights move it."""
    here = HomeostaticChange(*(values.cpu() for values in change))
    projections, populations = list(network.projections), list(network.populations)
    for k in drive.own:
        projection = _changing(network, k)
        along = mean_input.cpu() if mean_input is not None and k == drive.own[0] else None
        projections[k] = dataclasses.replace(projection, weight=homeostatic_rows(projection.weight, here, along))
    place = [population.name for population in populations].index(drive.name)
    population = populations[place]
    if drive.has_bias(network):
        moved = here.offset / drive.scale if mean_input is None else torch.zeros_like(here.offset)
        factor, offset = (values.to(network.dtype) for values in (here.factor, moved))
        if drive.convolves:
            factor, offset = (v.repeat_interleave(population.size // drive.shape[0]) for v in (factor, offset))
        bias = torch.as_tensor(population.bias, dtype=network.dtype) * factor + offset
        populations[place] = dataclasses.replace(population, bias=bias)
    return dataclasses.replace(network, populations=tuple(populations), projections=tuple(projections))
