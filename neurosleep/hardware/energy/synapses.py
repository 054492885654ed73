"""The synapses of a projection of any kind: how many a spike reaches, and what reaches a neuron."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import torch
from torch import Tensor

from neurosleep.errors import unknown_name
from neurosleep.spiking import Conv, Dense, Pool, SpikingNetwork, Transposed
from neurosleep.spiking.geometry import propagate

__all__ = ["ZEROS", "Synapses", "Zeros"]

Zeros = Literal["skip", "count"]
ZEROS: tuple[str, ...] = get_args(Zeros)


class Synapses:
    """Which neurons projection ``number`` joins.

    A pool joins each neuron to those whose window it lies in, ``identity`` and ``flatten`` each to one. Places that a
    convolution pads are no neurons, and send nothing.

    Parameters
    ----------
    network, number:
        The network, and the number of the projection in it; a transposed weight is the owner's.
    zeros:
        ``skip``: a weight of 0, or a scale of 0, is no synapse. ``count``: it is one like any other.
    """

    def __init__(self, network: SpikingNetwork, number: int, zeros: Zeros = "skip") -> None:
        if zeros not in ZEROS:
            raise unknown_name("way with zero weights", str(zeros), ZEROS)
        projection = network.projections[number]
        self.source, self.target = network.population(projection.source), network.population(projection.target)
        self.delay, self._zeros, self._scale = projection.delay, zeros, projection.scale
        self._there: Tensor | None = None
        match projection:
            case Dense() | Transposed():
                self._there = self._present(network.matrix(projection))
            case Conv():
                self._there = self._present(projection.weight)
            case Pool():  # an average would divide what is counted here
                projection = dataclasses.replace(projection, mode="sum")
        self._projection = projection

    def _present(self, weight: Tensor) -> Tensor:
        return torch.ones_like(weight, dtype=torch.float64) if self._zeros == "count" else (weight != 0).double()

    def arriving(self, x: Tensor) -> Tensor:
        """Sum over the synapses of each target neuron of ``x`` ``[batch, source]``: ``[batch, target]``."""
        if self._zeros == "skip" and self._scale == 0:
            return x.new_zeros(len(x), self.target.size)
        there = None if self._there is None else self._there.to(x.dtype)
        return propagate(self._projection, x, self.source.shape, there)

    @property
    def fan_out(self) -> Tensor:
        """Synapses that a spike of each source neuron reaches, float64 ``[source]``."""
        # What arrives is linear in what was sent: its slopes are the numbers of synapses.
        with torch.enable_grad():
            sent = torch.zeros(1, self.source.size, dtype=torch.float64, requires_grad=True)
            arrived = self.arriving(sent).sum()
            if not arrived.requires_grad:
                return torch.zeros(self.source.size, dtype=torch.float64)
            (slopes,) = torch.autograd.grad(arrived, sent)
        return slopes[0].round()
