"""What stands for a spiking neuron while torch.fx follows the module that it is in."""

from __future__ import annotations

from torch import Tensor, nn

from neurosleep.conversion._memory import InPlaceTracer
from neurosleep.errors import ExchangeError

__all__ = ["Leaves", "NeuronLeaf", "first_shape"]


class NeuronLeaf(nn.Module):
    """Stands for a neuron while its module is traced: neurons are neither copied nor run."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.held = (neuron,)

    @property
    def kind(self) -> str:
        """Class of the neuron."""
        return type(self.held[0]).__name__

    def forward(self, x: Tensor, *states: Tensor, **named: Tensor) -> Tensor:
        """Nothing: the leaf is not looked into."""
        return x


class Leaves(InPlaceTracer):
    """A tracer that does not look into neurons."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether ``m`` is one operation."""
        return isinstance(m, NeuronLeaf) or super().is_leaf_module(m, module_qualified_name)


def first_shape(module: nn.Module) -> tuple[int, ...]:
    """The shape of one input, which the module or its first layer says, without the batch."""
    own = getattr(module, "input_shape", None)
    if isinstance(own, tuple):
        return own
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            return (layer.in_features,)
        if not isinstance(layer, nn.Flatten | nn.Dropout | nn.Identity) and not any(layer.children()):
            break
    raise ExchangeError(
        "The module does not say which shape its input has.",
        expected="input_shape=(channels, height, width), or whatever shape one input has, without the batch",
    )
