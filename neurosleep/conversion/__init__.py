"""Awake networks to spiking networks, and back."""

from neurosleep.conversion._activities import largest_activities
from neurosleep.conversion._chain import biased_layers, sleeping_chain
from neurosleep.conversion._check import CheckedLayer, ModelCheck, check
from neurosleep.conversion._compare import ConversionCheck, LayerCheck, compare
from neurosleep.conversion._convert import convert
from neurosleep.conversion._copied import copied
from neurosleep.conversion._obstacles import Obstacle
from neurosleep.conversion._plastic import plastic_convolutions
from neurosleep.conversion._wake import wake
from neurosleep.conversion.converted import ConvertedNetwork
from neurosleep.conversion.feedback import Feedback, feedback_of
from neurosleep.conversion.recipes import (
    LAYER_RECIPES,
    RECIPES,
    Balance,
    Maximum,
    Percentile,
    Ratio,
    Recipe,
    RecipeName,
    Recursive,
)
from neurosleep.conversion.report import ConversionReport

__all__ = [
    "LAYER_RECIPES",
    "RECIPES",
    "Balance",
    "CheckedLayer",
    "ConversionCheck",
    "ConversionReport",
    "ConvertedNetwork",
    "Feedback",
    "LayerCheck",
    "Maximum",
    "ModelCheck",
    "Obstacle",
    "Percentile",
    "Ratio",
    "Recipe",
    "RecipeName",
    "Recursive",
    "biased_layers",
    "check",
    "compare",
    "convert",
    "copied",
    "feedback_of",
    "largest_activities",
    "plastic_convolutions",
    "sleeping_chain",
    "wake",
]
