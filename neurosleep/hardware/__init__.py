"""Hardware: profiles of neuromorphic chips, each figure with its source, and the integers that chips compute with."""

from neurosleep.hardware._arithmetic import Arithmetic
from neurosleep.hardware._energy import Activity, count_activity, estimate_energy
from neurosleep.hardware._findings import Finding
from neurosleep.hardware._fixed_engine import FixedEngine
from neurosleep.hardware._json_schema import json_schema
from neurosleep.hardware._load import load_profile, profile_names
from neurosleep.hardware._map import map_to
from neurosleep.hardware._map_file import map_file
from neurosleep.hardware._mapped import MappedNetwork
from neurosleep.hardware._mapping_report import LayerReport, MappingFinding, MappingReport
from neurosleep.hardware._profile import Figure, HardwareProfile, Source
from neurosleep.hardware._registers import Register

__all__ = [
    "Activity",
    "Arithmetic",
    "Figure",
    "Finding",
    "FixedEngine",
    "HardwareProfile",
    "LayerReport",
    "MappedNetwork",
    "MappingFinding",
    "MappingReport",
    "Register",
    "Source",
    "count_activity",
    "estimate_energy",
    "json_schema",
    "load_profile",
    "map_file",
    "map_to",
    "profile_names",
]
