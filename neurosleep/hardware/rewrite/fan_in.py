"""How many synapses meet on one neuron, and how many axons a core needs for its neurons, as a chip counts them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.rewrite.signs import axon_signs, mixed_signs
from neurosleep.spiking import Conv, Dense, Identity, Pool, Projection, Reshape, SpikingNetwork, Transposed

__all__ = ["FanIn", "core_axons_limit"]


def core_axons_limit(profile: HardwareProfile) -> int | None:
    """Axons that lead into a core, at most; None where there is no such limit."""
    limit = profile.capacity.in_axons_per_core_max
    return limit if isinstance(limit, int) else None


class FanIn:
    """What leads onto one population.

    Weights of 0 are no synapses. Where the presynaptic neuron has the sign, an input of both signs counts twice; and
    where an axon's type has it, such an input takes an axon for each sign.

    ``unrounded``: the network before its weights were rounded, of which synapses are counted: one that only rounding
    made 0 is still one of the neuron's inputs. Where a neuron stores its synapses one by one (packing ``cam``), they
    need not be stored, and are not counted.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        name: str,
        profile: HardwareProfile,
        per_sign: int = 1,
        unrounded: SpikingNetwork | None = None,
    ) -> None:
        self._profile, self._per_sign = profile, per_sign
        self._single_core = profile.capacity.cores_per_chip == 1
        self.size = network.population(name).size
        self.incoming = [network.projections[k] for k in network.incoming(name)]
        self._network = network
        self.axons = self.axons_of(self.size)
        if unrounded is None or profile.capacity.packing.model == "cam":
            self.synapses = sum(self._synapses(q) for q in self.incoming)
        else:
            self.synapses = FanIn(unrounded, name, profile, per_sign).synapses

    def _synapses(self, q: Projection) -> int:
        """Synapses of one projection onto one neuron, at most."""
        if isinstance(q, Dense | Transposed):
            weight = self._network.matrix(q)
            there = weight != 0
            if self._profile.weights.sign_of_source:
                return int((there * (1 + mixed_signs([weight]).long())).sum(1).max())
            return int(there.sum(1).max())
        if isinstance(q, Conv):
            return q.weight[0].numel()
        return math.prod(q.kernel) if isinstance(q, Pool) else 1

    def axons_of(self, neurons: int) -> int:
        """Axons into a core that holds so many consecutive neurons: of the core that needs most."""
        return sum(self._axons(q, neurons) for q in self.incoming)

    def _axons(self, q: Projection, neurons: int) -> int:
        source = self._network.population(q.source)
        if self._single_core and source.kind != "input":
            return 0  # what the core's own neurons send comes from inside
        if isinstance(q, Identity | Reshape):
            return min(neurons, source.size)
        if not isinstance(q, Dense | Transposed):
            return source.size
        weight = self._network.matrix(q)
        if self._profile.weights.values_of_target:
            counts = [self._per_sign * axon_signs(rows) for rows in torch.split(weight, neurons)]
        else:
            counts = [(rows != 0).any(0) for rows in torch.split(weight, neurons)]
        return max(int(count.sum()) for count in counts)

    @property
    def least_axons(self) -> int:
        """Axons into a core that holds as few of the neurons as it can: one, or all of them on a single core."""
        return self.axons if self._single_core else self.axons_of(1)

    def driven(self, q: Projection, neurons: int) -> Tensor:
        """Axons that each presynaptic neuron of projection ``q`` drives, of all cores of so many neurons: ``[pre]``."""
        source = self._network.population(q.source)
        if not isinstance(q, Dense | Transposed):
            return torch.full((source.size,), -(-self.size // neurons))
        rows = torch.split(self._network.matrix(q), neurons)
        if self._profile.weights.values_of_target:
            return self._per_sign * torch.stack([axon_signs(those) for those in rows]).sum(0)
        return torch.stack([(those != 0).any(0) for those in rows]).sum(0)

    def fitting(self, most: int) -> int:
        """The most neurons, of ``most``, for which the axons of a core suffice; at least 1."""
        limit, neurons = core_axons_limit(self._profile), most
        if self._single_core:
            return neurons
        while limit is not None and neurons > 1 and (needed := self.axons_of(neurons)) > limit:
            neurons = max(1, min(neurons - 1, neurons * limit // needed))
        return neurons

    @property
    def dense(self) -> bool:
        """Whether all of it are matrices."""
        return all(isinstance(q, Dense | Transposed) for q in self.incoming)
