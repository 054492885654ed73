"""Sums that are too long for one neuron: parts of them go to helper neurons, which pass them on as spikes.

Each block of inputs has two helpers for a neuron, one for its positive weights and one for its negative ones, so that
every partial sum only grows. A helper fires once for every quantum that it has gathered, and the neuron adds what the
helpers of positive weights send and takes away what the others send.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import MappingFinding
from neurosleep.hardware.rewrite.compose import LARGEST
from neurosleep.hardware.rewrite.fan_in import FanIn, core_axons_limit
from neurosleep.hardware.rewrite.unroll import unrolled
from neurosleep.spiking import Dense, Identity, Population, Projection, SpikingNetwork

__all__ = ["split_fan_in"]

# Part of the inputs that is expected to fire in a step; what is more waits in the helper for later steps.
_ACTIVE = 0.25


def _limits(profile: HardwareProfile) -> dict[str, int]:
    """Limits of what one neuron can sum that are no mere deadlines."""
    capacity = profile.capacity
    limits = {}
    if isinstance(capacity.fan_in_max, int) and capacity.limit_kind.fan_in_max != "deadline":
        limits["fan_in_max"] = capacity.fan_in_max
    axons = core_axons_limit(profile)
    if axons is not None and capacity.cores_per_chip != 1:
        limits["in_axons_per_core_max"] = axons
    return limits


def split_fan_in(network: SpikingNetwork, profile: HardwareProfile) -> tuple[SpikingNetwork, list[MappingFinding]]:
    """The network with helpers before each population whose fan-in exceeds the chip's limits.

    The helpers' quantum is a quarter of the largest partial sum of their neuron; a population that integrates (``li``)
    has one for all of its neurons. Helpers do not leak; their reset subtracts the quantum where the chip has such.
    """
    limits = _limits(profile)
    findings: list[MappingFinding] = []
    for p in network.layers:
        if p.kind == "relay" or not limits:
            continue
        sums = FanIn(network, p.name, profile)
        needed = {"fan_in_max": sums.synapses, "in_axons_per_core_max": sums.least_axons}
        beyond = [key for key, limit in limits.items() if needed[key] > limit]
        fits_memory = all(network.population(q.source).size * p.size <= LARGEST for q in sums.incoming)
        if not beyond or not fits_memory:
            continue
        network, helpers, blocks = _split(network, p, min(limits.values()), profile)
        text = (
            f"fan-in {needed[beyond[0]]} exceeds {limits[beyond[0]]}: sums are split over {blocks} blocks of inputs, "
            f"with {helpers} partial-sum neurons in all; sums that are passed on as spikes lose accuracy, "
            "and weights that were split do not change in a sleep"
        )
        findings.append(MappingFinding("warning", p.name, text))
    return network, findings


def _blocks(incoming: list[Dense], length: int) -> list[list[tuple[Dense, Tensor]]]:
    """Connected columns of the projections in order, so many in each block: weights with the other columns zero."""
    blocks: list[list[tuple[Dense, Tensor]]] = [[]]
    room = length
    for q in incoming:
        columns = (q.weight != 0).any(0).nonzero().flatten()
        while len(columns):
            if not room:
                blocks.append([])
                room = length
            now, columns = columns[:room], columns[room:]
            weight = torch.zeros_like(q.weight)
            weight[:, now] = q.weight[:, now]
            blocks[-1].append((q, weight))
            room -= len(now)
    return blocks


def _split(
    network: SpikingNetwork, p: Population, length: int, profile: HardwareProfile
) -> tuple[SpikingNetwork, int, int]:
    incoming = [unrolled(network, network.projections[k]) for k in network.incoming(p.name)]
    blocks = _blocks(incoming, length)
    strongest = torch.stack(
        [sum((sign * w).clamp_min(0).sum(1) for _, w in block) for block in blocks for sign in (1, -1)]  # type: ignore[misc]
    )
    quantum = _ACTIVE * strongest.max(0).values
    if p.kind == "li":
        quantum = quantum.max().expand(p.size)
    quantum = torch.where(quantum > 0, quantum, 1.0)
    subtracts = profile.reset.modes is None or "subtract_threshold" in profile.reset.modes
    made: list[Population] = []
    added: list[Projection] = []
    taken = {other.name for other in network.populations}
    for number, block in enumerate(blocks):
        for sign, mark in ((1, "plus"), (-1, "minus")):
            parts = [(q, (sign * w).clamp_min(0)) for q, w in block]
            parts = [(q, w) for q, w in parts if bool(w.any())]
            if not parts:
                continue
            name = f"{p.name}_{mark}{number}"
            while name in taken:
                name += "_"
            taken.add(name)
            reset: Any = "subtract" if subtracts else "to_value"
            made.append(Population(name, "lif", p.shape, threshold=quantum, compare=p.compare, reset=reset))
            added += [Dense(q.source, name, w, delay=q.delay, plastic=False) for q, w in parts]
            # Either the sum is in quanta, and thresholds with it, or an integrator adds the one quantum of all.
            scale = sign * (float(quantum[0]) if p.kind == "li" else 1.0)
            added.append(Identity(name, p.name, scale=scale))
    combined = p if p.kind == "li" else _in_quanta(p, quantum)
    populations = []
    for other in network.populations:
        populations += [*made, combined] if other.name == p.name else [other]
    others = [q for q in network.projections if q.target != p.name]
    split = dataclasses.replace(network, populations=tuple(populations), projections=(*others, *added))
    return split, len(made) * p.size, len(blocks)


def _in_quanta(p: Population, quantum: Tensor) -> Population:
    changed: dict[str, Any] = {}
    for key in ("threshold", "leak", "reset_value", "bias", "amount"):
        value = getattr(p, key)
        if value is not None:
            changed[key] = torch.as_tensor(value, dtype=torch.float64) / quantum
    return dataclasses.replace(p, **changed)
