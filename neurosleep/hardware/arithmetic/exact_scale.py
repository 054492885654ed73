"""Scales at which numbers that have a common unit, such as whole ones, stay what they are on a chip's grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["exact_scale", "settled"]

# Bits below the finest grid of a chip in which a common unit is looked for.
_FINER = 8
# Of a multiple that is kept where potentials are halved, so that halves of it are whole too.
_LEADING = 4
# What float64 may lose in a product of two numbers, with room to spare.
_NEAR = 1e-12


def settled(x: Tensor) -> Tensor:
    """``x`` with everything that is an integer but for the last bits of float64 made one."""
    whole = torch.round(x)
    return torch.where((x - whole).abs() <= _NEAR * whole.abs().clamp_min(1), whole, x)


def exact_scale(
    most: Tensor,
    weights: Tensor,
    step: int,
    others: Sequence[tuple[Tensor, int]] = (),
    halves: bool = False,
) -> Tensor:
    """The largest scale up to ``most`` with which no weight needs rounding; ``most`` where there is none.

    Numbers of trained networks have no common unit that a chip could hold. Those of networks that were made or trained
    in steps have one, and rounding them would move sums that hit a threshold exactly to either side of it.

    Parameters
    ----------
    most:
        Scales ``[n]`` with which everything fits the chip.
    weights:
        Numbers ``[n, k]`` that become multiples of ``step``.
    others:
        Further numbers, ``[n]`` each, with the step of their own grid. They are made whole too if a smaller multiple of
        the common unit does it.
    halves:
        Whether potentials are multiplied by small fractions: the scale then keeps some factors of 2.
    """
    scales = most.clone()
    own = weights.abs().numpy()
    beside = torch.stack([x for x, _ in others], 1).abs().numpy() if others else np.zeros((len(own), 0))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        bits = np.ceil(np.log2(most.numpy() / step)) + _FINER
        fine = np.exp2(np.clip(np.nan_to_num(bits), -1000, 1000))
        whole, further = own * fine[:, None], beside * fine[:, None]
    there = _all_whole(whole) & (own > 0).any(1) & np.isfinite(most.numpy())
    together = there & _all_whole(further)
    for row in there.nonzero()[0].tolist():
        unit = int(np.gcd.reduce(whole[row].astype(np.int64)))
        most_here = float(most[row]) / float(fine[row]) / step * (1 + _NEAR)
        if together[row]:
            # One unit for all, if the chip can hold that.
            common = math.gcd(unit, int(np.gcd.reduce(further[row].astype(np.int64)))) if further.size else unit
            unit = common if most_here * common >= 1 else unit
        if multiple := int(most_here * unit):
            size = unit / float(fine[row])
            numbers = [(float(x[row]), grid) for x, grid in others]
            scales[row] = _rounder(multiple, size / step, numbers, halves) * step / size
    return scales


def _all_whole(x: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """In which rows all are integers that float64 holds exactly."""
    whole: npt.NDArray[np.bool_] = ((x == np.round(x)) & (x < 2.0**53)).all(1)
    return whole


def _rounder(multiple: int, per_step: float, others: Sequence[tuple[float, int]], halves: bool) -> int:
    """The largest number up to ``multiple`` with as many factors of 2 as the others need."""
    longest = multiple.bit_length() - 1
    shift = max(longest + 1 - _LEADING, 0) if halves else 0
    for x, grid in others:
        # At a multiple of 1 the number would be so many of its grid's steps.
        steps = x / per_step / grid
        needed = next((m for m in range(longest + 1) if steps * 2**m == round(steps * 2**m)), 0)
        shift = max(shift, needed)
    return multiple >> shift << shift
