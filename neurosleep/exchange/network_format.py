"""A spiking network as tensors and a header of plain values: what files of ours and NIR graphs of ours hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neurosleep.spiking import Population, Projection, SpikingNetwork
from neurosleep.spiking.parts import PARAMETERS

__all__ = ["network_of", "network_parts"]

_PLAIN = ("name", "kind", "refractory", "compare", "reset", "while_refractory")


def network_parts(network: SpikingNetwork) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Its tensors by name, and all else of it as JSON holds it."""
    tensors: dict[str, Tensor] = {}
    populations = []
    for p in network.populations:
        entry: dict[str, Any] = {key: getattr(p, key) for key in _PLAIN} | {"shape": list(p.shape)}
        for key in PARAMETERS:
            value = getattr(p, key)
            if isinstance(value, Tensor):
                tensors[f"population/{p.name}/{key}"] = value.detach()
            else:
                entry[key] = value
        if p.reset_time != "same":
            entry["reset_time"] = p.reset_time
        populations.append(entry)
    projections = []
    for k, q in enumerate(network.projections):
        if q.weight is not None:
            tensors[f"projection/{k}/weight"] = q.weight.detach()
        projections.append(
            {key: getattr(q, key) for key in ("source", "target", "kind", "scale", "delay", "plastic")}
            | {"options": [list(pair) for pair in q.options]}
            | ({} if q.transpose_of is None else {"transpose_of": list(q.transpose_of)})
            | ({"symmetric_rule": True} if q.symmetric_rule else {})
        )
    transposed = any(q.transpose_of is not None for q in network.projections)
    delayed = any(p.reset_time != "same" for p in network.populations)
    synaptic = any(p.kind == "li" and bool(torch.as_tensor(p.synaptic_decay).any()) for p in network.populations)
    header = {
        "kind": "spiking-network",
        "format": 4 if synaptic else 3 if delayed else 2 if transposed else 1,
        "dt": network.dt,
        "discretisation": network.discretisation,
        "populations": populations,
        "projections": projections,
    }
    return tensors, header


def network_of(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> SpikingNetwork:
    """The network of these parts; whatever is raised for parts that are none is not caught."""
    populations = []
    for entry in header["populations"]:
        found = {key: entry[key] for key in _PLAIN} | {"shape": tuple(entry["shape"])}
        for key in PARAMETERS:
            found[key] = entry[key] if key in entry else tensors[f"population/{entry['name']}/{key}"]
        found["reset_time"] = entry.get("reset_time", "same")
        if found["kind"] == "li" and header["format"] < 4:
            found["synaptic_decay"] = 0.0  # it had no effect when the file was written
        populations.append(Population(**found))
    projections = []
    for k, entry in enumerate(header["projections"]):
        found = dict(entry) | {"weight": tensors.get(f"projection/{k}/weight")}
        found["options"] = tuple((key, _tuples(value)) for key, value in entry["options"])
        found["transpose_of"] = _tuples(entry.get("transpose_of"))
        projections.append(Projection(**found))
    return SpikingNetwork(
        tuple(populations), tuple(projections), dt=header["dt"], discretisation=header["discretisation"]
    )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
