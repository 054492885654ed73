"""Mapping to chips whose potentials are real numbers: analogue ones, and those that publish no widths."""

from __future__ import annotations

import dataclasses
import math
from typing import cast

import torch
from torch import Tensor

from neurosleep.functional import Compare, torch_generator
from neurosleep.hardware.arithmetic.chip_arithmetic import float64
from neurosleep.hardware.arithmetic.rounding import Rounding, round_values
from neurosleep.hardware.arithmetic.weight_grid import OnGrid
from neurosleep.hardware.mapping.brainscales import split_rows
from neurosleep.hardware.mapping.dynamics import chip_delay
from neurosleep.hardware.mapping.mapped import MappedNetwork
from neurosleep.hardware.mapping.mismatch import with_mismatch
from neurosleep.hardware.mapping.subset_sums import fit_subset_sums, subset_sums
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import LayerReport, MappingFinding
from neurosleep.spiking import Population, Projection, SpikingNetwork
from neurosleep.spiking.projections import Weighted

__all__ = ["ValueMapping"]


class ValueMapping:
    """Weights rounded to what the chip stores, if it says how; thresholds, decays and biases as they are.

    Everything stays in the network's own units: since potentials are real numbers, they need no others. Stored weights
    are integers over a scale (``weights.bits``), in 6 bits for an exciting and 6 for an inhibiting row
    (``split_rows``), or sums of a core's bias currents (``rounding = "cluster"``), which then are free values.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        profile: HardwareProfile,
        rounding: Rounding | None,
        seed: int,
        headroom: float,
        mismatch_sd: float,
    ) -> None:
        self._network, self._profile, self._seed, self._sd = network, profile, seed, mismatch_sd
        self._given, self._headroom = rounding, headroom
        self.findings: list[MappingFinding] = []
        self.rows: list[LayerReport] = []
        self.axons: dict[str, int] = {}
        stated = profile.weights
        self._clustered = stated.clustered
        self._low, self._high = stated.signed_min, stated.signed_max
        if stated.bits is None:
            text = "widths of weights are not published: they are floating point here, as all of the network is"
            self.findings.append(MappingFinding("note", "", text))
        elif self._high is None or self._low is None:
            self._high = (1 << (stated.bits - 1)) - 1
            self._low = -self._high
            text = (
                f"how weights of {stated.bits} bits are spaced is not published: taken as {self._low} to {self._high}"
            )
            self.findings.append(MappingFinding("warning", "", text + ", one scale a layer"))
        if profile.membrane.bits is None and profile.kind != "analog":
            text = "widths of potentials are not published: thresholds, decays and biases are floating point here"
            self.findings.append(MappingFinding("note", "", text))
        if profile.decay.kind == "analog":
            text = "time constants are set by calibration, here without error and without limits"
            self.findings.append(MappingFinding("note", "", " ".join(filter(None, (text + ".", profile.decay.note)))))

    def network(self) -> MappedNetwork:
        """The mapped network; fills ``rows`` and ``findings``."""
        network, profile = self._network, self._profile
        scales = {p.name: self._scale(p) for p in network.layers}
        currents: dict[str, Tensor] = {p.name: self._currents(p) for p in network.layers} if self._clustered else {}
        populations = tuple(
            p if p.kind in ("input", "relay", "li") else self._population(p) for p in network.populations
        )
        projections = tuple(self._projection(k, scales, currents) for k in range(len(network.projections)))
        mapped = MappedNetwork(populations, projections, network.dt, network.discretisation, profile=profile.id)
        device = with_mismatch(mapped, self._sd, self._seed)
        assert isinstance(device, MappedNetwork)
        return device

    def _effective(self, k: int) -> Tensor:
        q = self._network.projections[k]
        return q.scale * q.weight if isinstance(q, Weighted) else float64(q.scale).reshape(1)

    def _scale(self, p: Population) -> float:
        if self._clustered or self._high is None or self._low is None:
            return 1.0
        limits = [math.inf]
        for k in self._network.incoming(p.name):
            weights = self._effective(k)
            limits += [
                bound / float(w)
                for bound, w in ((self._high, weights.max()), (self._low, weights.min()))
                if bound * w > 0
            ]
        scale = min(limits) / self._headroom
        return scale if math.isfinite(scale) else 1.0

    def _chunks(self, p: Population) -> list[slice]:
        """Neurons that share a core, and so its bias currents."""
        most = self._profile.capacity.neurons_per_core
        size = most if isinstance(most, int) else p.size
        return [slice(start, min(start + size, p.size)) for start in range(0, p.size, size)]

    def _currents(self, p: Population) -> Tensor:
        """Bias currents of each core of a population, ``[cores, bits]``."""
        bits = self._profile.weights.bits or 1
        incoming = [self._effective(k) for k in self._network.incoming(p.name)]
        currents = []
        for number, rows in enumerate(self._chunks(p)):
            there = [w[rows].abs().reshape(-1) for w in incoming]
            together = torch.cat(there) if there else torch.zeros(0, dtype=torch.float64)
            currents.append(fit_subset_sums(together.unsqueeze(0), bits, self._seed + number)[0][0])
        values = torch.stack(currents)
        shown = ", ".join(f"{value:.3g}" for value in values[0].tolist())
        text = f"weights are sums of {bits} currents of their core" + (f": {shown}" if len(currents) == 1 else "")
        self.findings.append(MappingFinding("note", p.name, text))
        return values

    def _population(self, p: Population) -> Population:
        return dataclasses.replace(p, compare=cast(Compare, self._profile.threshold.compare or p.compare))

    def _place(self, k: int, scale: float, currents: dict[str, Tensor]) -> tuple[Tensor, int]:
        """The weights of a projection in the chip's units, and how many saturated."""
        q, weights = self._network.projections[k], self._effective(k)
        stated = self._profile.weights
        if self._clustered:
            placed = torch.empty_like(weights)
            for rows, values in zip(self._chunks(self._network.population(q.target)), currents[q.target], strict=True):
                sums = subset_sums(values).sort().values
                nearest = torch.searchsorted((sums[1:] + sums[:-1]) / 2, weights[rows].abs())
                placed[rows] = torch.sign(weights[rows]) * sums[nearest]
            return placed, 0
        if self._low is None or self._high is None:
            return weights, 0
        if stated.rows_of_a_sign and self._given is None:
            exciting, inhibiting = split_rows(weights, scale)
            return exciting - inhibiting, 0
        rounding = cast(Rounding, self._given or stated.rounding or "nearest_even")
        whole = round_values(weights * scale, rounding, torch_generator(self._seed, "mapping", k))
        placed = whole.clamp(self._low, self._high)
        return placed, int((whole != placed).sum())

    def _projection(self, k: int, scales: dict[str, float], currents: dict[str, Tensor]) -> Projection:
        q, weights = self._network.projections[k], self._effective(k)
        scale = scales[q.target]
        placed, saturated = self._place(k, scale, currents)
        lost = OnGrid.of(placed, weights, scale, saturated)
        changed = None if self._network.population(q.target).kind == "li" else 0.0
        bits = self._profile.weights.bits
        losses = (lost.saturated, lost.zeroed, lost.error, changed, 0.0)
        self.rows.append(LayerReport(q.target, q.source, bits, scale, *losses))
        delay, notes = chip_delay(self._network, q, self._profile)
        self.findings += notes
        if bits is None or q.scale == 0:  # the network's own weights and scale
            return dataclasses.replace(q, delay=delay)
        if isinstance(q, Weighted):
            return dataclasses.replace(q, weight=placed / (scale * q.scale), delay=delay)
        return dataclasses.replace(q, scale=float(placed) / scale, delay=delay)
