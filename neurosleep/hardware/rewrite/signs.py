"""One sign for each presynaptic neuron, as ODIN has it: neurons of mixed signs become two that fire together."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from neurosleep.hardware.report import MappingFinding
from neurosleep.spiking import Population, Projection, SpikingNetwork
from neurosleep.spiking.projections import Weighted

__all__ = ["axon_signs", "mixed_signs", "split_by_sign"]

_PER_NEURON = ("threshold", "decay", "leak", "reset_value", "bias", "amount", "synaptic_decay")


def mixed_signs(weights: list[Tensor]) -> Tensor:
    """Which presynaptic neurons have outgoing weights ``[post, pre]`` of both signs, boolean ``[pre]``."""
    positive = torch.stack([(w > 0).any(0) for w in weights]).any(0)
    return positive & torch.stack([(w < 0).any(0) for w in weights]).any(0)


def axon_signs(weights: Tensor) -> Tensor:
    """Of how many signs the weights ``[post, pre]`` of each presynaptic neuron are: 0, 1 or 2, ``[pre]``."""
    return (weights > 0).any(0).long() + (weights < 0).any(0).long()


def _with_copies(p: Population, number: Tensor) -> Population:
    changed: dict[str, Any] = {}
    for key in _PER_NEURON:
        value = getattr(p, key)
        if isinstance(value, Tensor) and value.ndim == 1:
            changed[key] = torch.cat([value, value[number]])
    return dataclasses.replace(p, shape=(p.size + len(number),), **changed)


def split_by_sign(network: SpikingNetwork) -> tuple[SpikingNetwork, list[MappingFinding]]:
    """The network of dense projections with a copy of each neuron whose outgoing weights are of both signs.

    The neuron keeps its positive weights, the copy, at the end of its population, has the negative ones; both receive
    the same. Inputs stay as they are: their spikes come from outside, and can be sent to two addresses.
    """
    findings = []
    for p in network.populations:
        outgoing = [q for q in network.projections if q.source == p.name]
        weights = [q.scale * q.weight for q in outgoing if isinstance(q, Weighted)]
        number = mixed_signs(weights).nonzero().flatten() if weights else torch.zeros(0, dtype=torch.int64)
        if not len(number):
            continue
        if p.kind == "input":
            text = f"{len(number)} of its {p.size} inputs have weights of both signs, and take an address for each sign"
            findings.append(MappingFinding("note", p.name, text))
            continue
        text = (
            f"{len(number)} of its {p.size} neurons have weights of both signs, and become two each: a neuron has one "
            "sign on the chip"
        )
        findings.append(MappingFinding("note", p.name, text))
        network = _split(network, p, number)
    return network, findings


def _split(network: SpikingNetwork, p: Population, number: Tensor) -> SpikingNetwork:
    projections: list[Projection] = []
    for q in network.weighted:  # which all of them are here
        weight = q.weight
        if q.source == p.name:
            own, copies = weight.clone(), weight[:, number].clone()
            sign = 1 if q.scale >= 0 else -1
            own[:, number] = sign * (sign * own[:, number]).clamp_min(0)
            weight = torch.cat([own, sign * (sign * copies).clamp_max(0)], 1)
        if q.target == p.name:
            weight = torch.cat([weight, weight[number]])
        projections.append(dataclasses.replace(q, weight=weight))
    populations = tuple(_with_copies(p, number) if other.name == p.name else other for other in network.populations)
    return dataclasses.replace(network, populations=populations, projections=tuple(projections))
