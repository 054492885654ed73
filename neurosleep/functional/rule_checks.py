"""What several plasticity rules ask of their parameters."""

from __future__ import annotations

import math
from typing import Any

from neurosleep.errors import SettingsError

__all__ = ["TAU_20", "check_amplitudes", "check_bounds", "check_decays"]

#: Factor per step of a trace of 20 ms, at 1 ms a step.
TAU_20 = math.exp(-1 / 20)


def check_amplitudes(rule: Any, *names: str) -> None:
    """Refuse amplitudes, rates and exponents below 0."""
    for name in names:
        if not 0 <= getattr(rule, name) < math.inf:
            raise SettingsError(f"The rule's {name} is {getattr(rule, name)!r}.", expected="a number >= 0")


def check_decays(rule: Any, *names: str) -> None:
    """Refuse factors per step that do not let a trace decay."""
    for name in names:
        if not 0 <= getattr(rule, name) < 1:
            raise SettingsError(f"The rule's {name} is {getattr(rule, name)!r}.", expected="from 0 to below 1")


def check_bounds(rule: Any) -> None:
    """Refuse bounds with nothing between them."""
    if not rule.w_min < rule.w_max:
        raise SettingsError(f"The rule's bounds are {rule.w_min!r} to {rule.w_max!r}.", expected="w_min < w_max")
