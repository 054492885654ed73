"""Hardware: profiles of neuromorphic chips, each figure with its source, and the integers that chips compute with."""

from neurosleep.hardware._activity import Activity, count_activity
from neurosleep.hardware._arithmetic import Arithmetic
from neurosleep.hardware._chip_rule import ChipRule, ChipTerm, chip_rule
from neurosleep.hardware._chip_time import ChipTime, Load, chip_time
from neurosleep.hardware._energy import STATEMENT, Convention, EnergyEstimate, energy_text, estimate_energy
from neurosleep.hardware._energy_of import energy_of
from neurosleep.hardware._findings import Finding
from neurosleep.hardware._fixed_engine import FixedEngine
from neurosleep.hardware._from_chip import from_chip
from neurosleep.hardware._json_schema import json_schema
from neurosleep.hardware._load import load_profile, profile_names
from neurosleep.hardware._map import map_to
from neurosleep.hardware._map_file import map_file
from neurosleep.hardware._mapped import MappedNetwork, MappedSynapses
from neurosleep.hardware._mapping_report import LayerReport, MappingFinding, MappingReport
from neurosleep.hardware._neurobench import neurobench_metrics
from neurosleep.hardware._profile import Figure, HardwareProfile, Source
from neurosleep.hardware._registers import Register
from neurosleep.hardware._rounding import Rounding
from neurosleep.hardware._sleep_parts import SleepPart, sleep_parts

__all__ = [
    "STATEMENT",
    "Activity",
    "Arithmetic",
    "ChipRule",
    "ChipTerm",
    "ChipTime",
    "Convention",
    "EnergyEstimate",
    "Figure",
    "Finding",
    "FixedEngine",
    "HardwareProfile",
    "LayerReport",
    "Load",
    "MappedNetwork",
    "MappedSynapses",
    "MappingFinding",
    "MappingReport",
    "Register",
    "Rounding",
    "SleepPart",
    "Source",
    "chip_rule",
    "chip_time",
    "count_activity",
    "energy_of",
    "energy_text",
    "estimate_energy",
    "from_chip",
    "json_schema",
    "load_profile",
    "map_file",
    "map_to",
    "neurobench_metrics",
    "profile_names",
    "sleep_parts",
]
