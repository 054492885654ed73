"""What a population takes of a chip, and a whole network."""

from __future__ import annotations

from dataclasses import dataclass

from neurosleep.hardware.report import MappingFinding

__all__ = ["Placement", "PopulationPlan"]


@dataclass(frozen=True)
class PopulationPlan:
    """Cores of one population, neurons and synapse memory (bits) of the fullest, input axons of each."""

    cores: int | None
    neurons_per_core: int | None
    memory_bits: int | None
    in_axons: int


@dataclass(frozen=True)
class Placement:
    """Plans by population, cores in all (None: the profile has no model of them), and what does not fit."""

    plans: dict[str, PopulationPlan]
    cores: int | None
    findings: tuple[MappingFinding, ...]
