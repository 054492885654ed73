"""Hardware: profiles of neuromorphic chips, each figure with its source."""

from neurosleep.hardware._findings import Finding
from neurosleep.hardware._load import load_profile, profile_names
from neurosleep.hardware._profile import Figure, HardwareProfile, Source

__all__ = ["Figure", "Finding", "HardwareProfile", "Source", "load_profile", "profile_names"]
