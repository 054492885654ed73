"""Networks of one architecture, their parameters one upon the other: what is computed for one is computed for all.

Tensors over time are ``[networks, steps, batch, n]``, states ``[networks, batch, n]``; the weights of a projection are
``[networks, post, pre]``, or ``[networks, out, in, ...]`` of a convolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.functional import LIFParams
from neurosleep.spiking.geometry import propagate
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.parts import Parameter, Population
from neurosleep.spiking.projections import Conv, Dense, Pool, Projection, Transposed, Weighted

__all__ = ["Stack", "check_alike"]

_CHOICES = ("name", "kind", "shape", "refractory", "compare", "reset", "while_refractory", "reset_time")
_GEOMETRY = ("kernel", "stride", "padding", "dilation", "groups", "mode", "plastic", "of")


def _form(network: SpikingNetwork) -> tuple[object, ...]:
    """All of a network but its numbers."""
    populations = [tuple(getattr(p, key) for key in _CHOICES) for p in network.populations]
    projections = [
        (type(q), q.source, q.target, q.delay, *(getattr(q, key, None) for key in _GEOMETRY))
        for q in network.projections
    ]
    return populations, projections, network.dtype, network.dt


def check_alike(networks: Sequence[SpikingNetwork]) -> None:
    """Refuse networks that cannot be stepped as one stack.

    Raises
    ------
    SettingsError
        If there are none, or one is built otherwise than the first.
    """
    if not networks:
        raise SettingsError("There are no networks to step.", expected="one network or more, of one architecture")
    first = _form(networks[0])
    for number, network in enumerate(networks):
        if _form(network) != first:
            raise SettingsError(
                f"Network {number} is built otherwise than network 0.",
                found=f"{network!r:.120}",
                expected="the same populations, projections, dt and type of numbers; weights, thresholds, decays, "
                "biases and scales may differ",
            )


class Stack:
    """The parameters of ``networks``, which are alike, on ``device``."""

    def __init__(self, networks: Sequence[SpikingNetwork], device: str) -> None:
        self.network, self.count = networks[0], len(networks)
        self.device, self.dtype = device, self.network.dtype
        self._networks = networks
        self.weights: dict[int, Tensor] = {
            k: torch.stack([_weight(network.projections[k]) for network in networks]).to(device)
            for k, q in enumerate(self.network.projections)
            if isinstance(q, Weighted)
        }
        for k, q in enumerate(self.network.projections):
            if isinstance(q, Transposed):
                # A view: whatever changes the one is seen by the other.
                self.weights[k] = self.weights[self.network.owner(k)].transpose(1, 2)
        self._scales = [
            self._number([network.projections[k].scale for network in networks])
            for k in range(len(self.network.projections))
        ]

    def _number(self, values: list[float]) -> float | Tensor:
        if len(set(values)) == 1:
            return values[0]
        return torch.tensor(values, dtype=self.dtype, device=self.device)[:, None, None, None]

    def parameter(self, place: int, of: Callable[[Population], Parameter]) -> Tensor:
        """A number of each neuron of population ``place``: a scalar, or ``[networks or 1, 1, n or 1]``."""
        values = [torch.as_tensor(of(network.populations[place]), dtype=self.dtype) for network in self._networks]
        if all(value.ndim == 0 and value == values[0] for value in values):
            return values[0].to(self.device)
        width = max(value.numel() for value in values)
        return torch.stack([value.reshape(1, -1).expand(1, width) for value in values]).to(self.device)

    def lif_params(self, place: int) -> LIFParams:
        """The parameters of population ``place``, for :func:`~neurosleep.functional.lif_step`."""
        chosen = self.network.populations[place]

        def of(key: str) -> Tensor:
            return self.parameter(place, lambda p: getattr(p, key))

        return LIFParams(
            threshold=of("threshold"),
            decay=of("decay"),
            leak=of("leak"),
            reset_value=of("reset_value"),
            amount=self.parameter(place, lambda p: p.threshold if p.amount is None else p.amount),
            refractory=torch.tensor(chosen.refractory, dtype=torch.int32, device=self.device),
            compare=chosen.compare,
            reset=chosen.reset,
            while_refractory=chosen.while_refractory,
            reset_time=chosen.reset_time,
        )

    def scaled(self, k: int, arriving: Tensor) -> Tensor:
        """``arriving``, of any shape that starts with the networks, times the scale of projection ``k``."""
        scale = self._scales[k]
        if isinstance(scale, Tensor):
            scale = scale.reshape(-1, *(1,) * (arriving.ndim - 1))
        return scale * arriving

    def arriving(self, k: int, source: Tensor) -> Tensor:
        """What ``source`` ``[networks, steps, batch, n]`` makes arrive through projection ``k``, scale included."""
        projection = self.network.projections[k]
        n, t, b, _ = source.shape
        values = source.to(self.dtype).reshape(n, t * b, -1)
        return self.scaled(k, self._propagated(projection, k, values).reshape(n, t, b, -1))

    def _propagated(self, projection: Projection, k: int, values: Tensor) -> Tensor:
        """Through projection ``k``: ``[networks, rows, pre]`` to ``[networks, rows, post]``."""
        if isinstance(projection, Dense | Transposed):
            return torch.bmm(values, self.weights[k].transpose(1, 2))
        shape = self.network.population(projection.source).shape
        if isinstance(projection, Conv) and self.count > 1:
            return self._convolved(projection, k, values, shape)
        weight = self.weights[k][0] if isinstance(projection, Conv) else None
        made = propagate(projection, values.flatten(0, 1), shape, weight)
        return made.reshape(*values.shape[:2], -1)

    def _convolved(self, q: Conv, k: int, values: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Many networks' convolutions as the groups of one."""
        count, rows, _ = values.shape
        channels, *grid = shape
        side_by_side = values.transpose(0, 1).reshape(rows, count * channels, *grid)
        convolve = F.conv2d if len(q.kernel) == 2 else F.conv1d
        weight = self.weights[k].flatten(0, 1)
        made = convolve(side_by_side, weight, None, q.stride, q.padding, q.dilation, count * q.groups)
        return made.reshape(rows, count, -1).transpose(0, 1)

    def numbers_per_step(self) -> int:
        """Numbers that a step of one sample takes while it is computed: what is sent and what arrives, and patches.

        A convolution may be computed by way of its patches, each as large as a kernel.
        """
        numbers = sum(2 * p.size for p in self.network.populations)
        for q in self.network.projections:
            size = self.network.population(q.target).size
            numbers += size * (1 + (math.prod(q.kernel) if isinstance(q, Conv | Pool) else 0))
        return numbers * self.count


def _weight(projection: Projection) -> Tensor:
    assert isinstance(projection, Weighted)
    return projection.weight.detach()
