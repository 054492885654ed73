"""Awake networks to spiking networks, and back."""

from neurosleep.conversion._convert import ConversionReport, convert, wake
from neurosleep.conversion.scale import SCALES, Scale, largest_activities, layer_scales

__all__ = ["SCALES", "ConversionReport", "Scale", "convert", "largest_activities", "layer_scales", "wake"]
