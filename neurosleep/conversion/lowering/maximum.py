"""Max-pooling by differences: max(a, b) = b + relu(a - b), a tournament of what neurons do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx, nn

from neurosleep.conversion.lowering.fixed import fixed_conv, taps

__all__ = ["Window", "tournament"]

# A linear combination of what is there: of the window's values (key 0), and of the differences of each round (1, ...).
Combination = dict[int, Tensor]


class Window:
    """Where a pooling reads: per axis sizes before and after, kernel, stride, padding before, and dilation."""

    def __init__(
        self,
        before: Sequence[int],
        after: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
    ) -> None:
        self.channels, self.kernel, self.stride = before[0], tuple(kernel), tuple(stride)
        axes = zip(before[1:], after[1:], kernel, stride, padding, dilation, strict=True)
        self.lines = [taps(n, m, s, -p, d, k) for n, m, k, s, p, d in axes]
        # Beyond the ends are zeros, which are no maximum of negative values.
        self.reaches_out = any(padding for padding, _, _ in self.lines)

    def conv(self, weights: Tensor) -> nn.Module:
        """The convolution that makes ``len(weights)`` combinations of the window's values of each channel."""
        n = len(weights)
        full = torch.zeros(n, *(size for _, size, _ in self.lines))
        places = torch.meshgrid(*(torch.tensor(line[2]) for line in self.lines), indexing="ij")
        full[(slice(None), *places)] = weights.reshape(n, *self.kernel)  # type: ignore[index]
        weight = full.repeat(self.channels, *(1,) * len(self.lines)).unsqueeze(1)
        return fixed_conv(weight, self.stride, tuple(line[0] for line in self.lines), self.channels)


def tournament(
    x: fx.Node, window: Window, apply: Callable[[nn.Module, fx.Node], fx.Node], sums: Sequence[Callable[..., fx.Node]]
) -> tuple[fx.Node, int]:
    """The nodes of the maximum over ``window`` of ``x``, and the number of rounds.

    ``apply`` adds a layer, ``sums`` are what adds nodes and what rectifies one. Each round is one population, of a
    difference for every pair that is left.
    """
    add, relu = sums
    count = torch.Size(window.kernel).numel()
    values: list[Combination] = [{0: row} for row in torch.eye(count)]
    rounds: dict[int, fx.Node] = {}

    def node(combinations: list[Combination]) -> fx.Node:
        total = None
        for key in sorted({key for combination in combinations for key in combination}):
            width = next(len(c[key]) for c in combinations if key in c)
            rows = torch.stack([c.get(key, torch.zeros(width)) for c in combinations])
            if not rows.any():
                continue
            if key == 0:
                part = apply(window.conv(rows), x)
            else:
                axes = len(window.kernel)
                weight = rows.repeat(window.channels, 1).reshape(-1, width, *(1,) * axes)
                part = apply(fixed_conv(weight, groups=window.channels), rounds[key])
            total = part if total is None else add(total, part)
        assert total is not None
        return total

    while len(values) > 1:
        pairs = list(zip(values[::2], values[1::2], strict=False))
        differences = [{key: a.get(key, 0) - b.get(key, 0) for key in {*a, *b}} for a, b in pairs]
        number = len(rounds) + 1
        rounds[number] = relu(node(differences), number)  # type: ignore[arg-type]
        winners = [{**b, number: row} for (_, b), row in zip(pairs, torch.eye(len(pairs)), strict=True)]
        values = [*winners, *values[2 * len(pairs) :]]
    return node(values), len(rounds)
