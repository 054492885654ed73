"""Back from a chip: the weights that its integers stand for, in the network that was mapped."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosleep.errors import UnsupportedError
from neurosleep.hardware.mapping.mapped import MappedNetwork
from neurosleep.spiking import Projection, SpikingNetwork
from neurosleep.spiking.projections import Weighted

__all__ = ["from_chip"]


@torch.no_grad()
def from_chip(mapped: MappedNetwork, network: SpikingNetwork, before: MappedNetwork | None = None) -> SpikingNetwork:
    """``network`` with the weights that the chip now holds: what a host reads after a sleep on the chip.

    Parameters
    ----------
    mapped:
        What became of ``map_to(network, profile)``, usually ``result.network``.
    network:
        The network that was mapped; it is left as it is.
    before:
        As it was mapped, before the sleep. If given, the host has kept its own weights and adds what has changed on the
        chip, so that the rounding of the mapping itself is not taken over.

    Raises
    ------
    UnsupportedError
        If the mapping has changed the structure (split or folded layers), so that weights have no place to go.

    See Also
    --------
    neurosleep.map_to : the way there

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.hardware import from_chip
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, read_out="spikes")
    >>> mapped = ns.map_to(network, "generic_int8")
    >>> torch.allclose(from_chip(mapped, network).weights[0], network.weights[0], atol=0.01)
    True
    """
    same = len(mapped.projections) == len(network.projections) and all(
        (type(a), a.source, a.target) == (type(b), b.source, b.target) and _shape(a) == _shape(b)
        for a, b in zip(mapped.projections, network.projections, strict=True)
    )
    if not same:
        raise UnsupportedError(
            "The mapped network has other projections than the one that was mapped.",
            found=", ".join(f"{q.source} -> {q.target}" for q in mapped.projections),
            expected=", ".join(f"{q.source} -> {q.target}" for q in network.projections),
            hint="sleep off chip where layers have to be split or folded, or share a transposed weight",
        )
    if mapped.arithmetic is None:
        return network.with_weights([w.to(network.dtype) for w in mapped.weights])
    if not mapped.synapses:
        raise UnsupportedError(
            "The mapped network does not say what its integers stand for.",
            expected="a network that neurosleep.map_to made",
        )
    weights: list[Tensor] = []
    places = [stands_for for stands_for in mapped.synapses if stands_for is not None]
    earlier = (mapped if before is None else before).weights
    for weight, stands_for, whole, then in zip(network.weights, places, mapped.weights, earlier, strict=True):
        if stands_for.alpha == 0:  # nothing of them is on the chip
            weights.append(weight)
        elif before is None:
            weights.append(stands_for.weights(whole).to(network.dtype))
        else:
            changed = weight.to(torch.float64) + stands_for.weights(whole - then)
            weights.append(torch.where(whole == then, weight.to(torch.float64), changed).to(network.dtype))
    return network.with_weights(weights)


def _shape(projection: Projection) -> tuple[int, ...] | None:
    return tuple(projection.weight.shape) if isinstance(projection, Weighted) else None
