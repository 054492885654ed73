"""How many cores each population takes, and which limits of a profile it exceeds."""

from __future__ import annotations

import math

from neurosleep.hardware._kernel_cores import place_layers
from neurosleep.hardware._loihi_cores import axon_bits
from neurosleep.hardware._mapping_report import MappingFinding, exceeds
from neurosleep.hardware._plan import Placement, PopulationPlan
from neurosleep.hardware._profile import HardwareProfile
from neurosleep.spiking import Projection, SpikingNetwork

__all__ = ["place"]

# Cores of one population change how many a population before it needs; this often is enough for any chain.
_ROUNDS = 50


def _fan_in(network: SpikingNetwork, projection: Projection) -> int:
    """Synapses of one projection onto one neuron, at most."""
    if projection.kind in ("dense", "recurrent"):
        return network.population(projection.source).size
    if projection.kind == "conv":
        assert projection.weight is not None
        return math.prod(projection.weight.shape[1:])
    if projection.kind == "pool":
        kernel = dict(projection.options)["kernel"]
        axes = len(network.population(projection.source).shape) - 1
        return int(math.prod(kernel) if isinstance(kernel, tuple | list) else kernel**axes)
    return 1


class _Population:
    """Sizes of one population, and what the profile's model makes of them."""

    def __init__(self, network: SpikingNetwork, name: str, profile: HardwareProfile, bits: int) -> None:
        incoming = [network.projections[k] for k in network.incoming(name)]
        self.name, self.size, self.profile, self.bits = name, network.population(name).size, profile, bits
        self.fan_in = sum(_fan_in(network, q) for q in incoming)
        self.axons = sum(network.population(q.source).size for q in incoming)
        self.dense = all(q.kind in ("dense", "recurrent") for q in incoming)
        self.targets = tuple(q.target for q in network.projections if q.source == name)

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
        if isinstance(synapses, int) and self.fan_in:
            if self.fan_in > synapses:
                what = "the synapses of one neuron are too many for a core"
                wrong.append(
                    exceeds(
                        self.name, "synapses_per_core", self.fan_in, synapses, self.kind("synapses_per_core"), what=what
                    )
                )
            most = min(most, synapses // self.fan_in)
        if isinstance(budget, int) and self.memory(1) is not None:
            low, high = 0, most
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if (self.memory(middle) or 0) <= budget else (low, middle - 1)
            if low == 0 and most > 0:
                key, what = "synapse_memory_bits_per_core", "the synapses of one neuron do not fit on a core"
                wrong.append(exceeds(self.name, key, self.memory(1) or 0, budget, self.kind(key), what=what))
            most = low
        return most, wrong

    def kind(self, key: str) -> str | None:
        """Whether the limit is structural, a budget or a deadline."""
        found: str | None = getattr(self.profile.capacity.limit_kind, key)
        return found


def _fan_findings(population: _Population) -> list[MappingFinding]:
    capacity = population.profile.capacity
    found = []
    for key, needed, what in (
        ("fan_in_max", population.fan_in, "too many synapses onto one neuron"),
        ("in_axons_per_core_max", population.axons, "too many input axons"),
    ):
        limit = getattr(capacity, key)
        if isinstance(limit, int) and needed > limit:
            hint = f"split the sum over {-(-needed // limit)} helper neurons for each"
            found.append(exceeds(population.name, key, needed, limit, population.kind(key), what=what, hint=hint))
    return found


def place(network: SpikingNetwork, profile: HardwareProfile, bits: int) -> Placement:
    """Divide every population that computes among cores of its own; inputs come from outside.

    Fewer neurons are put on a core until its synapse memory and its output axons suffice. An output axon serves one
    core that a neuron's spikes go to.
    """
    capacity = profile.capacity
    if capacity.packing.model == "kernel":
        return place_layers(network, profile, bits)
    populations = [_Population(network, p.name, profile, bits) for p in network.layers]
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
        synapses = sum(p.size * p.fan_in for p in populations)
        found = []
        for key, needed in (("neurons_per_core", neurons), ("synapses_per_core", synapses)):
            most = getattr(capacity, key)
            if isinstance(most, int) and needed > most:
                kind = getattr(capacity.limit_kind, key)
                found.append(exceeds("", key, needed, most, kind, what="all populations share one core"))
        return found
    if total <= limit:
        return []
    if capacity.limit_kind.cores_per_chip == "structural":
        return [exceeds("", "cores_per_chip", total, limit, "structural", what="too many cores")]
    chips = -(-total // limit)
    return [MappingFinding("note", "", f"{total} cores take {chips} chips of {limit} cores")]
