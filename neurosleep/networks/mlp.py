"""The fully connected ReLU network of Sleep Replay Consolidation, and the ordinary one with biases."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurosleep.errors import SettingsError
from neurosleep.networks.feed_forward import FeedForwardNetwork, Init, Output

__all__ = ["MLP"]


class MLP(FeedForwardNetwork):
    r"""Fully connected ReLU network, by default without biases.

    The old, non-inverted dropout: while training each hidden activity is multiplied by 0 or 1, while evaluating by
    ``1 - dropout``.

    Parameters
    ----------
    sizes:
        Units per layer, input first, at least two.
    dropout:
        Probability that a hidden unit is silenced in training, from 0 to below 1.
    init:
        Initial weights are uniform on ``[-init, init]``, and biases 0; ``"torch"``: those of ``torch.nn.Linear``,
        weights and biases uniform on :math:`\pm 1/\sqrt{n_{in}}`.
    output:
        What the last layer's sums become when the network is read out: ``"relu"``, ``"softmax"`` or ``"sigmoid"``.
    bias:
        Whether units have biases.
    generator:
        Source of the initial weights, layer by layer (weight, bias).

    See Also
    --------
    ConvNet : with convolutions
    EquilibriumMLP, DendriticMLP : equilibrium networks
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
    >>> ordinary = MLP([784, 100, 10], bias=True, init="torch", output="softmax")
    >>> [bias.shape for bias in ordinary.biases]
    [torch.Size([100]), torch.Size([10])]
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        dropout: float = 0.0,
        init: Init = 0.01,
        output: Output = "relu",
        bias: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(dropout=dropout, output=output)
        if len(sizes) < 2 or any(size < 1 for size in sizes):
            raise SettingsError(f"The layer sizes are {list(sizes)!r}.", expected="at least two sizes of at least 1")
        self.sizes = tuple(sizes)
        # A layer draws weights of its own when it is made; with a generator, the global one is none of its business.
        with torch.random.fork_rng(devices=[], enabled=generator is not None):
            self.layers = nn.ModuleList(nn.Linear(n_in, n_out, bias=bias) for n_in, n_out in itertools.pairwise(sizes))
        self._start(init, generator)

    def _sums(self, layer: int, x: Tensor) -> Tensor:
        linear = self.layers[layer]
        assert isinstance(linear, nn.Linear)
        # One operation with its bias, so that what traces it knows them for one layer; without, the product of old.
        if linear.bias is None:
            return x @ linear.weight.T
        return nn.functional.linear(x, linear.weight, linear.bias)
