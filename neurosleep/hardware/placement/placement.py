"""How many cores each population takes, and which limits of a profile it exceeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from neurosleep.hardware.placement.kernel_cores import place_layers
from neurosleep.hardware.placement.loihi_cores import axon_bits
from neurosleep.hardware.placement.plan import Placement, PopulationPlan
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import MappingFinding, exceeds
from neurosleep.hardware.rewrite.fan_in import FanIn
from neurosleep.spiking import SpikingNetwork

__all__ = ["place"]

# Cores of one population change how many a population before it needs; this often is enough for any chain.
_ROUNDS = 50


class _Population:
    """Sizes of one population, and what the profile's model makes of them."""

    def __init__(
        self,
        network: SpikingNetwork,
        name: str,
        profile: HardwareProfile,
        bits: int,
        per_sign: int,
        unrounded: SpikingNetwork | None,
    ) -> None:
        self.name, self.size, self.profile, self.bits = name, network.population(name).size, profile, bits
        self.sums = FanIn(network, name, profile, per_sign, unrounded)
        self.fan_in, self.axons, self.dense = self.sums.synapses, self.sums.axons, self.sums.dense
        # A row has one sign where its driver has it: a signed weight takes two synapses.
        self.stored = self.fan_in * (2 if profile.weights.rows_of_a_sign else 1)
        reached = [q.target for q in network.projections if q.source == name]
        self.targets = tuple(target for target in reached if network.population(target).kind != "relay")

    def memory(self, neurons: int) -> int | None:
        """Bits of synapse memory for so many neurons on one core; None where the profile has no such memory."""
        packing = self.profile.capacity.packing
        if packing.model == "loihi" and self.dense:
            assert packing.group_size and packing.word_bits and packing.overhead_bits is not None
            one = axon_bits(
                neurons, self.bits, group=packing.group_size, overhead=packing.overhead_bits, word=packing.word_bits
            )
            return self.axons * one
        if packing.model == "loihi":
            # Not every axon reaches every neuron: each synapse then carries up to 12 bits of index.
            return neurons * self.fan_in * (self.bits + 12)
        if packing.model == "row_table" and packing.bytes_per_synapse is not None:
            return neurons * self.fan_in * 8 * packing.bytes_per_synapse
        return None

    def most(self) -> tuple[int | None, list[MappingFinding]]:
        """The most neurons that fit on a core (None: no limit is known), and why not even one does."""
        capacity = self.profile.capacity
        limit, budget = capacity.neurons_per_core, capacity.synapse_memory_bits_per_core
        most = self.size if limit is None or limit == "unlimited" else min(self.size, limit)
        synapses = capacity.synapses_per_core
        wrong = []
        if isinstance(synapses, int) and self.stored:
            if self.stored > synapses:
                what = "the synapses of one neuron are too many for a core"
                wrong.append(
                    exceeds(
                        self.name, "synapses_per_core", self.stored, synapses, self.kind("synapses_per_core"), what=what
                    )
                )
            most = min(most, synapses // self.stored)
        if isinstance(budget, int) and self.memory(1) is not None:
            low, high = 0, most
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if (self.memory(middle) or 0) <= budget else (low, middle - 1)
            if low == 0 and most > 0:
                key, what = "synapse_memory_bits_per_core", "the synapses of one neuron do not fit on a core"
                wrong.append(exceeds(self.name, key, self.memory(1) or 0, budget, self.kind(key), what=what))
            most = low
        return (self.sums.fitting(most) if most else most), wrong

    def kind(self, key: str) -> str | None:
        """Whether the limit is structural, a budget or a deadline."""
        limit_kind: str | None = getattr(self.profile.capacity.limit_kind, key)
        return limit_kind


def _fan_findings(population: _Population) -> list[MappingFinding]:
    capacity, chip = population.profile.capacity, population.profile.id
    findings = []
    for key, needed, what in (
        ("fan_in_max", population.fan_in, "fan-in"),
        ("in_axons_per_core_max", population.sums.least_axons, "input axons"),
    ):
        limit, kind = getattr(capacity, key), population.kind(key) or "structural"
        if not isinstance(limit, int) or needed <= limit:
            continue
        text, hint = f"{what} {needed} exceeds {limit} ({kind}, {chip})", None
        if key == "fan_in_max" or capacity.cores_per_chip != 1:
            hint = f"split into {-(-needed // limit)} partial-sum neurons for each sign with allow_split=true"
        level: Literal["error", "warning"] = "warning" if kind == "deadline" else "error"
        text = text if hint is None or level == "warning" else f"{text}; {hint}"
        findings.append(MappingFinding(level, population.name, text, key, needed, limit, kind, hint))
    return findings


def place(
    network: SpikingNetwork,
    profile: HardwareProfile,
    bits: int,
    axons: Mapping[str, int] | None = None,
    unrounded: SpikingNetwork | None = None,
) -> Placement:
    """Divide every population that computes among cores of its own; inputs come from outside.

    Fewer neurons are put on a core until its synapse memory and its output axons suffice. An output axon serves one
    core that a neuron's spikes go to. Where a neuron has one destination (``capacity.fan_out_max`` 1), it is held as
    often as it has any.

    ``axons``: by population, how many axons an input takes for each sign of its weights; left out, 1. ``unrounded``:
    the network before its weights were rounded, of whose synapses the fan-in is counted.
    """
    capacity = profile.capacity
    if capacity.packing.model == "kernel":
        return place_layers(network, profile, bits)
    populations = [
        _Population(network, p.name, profile, bits, (axons or {}).get(p.name, 1), unrounded)
        for p in network.layers
        if p.kind != "relay"
    ]
    findings = [f for p in populations for f in _fan_findings(p)]
    if capacity.packing.model in (None, "unlimited"):
        plans = {p.name: PopulationPlan(None, None, None, p.axons) for p in populations}
        return Placement(plans, None, tuple(findings))
    most = {}
    for p in populations:
        most[p.name], wrong = p.most()
        findings += wrong
    per_core = {name: m for name, m in most.items() if m}
    sizes = {p.name: p.size for p in populations}

    def cores(name: str) -> int:
        return -(-sizes[name] // per_core[name])

    out = capacity.out_axons_per_core_max
    if isinstance(out, int) and len(per_core) == len(populations):
        for _ in range(_ROUNDS):
            before = dict(per_core)
            for p in reversed(populations):
                reached = sum(cores(target) for target in p.targets)
                if reached:
                    per_core[p.name] = max(1, min(per_core[p.name], out // reached))
            if per_core == before:
                break
        for p in populations:
            reached = sum(cores(target) for target in p.targets)
            if per_core[p.name] * reached > out:
                key, what = "out_axons_per_core_max", "its spikes go to too many cores"
                needed = per_core[p.name] * reached
                findings.append(exceeds(p.name, key, needed, out, p.kind(key), what=what))
    fitting = len(per_core) == len(populations) and not any(f.level == "error" for f in findings)
    if capacity.fan_out_max == 1 and fitting:
        findings += _copies(network, populations, per_core)
    plans = {
        p.name: PopulationPlan(cores(p.name), per_core[p.name], p.memory(per_core[p.name]), p.axons)
        if p.name in per_core
        else PopulationPlan(None, None, None, p.axons)
        for p in populations
    }
    total = (
        sum(plan.cores for plan in plans.values() if plan.cores is not None) if len(per_core) == len(plans) else None
    )
    findings += _chip_findings(profile, populations, plans, total)
    if capacity.packing.model == "loihi" and not all(p.dense for p in populations):
        text = "cores are estimated: convolutions are counted synapse by synapse, with 12 bits of index each"
        findings.append(MappingFinding("note", "", text))
    if capacity.packing.estimated:
        findings.append(
            MappingFinding("note", "", "cores are estimated: the constants of the chip are planning figures")
        )
    return Placement(plans, total, tuple(findings))


def _copies(network: SpikingNetwork, populations: list[_Population], per_core: dict[str, int]) -> list[MappingFinding]:
    """Room for each neuron once for every axon that its spikes go to; takes it from ``per_core``."""
    findings = []
    by_name = {p.name: p for p in populations}
    for p in reversed(populations):
        driven = torch.zeros(p.size, dtype=torch.int64)
        for q in network.projections:
            if q.source == p.name and q.target in by_name:
                driven = driven + by_name[q.target].sums.driven(q, per_core[q.target])
        copies = int(driven.max())
        if copies <= 1:
            continue
        limit = p.profile.capacity.neurons_per_core
        if isinstance(limit, int) and copies > limit:
            what = "a neuron has one destination, and is needed once for each"
            findings.append(exceeds(p.name, "fan_out_max", copies, limit, "structural", what=what))
            continue
        if isinstance(limit, int):
            per_core[p.name] = max(1, min(per_core[p.name], limit // copies))
        text = f"a neuron has one destination: each is held up to {copies} times, once for every axon that it drives"
        findings.append(MappingFinding("note", p.name, text))
    return findings


def _chip_findings(
    profile: HardwareProfile, populations: list[_Population], plans: dict[str, PopulationPlan], total: int | None
) -> list[MappingFinding]:
    """Limits of the whole chip."""
    limit, capacity = profile.capacity.cores_per_chip, profile.capacity
    if not isinstance(limit, int) or total is None:
        return []
    if limit == 1:
        # One core serves all populations together.
        neurons = sum(p.size for p in populations)
        synapses = sum(p.size * p.stored for p in populations)
        findings = []
        for key, needed in (("neurons_per_core", neurons), ("synapses_per_core", synapses)):
            most = getattr(capacity, key)
            if isinstance(most, int) and needed > most:
                kind = getattr(capacity.limit_kind, key)
                findings.append(exceeds("", key, needed, most, kind, what="all populations share one core"))
        return findings + _hidden_and_output(profile, populations)
    if total <= limit:
        return []
    if capacity.limit_kind.cores_per_chip == "structural":
        return [exceeds("", "cores_per_chip", total, limit, "structural", what="too many cores")]
    chips = -(-total // limit)
    return [MappingFinding("note", "", f"{total} cores take {chips} chips of {limit} cores")]


def _hidden_and_output(profile: HardwareProfile, populations: list[_Population]) -> list[MappingFinding]:
    """Of a chip that keeps neurons for its output apart: those that send to no others."""
    findings = []
    packing = profile.capacity.packing
    for key, sending, what in (
        ("hidden_neurons_max", True, "too many hidden neurons"),
        ("output_neurons_max", False, "too many output neurons"),
    ):
        limit = getattr(packing, key)
        needed = sum(p.size for p in populations if bool(p.targets) == sending)
        if limit is not None and needed > limit:
            findings.append(exceeds("", f"packing.{key}", needed, limit, "structural", what=what))
    return findings
