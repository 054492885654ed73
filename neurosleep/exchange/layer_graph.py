"""A network of layers that is no chain: what readers return for residual networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["Affine", "Kind", "LayerGraph", "Permute", "Step"]

Kind = Literal["layer", "add", "sub", "mul", "div", "cat", "scale"]


class Affine(nn.Module):
    """``x * scale + shift`` with fixed numbers: a normalisation of the input, a bias of its own.

    Parameters
    ----------
    scale, shift:
        Tensors that broadcast to the values of an image, without the batch; None leaves out the product or the sum.
    """

    scale: Tensor | None
    shift: Tensor | None

    def __init__(self, scale: Tensor | None = None, shift: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        """The same for all images of ``x`` ``[batch, ...]``."""
        if self.scale is not None:
            x = x * self.scale
        return x if self.shift is None else x + self.shift


class Permute(nn.Module):
    """The axes of an image in another order, such as channels first in the place of channels last.

    Parameters
    ----------
    order:
        For each axis of the result, which one of the input it is; the batch, which stays, is axis 0.
    """

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.order = tuple(order)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` ``[batch, ...]`` with its axes in the new order."""
        return x.permute(0, *self.order)

    def extra_repr(self) -> str:
        """The order, as torch shows it."""
        return f"{self.order}"


@dataclass(frozen=True)
class Step:
    """One step of a :class:`LayerGraph`.

    Parameters
    ----------
    output:
        Name of the value that it makes.
    inputs:
        Names of the values that it reads; ``"input"`` is the network's own input.
    kind:
        ``layer`` applies a layer to its one input, ``scale`` multiplies it by ``factor``; ``add``, ``sub``, ``mul``
        and ``div`` take two inputs, and ``cat`` joins its inputs along an axis.
    layer, factor, axis:
        Name of the layer; the factor; the axis, of which 0 is the batch.
    """

    output: str
    inputs: tuple[str, ...]
    kind: Kind = "layer"
    layer: str = ""
    factor: float = 1.0
    axis: int = 1


class LayerGraph(nn.Module):
    """Layers and the sums between them, in a fixed order; ``torch.fx`` can trace it.

    Parameters
    ----------
    layers:
        The layers by name. They become children under these names.
    steps:
        What is computed, in order.
    output:
        Name of the value that is the result.
    """

    def __init__(self, layers: Mapping[str, nn.Module], steps: Sequence[Step], output: str) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.steps, self.output = tuple(steps), output

    def forward(self, x: Tensor) -> Tensor:
        """The result for ``x`` ``[batch, ...]``."""
        values = {"input": x}
        for step in self.steps:
            inputs = [values[name] for name in step.inputs]
            values[step.output] = self._result(step, inputs)
        return values[self.output]

    def _result(self, step: Step, inputs: list[Tensor]) -> Tensor:
        if step.kind == "layer":
            result: Tensor = self.get_submodule(step.layer)(inputs[0])
            return result
        if step.kind == "add":
            return inputs[0] + inputs[1]
        if step.kind == "sub":
            return inputs[0] - inputs[1]
        if step.kind == "mul":
            return inputs[0] * inputs[1]
        if step.kind == "div":
            return inputs[0] / inputs[1]
        if step.kind == "cat":
            return torch.cat(inputs, step.axis)
        return inputs[0] * step.factor
