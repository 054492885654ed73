"""Torch layers one after another, with another tool's neurons between them -> populations and projections."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from neurosleep.errors import ExchangeError, NeurosleepError
from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, Projection, SpikingNetwork
from neurosleep.spiking.geometry import output_shape
from neurosleep.spiking.parts import PopulationKind
from neurosleep.spiking.projections import Weighted

__all__ = ["LAYERS", "LayerChain"]

#: Layers that :class:`LayerChain` reads.
LAYERS = ("Linear", "Conv1d", "Conv2d", "AvgPool1d", "AvgPool2d", "Flatten", "Unflatten", "Dropout", "Identity")

_INPUT = "input"


@dataclass
class _Layer:
    """A projection to be, without its source and its target; ``shape`` is that of the population after it."""

    make: Callable[..., Projection]
    shape: tuple[int, ...]
    weight: Tensor | None = None
    bias: Tensor | None = None
    factor: float = 1.0

    def projection(self, source: str, target: str, scale: float = 1.0) -> Projection:
        weight = {} if self.weight is None else {"weight": self.weight}
        return self.make(source, target, scale=scale, **weight)


class LayerChain:
    """Grows layer by layer; what a layer computes goes into the neurons after it, or into a relay.

    Parameters
    ----------
    input_shape:
        Shape of the input of one step, without the batch. None: that of the first layer, if it says one.
    """

    def __init__(self, input_shape: Sequence[int] | None) -> None:
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self._shape: tuple[int, ...] | None = None  # as torch would see it
        self._pending: _Layer | None = None
        if input_shape is not None:
            self._begin(tuple(input_shape))

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights so far."""
        weights = [q.weight for q in self.projections if isinstance(q, Weighted)]
        if self._pending is not None and self._pending.weight is not None:
            weights.append(self._pending.weight)
        return weights[0].dtype if weights else torch.float32

    def _begin(self, shape: tuple[int, ...]) -> None:
        self.populations.append(Population(_INPUT, "input", shape))
        self._shape = shape

    def need_shape(self, where: str) -> tuple[int, ...]:
        """The shape of what comes to ``where``, without the batch; an error if it is not known."""
        if self._shape is None:
            raise ExchangeError(
                f"{where} comes first, and does not say the shape of its input.",
                expected="input_shape=(...), the shape of the input of one step without the batch",
            )
        return self._shape

    # --- layers ---

    def layer(self, where: str, module: nn.Module, leading: Sequence[int]) -> bool:
        """Take up one of :data:`LAYERS`; False if it is none of them. ``leading``: possible numbers of batch axes."""
        if isinstance(module, nn.Linear):
            self.dense(where, module.weight, module.bias)
        elif isinstance(module, nn.Conv1d | nn.Conv2d):
            self._conv(where, module)
        elif isinstance(module, nn.AvgPool1d | nn.AvgPool2d):
            self._pool(where, module)
        elif isinstance(module, nn.Flatten | nn.Unflatten):
            self._reshape(where, module, leading)
        elif isinstance(module, nn.modules.dropout._DropoutNd):
            if module.training and module.p > 0:
                raise ExchangeError(
                    f"{where} drops values at random, since it is in training mode.",
                    expected="a network in evaluation mode",
                    hint="call eval() on it first",
                )
        elif not isinstance(module, nn.Identity):
            return False
        return True

    def dense(self, where: str, weight: Tensor, bias: Tensor | None) -> None:
        """A matrix ``[post, pre]``, with a bias or without."""
        post, pre = weight.shape
        if self._shape is None:
            self._begin((pre,))
        if self._shape != (pre,):
            raise ExchangeError(
                f"{where} takes {pre} values, and what comes to it has the shape {self._shape}.",
                expected=f"({pre},)",
                hint="nn.Flatten before it, if the values are those of a map",
            )
        self._flush(where)
        self._pend(where, _Layer(Dense, (post,), weight, bias))

    def _conv(self, where: str, module: nn.Conv1d | nn.Conv2d) -> None:
        if module.padding_mode != "zeros" or module.padding == "same":
            raise ExchangeError(
                f"{where} pads with {module.padding_mode!r}, padding {module.padding!r}.",
                expected="zeros, and integers or 'valid'",
            )
        padding: Any = 0 if module.padding == "valid" else module.padding
        make = partial(Conv, stride=module.stride, padding=padding, dilation=module.dilation, groups=module.groups)
        self._map(where, _Layer(make, (), module.weight.detach(), module.bias))

    def _pool(self, where: str, module: nn.AvgPool1d | nn.AvgPool2d) -> None:
        axes = 1 if isinstance(module, nn.AvgPool1d) else 2

        def each(value: Any) -> tuple[int, ...]:
            return tuple(value) if isinstance(value, tuple | list) else (value,) * axes

        padding = each(module.padding)
        if module.ceil_mode or (any(padding) and not module.count_include_pad):
            raise ExchangeError(
                f"{where} averages over windows that stick out beyond the map, or leaves padded zeros out.",
                expected="ceil_mode=False, and count_include_pad=True where there is padding",
            )
        divisor = getattr(module, "divisor_override", None)
        stride = each(module.kernel_size if module.stride is None else module.stride)
        make = partial(Pool, kernel=each(module.kernel_size), stride=stride, padding=padding)
        if divisor is not None:
            make = partial(make, mode="sum")
        self._map(where, _Layer(make, (), factor=1.0 if divisor is None else 1 / divisor))

    def _map(self, where: str, layer: _Layer) -> None:
        shape = self.need_shape(where)
        self._flush(where, shape)
        try:
            window: Any = layer.projection(_INPUT, where)
            layer.shape = output_shape(window, shape)
        except NeurosleepError as error:
            raise ExchangeError(
                f"{where} does not fit what comes to it, of shape {shape}.", found=error.found, expected=error.expected
            ) from error
        if layer.bias is not None:
            layer.bias = layer.bias.detach().repeat_interleave(math.prod(layer.shape[1:]))
        self._pend(where, layer)

    def _reshape(self, where: str, module: nn.Flatten | nn.Unflatten, leading: Sequence[int]) -> None:
        shape = self.need_shape(where)
        axes = [*leading, *(-len(shape) for _ in leading)]
        if isinstance(module, nn.Flatten):
            last = (-1, module.start_dim + len(shape) - 1)
            if module.start_dim not in axes or module.end_dim not in last:
                raise ExchangeError(
                    f"{where} flattens the axes {module.start_dim} to {module.end_dim}.",
                    expected=f"all axes of the map and no others: nn.Flatten({leading[0]})",
                )
            self._shape = (math.prod(shape),)
            return
        size = module.unflattened_size
        if len(shape) != 1 or module.dim not in (*leading, -1) or any(not isinstance(n, int) for n in size):
            raise ExchangeError(
                f"{where} unflattens the axis {module.dim} of {shape} to {tuple(size)}.",
                expected="one axis of values, and integers",
            )
        wide = math.prod(n for n in size if n != -1)
        found = tuple(shape[0] // wide if n == -1 else n for n in size)
        if math.prod(found) != shape[0]:
            raise ExchangeError(f"{where} makes {found} of {shape[0]} values.", expected="as many values")
        self._shape = found

    # --- from layers to projections ---

    def _pend(self, where: str, layer: _Layer) -> None:
        if layer.weight is not None:
            before = [q.weight.dtype for q in self.projections if isinstance(q, Weighted)]
            if before and before[0] != layer.weight.dtype:
                raise ExchangeError(
                    f"{where} has weights of another type than the layers before it.",
                    found=f"{layer.weight.dtype} after {before[0]}",
                    expected="one type for all",
                    hint="network.float() or network.double()",
                )
            layer.weight = layer.weight.detach().cpu().clone()
        if layer.bias is not None:
            layer.bias = layer.bias.detach().cpu()
        self._pending, self._shape = layer, layer.shape

    def _flush(self, where: str, shape: tuple[int, ...] | None = None) -> None:
        """Let a population of ``shape`` end the last projection: a relay, or no new one where the last will do."""
        if self._pending is not None:
            if self._pending.make is Dense and shape is not None:
                self._pending.shape = shape
            self._end(self._pending, f"relay_{len(self.populations)}", "relay", 1.0, {})
        if shape is not None and shape != self.populations[-1].shape:
            self._shape = shape
            self._end(_Layer(Identity, shape), f"relay_{len(self.populations)}", "relay", 1.0, {})

    def neurons(self, where: str, name: str, kind: PopulationKind, gain: float, fields: dict[str, Any]) -> Population:
        """End the last projection with neurons, ``gain`` times whose input they take in; a bias of ``fields`` is added.

        Raises
        ------
        ExchangeError
            If the fields make no population.
        """
        layer = self._pending or _Layer(Identity, self.need_shape(where))
        if layer.make is Dense:
            layer.shape = self.need_shape(where)
        return self._end(layer, name, kind, gain, fields, where)

    def _end(
        self,
        layer: _Layer,
        name: str,
        kind: PopulationKind,
        gain: float,
        fields: dict[str, Any],
        where: str = "A layer",
    ) -> Population:
        bias = torch.as_tensor(fields.get("bias", 0.0), dtype=torch.float64)
        if layer.bias is not None:
            bias = bias + gain * layer.bias.to(torch.float64)
        try:
            population = Population(name, kind, layer.shape, **{**fields, "bias": _plain(bias)})
        except NeurosleepError as error:
            raise ExchangeError(
                f"{where} has parameters that cannot be read: {error.message}",
                found=error.found,
                expected=error.expected,
            ) from error
        self.projections.append(layer.projection(self.populations[-1].name, name, gain * layer.factor))
        self.populations.append(population)
        self._pending = None
        return population

    def network(self, dt: float) -> SpikingNetwork:
        """The network; what layers at the end compute is a relay's."""
        if self._pending is not None:
            self._end(self._pending, "output", "relay", 1.0, {})
        if len(self.populations) < 2:
            raise ExchangeError("The network has no layers.", expected="at least one layer or neuron")
        return SpikingNetwork(tuple(self.populations), tuple(self.projections), dt=dt, discretisation="euler")


def _plain(value: Tensor) -> Tensor | float:
    """A number, where all are one."""
    return float(value.reshape(-1)[0]) if bool((value == value.reshape(-1)[0]).all()) else value
