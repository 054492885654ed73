"""What a chip computes with, as the engine ``fixed`` steps it: the widths of its registers and the way it decays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from neurosleep._shown import brief
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.hardware.arithmetic.registers import Register
from neurosleep.hardware.arithmetic.rounding import Rounding, round_values

__all__ = ["Arithmetic", "DecayKind", "decay_by_shift"]

DecayKind = Literal["integer", "shift", "subtract", "none"]


def decay_by_shift(x: Tensor, shift: int | Tensor) -> Tensor:
    """One step of ``x - (x >> shift)``, and one less where that would leave a positive number as it is.

    The shift floors, so that a negative number moves toward zero by itself. A zero stays.
    """
    x = x.to(torch.float64)
    moved = x - torch.floor(x / 2.0 ** torch.as_tensor(shift, dtype=torch.float64))
    return torch.where((moved == x) & (x > 0), x - 1, moved)


@dataclass(frozen=True)
class Arithmetic:
    """Registers and decays of one chip.

    Parameters
    ----------
    membrane, current, accumulator:
        Registers of the potential, of the synaptic current (None: the chip has none) and of the sum of one step's
        synaptic input (None: as wide as needed).
    decay:
        ``integer`` multiplies by an integer over ``denominator``, ``shift`` takes the number's own bits from
        ``shift`` on upwards away, ``subtract`` takes a constant away, toward 0 (:attr:`MappedNetwork.leaks`), ``none``
        keeps everything.
    denominator, rounding:
        Of ``integer``: a power of two, and what becomes of the rest of the division.
    payload_bits:
        Bits that a spike carries; 0: it is there or not.
    by_event:
        Every synaptic event adds to the potential by itself and is followed by the comparison, in the order of the
        projections and, in each, of the presynaptic neurons; a leak by ``subtract`` comes between steps. If not, the
        events of a step are summed, and such a leak comes after them, before the comparison.

    See Also
    --------
    Register : the registers it is made of
    FixedEngine : which computes with it

    Examples
    --------
    >>> from neurosleep.hardware import Arithmetic, Register
    >>> loihi = Arithmetic(membrane=Register(24), current=Register(24), denominator=4096)
    >>> loihi.membrane.high
    8388607
    """

    membrane: Register
    current: Register | None = None
    accumulator: Register | None = None
    decay: DecayKind = "integer"
    denominator: int = 4096
    rounding: Rounding = "toward_zero"
    payload_bits: int = 0
    by_event: bool = False

    __repr__ = brief

    def __post_init__(self) -> None:
        if self.decay not in get_args(DecayKind):
            raise unknown_name("decay", str(self.decay), get_args(DecayKind))
        if self.denominator < 1 or self.denominator & (self.denominator - 1):
            raise SettingsError(f"The denominator is {self.denominator!r}.", expected="a power of two")
        widths = [r.bits for r in (self.membrane, self.current) if r is not None]
        # Every product with a decay must be an integer that float64 holds.
        if max(widths) + self.denominator.bit_length() - 1 > 53:
            raise SettingsError(
                f"Registers of {max(widths)} bits with a denominator of {self.denominator}.",
                expected="at most 53 bits in their product",
            )

    def offers(self, factor: Tensor) -> Tensor:
        """Which decay factors per step (of a network) the chip has, boolean."""
        if self.decay == "integer":
            scaled = factor * self.denominator
            return scaled == torch.round(scaled)
        if self.decay == "shift":
            shift = -torch.log2(1 - factor)
            return (factor == 0) | (factor == 1) | (shift == torch.round(shift))
        # A leak that is taken away is a number of its own.
        return torch.ones_like(factor, dtype=torch.bool) if self.decay == "subtract" else factor == 1

    def decayed(self, x: Tensor, factor: Tensor) -> Tensor:
        """Integers ``x`` one step on; ``factor`` is a decay that the chip :meth:`offers`."""
        if self.decay == "integer":
            return round_values(x * factor, self.rounding)
        if self.decay == "shift":
            # A factor of 1 is no shift at all, and one of 0 a shift by nothing.
            return torch.where(factor == 1, x, decay_by_shift(x, torch.where(factor == 1, 0, -torch.log2(1 - factor))))
        return x

    def leaked(self, x: Tensor, leak: Tensor) -> Tensor:
        """Integers ``x`` less a constant, toward 0."""
        return torch.sign(x) * (x.abs() - leak).clamp_min(0)
