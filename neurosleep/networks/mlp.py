"""The bias-free ReLU network of Sleep Replay Consolidation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from neurosleep.errors import SettingsError, unknown_name

__all__ = ["MLP", "Output"]

Output = Literal["relu", "softmax"]


class MLP(nn.Module):
    """Fully connected ReLU network without biases.

    The old, non-inverted dropout: while training each hidden activity is multiplied by 0 or 1, while evaluating by
    ``1 - dropout``.

    Parameters
    ----------
    sizes:
        Units per layer, input first, at least two.
    dropout:
        Chance that a hidden unit is silenced in training, from 0 to below 1.
    init:
        Initial weights are uniform on ``[-init, init]``.
    output:
        What the last layer's sums become when the network is read out: ``"relu"`` or ``"softmax"``.
    generator:
        Source of the initial weights.

    See Also
    --------
    EquilibriumMLP, DendriticMLP : networks that settle
    neurosleep.learning.Backprop : trains it
    neurosleep.convert : makes it spiking

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7; the released code's network.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.networks import MLP
    >>> model = MLP([784, 100, 10])
    >>> model(torch.rand(5, 784)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        dropout: float = 0.0,
        init: float = 0.01,
        output: Output = "relu",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or any(size < 1 for size in sizes):
            raise SettingsError(f"The layer sizes are {list(sizes)!r}.", expected="at least two sizes of at least 1")
        if not 0 <= dropout < 1:
            raise SettingsError(f"The dropout probability is {dropout!r}.", expected="from 0 to below 1")
        if not 0 < init < float("inf"):
            raise SettingsError(f"The range of the initial weights is {init!r}.", expected="a number > 0")
        if output not in get_args(Output):
            raise unknown_name("output", str(output), get_args(Output))
        self.sizes, self.dropout = tuple(sizes), dropout
        self.output: Output = output
        # A layer draws weights of its own when it is made; with a generator, the global one is none of its business.
        with torch.random.fork_rng(devices=[], enabled=generator is not None):
            self.layers = nn.ModuleList(nn.Linear(n_in, n_out, bias=False) for n_in, n_out in itertools.pairwise(sizes))
        for weight in self.weights:
            nn.init.uniform_(weight, -init, init, generator=generator)

    @property
    def weights(self) -> list[Tensor]:
        """The weights ``[post, pre]``, input side first."""
        return [layer.weight for layer in self.layers if isinstance(layer, nn.Linear)]

    def trace(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Summed inputs and activities of every layer after the input for ``x`` ``[batch, n]``.

        The last layer's activity is its summed input (:meth:`read_out` makes the output of it). ``generator`` draws the
        dropout masks and is needed in training mode with dropout.
        """
        sums, found = [], []
        last = len(self.weights) - 1
        for k, weight in enumerate(self.weights):
            x = x @ weight.T
            sums.append(x)
            if k < last:
                x = torch.relu(x)
                if self.dropout:
                    if self.training:
                        x = x * (torch.rand(x.shape, generator=generator) >= self.dropout)
                    else:
                        x = x * (1 - self.dropout)
            found.append(x)
        return sums, found

    def activities(self, x: Tensor, *, generator: torch.Generator | None = None) -> list[Tensor]:
        """Activity of every layer after the input, the second half of :meth:`trace`."""
        return self.trace(x, generator=generator)[1]

    def read_out(self, sums: Tensor) -> Tensor:
        """The network's output from the last layer's summed input, ``[batch, classes]``."""
        return torch.relu(sums) if self.output == "relu" else torch.softmax(sums, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Summed input of the last layer, ``[batch, classes]``, for ``x`` ``[batch, n]``."""
        return self.activities(x)[-1]
