"""Relays folded away: what poolings, reshapings and sums of branches do goes into the weights after them.

A chip sends spikes, and a relay sends sums. Since all that it computes is linear, its effect can go into what takes it
up: a matrix W after a pooling P becomes W P, a convolution one of longer strides.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import MappingFinding
from neurosleep.hardware.rewrite.compose import LARGEST, compose, dense_weight, pool_divisor, summing
from neurosleep.spiking import Conv, Dense, Pool, Population, Projection, SpikingNetwork

__all__ = ["fold_relays", "pools_on_chip"]


def pools_on_chip(network: SpikingNetwork, name: str, profile: HardwareProfile) -> bool:
    """Whether the relay ``name`` is what a chip does to spikes on their way: a pooling that sums them, and no more."""
    sizes = profile.capacity.packing.pools
    incoming = [network.projections[k] for k in network.incoming(name)]
    outgoing = [q for q in network.projections if q.source == name]
    pool = incoming[0] if len(incoming) == 1 else None
    if not sizes or not isinstance(pool, Pool) or not outgoing:
        return False
    if bool(torch.as_tensor(network.population(name).bias).any()) or pool.delay:
        return False
    square = len(pool.kernel) == 2 and len(set(pool.kernel)) == 1 and pool.kernel[0] in sizes
    apart = pool.stride == pool.kernel and not any(pool.padding)
    from_neurons = network.population(pool.source).kind != "relay"
    return square and apart and from_neurons and all(isinstance(q, Conv | Dense) for q in outgoing)


def _adopt(network: SpikingNetwork, name: str) -> SpikingNetwork:
    """A pooling that stays: it sums, and its factor is in the scales of what comes after it."""
    (k,) = network.incoming(name)
    q = network.projections[k]
    factor = q.scale / pool_divisor(q)
    changed = [dataclasses.replace(p, scale=p.scale * factor) if p.source == name else p for p in network.projections]
    changed[k] = dataclasses.replace(summing(q), scale=1.0)
    return dataclasses.replace(network, projections=tuple(changed))


def _without(network: SpikingNetwork, name: str) -> tuple[SpikingNetwork, list[MappingFinding]] | None:
    """The network without the relay ``name``; None if what would take its place is too large."""
    relay = network.population(name)
    incoming = [network.projections[k] for k in network.incoming(name)]
    outgoing = [q for q in network.projections if q.source == name]
    made: dict[int, list[Projection]] = {}
    notes: list[MappingFinding] = []
    for second in outgoing:
        made[id(second)] = []
        for first in incoming:
            source, target = network.population(first.source), network.population(second.target)
            composed, flattened = compose(first, second, source, relay, target)
            if composed is None:
                return None
            made[id(second)].append(composed)
            if flattened:
                size = "x".join(map(str, (target.size, source.size)))
                text = (
                    f"what comes from {source.name!r} through {name!r} fits no single convolution (padding meets the "
                    f"edge of a pooling, or both have groups), and is a matrix of {size}"
                )
                notes.append(MappingFinding("warning", target.name, text))
    bias = torch.as_tensor(relay.bias, dtype=torch.float64)
    populations = {p.name: p for p in network.populations if p.name != name}
    if bool(bias.any()):
        for second in outgoing:
            target = populations[second.target]
            added = _passed_on(network, second, bias)
            populations[target.name] = dataclasses.replace(
                target, bias=torch.as_tensor(target.bias, dtype=torch.float64) + added
            )
            if second.delay:
                text = f"the bias of {name!r} acts from the first step on, and not only {second.delay} steps later"
                notes.append(MappingFinding("note", target.name, text))
    projections = [p for q in network.projections if q.target != name for p in made.get(id(q), [q])]
    folded = dataclasses.replace(network, populations=tuple(populations.values()), projections=tuple(projections))
    text = f"the relay {name!r} is folded into the weights of {', '.join(dict.fromkeys(q.target for q in outgoing))}"
    return folded, [MappingFinding("note", "", text), *notes]


def _passed_on(network: SpikingNetwork, q: Projection, value: Tensor) -> Tensor:
    """What a constant ``value`` of the source adds to the target in every step."""
    source, target = network.population(q.source), network.population(q.target)
    constant = Population("constant", "input", (1,))
    spread = Dense("constant", q.source, value.expand(source.size).reshape(-1, 1))
    weight = dense_weight(constant, (spread, (1,)), (q, source.shape), size=target.size)
    return q.scale * weight.reshape(-1)


def fold_relays(network: SpikingNetwork, profile: HardwareProfile) -> tuple[SpikingNetwork, list[MappingFinding]]:
    """The network without relays, but for poolings that the chip does itself and for relays that cannot be folded.

    A relay that ends the network, or that feeds itself, stays; so does one whose effect would take a matrix of more
    than :data:`~neurosleep.hardware.rewrite.compose.LARGEST` numbers.
    """
    findings: list[MappingFinding] = []
    # From the end on: a pooling whose sums are only reshaped then already meets the weights that take them.
    for name in [p.name for p in reversed(network.layers) if p.kind == "relay"]:
        outgoing = [q for q in network.projections if q.source == name]
        if not outgoing or any(q.target == name for q in outgoing):
            continue
        if pools_on_chip(network, name, profile):
            network = _adopt(network, name)
            findings.append(MappingFinding("note", "", f"the chip itself pools at {name!r}: it sums spikes"))
            continue
        shorter = _without(network, name)
        if shorter is None:
            text = f"the relay {name!r} would become a matrix of more than {LARGEST} numbers"
            findings.append(MappingFinding("note", "", text))
            continue
        network, notes = shorter
        findings += notes
    return network, findings
