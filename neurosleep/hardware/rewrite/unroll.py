"""Projections with a geometry as matrices, for chips on which every synapse is one of its own."""

from __future__ import annotations

import dataclasses

from neurosleep.hardware.report import MappingFinding, exceeds
from neurosleep.hardware.rewrite.compose import LARGEST, dense_weight
from neurosleep.spiking import Conv, Dense, Projection, SpikingNetwork

__all__ = ["unroll", "unrolled"]


def unrolled(network: SpikingNetwork, q: Projection) -> Dense:
    """A projection of any kind with a matrix for a weight, its scale in it."""
    if isinstance(q, Dense):
        return dataclasses.replace(q, weight=q.scale * q.weight, scale=1.0)
    source, target = network.population(q.source), network.population(q.target)
    weight = q.scale * dense_weight(source, (q, source.shape), size=target.size)
    return Dense(q.source, q.target, weight, delay=q.delay, plastic=False)


def unroll(network: SpikingNetwork, profile: str) -> tuple[SpikingNetwork, list[MappingFinding]]:
    """The network with matrices only; an error names what would be too large for one."""
    findings: list[MappingFinding] = []
    projections: list[Projection] = []
    for q in network.projections:
        size = network.population(q.source).size * network.population(q.target).size
        if not isinstance(q, Dense) and size > LARGEST:
            what = f"the {q.kind} projection from {q.source!r} has a synapse for each of its connections on {profile!r}"
            findings.append(exceeds(q.target, "synapses", size, LARGEST, "budget", what=what))
            projections.append(q)
            continue
        if isinstance(q, Conv):
            text = f"weights from {q.source!r} are shared, and stored once for each synapse on the chip"
            findings.append(MappingFinding("note", q.target, text))
        projections.append(unrolled(network, q))
    return dataclasses.replace(network, projections=tuple(projections)), findings
