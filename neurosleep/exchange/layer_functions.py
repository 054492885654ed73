"""Functions of torch as modules: what a reader puts where torch has no layer; ``torch.fx`` sees into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Function", "Piece", "Reduced", "Taken"]


class Function(nn.Module):
    """A function of torch of every value by itself.

    Parameters
    ----------
    name:
        Its name in torch: ``erf``, ``exp``.
    numbers:
        What it takes beside the tensor.
    """

    def __init__(self, name: str, *numbers: float) -> None:
        super().__init__()
        self.name, self.numbers = name, numbers

    def forward(self, x: Tensor) -> Tensor:
        """The function of ``x``, of the same shape."""
        result: Tensor = getattr(torch, self.name)(x, *self.numbers)
        return result

    def extra_repr(self) -> str:
        """The function, as torch shows it."""
        return ", ".join([self.name, *map(str, self.numbers)])


class Reduced(nn.Module):
    """The mean, sum, largest or smallest value over axes.

    Parameters
    ----------
    name:
        ``mean``, ``sum``, ``amax`` or ``amin``.
    axes:
        The axes; the batch is axis 0 and not among them.
    keep:
        Whether they stay, with length 1.
    """

    def __init__(self, name: str, axes: Sequence[int], keep: bool) -> None:
        super().__init__()
        self.name, self.axes, self.keep = name, tuple(axes), keep

    def forward(self, x: Tensor) -> Tensor:
        """What is left of ``x`` ``[batch, ...]``."""
        result: Tensor = getattr(torch, self.name)(x, self.axes, self.keep)
        return result

    def extra_repr(self) -> str:
        """What is taken over which axes, as torch shows it."""
        return f"{self.name}, axes={self.axes}, keep={self.keep}"


class Piece(nn.Module):
    """A piece of a tensor along an axis, as a slice with positive steps cuts it out.

    Parameters
    ----------
    axis:
        Which one; the batch is axis 0.
    start, stop, step:
        Of the slice.
    """

    def __init__(self, axis: int, start: int, stop: int, step: int = 1) -> None:
        super().__init__()
        self.axis, self.places = axis, slice(start, stop, step)

    def forward(self, x: Tensor) -> Tensor:
        """The piece of ``x`` ``[batch, ...]``."""
        return x[(*(slice(None),) * self.axis, self.places)]

    def extra_repr(self) -> str:
        """Axis and slice, as torch shows them."""
        return f"axis={self.axis}, {self.places}"


class Taken(nn.Module):
    """Chosen places along an axis, in a given order.

    Parameters
    ----------
    axis:
        Which one; the batch is axis 0.
    places:
        The places.
    """

    def __init__(self, axis: int, places: Sequence[int]) -> None:
        super().__init__()
        self.axis, self.places = axis, list(places)

    def forward(self, x: Tensor) -> Tensor:
        """Those of ``x`` ``[batch, ...]``."""
        index: tuple[Any, ...] = (*(slice(None),) * self.axis, self.places)
        return x[index]

    def extra_repr(self) -> str:
        """The axis, as torch shows it."""
        return f"axis={self.axis}, {len(self.places)} places"
