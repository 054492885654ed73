"""Mapping to TrueNorth: four values a neuron, chosen by the type of the axon; a synapse is there or not."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurosleep.functional import torch_generator
from neurosleep.hardware.arithmetic.chip_arithmetic import float64, largest_bias, largest_threshold
from neurosleep.hardware.arithmetic.exact_scale import settled
from neurosleep.hardware.arithmetic.rounding import Rounding, round_values
from neurosleep.hardware.arithmetic.weight_grid import OnGrid
from neurosleep.hardware.mapping.integers import IntegerMapping
from neurosleep.hardware.mapping.subset_sums import fit_largest, fit_subset_sums, subset_sums
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.rewrite.signs import axon_signs
from neurosleep.spiking import Population, SpikingNetwork

__all__ = ["TrueNorthMapping"]


class TrueNorthMapping(IntegerMapping):
    """Axons of types 0 and 1 excite, those of types 2 and 3 inhibit; an input takes one axon of each type it needs.

    With two axons an input (types 0 and 2) a neuron has one magnitude for its positive and one for its negative
    weights, those which it connects at all: the choice with the least squared error. Where the axons of a core suffice
    for four, both signs have two magnitudes, of which a synapse takes none, either or both. All four are integers,
    with a scale of each neuron's own.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        profile: HardwareProfile,
        rounding: Rounding | None,
        seed: int,
        steps: int,
        headroom: float = 1.0,
    ) -> None:
        whole: Rounding = rounding or "nearest_even"
        super().__init__(network, profile, whole, seed, steps, headroom)
        self.axons = {p.name: self._per_sign(p) for p in network.layers}
        # Of each population and sign: magnitudes [n, per sign] and masks [n, all of its inputs].
        self._fitted = {p.name: {sign: self._fit(p, sign) for sign in (1, -1)} for p in network.layers}

    def _together(self, p: Population) -> Tensor:
        """The weights of all projections onto a population, side by side."""
        rows = [self._weights[k] for k in self._network.incoming(p.name)]
        return torch.cat(rows, 1) if rows else torch.zeros(p.size, 0, dtype=torch.float64)

    def _per_sign(self, p: Population) -> int:
        most = self._profile.capacity.in_axons_per_core_max
        needed = int(axon_signs(self._together(p)).sum())
        return 2 if isinstance(most, int) and 2 * needed <= most else 1

    def _fit(self, p: Population, sign: int) -> tuple[Tensor, Tensor]:
        rows = (sign * self._together(p)).clamp_min(0)
        if not rows.shape[1]:
            return torch.zeros(p.size, 1, dtype=torch.float64), torch.zeros(p.size, 0, dtype=torch.int64)
        if self.axons[p.name] == 1:
            values, taken = fit_largest(rows)
            return values.unsqueeze(1), taken.long()
        return fit_subset_sums(rows, 2, self._seed)

    def _scale(self, p: Population) -> float | Tensor:
        stated = self._profile.weights
        assert stated.mantissa_max is not None
        largest = torch.stack([values.max(1).values for values, _ in self._fitted[p.name].values()]).max(0).values
        limits = [torch.where(largest > 0, stated.mantissa_max / self._headroom / largest.clamp_min(1e-300), math.inf)]
        if p.kind != "li":
            for value in (float64(p.threshold) - float64(p.leak), *(float64(a) for a in (p.amount,) if a is not None)):
                limits.append(
                    torch.where(value > 0, largest_threshold(self._profile) / value.clamp_min(1e-300), math.inf)
                )
        bias = self._bias(p).abs()
        limits.append(torch.where(bias > 0, largest_bias(self._profile) / bias.clamp_min(1e-300), math.inf))
        scale = torch.stack([limit.expand(p.size) for limit in limits]).min(0).values
        scale = torch.where(torch.isfinite(scale), scale, 1.0)
        scale = self._exact(p, scale, torch.cat([values for values, _ in self._fitted[p.name].values()], 1))
        # What is read out of an integrator is compared between its neurons: they share a scale.
        return float(min(float(scale.min()), self._room(p))) if p.kind == "li" else scale

    def _place(self, k: int, scale: float | Tensor) -> tuple[int | None, OnGrid]:
        q, weights = self._network.projections[k], self._weights[k]
        p = self._network.population(q.target)
        incoming = self._network.incoming(p.name)
        start = sum(self._weights[i].shape[1] for i in incoming[: incoming.index(k)])
        columns = slice(start, start + weights.shape[1])
        own = float64(scale).expand(p.size).unsqueeze(1)
        placed = torch.zeros_like(weights)
        for sign, (values, masks) in self._fitted[p.name].items():
            # The same draws for every projection: a neuron's values are its own.
            generator = torch_generator(self._seed, f"mapping of {p.name}", 0 if sign > 0 else 1)
            whole = round_values(settled(values * own), self._rounding, generator)
            placed += sign * subset_sums(whole).gather(1, masks)[:, columns]
        return self._profile.weights.bits, OnGrid.of(placed, weights, own)
