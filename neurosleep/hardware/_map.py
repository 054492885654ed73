"""``map_to``: a spiking network in the integers of a chip, and what that costs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import torch
from torch import Tensor

from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.functional import torch_generator
from neurosleep.hardware._chip_arithmetic import DECAYS, arithmetic_of, chip_decay, is_float
from neurosleep.hardware._compose import pool_divisor
from neurosleep.hardware._dynamics import check_dynamics
from neurosleep.hardware._fold import fold_relays
from neurosleep.hardware._load import load_profile
from neurosleep.hardware._mapped import MappedNetwork, MappedSynapses
from neurosleep.hardware._mapping_report import (
    LayerReport,
    MappingFinding,
    MappingReport,
    energy_coefficients,
    refuse,
)
from neurosleep.hardware._placement import place
from neurosleep.hardware._plan import PopulationPlan
from neurosleep.hardware._profile import HardwareProfile
from neurosleep.hardware._rounding import ROUNDINGS, Rounding
from neurosleep.hardware._weight_grid import weight_grid
from neurosleep.spiking import Population, Projection, SpikingNetwork

__all__ = ["map_to"]

# The part of the strongest possible input that an integrator is expected to get, step after step.
_ACTIVE = 0.25
# A threshold whose rounding changes it by more than this is worth a finding.
_COARSE = 1 / 128


@torch.no_grad()
def map_to(
    network: SpikingNetwork,
    profile: HardwareProfile | str,
    *,
    rounding: Rounding | None = None,
    seed: int = 0,
    steps: int = 100,
    headroom: float = 1.0,
    strict: bool = True,
) -> tuple[MappedNetwork, MappingReport]:
    r"""The network as a chip would hold it, and a report of what was changed and what does not fit.

    For each population one factor S brings weights onto the chip's grid; threshold, reset value and bias take the same
    factor, so that spikes stay what they were up to rounding:

    .. math::  W' = round(S \alpha W), \quad \theta' = round(S \theta), \quad b' = round(S b)

    S is the largest with which weights, threshold and bias all fit. Decays become the nearest that the chip has.

    Parameters
    ----------
    network:
        The network; it is left as it is.
    profile:
        A loaded profile, or what :func:`~neurosleep.load_profile` takes.
    rounding:
        How weights are rounded (None: as the profile says). ``stochastic`` draws from ``seed``.
    seed:
        Of stochastic rounding.
    steps:
        How long the network will run at a stretch. Integrators (kind ``li``), which gather their input, get a scale at
        which so many steps of a quarter of the strongest possible input do not overflow. The engine ``fixed`` counts
        what overflows all the same.
    headroom:
        How much larger than the largest present weight the largest of the chip shall be, at least 1: room for what a
        sleep on the chip adds, paid for by coarser weights.
    strict:
        Whether what exceeds the chip's capacity raises. If not, the report says it, and the network is as it would be
        on a chip that is large enough.

    Returns
    -------
    mapped, report
        The network in whole numbers, for ``engine="fixed"`` (or any other), and the report.

    Raises
    ------
    MappingError
        If the chip does not have the network's dynamics, or, with ``strict``, not the room for it; it names layer,
        limit, what is needed and what there is, of everything found.
    UnsupportedError
        If profiles with such weights or decays cannot be mapped to, by name.

    Notes
    -----
    Delays: where the chip delivers a neuron's spike a step later (``delay.latency_steps``), projections without delay
    get one; spikes of inputs arrive in their own step.
    """
    if isinstance(profile, str):
        profile = load_profile(profile)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise SettingsError(f"The number of steps is {steps!r}.", expected="a whole number of at least 1")
    if not 1 <= headroom < math.inf:
        raise SettingsError(f"The headroom is {headroom!r}.", expected="a factor of at least 1")
    if rounding is not None and rounding not in ROUNDINGS:
        raise unknown_name("rounding", str(rounding), ROUNDINGS)
    exact = is_float(profile)
    if not exact:
        _check_offered(profile, rounding)
    network = _own_weights(network.to(torch.float64))
    folded: list[MappingFinding] = []
    if not exact:
        network, folded = fold_relays(network, profile)
    findings = [*folded, *check_dynamics(network, profile)]
    if any(finding.level == "error" for finding in findings):
        raise refuse(profile.id, findings)
    mapping = _Floats(network, profile) if exact else _Integers(network, profile, rounding, seed, steps, headroom)
    mapped, rows = mapping.network(), mapping.rows
    placement = place(mapped, profile, profile.weights.bits or 64)
    findings += [*mapping.findings, *placement.findings]
    layers = tuple(_placed(row, placement.plans[row.layer]) for row in rows)
    report = MappingReport(profile.id, layers, placement.cores, tuple(findings), energy_coefficients(profile))
    if strict and not report.fits:
        raise refuse(profile.id, findings)
    return mapped, report


def _placed(row: LayerReport, plan: PopulationPlan) -> LayerReport:
    return dataclasses.replace(
        row,
        cores=plan.cores,
        neurons_per_core=plan.neurons_per_core,
        memory_bits=plan.memory_bits,
        in_axons=plan.in_axons,
    )


def _check_offered(profile: HardwareProfile, rounding: Rounding | None) -> None:
    """Refuse profiles of a kind that has no mapping here."""
    weights = profile.weights
    reasons = []
    if weights.sign_scheme not in ("twos_complement", "group_mode"):
        reasons.append(f"weights.sign_scheme {weights.sign_scheme or 'unpublished'}")
    if profile.decay.kind not in DECAYS:
        reasons.append(f"decay.kind {profile.decay.kind or 'unpublished'}")
    elif profile.decay.kind == "multiplicative_integer" and profile.decay.denominator is None:
        reasons.append("decay.denominator unpublished")
    if weights.scale_scope not in ("layer", "network"):
        reasons.append(f"weights.scale_scope {weights.scale_scope or 'unpublished'}")
    if (rounding or weights.rounding) not in ROUNDINGS:
        reasons.append(f"weights.rounding {weights.rounding or 'unpublished'}")
    if profile.membrane.bits is None:
        reasons.append("membrane.bits unpublished")
    if reasons:
        raise UnsupportedError(
            f"Networks cannot be mapped to {profile.id!r}, so far.",
            found=", ".join(reasons),
            expected="weights in two's complement or of group_mode, one scale a layer; integer, shifted or no decay",
            hint="'loihi1', 'generic_int8', or a profile of your own",
        )


def _own_weights(network: SpikingNetwork) -> SpikingNetwork:
    """Every projection with a weight of its own: on a chip a transposed weight is a second copy."""
    projections = []
    for k, projection in enumerate(network.projections):
        if projection.transpose_of is not None:
            shared = network.projections[network.owner(k)].weight
            assert shared is not None  # the network checks it
            projection = Projection(
                projection.source,
                projection.target,
                weight=shared.T.contiguous(),
                scale=projection.scale,
                delay=projection.delay,
                plastic=False,
            )
        projections.append(projection)
    return dataclasses.replace(network, projections=tuple(projections))


def _tensor(value: float | Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def _most_sent(network: SpikingNetwork, name: str) -> int:
    """What one unit of a population can send in a step: a spike, or the sum of those that a relay pools."""
    if network.population(name).kind != "relay":
        return 1
    (k,) = network.incoming(name)
    q = dataclasses.replace(
        network.projections[k], options=tuple(o for o in network.projections[k].options if o[0] != "mode")
    )
    return pool_divisor(q, len(network.population(q.source).shape) - 1)


class _Floats:
    """A profile of floating point: the network as it is, in float64."""

    def __init__(self, network: SpikingNetwork, profile: HardwareProfile) -> None:
        self._network, self._profile = network, profile
        self.findings: list[MappingFinding] = []
        self.rows = [
            LayerReport(q.target, q.source, None, 1.0, 0, 0, 0.0, 0.0, 0.0)
            for q in network.projections
            if q.weight is not None
        ]

    def network(self) -> MappedNetwork:
        n = self._network
        return MappedNetwork(n.populations, n.projections, n.dt, n.discretisation, profile=self._profile.id)


class _Integers:
    """A profile of whole numbers."""

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
        self._headroom = headroom
        self._rounding = cast(Rounding, rounding or profile.weights.rounding)
        self.findings: list[MappingFinding] = []
        self.rows: list[LayerReport] = []
        self.synapses: list[MappedSynapses | None] = []
        self._weights = {k: self._effective(k) for k in range(len(network.projections))}

    def network(self) -> MappedNetwork:
        """The mapped network; fills ``rows`` and ``findings``."""
        network, profile = self._network, self._profile
        scales = {p.name: self._scale(p) for p in network.layers if p.kind != "relay"}
        if profile.weights.scale_scope == "network" and scales:
            scales = dict.fromkeys(scales, min(scales.values()))
        populations, changes = {}, {}
        for p in network.populations:
            if p.kind in ("input", "relay"):
                populations[p.name] = p
            else:
                populations[p.name], changes[p.name] = self._population(p, scales[p.name])
        projections = tuple(self._projection(k, scales, changes) for k in range(len(network.projections)))
        mapped = MappedNetwork(
            tuple(populations[p.name] for p in network.populations),
            projections,
            network.dt,
            network.discretisation,
            arithmetic=arithmetic_of(profile),
            profile=profile.id,
            synapses=tuple(self.synapses),
        )
        self._check_sums(mapped)
        return mapped

    def _effective(self, k: int) -> Tensor:
        """What a spike adds through projection ``k``, its scale included; one number where it has no weight."""
        q = self._network.projections[k]
        if q.weight is not None:
            return q.scale * q.weight
        divisor = pool_divisor(q, len(self._network.population(q.source).shape) - 1)
        return _tensor(q.scale / divisor).reshape(1)

    def _unit(self) -> int:
        """What the lowest stored bit of a weight is worth."""
        return 1 << (self._profile.weights.base_shift_bits or 0)

    def _scale(self, p: Population) -> float:
        """The largest factor with which weights, threshold and bias of a population fit the chip."""
        stated, unit = self._profile.weights, self._unit()
        incoming = [self._weights[k] for k in self._network.incoming(p.name)]
        limits = [weight_grid(stated, w).largest_scale(w) * unit / self._headroom for w in incoming]
        if p.kind != "li":
            for value in (_tensor(p.threshold) - _tensor(p.leak), *(_tensor(a) for a in (p.amount,) if a is not None)):
                if (highest := float(value.max())) > 0:
                    limits.append(self._threshold_most() / highest)
        if (largest := float(self._bias(p).abs().max())) > 0:
            limits.append(self._bias_most() / largest)
        found = min((limit for limit in limits if math.isfinite(limit)), default=float(unit))
        if p.kind == "li" and (room := self._room(p)) < found:
            text = f"its scale is {found / room:.1f} times smaller, so that {self._steps} steps do not overflow"
            self._note(p.name, "note", text)
            return room
        return found

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
        decay, current = (_tensor(d).expand(p.size) for d in (p.decay, p.synaptic_decay))
        time = torch.where(decay < 1, (1 - decay**self._steps) / (1 - decay).clamp_min(1e-300), float(self._steps))
        strongest = (_ACTIVE * torch.maximum(*gathered) / (1 - current) + self._bias(p).abs()) * time
        highest = float(strongest.max())
        return arithmetic_of(self._profile).membrane.high / highest if highest > 0 else math.inf

    def _threshold_most(self) -> int:
        t, m = self._profile.threshold, self._profile.membrane
        assert m.bits is not None
        in_membrane = (1 << (m.bits - (m.signed is not False))) - 1
        if t.mantissa_bits is None:
            return in_membrane
        return min(((1 << (t.mantissa_bits - bool(t.signed))) - 1) << (t.shift_bits or 0), in_membrane)

    def _bias_most(self) -> int:
        b = self._profile.bias
        if b.mantissa_bits is None:
            return self._threshold_most()
        return ((1 << (b.mantissa_bits - 1)) - 1) << ((1 << (b.exponent_bits or 0)) - 1)

    def _bias(self, p: Population) -> Tensor:
        """The bias as a chip adds it, to the membrane; through a current it would gather to 1 / (1 - b) times."""
        synaptic = chip_decay(self._profile, _tensor(p.synaptic_decay), current=True)
        bias = _tensor(p.bias)
        return bias / (1 - synaptic) if self._profile.current is not None and bool(synaptic.any()) else bias

    def _whole_bias(self, bias: Tensor) -> Tensor:
        """Mantissas with the smallest exponents at which they fit, shifted left by those."""
        b = self._profile.bias
        if b.mantissa_bits is None:
            return torch.round(bias)
        most = (1 << (b.mantissa_bits - 1)) - 1
        exponent = torch.ceil(torch.log2(bias.abs().clamp_min(1) / most)).clamp_min(0)
        return torch.round(bias / 2**exponent) * 2**exponent

    def _population(self, p: Population, scale: float) -> tuple[Population, dict[str, float | None]]:
        """The population in whole numbers, and by how much its threshold and its decays changed."""
        profile = self._profile
        leak = _tensor(p.leak)
        step = 1 << (profile.threshold.shift_bits or 0)
        changes: dict[str, float | None] = {"threshold": None}
        more: dict[str, Any] = {}
        if p.kind != "li":
            wanted = (_tensor(p.threshold) - leak) * scale
            threshold = torch.round(wanted / step) * step
            error = ((threshold - wanted).abs() / wanted.clamp_min(1e-300)).where(wanted > 0, 0.0)
            largest = float(error.max())
            changes["threshold"] = largest
            if largest > _COARSE:
                self._note(p.name, "warning", f"the threshold's rounding changes it by {100 * largest:.2g} percent")
            more = {
                "threshold": threshold,
                "reset_value": torch.round((_tensor(p.reset_value) - leak) * scale),
                "compare": profile.threshold.compare or p.compare,
            }
            if p.amount is not None:
                more["amount"] = torch.round(_tensor(p.amount) * scale)
            if more["compare"] != p.compare:
                self._note(p.name, "note", f"the comparison is {more['compare']!r} on the chip, and was {p.compare!r}")
        decay = chip_decay(profile, _tensor(p.decay), current=False)
        synaptic = _tensor(p.synaptic_decay)
        if profile.current is not None:
            synaptic = chip_decay(profile, synaptic, current=True)
        moved = max(
            float((decay - _tensor(p.decay)).abs().max()), float((synaptic - _tensor(p.synaptic_decay)).abs().max())
        )
        changes["decay"] = moved
        if bool(leak.any()):
            self._note(p.name, "note", "potentials count from the leak value, which is 0 on the chip")
        if bool(synaptic.any()) and bool(_tensor(p.bias).any()):
            text = "the bias is added to the membrane, times what it would gather to in the current"
            self._note(p.name, "note", text)
        kind = "cuba_lif" if p.kind == "lif" and profile.current is not None else p.kind
        bias = self._whole_bias(self._bias(p) * scale)
        return (
            dataclasses.replace(p, kind=kind, decay=decay, synaptic_decay=synaptic, leak=0.0, bias=bias, **more),
            changes,
        )

    def _projection(self, k: int, scales: dict[str, float], changes: dict[str, dict[str, float | None]]) -> Projection:
        q, profile, weights = self._network.projections[k], self._profile, self._weights[k]
        if q.target not in scales:  # a relay that stayed: it counts spikes as they are
            return q
        unit, scale = self._unit(), scales[q.target]
        grid = weight_grid(profile.weights, weights)
        generator = torch_generator(self._seed, "mapping", k)
        placed = grid.place(weights, scale / unit, self._rounding, generator)
        change = changes[q.target]
        decay = change["decay"]
        assert decay is not None
        self.rows.append(
            LayerReport(
                q.target,
                q.source,
                grid.bits,
                scale,
                placed.saturated,
                placed.zeroed,
                placed.error,
                change["threshold"],
                decay,
            )
        )
        delay = self._delay(q)
        whole = placed.mantissas * unit
        self.synapses.append(None if q.weight is None else MappedSynapses(scale, q.scale, grid, unit))
        if q.weight is not None:
            return dataclasses.replace(q, weight=whole, scale=1.0, delay=delay)
        options = q.options
        if q.kind == "pool":
            options = (*((key, value) for key, value in q.options if key != "mode"), ("mode", "sum"))
        return dataclasses.replace(q, scale=float(whole), delay=delay, options=options)

    def _delay(self, q: Projection) -> int:
        """Steps from a spike to its arrival on the chip."""
        latency = 0 if self._network.population(q.source).kind == "input" else self._profile.delay.latency_steps or 0
        delay = max(q.delay, latency + (self._profile.delay.min_steps or 0))
        if delay != q.delay:
            self._note(q.target, "note", f"spikes of {q.source!r} arrive {delay - q.delay} steps later on the chip")
        return delay

    def _check_sums(self, mapped: MappedNetwork) -> None:
        """Warn where the inputs of one step can exceed the register that sums them."""
        arithmetic = mapped.arithmetic
        assert arithmetic is not None
        register = arithmetic.accumulator or arithmetic.current or arithmetic.membrane
        for p in mapped.layers:
            high = low = 0.0
            for k in mapped.incoming(p.name):
                q = mapped.projections[k]
                if q.weight is not None:
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
