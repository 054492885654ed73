"""Back from a chip: the weights that its whole numbers stand for, in the network that was mapped."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosleep.errors import UnsupportedError
from neurosleep.hardware.mapping.mapped import MappedNetwork
from neurosleep.spiking import SpikingNetwork

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
        (a.source, a.target) == (b.source, b.target)
        and (None if a.weight is None else a.weight.shape) == (None if b.weight is None else b.weight.shape)
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
            "The mapped network does not say what its whole numbers stand for.",
            expected="a network that neurosleep.map_to made",
        )
    weights: list[Tensor] = []
    for k, q in enumerate(network.projections):
        stands_for, whole = mapped.synapses[k], mapped.projections[k].weight
        if q.weight is None:
            continue
        assert stands_for is not None and whole is not None  # the same projections have weights
        if stands_for.alpha == 0:  # nothing of them is on the chip
            weights.append(q.weight)
            continue
        if before is None:
            weights.append(stands_for.weights(whole).to(network.dtype))
            continue
        earlier = before.projections[k].weight
        assert earlier is not None
        changed = q.weight.to(torch.float64) + stands_for.weights(whole - earlier)
        weights.append(torch.where(whole == earlier, q.weight.to(torch.float64), changed).to(network.dtype))
    return network.with_weights(weights)
