"""Which weights a rule changes: plastic matrices, and plastic convolutions if it pools updates over places."""

from __future__ import annotations

from neurosleep.functional import EngineRule, PlasticityRule, PooledSRC
from neurosleep.spiking.projections import Conv, Projection

__all__ = ["changes"]


def changes(rule: PlasticityRule | EngineRule | None, projection: Projection) -> bool:
    """Whether ``rule`` (None: no plasticity) changes the weight through ``projection``."""
    if rule is None or not projection.plastic:
        return False
    return not isinstance(projection, Conv) or isinstance(rule, PooledSRC)
