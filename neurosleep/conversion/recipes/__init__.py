"""Recipes: how large an activity of the model a spike of each population stands for. One file each."""

from neurosleep.conversion.recipes.balancing import balanced
from neurosleep.conversion.recipes.maximum import maxima
from neurosleep.conversion.recipes.percentile import percentiles

__all__ = ["balanced", "maxima", "percentiles"]
