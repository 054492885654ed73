"""A spiking network as tensors and a header of plain values: what files of ours and NIR graphs of ours hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neurosleep.spiking import (
    Conv,
    Dense,
    Identity,
    Pool,
    Population,
    Projection,
    Reshape,
    SpikingNetwork,
    Transposed,
)
from neurosleep.spiking.parts import PARAMETERS
from neurosleep.spiking.projections import Weighted

__all__ = ["network_of", "network_parts"]

#: What a file calls the classes; a matrix from a population to itself is called recurrent.
_CLASSES: dict[str, Any] = {kind.word: kind for kind in (Dense, Conv, Pool, Reshape, Identity)} | {"recurrent": Dense}
_OPTIONS = {"conv": ("stride", "padding", "dilation", "groups"), "pool": ("mode", "kernel", "stride", "padding")}
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
        entry = {key: getattr(q, key) for key in ("source", "target", "kind", "scale", "delay", "plastic")}
        entry["options"] = [[key, getattr(q, key)] for key in _OPTIONS.get(q.kind, ())]
        if isinstance(q, Weighted):
            tensors[f"projection/{k}/weight"] = q.weight.detach()
            if isinstance(q, Conv) and q.plastic:
                entry["pooled"] = True
        elif isinstance(q, Transposed):
            entry |= {"transpose_of": list(q.of)} | ({"symmetric_rule": True} if q.symmetric_rule else {})
        projections.append(entry)
    transposed = any(isinstance(q, Transposed) for q in network.projections)
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
        settings = {key: entry[key] for key in _PLAIN} | {"shape": tuple(entry["shape"])}
        for key in PARAMETERS:
            settings[key] = entry[key] if key in entry else tensors[f"population/{entry['name']}/{key}"]
        settings["reset_time"] = entry.get("reset_time", "same")
        if settings["kind"] == "li" and header["format"] < 4:
            settings["synaptic_decay"] = 0.0  # it had no effect when the file was written
        populations.append(Population(**settings))
    projections: list[Projection] = []
    for k, entry in enumerate(header["projections"]):
        fields = {key: entry[key] for key in ("source", "target", "scale", "delay")} | dict(entry["options"])
        if "transpose_of" in entry:
            fields |= {"of": entry["transpose_of"], "symmetric_rule": entry.get("symmetric_rule", False)}
            projections.append(Transposed(**fields))
            continue
        kind = _CLASSES[entry["kind"]]
        if issubclass(kind, Weighted):
            fields["weight"] = tensors[f"projection/{k}/weight"]
        if kind is Dense:
            fields["plastic"] = entry["plastic"]
        elif kind is Conv:
            # In the first files "plastic" had no meaning for a convolution, and could be true.
            fields["plastic"] = entry.get("pooled", False)
        elif kind is Pool and isinstance(fields["kernel"], int):
            # One number stands for every axis of the population, whose shape the class does not know.
            shape = next(p.shape for p in populations if p.name == fields["source"])
            fields["kernel"] = [fields["kernel"]] * (len(shape) - 1)
        projections.append(kind(**fields))
    return SpikingNetwork(
        tuple(populations), tuple(projections), dt=header["dt"], discretisation=header["discretisation"]
    )
