r"""Time steps that differ from unit to unit: the inverse of each unit's membrane time constant.

.. math::  s_i \leftarrow s_i + dt_i\, (\rho(I_i) - s_i)

Fixed points do not depend on them; how fast they are reached does. The paper names "biologically motivated
distributions" without saying which in the part that could be read: this menu and its parameters are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name

__all__ = ["DISTRIBUTIONS", "SMALLEST_STEP", "Distribution", "HeterogeneousSteps"]

Distribution = Literal["log-normal", "gamma", "normal", "uniform", "constant"]
DISTRIBUTIONS: tuple[str, ...] = get_args(Distribution)
SMALLEST_STEP = 0.01
# (centre, spread) of each, see the class.
_DEFAULTS = {
    "log-normal": (0.5, 0.5),
    "gamma": (0.5, 3.0),
    "normal": (0.5, 0.15),
    "uniform": (0.5, 0.4),
    "constant": (0.5, 0.0),
}


@dataclass(frozen=True)
class HeterogeneousSteps:
    """A distribution of time steps, clipped to (0.01, 1] (all five, and their parameters, are ours).

    Parameters
    ----------
    distribution:
        ``"log-normal"`` (centre: median, spread: sigma of the logarithm), ``"gamma"`` (mean, shape), ``"normal"``
        (mean, standard deviation), ``"uniform"`` (middle, half width) or ``"constant"`` (value; no spread).
    centre, spread:
        As said; left out: log-normal 0.5, 0.5; gamma 0.5, 3; normal 0.5, 0.15; uniform 0.5, 0.4; constant 0.5.

    See Also
    --------
    neurosleep.networks.EquilibriumMLP : which draws its units' time steps from one

    References
    ----------
    Kubo, Modi & Patel (2026), arXiv:2603.03402, for the idea.

    Examples
    --------
    >>> from neurosleep.functional import HeterogeneousSteps
    >>> steps = HeterogeneousSteps("uniform", centre=0.5, spread=0.25)
    >>> steps.mean
    0.5
    """

    distribution: Distribution = "log-normal"
    centre: float | None = None
    spread: float | None = None

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise unknown_name("distribution of time steps", self.distribution, DISTRIBUTIONS)
        centre, spread = self.parameters
        if not (0 < centre <= 1):
            raise SettingsError(f"The centre of the time steps is {centre!r}.", expected="above 0, at most 1")
        if self.distribution == "constant":
            if spread != 0:
                raise SettingsError(f"Constant time steps have no spread; it is {spread!r}.", hint="leave it out")
        elif not 0 < spread < math.inf:
            raise SettingsError(f"The spread of the time steps is {spread!r}.", expected="a number > 0")

    @property
    def parameters(self) -> tuple[float, float]:
        """Centre and spread, defaults filled in."""
        centre, spread = _DEFAULTS[self.distribution]
        return (centre if self.centre is None else self.centre, spread if self.spread is None else self.spread)

    def quantile(self, u: Tensor) -> Tensor:
        """Time steps of which the part ``u`` (float64, from 0 to 1) is smaller, clipped."""
        centre, spread = self.parameters
        if self.distribution == "log-normal":
            value = centre * torch.exp(spread * torch.special.ndtri(u))
        elif self.distribution == "normal":
            value = centre + spread * torch.special.ndtri(u)
        elif self.distribution == "uniform":
            value = centre + spread * (2 * u - 1)
        elif self.distribution == "gamma":
            value = centre / spread * _gamma_quantile(spread, u, spread / centre)
        else:
            value = torch.full_like(u, centre)
        return value.clamp(SMALLEST_STEP, 1.0)

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` independent time steps, float32 ``[n]``."""
        return self.quantile(torch.rand(n, generator=generator, dtype=torch.float64)).float()

    @property
    def mean(self) -> float:
        """Mean after clipping."""
        count = 20000
        u = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        return float(self.quantile(u).mean())

    def control(self) -> HeterogeneousSteps:
        """The constant step of the same mean: what a heterogeneous network is compared with."""
        return HeterogeneousSteps("constant", min(self.mean, 1.0))


def _gamma_quantile(shape: float, u: Tensor, largest: float) -> Tensor:
    """Quantile of the gamma distribution of scale 1, up to ``largest``, by bisection of its distribution function."""
    a = torch.full_like(u, shape)
    low, high = torch.zeros_like(u), torch.full_like(u, largest)
    for _ in range(60):
        middle = (low + high) / 2
        below = torch.special.gammainc(a, middle) < u
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return high
