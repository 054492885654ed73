r"""Between the decay factors of steps and the time constants, gains and resistances of differential equations.

For :math:`\tau \dot v = (v_{leak} - v) + R I` a step of length dt has the decay a and the gain of I

    forward Euler              :math:`a = 1 - dt/\tau`,     gain :math:`R\, dt/\tau`
    exact for constant input   :math:`a = e^{-dt/\tau}`,    gain :math:`R (1 - e^{-dt/\tau})`
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Discretisation", "decays", "gains", "resistances", "time_constants"]

Discretisation = Literal["exponential", "euler"]
Floats = npt.NDArray[np.float64]

# A unit without decay among units that decay: 1 - 2^-60 is 1 in float64.
_ENDLESS = 2.0**60


def time_constants(decay: Floats, dt: float, discretisation: Discretisation) -> Floats:
    """The time constants in seconds that give ``decay``; finite and above 0 for every decay from 0 to 1."""
    if discretisation == "euler":
        return dt / np.maximum(1 - decay, 1 / _ENDLESS)
    # e^-1000 is 0 in float64, so that a decay of 0 comes back.
    rates = -np.log(np.maximum(decay, np.exp(-700.0)))
    return dt / np.where(decay == 0, 1000.0, np.maximum(rates, 1 / _ENDLESS))


def resistances(decay: Floats) -> Floats:
    """The R that makes the gain 1, for either discretisation."""
    return 1 / np.maximum(1 - decay, 1 / _ENDLESS)


def decays(tau: Floats, dt: float, discretisation: Discretisation) -> Floats:
    """The decay per step; below 0 where forward Euler is asked to take a step longer than the time constant."""
    return 1 - dt / tau if discretisation == "euler" else np.exp(-dt / tau)


def gains(tau: Floats, dt: float, discretisation: Discretisation) -> Floats:
    """The gain of an input per step, for R = 1."""
    return dt / tau if discretisation == "euler" else -np.expm1(-dt / tau)
