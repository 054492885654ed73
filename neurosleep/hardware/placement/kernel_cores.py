"""Layers onto the cores of Speck and DYNAP-CNN: each takes one core whole, and cores differ in size."""

from __future__ import annotations

from neurosleep.errors import SettingsError
from neurosleep.hardware.placement.plan import Placement, PopulationPlan
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import MappingFinding, exceeds
from neurosleep.spiking import Conv, Dense, Projection, SpikingNetwork

__all__ = ["kernel_words", "match", "place_layers"]


def match(fits: dict[str, list[int]]) -> dict[str, int]:
    """A core for each layer, no two the same, for as many layers as possible (augmenting paths)."""
    taken: dict[int, str] = {}

    def assign(layer: str, seen: set[int]) -> bool:
        for core in fits[layer]:
            if core not in seen:
                seen.add(core)
                if core not in taken or assign(taken[core], seen):
                    taken[core] = layer
                    return True
        return False

    for layer in fits:
        assign(layer, set())
    return {layer: core for core, layer in taken.items()}


def kernel_words(channels: int, features: int, kernel: tuple[int, int]) -> int:
    """Words of kernel memory of a convolution: ``c 2^(ceil(log2(kx ky)) + ceil(log2 f))``."""
    if min(channels, features, *kernel) < 1:
        raise SettingsError(f"{channels} channels, {features} features, kernel {kernel}.", expected="at least 1 each")
    return int(channels << ((kernel[0] * kernel[1] - 1).bit_length() + (features - 1).bit_length()))


def _words(network: SpikingNetwork, q: Projection) -> int:
    """Kernel memory of one projection, in words."""
    if isinstance(q, Conv):
        features, channels = q.weight.shape[:2]
        return kernel_words(channels, features, (q.kernel[0], q.kernel[1] if len(q.kernel) > 1 else 1))
    shape = network.population(q.source).shape
    # What lies on a grid is addressed by channel and place: a matrix is a kernel as large as the grid.
    height, width = shape[1:] if len(shape) == 3 else (1, 1)
    return kernel_words(
        network.population(q.source).size // (height * width), network.population(q.target).size, (height, width)
    )


def _geometry(network: SpikingNetwork, q: Projection, profile: HardwareProfile) -> list[MappingFinding]:
    """What of a projection's shapes is beyond the chip."""
    packing = profile.capacity.packing
    source, target = network.population(q.source).shape, network.population(q.target).shape
    findings = []

    def check(key: str, needed: int, what: str) -> None:
        limit = getattr(packing, key)
        if limit is not None and needed > limit:
            findings.append(exceeds(q.target, f"packing.{key}", needed, limit, "structural", what=what))

    if not isinstance(q, Conv | Dense) or q.kind == "recurrent":
        what = f"a projection of kind {q.kind!r} has no core of its own"
        findings.append(exceeds(q.target, "packing.model", q.kind, "conv, dense", "structural", what=what))
        return findings
    grid = isinstance(q, Conv) or len(source) == 3
    check("channels_max", source[0] if grid else network.population(q.source).size, "too many channels")
    if isinstance(q, Dense):
        if grid:
            check("input_size_max", max(source[1:]), "the input is too large")
            check("kernel_size_max", max(source[1:]), "the kernel, as large as what it reads, is too large")
        return findings
    check("input_size_max", max(source[1:]), "the input is too large")
    check("output_size_max", max(target[1:]), "the output is too large")
    check("kernel_size_max", max(q.kernel), "the kernel is too large")
    check("padding_max", max(q.padding), "too much padding")
    places = (("stride", q.stride, packing.strides), ("dilation", q.dilation, (1,)), ("groups", (q.groups,), (1,)))
    for key, values, only in places:
        wrong = [value for value in values if only is not None and value not in only]
        if wrong:
            there = ", ".join(map(str, only or ()))
            findings.append(exceeds(q.target, f"packing.{key}", wrong[0], there, "structural", what=f"no such {key}"))
    return findings


def place_layers(network: SpikingNetwork, profile: HardwareProfile, bits: int) -> Placement:
    """A core for each population that computes, one that has the kernel memory and the neuron memory for it."""
    capacity, packing = profile.capacity, profile.capacity.packing
    kernels, neurons = packing.kernel_words_per_core or (), packing.neuron_words_per_core or ()
    findings, plans, fits = [], {}, {}
    pooled = {p.name for p in network.layers if p.kind == "relay"}
    for p in [p for p in network.layers if p.name not in pooled]:
        incoming = [network.projections[k] for k in network.incoming(p.name)]
        wrong = [f for q in incoming for f in _geometry(network, q, profile)]
        findings += wrong
        words = sum(_words(network, q) for q in incoming if q.kind in ("conv", "dense"))
        axons = sum(network.population(q.source).size for q in incoming)
        plans[p.name] = PopulationPlan(1, p.size, words * bits, axons)
        fits[p.name] = [k for k, (a, b) in enumerate(zip(kernels, neurons, strict=True)) if words <= a and p.size <= b]
        if words > max(kernels):
            key, what = "packing.kernel_words_per_core", "its kernels are too large for any core"
            findings.append(exceeds(p.name, key, words, max(kernels), "structural", what=what))
        elif p.size > max(neurons):
            key, what = "packing.neuron_words_per_core", "too many neurons for any core"
            findings.append(exceeds(p.name, key, p.size, max(neurons), "structural", what=what))
        elif not fits[p.name]:
            key, what = (
                "packing.kernel_words_per_core",
                f"no core with room for {p.size} neurons has its kernels' memory",
            )
            most = max(a for a, b in zip(kernels, neurons, strict=True) if p.size <= b)
            findings.append(exceeds(p.name, key, words, most, "structural", what=what))
        # A core pools what it sends, so that the layers behind a pooling are its own destinations.
        sent = {q.target for q in network.projections if q.source == p.name}
        behind = {q.target for q in network.projections if q.source in sent & pooled}
        targets = (sent - pooled) | behind
        limit = capacity.fan_out_max
        if isinstance(limit, int) and len(targets) > limit:
            what = "its spikes go to too many layers"
            findings.append(exceeds(p.name, "fan_out_max", len(targets), limit, "structural", what=what))
    placed = match(fits)
    # A layer that no core could hold is named above; here it is only those that get in each other's way.
    for name in [name for name in fits if fits[name] and name not in placed]:
        what = f"all {len(fits[name])} cores that could hold it are taken by other layers"
        findings.append(exceeds(name, "cores_per_chip", len(fits), len(kernels), "structural", what=what))
    return Placement(plans, len(plans), tuple(findings))
