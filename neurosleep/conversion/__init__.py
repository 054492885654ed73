"""Awake networks to spiking networks, and back."""

from neurosleep.conversion._chain import biased_layers, sleeping_chain
from neurosleep.conversion._compare import ConversionCheck, LayerCheck, compare
from neurosleep.conversion._convert import FEEDBACKS, Feedback, convert
from neurosleep.conversion._copied import copied
from neurosleep.conversion._wake import wake
from neurosleep.conversion.report import ConversionReport
from neurosleep.conversion.scale import RECIPES, Recipe, largest_activities, layer_scales

__all__ = [
    "FEEDBACKS",
    "RECIPES",
    "ConversionCheck",
    "ConversionReport",
    "Feedback",
    "LayerCheck",
    "Recipe",
    "biased_layers",
    "compare",
    "convert",
    "copied",
    "largest_activities",
    "layer_scales",
    "sleeping_chain",
    "wake",
]
