"""From real numbers to whole ones: the ways that chips and their tools round.

Integers are held in float64 tensors here and in the modules beside this one. Up to 2^53 every one of them is exact
there, so that integer arithmetic of at most 53 bits loses nothing.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name

__all__ = ["ROUNDINGS", "Rounding", "round_values"]

Rounding = Literal["nearest_even", "nearest_away", "floor", "toward_zero", "stochastic"]
ROUNDINGS: tuple[str, ...] = get_args(Rounding)


def round_values(x: Tensor, rounding: Rounding, generator: torch.Generator | None = None) -> Tensor:
    """Round every value of ``x`` to an integer.

    Parameters
    ----------
    x:
        Real numbers of any shape; taken as float64.
    rounding:
        ``nearest_even`` (halves to the even neighbour, as ``torch.round`` does), ``nearest_away`` (halves away from
        zero), ``floor``, ``toward_zero``, or ``stochastic``: up with a probability that is the fraction, so that the
        mean is kept.
    generator:
        Needed for ``stochastic``, of which it draws one number per value.

    Returns
    -------
    Tensor
        Integers, float64, in the shape of ``x``.

    Raises
    ------
    UnknownNameError
        If there is no such rounding.
    SettingsError
        If ``stochastic`` was given no generator.
    """
    x = x.to(torch.float64)
    if rounding == "nearest_even":
        return torch.round(x)
    if rounding == "nearest_away":
        # Not floor(|x| + 0.5): that sum would round the largest number below a half up.
        whole = torch.trunc(x)
        return whole + torch.sign(x) * ((x - whole).abs() >= 0.5)
    if rounding == "floor":
        return torch.floor(x)
    if rounding == "toward_zero":
        return torch.trunc(x)
    if rounding == "stochastic":
        if generator is None:
            raise SettingsError("Stochastic rounding was given no generator.", expected="a torch.Generator")
        low = torch.floor(x)
        return low + (torch.rand(x.shape, generator=generator, dtype=torch.float64) < x - low)
    raise unknown_name("rounding", str(rounding), ROUNDINGS)
