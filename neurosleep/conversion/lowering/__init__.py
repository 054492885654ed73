"""What a model computes, rewritten in the few operations of which populations and projections are made, exactly."""

from neurosleep.conversion.lowering.ends import without_soft_max
from neurosleep.conversion.lowering.fixed import FIXED, diagonal
from neurosleep.conversion.lowering.lower import Lowering

__all__ = ["FIXED", "Lowering", "diagonal", "without_soft_max"]
