"""What networks with convolutions share: how they pool, and one number for each of their layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from neurosleep.errors import SettingsError, unknown_name

__all__ = ["Pooling", "each_layer"]


@dataclass(frozen=True)
class Pooling:
    """How the convolutional layers of a :class:`ConvNet` or an :class:`EquilibriumConv` pool.

    Parameters
    ----------
    size:
        Size and stride of the square window (1: no pooling), of each layer or one number for all.
    kind:
        ``"max"`` or ``"average"``.

    Raises
    ------
    UnknownNameError
        If there is no such kind.

    See Also
    --------
    ConvNet, EquilibriumConv : what reads it

    Examples
    --------
    >>> Pooling(2, "average")
    Pooling(size=2, kind='average')
    """

    size: int | Sequence[int] = 2
    kind: Literal["max", "average"] = "max"

    def __post_init__(self) -> None:
        if self.kind not in ("max", "average"):
            raise unknown_name("pooling", str(self.kind), ("max", "average"))


def each_layer(name: str, given: int | Sequence[int], layers: int, least: int) -> list[int]:
    """One number per convolutional layer."""
    each = [given] * layers if isinstance(given, int) else list(given)
    if len(each) != layers or any(n < least for n in each):
        raise SettingsError(
            f"The network's {name} is {given!r}.",
            expected=f"one number of at least {least}, or {layers} of them: one per convolutional layer",
        )
    return each
