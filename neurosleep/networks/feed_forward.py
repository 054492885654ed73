"""What feed-forward networks of ReLU layers have in common: their layers, their trace and their read-out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from neurosleep.errors import SettingsError, unknown_name

__all__ = ["FeedForwardNetwork", "Init", "Output"]

Output = Literal["relu", "softmax", "sigmoid"]
#: Initial weights: half the width of a uniform distribution around 0, or torch's own.
Init: TypeAlias = float | Literal["torch"]


class FeedForwardNetwork(nn.Module, ABC):
    """Layers with weights, one after another, with ReLU between: the protocol of what backpropagation trains.

    The old, non-inverted dropout: while training each hidden activity is multiplied by 0 or 1, while evaluating by
    ``1 - dropout``.

    Attributes
    ----------
    sizes:
        Units per layer, input first; of a convolutional layer its flattened maps.
    layers:
        The layers with weights, input side first.
    output:
        What the last layer's sums become when the network is read out: ``"relu"``, ``"softmax"`` or ``"sigmoid"``.

    See Also
    --------
    MLP, ConvNet : the networks of the package
    EquilibriumNetwork : the protocol of equilibrium networks
    neurosleep.learning.Backprop : trains them

    Examples
    --------
    >>> import torch
    >>> from neurosleep.networks import MLP, FeedForwardNetwork
    >>> model = MLP([16, 8, 3], bias=True)
    >>> isinstance(model, FeedForwardNetwork), [tuple(tensor.shape) for tensor in model.trained]
    (True, [(8, 16), (3, 8), (8,), (3,)])
    """

    sizes: tuple[int, ...]
    layers: nn.ModuleList

    def __init__(self, *, dropout: float, output: Output) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise SettingsError(f"The dropout probability is {dropout!r}.", expected="from 0 to below 1")
        if output not in get_args(Output):
            raise unknown_name("output", str(output), get_args(Output))
        self.dropout = dropout
        self.output: Output = output

    @property
    def weights(self) -> list[Tensor]:
        """The weights ``[post, pre]`` (of a convolution ``[post, pre, height, width]``), input side first."""
        return [layer.weight for layer in self.layers if isinstance(layer, nn.Linear | nn.Conv2d)]

    @property
    def biases(self) -> list[Tensor]:
        """The biases ``[post]``, input side first; none in a network without."""
        layers = (layer for layer in self.layers if isinstance(layer, nn.Linear | nn.Conv2d))
        return [layer.bias for layer in layers if layer.bias is not None]

    @property
    def trained(self) -> list[Tensor]:
        """Everything that learning changes: all weights, then all biases."""
        return [*self.weights, *self.biases]

    @property
    def layer_of(self) -> list[int]:
        """For each entry of :attr:`trained` the layer, from 0, whose learning rate it takes."""
        layers = range(len(self.layers))
        return [*layers, *(layers if self.biases else ())]

    @abstractmethod
    def _sums(self, layer: int, x: Tensor) -> Tensor:
        """Summed input of a layer, from 0, for what it receives."""

    def _received(self, layer: int, x: Tensor) -> Tensor:
        """What the layer after this one receives of its ReLU activity."""
        return x

    def trace(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Summed inputs and activities of every layer after the input for ``x`` ``[batch, n]``.

        Activities are as the next layer receives them (pooled, where there is pooling). The last layer's activity is
        its summed input (:meth:`read_out` makes the output of it). ``generator`` draws the dropout masks and is needed
        in training mode with dropout.
        """
        sums, activities = [], []
        last = len(self.layers) - 1
        for k in range(len(self.layers)):
            x = self._sums(k, x)
            sums.append(x)
            if k < last:
                x = self._received(k, torch.relu(x))
                if self.dropout:
                    if self.training:
                        x = x * (torch.rand(x.shape, generator=generator) >= self.dropout)
                    else:
                        x = x * (1 - self.dropout)
            activities.append(x)
        return sums, activities

    def activities(self, x: Tensor, *, generator: torch.Generator | None = None) -> list[Tensor]:
        """Activity of every layer after the input, the second half of :meth:`trace`."""
        return self.trace(x, generator=generator)[1]

    def read_out(self, sums: Tensor) -> Tensor:
        """The network's output from the last layer's summed input, ``[batch, classes]``."""
        if self.output == "softmax":
            return torch.softmax(sums, dim=-1)
        return torch.relu(sums) if self.output == "relu" else torch.sigmoid(sums)

    def forward(self, x: Tensor) -> Tensor:
        """Summed input of the last layer, ``[batch, classes]``, for ``x`` ``[batch, n]``."""
        return self.activities(x)[-1]

    def _start(self, init: Init, generator: torch.Generator | None) -> None:
        """Draw the initial weights; biases are 0, or torch's own where the weights are."""
        # pydantic and TOML give integers as such; a bool is none.
        number = isinstance(init, int | float) and not isinstance(init, bool)
        if init != "torch" and not (number and 0 < float(init) < math.inf):
            raise SettingsError(f"The range of the initial weights is {init!r}.", expected='a number > 0, or "torch"')
        for layer in self.layers:
            assert isinstance(layer, nn.Linear | nn.Conv2d)
            if init != "torch":
                nn.init.uniform_(layer.weight, -float(init), float(init), generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
                continue
            # As torch's Linear and Conv2d draw theirs when they are made, in the same order.
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            if layer.bias is not None:
                bound = 1 / math.sqrt(layer.weight[0].numel())
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
