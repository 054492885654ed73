"""Relays that only move or scale values, which NIR has no node for, folded into what reads them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neurosleep.spiking import (
    Conv,
    Dense,
    Identity,
    Population,
    Projection,
    Reshape,
    SpikingNetwork,
    Transposed,
)
from neurosleep.spiking.geometry import propagate
from neurosleep.spiking.projections import Weighted

__all__ = ["Layout", "without_moves"]


@dataclass(frozen=True)
class Layout:
    """In which order an input is given to a graph: ``x.transpose(axes).reshape(after)`` of what a network takes."""

    before: tuple[int, ...]
    axes: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def words(self) -> str:
        """What a user does with an image."""
        turned = tuple(self.before[axis] for axis in self.axes)
        call = "" if self.axes == tuple(range(len(self.axes))) else f".transpose{self.axes}"
        call += "" if turned == self.after else f".reshape{self.after}"
        return (
            f"The input of the NIR graph is channels first, {list(self.after)}: image{call} of the images "
            f"{list(self.before)} that the network took."
        )


@dataclass(frozen=True, eq=False)
class _Map:
    """What a relay sends, of what ``root`` sends: ``factor * x[index] + shift``; where ``index`` is -1, ``shift``."""

    root: str
    index: Tensor
    factor: Tensor
    shift: Tensor

    @property
    def single(self) -> float | None:
        """The factor, where it is one number."""
        factors = self.factor[self.index >= 0]
        return float(factors[0]) if len(factors) and bool((factors == factors[0]).all()) else None


def without_moves(network: SpikingNetwork) -> tuple[SpikingNetwork, dict[str, Layout]] | None:
    """The network without relays that only move and scale values, and the layouts of inputs that it takes otherwise.

    A permutation before a matrix is in the columns of the matrix, one of the input in its layout; factors and shifts
    of channels are in the weights and biases after them, or, before a convolution that pads, which pads with zeros
    after the shift, in a convolution of kernel 1. None where there is nothing to fold.
    """
    folding = _Folding(network)
    return (folding.network(), folding.layouts) if folding.run() else None


class _Folding:
    def __init__(self, network: SpikingNetwork) -> None:
        self._given = network
        self._populations = {p.name: p for p in network.populations}
        self._projections = list(network.projections)
        self._outputs = {p.name for p in network.populations} - {q.source for q in network.projections}
        self._maps: dict[str, _Map] = {}
        self.layouts: dict[str, Layout] = {}

    def run(self) -> bool:
        """Fold; whether anything was."""
        if any(isinstance(q, Transposed) for q in self._projections):  # it names the matrix that it is of
            return False
        for name in self._given.order:
            self._map(name)
        folded = [self._into_matrix(k) for k in range(len(self._projections))]
        self._prune()
        turned = [self._turn(p) for p in self._given.inputs]
        self._prune()
        return any([*folded, *turned])

    def network(self) -> SpikingNetwork:
        """What is left."""
        populations, given = tuple(self._populations.values()), self._given
        return SpikingNetwork(populations, tuple(self._projections), dt=given.dt, discretisation=given.discretisation)

    # --- what relays send ---

    def _map(self, name: str) -> None:
        p, incoming = self._populations[name], [q for q in self._projections if q.target == name]
        if p.kind != "relay" or len(incoming) != 1:
            return
        (q,) = incoming
        if q.delay or not isinstance(q, Conv | Dense | Identity | Reshape):
            return
        source = self._populations[q.source]
        before = self._maps.get(q.source)
        if before is None:
            numbers = torch.arange(source.size)
            before = _Map(q.source, numbers, torch.ones(source.size).double(), torch.zeros(source.size).double())
        weight = q.weight.double() if isinstance(q, Weighted) else None
        used = None if weight is None else (weight != 0).double()
        ones = torch.ones(1, source.size, dtype=torch.float64)
        count = propagate(q, ones, source.shape, used)[0]
        if bool((count > 1).any()):
            return
        rows = propagate(q, torch.cumsum(ones, 1), source.shape, used)[0].long() - 1
        factor = propagate(q, ones, source.shape, weight)[0] * q.scale
        index = torch.where(rows >= 0, before.index[rows], -1)
        shift = factor * before.shift[rows] + torch.as_tensor(p.bias).double()
        self._maps[name] = _Map(before.root, index, torch.where(index >= 0, factor * before.factor[rows], 0.0), shift)

    # --- matrices ---

    def _into_matrix(self, k: int) -> bool:
        q = self._projections[k]
        if not isinstance(q, Dense) or q.source not in self._maps or q.target in self._maps:
            return False
        moved = self._maps[q.source]
        if q.delay and moved.shift.any():
            return False
        used, scale = moved.index >= 0, q.scale if moved.single is None else q.scale * moved.single
        columns = q.weight.double()[:, used] * (moved.factor[used] if moved.single is None else 1.0)
        weight = torch.zeros(len(q.weight), self._populations[moved.root].size, dtype=torch.float64)
        weight.index_add_(1, moved.index[used], columns)
        self._projections[k] = dataclasses.replace(q, source=moved.root, weight=weight.to(q.weight.dtype), scale=scale)
        self._shift(q.target, q.scale * (q.weight.double() @ moved.shift))
        return True

    def _shift(self, name: str, bias: Tensor) -> None:
        if bias.any():
            p = self._populations[name]
            total = torch.as_tensor(p.bias).double() + bias
            self._populations[name] = dataclasses.replace(p, bias=total.to(self._given.dtype))

    def _prune(self) -> None:
        """Take out relays that nothing reads any more."""
        while (
            unread := set(self._maps) & set(self._populations) - {q.source for q in self._projections} - self._outputs
        ):
            self._populations = {name: p for name, p in self._populations.items() if name not in unread}
            self._projections = [q for q in self._projections if q.target not in unread]

    # --- the layout of an input ---

    def _turn(self, p: Population) -> bool:
        """Let what is made of an input be the input; False where its readers do not all take it in one order."""
        mapped = {name for name, made in self._maps.items() if made.root == p.name}
        readers = [k for k, q in enumerate(self._projections) if q.source in mapped and q.target not in mapped]
        others = [k for k, q in enumerate(self._projections) if q.source == p.name and q.target not in mapped]
        ends = list(dict.fromkeys(self._projections[k].source for k in readers))
        if not ends or mapped & self._outputs or not all(type(self._projections[k]) is Dense for k in others):
            return False
        index, after = self._maps[ends[0]].index, self._populations[ends[0]].shape
        layout = _layout(p.shape, index, after)
        for name in ends:
            if not torch.equal(self._maps[name].index, index) or self._populations[name].shape != after:
                return False
        made = [self._reading(k, p.name) for k in readers]
        if layout is None or None in made:
            return False
        if layout.axes != tuple(range(len(layout.axes))) or layout.before != layout.after:
            self.layouts[p.name] = layout
        self._populations[p.name] = dataclasses.replace(p, shape=after)
        for k in others:
            q = self._projections[k]
            assert isinstance(q, Dense)
            self._projections[k] = dataclasses.replace(q, weight=q.weight[:, index])
        alone: dict[str, Conv] = {}
        for k, reading in zip(readers, made, strict=True):
            q = self._projections[k]
            if isinstance(reading, Conv) and reading.target == q.source:
                alone[q.source] = reading
                continue
            assert reading is not None
            self._shift(q.target, self._arriving(q))
            self._projections[k] = reading
        for name, conv in alone.items():
            shift = self._maps[name].shift.to(self._given.dtype)
            self._populations[name] = dataclasses.replace(self._populations[name], bias=shift)
            self._projections = [q for q in self._projections if q.target != name] + [conv]
        return True

    def _reading(self, k: int, root: str) -> Projection | None:
        """Projection k from the input, or a convolution of kernel 1 in the place of the relays before it."""
        q = self._projections[k]
        moved, shape = self._maps[q.source], self._populations[q.source].shape
        if moved.single is not None and not moved.shift.any():
            return dataclasses.replace(q, source=root, scale=q.scale * moved.single)
        factor, shift = (value.reshape(shape[0], -1) for value in (moved.factor, moved.shift))
        if not bool((factor == factor[:, :1]).all()):
            return None
        channels = factor[:, 0]
        arriving = self._arriving(q).reshape(self._populations[q.target].shape[0], -1)
        if isinstance(q, Conv) and not q.delay and bool((arriving == arriving[:, :1]).all()):
            groups = channels.reshape(q.groups, 1, -1).expand(-1, len(q.weight) // q.groups, -1)
            by_input = groups.reshape(len(q.weight), -1, *(1,) * len(q.kernel))
            return dataclasses.replace(q, source=root, weight=(q.weight.double() * by_input).to(q.weight.dtype))
        if len(shape) not in (2, 3) or not bool((shift == shift[:, :1]).all()):
            return None
        weight = channels.to(self._given.dtype).reshape(-1, *(1,) * len(shape))
        return Conv(root, q.source, weight, groups=shape[0])

    def _arriving(self, q: Projection) -> Tensor:
        """What the shift of a relay makes of projection ``q`` from it."""
        weight = q.weight.double() if isinstance(q, Weighted) else None
        shift = self._maps[q.source].shift
        return q.scale * propagate(q, shift[None], self._populations[q.source].shape, weight)[0]


def _layout(before: tuple[int, ...], index: Tensor, after: tuple[int, ...]) -> Layout | None:
    """The order of axes that puts value ``index[i]`` in place i; one that also gives the shape, where there is."""
    numbers = torch.arange(math.prod(before)).reshape(before)
    orders = [
        axes
        for axes in itertools.permutations(range(len(before)))
        if torch.equal(numbers.permute(axes).reshape(-1), index)
    ]
    orders.sort(key=lambda axes: tuple(before[axis] for axis in axes) != after)
    return Layout(before, orders[0], after) if orders else None
