"""Hardware: profiles of neuromorphic chips, each figure with its source, and the integers that chips compute with."""

from typing import TYPE_CHECKING

from neurosleep._lazy import lazily

if TYPE_CHECKING:
    from neurosleep.hardware._energy_of import energy_of
    from neurosleep.hardware._map_file import map_file
    from neurosleep.hardware.arithmetic.arithmetic import Arithmetic
    from neurosleep.hardware.arithmetic.registers import Register
    from neurosleep.hardware.arithmetic.rounding import Rounding
    from neurosleep.hardware.emulation.chip_rule import ChipRule, ChipTerm, chip_rule
    from neurosleep.hardware.emulation.fixed_engine import FixedEngine
    from neurosleep.hardware.emulation.sleep_parts import SleepPart, sleep_parts
    from neurosleep.hardware.energy.activity import Activity, count_activity
    from neurosleep.hardware.energy.chip_time import ChipTime, Load, chip_time
    from neurosleep.hardware.energy.energy import STATEMENT, Convention, EnergyEstimate, energy_text, estimate_energy
    from neurosleep.hardware.energy.neurobench import neurobench_metrics
    from neurosleep.hardware.findings import Finding
    from neurosleep.hardware.mapping.chip_homeostasis import ChipRegulation, regulate_on_chip
    from neurosleep.hardware.mapping.from_chip import from_chip
    from neurosleep.hardware.mapping.map_network import map_to
    from neurosleep.hardware.mapping.mapped import MappedNetwork, MappedSynapses
    from neurosleep.hardware.profiles.homeostatic_ways import HomeostaticWay, WayName, chosen_way, homeostatic_ways
    from neurosleep.hardware.profiles.json_schema import json_schema
    from neurosleep.hardware.profiles.load import load_profile, profile_names
    from neurosleep.hardware.profiles.profile import Figure, HardwareProfile, Source
    from neurosleep.hardware.report import LayerReport, MappingFinding, MappingReport
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "hardware._energy_of": "energy_of",
            "hardware._map_file": "map_file",
            "hardware.arithmetic.arithmetic": "Arithmetic",
            "hardware.arithmetic.registers": "Register",
            "hardware.arithmetic.rounding": "Rounding",
            "hardware.emulation.chip_rule": "ChipRule ChipTerm chip_rule",
            "hardware.emulation.fixed_engine": "FixedEngine",
            "hardware.emulation.sleep_parts": "SleepPart sleep_parts",
            "hardware.energy.activity": "Activity count_activity",
            "hardware.energy.chip_time": "ChipTime Load chip_time",
            "hardware.energy.energy": "STATEMENT Convention EnergyEstimate energy_text estimate_energy",
            "hardware.energy.neurobench": "neurobench_metrics",
            "hardware.findings": "Finding",
            "hardware.mapping.chip_homeostasis": "ChipRegulation regulate_on_chip",
            "hardware.mapping.from_chip": "from_chip",
            "hardware.mapping.map_network": "map_to",
            "hardware.mapping.mapped": "MappedNetwork MappedSynapses",
            "hardware.profiles.homeostatic_ways": "HomeostaticWay WayName chosen_way homeostatic_ways",
            "hardware.profiles.json_schema": "json_schema",
            "hardware.profiles.load": "load_profile profile_names",
            "hardware.profiles.profile": "Figure HardwareProfile Source",
            "hardware.report": "LayerReport MappingFinding MappingReport",
        },
    )

__all__ = [
    "STATEMENT",
    "Activity",
    "Arithmetic",
    "ChipRegulation",
    "ChipRule",
    "ChipTerm",
    "ChipTime",
    "Convention",
    "EnergyEstimate",
    "Figure",
    "Finding",
    "FixedEngine",
    "HardwareProfile",
    "HomeostaticWay",
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
    "WayName",
    "chip_rule",
    "chip_time",
    "chosen_way",
    "count_activity",
    "energy_of",
    "energy_text",
    "estimate_energy",
    "from_chip",
    "homeostatic_ways",
    "json_schema",
    "load_profile",
    "map_file",
    "map_to",
    "neurobench_metrics",
    "profile_names",
    "regulate_on_chip",
    "sleep_parts",
]
