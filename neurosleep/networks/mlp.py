"""The bias-free ReLU network of Sleep Replay Consolidation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurosleep.errors import SettingsError

__all__ = ["MLP"]


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
    generator:
        Source of the initial weights.

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7; the released code's network.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        dropout: float = 0.0,
        init: float = 0.01,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or any(size < 1 for size in sizes):
            raise SettingsError(f"The layer sizes are {list(sizes)!r}.", expected="at least two sizes of at least 1")
        if not 0 <= dropout < 1:
            raise SettingsError(f"The dropout probability is {dropout!r}.", expected="from 0 to below 1")
        if not 0 < init < float("inf"):
            raise SettingsError(f"The range of the initial weights is {init!r}.", expected="a number > 0")
        self.sizes, self.dropout = tuple(sizes), dropout
        self.layers = nn.ModuleList(nn.Linear(n_in, n_out, bias=False) for n_in, n_out in itertools.pairwise(sizes))
        for weight in self.weights:
            nn.init.uniform_(weight, -init, init, generator=generator)

    @property
    def weights(self) -> list[Tensor]:
        """The weights ``[post, pre]``, input side first."""
        return [layer.weight for layer in self.layers if isinstance(layer, nn.Linear)]

    def activities(self, x: Tensor, *, generator: torch.Generator | None = None) -> list[Tensor]:
        """Activity of every layer after the input for ``x`` ``[batch, n]``; the last one before the output's ReLU.

        ``generator`` draws the dropout masks and is needed in training mode with dropout.
        """
        found = []
        last = len(self.weights) - 1
        for k, weight in enumerate(self.weights):
            x = x @ weight.T
            if k < last:
                x = torch.relu(x)
                if self.dropout:
                    if self.training:
                        x = x * (torch.rand(x.shape, generator=generator) >= self.dropout)
                    else:
                        x = x * (1 - self.dropout)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Output before its ReLU, ``[batch, classes]``, for ``x`` ``[batch, n]``."""
        return self.activities(x)[-1]
