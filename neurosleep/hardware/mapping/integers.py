"""Mapping to a chip with integer arithmetic: weights on a grid, a scale for each population, the nearest decays."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from neurosleep.functional import torch_generator
from neurosleep.hardware.arithmetic.chip_arithmetic import (
    arithmetic_of,
    chip_decay,
    float64,
    largest_bias,
    largest_threshold,
    whole_bias,
)
from neurosleep.hardware.arithmetic.exact_scale import exact_scale, settled
from neurosleep.hardware.arithmetic.rounding import Rounding
from neurosleep.hardware.arithmetic.weight_grid import OnGrid, weight_grid
from neurosleep.hardware.mapping.dynamics import chip_delay
from neurosleep.hardware.mapping.mapped import MappedNetwork, MappedSynapses
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import LayerReport, MappingFinding
from neurosleep.hardware.rewrite.compose import pool_divisor, summing
from neurosleep.spiking import Pool, Population, Projection, SpikingNetwork
from neurosleep.spiking.projections import Weighted

__all__ = ["IntegerMapping"]

# The part of the strongest possible input that an integrator is expected to get, step after step.
_ACTIVE = 0.25
# A threshold whose rounding changes it by more than this is worth a finding.
_COARSE = 1 / 128
# A relative error that is only float64's own.
_NOTHING = 1e-12


def _most_sent(network: SpikingNetwork, name: str) -> int:
    """What one unit of a population can send in a step: a spike, or the sum of those that a relay pools."""
    if network.population(name).kind != "relay":
        return 1
    (k,) = network.incoming(name)
    q = network.projections[k]
    return math.prod(q.kernel) if isinstance(q, Pool) else 1


class IntegerMapping:
    """A network in integers: one scale a population, weights rounded to the chip's grid.

    Chips that choose scales or weights in another way are subclasses.
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
        self._network, self._profile, self._seed, self._steps = network, profile, seed, steps
        self._rounding = cast(Rounding, rounding or profile.weights.rounding)
        self._headroom = headroom
        self.findings: list[MappingFinding] = []
        self.rows: list[LayerReport] = []
        self.leaks: dict[str, Tensor] = {}
        # What integers stand for; left empty where that is no one grid with one scale.
        self.synapses: list[MappedSynapses | None] = []
        # Axons that an input takes for each sign of its weights, by population; left out: 1.
        self.axons: dict[str, int] = {}
        self._weights = {k: self._effective(k) for k in range(len(network.projections))}

    def network(self) -> MappedNetwork:
        """The mapped network; fills ``rows`` and ``findings``."""
        network, profile = self._network, self._profile
        scales = {p.name: self._scale(p) for p in network.layers if p.kind != "relay"}
        if profile.weights.scale_scope == "network" and scales:
            scales = dict.fromkeys(scales, min(float(float64(scale).min()) for scale in scales.values()))
        placed: dict[int, tuple[int | None, OnGrid]] = {}
        for k, q in enumerate(network.projections):
            if q.target in scales:
                placed[k] = self._place(k, scales[q.target])
            else:  # a relay that stayed: it counts spikes as they are
                self.synapses.append(None)
        populations, changes = {}, {}
        for p in network.populations:
            if p.kind in ("input", "relay"):
                populations[p.name] = p
            else:
                errors = [placed[k][1].error for k in network.incoming(p.name)]
                exact = all(error is None or error <= _NOTHING for error in errors)
                populations[p.name], changes[p.name] = self._population(p, scales[p.name], exact)
        projections = tuple(
            self._projection(k, scales[q.target], *placed[k], changes[q.target]) if k in placed else q
            for k, q in enumerate(network.projections)
        )
        mapped = MappedNetwork(
            tuple(populations[p.name] for p in network.populations),
            projections,
            network.dt,
            network.discretisation,
            arithmetic=arithmetic_of(profile),
            profile=profile.id,
            synapses=tuple(self.synapses),
            leaks=self.leaks,
        )
        self._check_sums(mapped)
        return mapped

    def _effective(self, k: int) -> Tensor:
        """What a spike adds through projection ``k``, its scale included; one number where it has no weight."""
        q = self._network.projections[k]
        if isinstance(q, Weighted):
            return q.scale * q.weight
        return float64(q.scale / pool_divisor(q)).reshape(1)

    def _unit(self) -> int:
        """What the lowest stored bit of a weight is worth."""
        return 1 << (self._profile.weights.base_shift_bits or 0)

    def _weight_limits(self, p: Population) -> list[float]:
        """Factors at which the weights of each incoming projection just fit their grid."""
        return [
            weight_grid(self._profile.weights, w).largest_scale(w) * self._unit() / self._headroom
            for w in self._weights_onto(p)
        ]

    def _scale(self, p: Population) -> float | Tensor:
        """The largest factor with which weights, threshold and bias of a population fit the chip."""
        unit, limits = self._unit(), self._weight_limits(p)
        if p.kind != "li":
            for value in (float64(p.threshold) - float64(p.leak), *(float64(a) for a in (p.amount,) if a is not None)):
                if (highest := float(value.max())) > 0:
                    limits.append(largest_threshold(self._profile) / highest)
        if (largest := float(self._bias(p).abs().max())) > 0:
            limits.append(largest_bias(self._profile) / largest)
        found = min((limit for limit in limits if math.isfinite(limit)), default=float(unit))
        if p.kind == "li" and (room := self._room(p)) < found:
            text = f"its scale is {found / room:.1f} times smaller, so that {self._steps} steps do not overflow"
            self._note(p.name, "note", text)
            found = room
        return float(self._exact(p, float64(found).reshape(1), self._incoming_weights(p)))

    def _incoming_weights(self, p: Population) -> Tensor:
        """All weights onto a population, ``[1, k]``."""
        rows = [self._weights[k].reshape(-1) for k in self._network.incoming(p.name)]
        return torch.cat(rows).unsqueeze(0) if rows else torch.zeros(1, 0, dtype=torch.float64)

    def _exact(self, p: Population, most: Tensor, weights: Tensor) -> Tensor:
        """Scales ``[n]`` up to ``most`` that leave weights ``[n, k]`` as they are, where there are such."""
        steps = [weight_grid(self._profile.weights, w).step for w in self._weights_onto(p)]
        step = max(steps, default=1) * self._unit()
        others = [(self._bias(p), 1), (float64(p.reset_value) - float64(p.leak), 1)]
        if p.amount is not None:
            others.append((float64(p.amount), 1))
        if p.kind != "li":
            others.append((float64(p.threshold) - float64(p.leak), 1 << (self._profile.threshold.shift_bits or 0)))
        decays = torch.cat([float64(d).reshape(-1) for d in (p.decay, p.synaptic_decay)])
        halves = bool(((decays > 0) & (decays < 1) & (decays * 16 == torch.round(decays * 16))).any())
        if len(most) == 1:  # one scale for all neurons
            numbers = [(float64([v]), grid) for x, grid in others for v in np.unique(x.numpy())[:64].tolist()]
        else:
            numbers = [(x.expand(len(most)), grid) for x, grid in others]
        return exact_scale(most, weights, step, numbers, halves)

    def _weights_onto(self, p: Population) -> list[Tensor]:
        return [self._weights[k] for k in self._network.incoming(p.name)]

    def _room(self, p: Population) -> float:
        """The largest factor at which an integrator's potential stays within its register."""
        gathered = torch.zeros(p.size, dtype=torch.float64), torch.zeros(p.size, dtype=torch.float64)
        for k in self._network.incoming(p.name):
            rows = self._weights[k].flatten(1) if self._weights[k].ndim > 1 else self._weights[k].reshape(1, 1)
            for sign, total in zip((1, -1), gathered, strict=True):
                sums = (sign * rows).clamp_min(0).sum(1)
                # Rows of a convolution are channels, each of them many neurons.
                total += sums.repeat_interleave(p.size // len(sums))
        # What is left after so many steps of 1, each decayed since, times the gain of a synaptic current.
        decay, current = (float64(d).expand(p.size) for d in (p.decay, p.synaptic_decay))
        time = torch.where(decay < 1, (1 - decay**self._steps) / (1 - decay).clamp_min(1e-300), float(self._steps))
        strongest = (_ACTIVE * torch.maximum(*gathered) / (1 - current) + self._bias(p).abs()) * time
        highest = float(strongest.max())
        return arithmetic_of(self._profile).membrane.high / highest if highest > 0 else math.inf

    def _bias(self, p: Population) -> Tensor:
        """The bias as a chip adds it, to the membrane; through a current it would gather to 1 / (1 - b) times."""
        synaptic = chip_decay(self._profile, float64(p.synaptic_decay), current=True)
        bias = float64(p.bias)
        return bias / (1 - synaptic) if self._profile.current is not None and bool(synaptic.any()) else bias

    def _population(
        self, p: Population, scale: float | Tensor, exact: bool
    ) -> tuple[Population, tuple[float | None, float]]:
        """The population in integers, and by how much its threshold and its decays changed.

        ``exact``: none of its weights was rounded.
        """
        profile = self._profile
        leak = float64(p.leak)
        bias = whole_bias(self._profile, self._bias(p) * scale)
        largest: float | None = None
        more: dict[str, Any] = {}
        if p.kind != "li":
            wanted = (float64(p.threshold) - leak) * scale
            exact &= bool((settled(self._bias(p) * scale) == bias).all())
            threshold, stands_for = self._threshold(p, wanted, bias, exact)
            error = ((stands_for - wanted).abs() / wanted.clamp_min(1e-300)).where(wanted > 0, 0.0)
            largest = float(error.max())
            if largest > _COARSE:
                text = f"the threshold's rounding changes it by {100 * largest:.3g} percent"
                if bool(((stands_for == 0) & (wanted > 0)).any()):
                    text += ": it becomes 0"
                self._note(p.name, "warning", text)
            more = {
                "threshold": threshold,
                "reset_value": torch.round((float64(p.reset_value) - leak) * scale),
                "compare": profile.threshold.compare or p.compare,
            }
            if p.reset == "subtract":
                # None: the threshold itself, which is what most chips subtract.
                amount = wanted if p.amount is None else float64(p.amount) * scale
                more["amount"] = torch.round(amount) if profile.reset.amount_free else None
            if more["compare"] != p.compare:
                text = f"the comparison is {more['compare']!r} on the chip, and was {p.compare!r}"
                if bool((threshold != stands_for).any()):
                    text += f"; the threshold is {'lower' if p.compare == '>=' else 'higher'} by a step for it"
                self._note(p.name, "note", text)
        decay = chip_decay(profile, float64(p.decay), current=False)
        if profile.decay.constant:
            self._leak(p, more)
        synaptic = float64(p.synaptic_decay)
        if profile.current is not None:
            synaptic = chip_decay(profile, synaptic, current=True)
        moved = max(
            float((decay - float64(p.decay)).abs().max()), float((synaptic - float64(p.synaptic_decay)).abs().max())
        )
        if bool(leak.any()):
            self._note(p.name, "note", "potentials count from the leak value, which is 0 on the chip")
        if bool(synaptic.any()) and bool(float64(p.bias).any()):
            text = "the bias is added to the membrane, times what it would gather to in the current"
            self._note(p.name, "note", text)
        kind = "cuba_lif" if p.kind == "lif" and profile.current is not None else p.kind
        return (
            dataclasses.replace(p, kind=kind, decay=decay, synaptic_decay=synaptic, leak=0.0, bias=bias, **more),
            (largest, moved),
        )

    def _threshold(self, p: Population, wanted: Tensor, bias: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
        """The threshold on the chip's grid for ``wanted``, and what it stands for in the network's comparison.

        Potentials that equal a threshold are frequent among integers. Where chip and network compare in different
        ways, the chip's threshold is the next one on the side on which they fire, or do not, as in the network.
        """
        stated = self._profile.threshold
        step = 1 << (stated.shift_bits or 0)
        chip = stated.compare or p.compare
        level = settled(wanted / step)
        nearest = torch.round(level)
        subtracts = p.reset == "subtract" and not self._profile.reset.amount_free
        if subtracts:  # the threshold is also what a spike takes away
            return nearest * step, nearest * step
        # Whether potentials that can occur lie a step apart, as thresholds do: then each interval has one threshold.
        apart = step == 1 or (
            bool(((float64(p.decay) == 1) | (float64(p.decay) == 0)).all())
            and not bool(float64(p.synaptic_decay).any())
            and bool((bias % step == 0).all())
            and bool((float64(p.reset_value) == float64(p.leak)).all())
        )
        if exact and (apart or chip != p.compare):
            meant = torch.ceil(level) if p.compare == ">=" else torch.floor(level)
        else:
            meant = nearest
        moved = meant
        if chip != p.compare:
            # Between two steps apart there are potentials: none but those on a step itself are told apart.
            there = torch.ones_like(meant, dtype=torch.bool) if exact or apart else meant == level
            moved = torch.where(there, meant - 1 if p.compare == ">=" else meant + 1, meant)
        least = 0 if not stated.signed else -largest_threshold(self._profile) // step
        return moved.clamp(least, largest_threshold(self._profile) // step) * step, meant * step

    def _leak(self, p: Population, whole: dict[str, Any]) -> None:
        """The constant that stands for a decay: what the decay takes from half of the threshold."""
        decay = float64(p.decay)
        if not bool((decay < 1).any()):
            return
        most = self._profile.decay.max
        leak = torch.round((1 - decay) * whole["threshold"] / 2)
        leak = leak if most is None else leak.clamp_max(most)
        low, high = int(leak.min()), int(leak.max())
        self.leaks[p.name] = leak
        amount = f"{low}" if low == high else f"{low} to {high}"
        text = f"a decay by a factor becomes {amount} less a step, which agrees with it at half the threshold only"
        self._note(p.name, "warning" if low == 0 else "note", text + (": it is lost" if high == 0 else ""))

    def _place(self, k: int, scale: float | Tensor) -> tuple[int | None, OnGrid]:
        """Bits of the weights of projection ``k``, and those weights in the chip's units."""
        unit, weights = self._unit(), self._weights[k]
        grid = weight_grid(self._profile.weights, weights)
        assert isinstance(scale, float | int)
        placed = grid.place(weights, scale / unit, self._rounding, torch_generator(self._seed, "mapping", k))
        q = self._network.projections[k]
        self.synapses.append(MappedSynapses(float(scale), q.scale, grid, unit) if isinstance(q, Weighted) else None)
        return grid.bits, dataclasses.replace(placed, mantissas=placed.mantissas * unit)

    def _projection(
        self, k: int, scale: float | Tensor, bits: int | None, placed: OnGrid, change: tuple[float | None, float]
    ) -> Projection:
        q = self._network.projections[k]
        if placed.zeroed and placed.zeroed == int((self._weights[k] != 0).sum()):
            self._note(q.target, "warning", f"all weights from {q.source!r} underflowed to zero")
        mean = float(float64(scale).mean())
        found = (placed.saturated, placed.zeroed, placed.error, *change)
        self.rows.append(LayerReport(q.target, q.source, bits, mean, *found))
        delay, notes = chip_delay(self._network, q, self._profile)
        self.findings += notes
        if isinstance(q, Weighted):
            return dataclasses.replace(q, weight=placed.mantissas, scale=1.0, delay=delay)
        return dataclasses.replace(summing(q), scale=float(placed.mantissas), delay=delay)

    def _check_sums(self, mapped: MappedNetwork) -> None:
        """Warn where the inputs of one step can exceed the register that sums them."""
        arithmetic = arithmetic_of(self._profile)
        if arithmetic.by_event:  # nothing is summed
            return
        register = arithmetic.accumulator or arithmetic.current or arithmetic.membrane
        for p in mapped.layers:
            high = low = 0.0
            for k in mapped.incoming(p.name):
                q = mapped.projections[k]
                if isinstance(q, Weighted):
                    rows, most = q.weight.flatten(1), _most_sent(mapped, q.source)
                    high += most * float(rows.clamp_min(0).sum(1).max())
                    low += most * float(rows.clamp_max(0).sum(1).min())
            if high > register.high or low < register.low:
                text = (
                    f"if all inputs fire at once, their sum ({low:.0f} to {high:.0f}) is beyond the chip's register "
                    f"({register.low} to {register.high}; overflow: {register.overflow})"
                )
                self.findings.append(MappingFinding("warning", p.name, text))

    def _note(self, layer: str, level: Any, text: str) -> None:
        self.findings.append(MappingFinding(level, layer, text))
