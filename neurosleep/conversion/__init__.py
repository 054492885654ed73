"""Awake networks to spiking networks, and back."""

from neurosleep.conversion._convert import ConversionReport, convert, wake
from neurosleep.conversion.scale import RECIPES, Recipe, largest_activities, layer_scales

__all__ = ["RECIPES", "ConversionReport", "Recipe", "convert", "largest_activities", "layer_scales", "wake"]
