"""Which weights a rule changes: plastic matrices, and of a rule that pools updates over places convolutions too."""

from __future__ import annotations

from neurosleep.functional import EngineRule, PlasticityRule, PooledSRC
from neurosleep.spiking.projections import Conv, Projection

__all__ = ["changes"]


def changes(rule: PlasticityRule | EngineRule | None, projection: Projection) -> bool:
    """Whether ``rule`` (None: no plasticity) changes the weight through ``projection``."""
    if rule is None:
        return False
    return projection.plastic or (isinstance(projection, Conv) and isinstance(rule, PooledSRC))
