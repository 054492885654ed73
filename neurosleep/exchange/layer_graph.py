"""A network of layers that is no chain: what readers return for residual networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

__all__ = ["LayerGraph", "Step"]


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
        ``layer`` applies a layer to its one input, ``add`` adds its two inputs, ``scale`` multiplies by ``factor``.
    layer, factor:
        Name of the layer; the factor.
    """

    output: str
    inputs: tuple[str, ...]
    kind: Literal["layer", "add", "scale"] = "layer"
    layer: str = ""
    factor: float = 1.0


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
            first = values[step.inputs[0]]
            if step.kind == "layer":
                values[step.output] = self.get_submodule(step.layer)(first)
            elif step.kind == "add":
                values[step.output] = first + values[step.inputs[1]]
            else:
                values[step.output] = first * step.factor
        return values[self.output]
