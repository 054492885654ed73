"""Sizes of windows and values of channels, as layers of torch say them, and numbers that layers have for names."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

__all__ = ["is_number", "padding_of", "pair", "spread"]


def is_number(path: str) -> bool:
    """Whether a place in a model says nothing but numbers, as in a Sequential."""
    return path.replace(".", "").isdigit()


def pair(value: Any, axes: int) -> tuple[int, ...]:
    """``value`` as an integer for each axis; one number stands for all of them."""
    return tuple(int(v) for v in value) if isinstance(value, tuple | list) else (int(value),) * axes


def padding_of(layer: nn.Conv1d | nn.Conv2d) -> tuple[int, ...] | None:
    """Zeros on either side of each axis; None where the two sides differ."""
    if not isinstance(layer.padding, str):
        return tuple(layer.padding)
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    both = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    return None if any(n % 2 for n in both) else tuple(n // 2 for n in both)


def spread(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One value per channel to one per neuron, in C order."""
    return values.repeat_interleave(math.prod(shape[1:]))
