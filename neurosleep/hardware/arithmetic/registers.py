"""Registers of a chip: how many bits a state has, and what happens to a number that does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name

__all__ = ["Overflow", "Register", "wrap"]

Overflow = Literal["saturate", "wrap"]

# Beyond this float64 no longer holds every integer.
_MOST_BITS = 53


def wrap(x: Tensor, bits: int, signed: bool = True) -> Tensor:
    """Integers ``x`` as their lowest ``bits`` bits are read: in two's complement, or unsigned."""
    low = -(2.0 ** (bits - 1)) if signed else 0.0
    return torch.remainder(x.to(torch.float64) - low, 2.0**bits) + low


@dataclass(frozen=True)
class Register:
    """An integer of ``bits`` bits.

    Parameters
    ----------
    bits:
        Its width, the sign included: 1 to 53.
    signed:
        Two's complement, or not negative.
    overflow:
        ``saturate`` or ``wrap``.
    minimum, maximum:
        Limits at which a saturating register stops before its bits would make it; None: what the bits hold.

    See Also
    --------
    Arithmetic : the registers of a chip

    Examples
    --------
    >>> import torch
    >>> from neurosleep.hardware import Register
    >>> Register(8).hold(torch.tensor([-200, 5, 200]))
    tensor([-128,    5,  127])
    """

    bits: int
    signed: bool = True
    overflow: Overflow = "saturate"
    minimum: int | None = None
    maximum: int | None = None

    def __post_init__(self) -> None:
        if self.overflow not in get_args(Overflow):
            raise unknown_name("overflow", str(self.overflow), get_args(Overflow))
        if not 1 <= self.bits <= _MOST_BITS:
            raise SettingsError(f"A register has {self.bits!r} bits.", expected=f"1 to {_MOST_BITS}")
        if self.overflow == "wrap" and (self.minimum is not None or self.maximum is not None):
            raise SettingsError("A register that wraps was given limits.", expected="minimum and maximum None")
        if self.low > self.high:
            raise SettingsError(f"A register holds {self.low} to {self.high}.", expected="a minimum below the maximum")

    @property
    def low(self) -> int:
        """The smallest number that it holds."""
        least = -(1 << (self.bits - 1)) if self.signed else 0
        return least if self.minimum is None else max(least, self.minimum)

    @property
    def high(self) -> int:
        """The largest number that it holds."""
        most = (1 << (self.bits - int(self.signed))) - 1
        return most if self.maximum is None else min(most, self.maximum)

    def hold(self, x: Tensor) -> Tensor:
        """What is left of the integers ``x`` in the register."""
        return wrap(x, self.bits, self.signed) if self.overflow == "wrap" else x.clamp(self.low, self.high)

    def overflowed(self, x: Tensor) -> Tensor:
        """Where ``x`` does not fit, boolean."""
        return (x < self.low) | (x > self.high)
