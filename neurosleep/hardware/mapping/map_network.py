"""``map_to``: a spiking network as a chip would hold it, and what that costs."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch

from neurosleep._checks import check_count, check_unread
from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.hardware.arithmetic.chip_arithmetic import DECAYS
from neurosleep.hardware.arithmetic.rounding import ROUNDINGS, Rounding
from neurosleep.hardware.energy.energy import energy_coefficients
from neurosleep.hardware.mapping.dynamics import check_dynamics
from neurosleep.hardware.mapping.integers import IntegerMapping
from neurosleep.hardware.mapping.mapped import MappedNetwork
from neurosleep.hardware.mapping.mismatch import chosen_mismatch
from neurosleep.hardware.mapping.spinnaker import SpinnakerMapping
from neurosleep.hardware.mapping.truenorth import TrueNorthMapping
from neurosleep.hardware.mapping.values import ValueMapping
from neurosleep.hardware.placement.placement import place
from neurosleep.hardware.placement.plan import PopulationPlan
from neurosleep.hardware.profiles.homeostatic_ways import homeostatic_ways
from neurosleep.hardware.profiles.load import load_profile
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import (
    LayerReport,
    MappingFinding,
    MappingReport,
    refuse,
)
from neurosleep.hardware.rewrite.fold import fold_relays
from neurosleep.hardware.rewrite.signs import split_by_sign
from neurosleep.hardware.rewrite.split import split_fan_in
from neurosleep.hardware.rewrite.unroll import unroll
from neurosleep.spiking import Dense, Projection, SpikingNetwork, Transposed
from neurosleep.spiking.given import check_spiking

__all__ = ["map_to"]

# With more than this, no weight of 16 bits would be left of the largest.
_MOST_HEADROOM = 1 << 16


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
    allow_split: bool = False,
    mismatch_sd: float | None = None,
) -> MappedNetwork:
    r"""The network as a chip would hold it; its ``report`` says what was changed and what does not fit.

    For each population one factor S brings weights onto the chip's grid; threshold, reset value and bias take the same
    factor, so that spikes stay what they were up to rounding:

    .. math::  W' = round(S \alpha W), \quad \theta' = round(S \theta), \quad b' = round(S b)

    S is the largest with which weights, threshold and bias all fit; where weights have a common unit that the chip can
    hold, such as integers, the largest with which they need no rounding. Decays become the nearest factors that
    the chip has. Some chips choose otherwise: TrueNorth by neuron, SpiNNaker in powers of two, DYNAP-SE2 by sums of
    currents (see Notes).

    Parameters
    ----------
    network:
        The network; it is left as it is.
    profile:
        A loaded profile, or what :func:`~neurosleep.load_profile` takes.
    rounding:
        How weights are rounded (None: as the profile says). ``stochastic`` draws from ``seed``.
    seed:
        Of stochastic rounding, of clusters and of mismatch.
    steps:
        Time steps per inference. Integrators (kind ``li``), which gather their input, get a scale at
        which so many steps of a quarter of the strongest possible input do not overflow. The engine ``fixed`` counts
        what overflows all the same.
    headroom:
        How much larger than the largest present weight the largest of the chip shall be, from 1 to 65536: room for
        what a sleep on the chip adds, paid for by coarser weights.
    strict:
        Whether what exceeds the chip's capacity raises. If not, ``report.fits`` is false and its findings say why; the
        network is as it would be on a chip that is large enough.
    allow_split:
        Whether sums of more inputs than a neuron can have are split over helper neurons, which become populations of
        the network and pass on partial sums as spikes. It costs neurons, steps (where the chip delivers later) and
        accuracy; weights that were split do not change in a sleep.
    mismatch_sd:
        Of analogue chips: relative standard deviation of every weight, threshold and time constant of the device that
        ``seed`` stands for. None: the profile's figure, or none where none is published, which a finding then says.

    Returns
    -------
    MappedNetwork
        The network in integers, for ``engine="fixed"`` (or any other), with its ``report``. Chips whose potentials
        are analogue or of unpublished widths give real numbers, which ``fixed`` leaves to the engine ``reference``.

    Raises
    ------
    SettingsError
        If ``network`` is no SpikingNetwork, or a number makes no sense.
    MappingError
        If the chip does not have the network's dynamics, or, with ``strict``, not the room for it; it names layer,
        limit, what is needed and what there is, of everything found.
    UnsupportedError
        If profiles with such weights or decays cannot be mapped to, by name.

    See Also
    --------
    neurosleep.load_profile : the profiles
    neurosleep.hardware.energy_of : what a simulation of it takes

    Examples
    --------
    >>> from neurosleep.spiking import Dense, Population
    >>> populations = (Population("input", "input", (2,)), Population("output", "lif", (1,), threshold=1.0))
    >>> network = SpikingNetwork(populations, (Dense("input", "output", torch.tensor([[0.5, 0.25]])),))
    >>> mapped = map_to(network, "generic_int8")
    >>> mapped.report.fits, mapped.weights[0].tolist()
    (True, [[126.0, 63.0]])

    Notes
    -----
    Delays: where the chip delivers a neuron's spike a step later (``delay.latency_steps``), projections without delay
    get one; spikes of inputs arrive in their own step.

    Comparison: where the chip fires above its threshold and the network at it, or the other way round, the threshold is
    the neighbouring one, so that potentials which equal it fire, or do not, as in the network. Where a spike subtracts
    the chip's own threshold (``reset.amount_free`` is not true) it stays, and exact hits are the chip's.

    Relays are folded into the weights after them (poolings, reshapings, sums of branches), but for poolings that a chip
    does itself.

    What each kind of chip does with weights: two's complement and groups of a sign have a grid and one scale a layer.
    SpiNNaker has 16 bits below a power of two for each population and sign. TrueNorth has four values a neuron, two or
    one for each sign. ODIN has 3 bits, and one sign for each presynaptic neuron, so that neurons of mixed signs become
    two. BrainScaleS-2 has 6 bits in rows of either sign, DYNAP-SE2 the sums of four currents that its cores' neurons
    share. A leak that takes a constant away (ODIN, TrueNorth) stands for a decay at half the threshold only.
    """
    check_spiking(network, "mapped to a chip")
    if isinstance(profile, str):
        profile = load_profile(profile)
    steps = check_count("The number of steps", steps)
    if not 1 <= headroom <= _MOST_HEADROOM:
        raise SettingsError(f"The headroom is {headroom!r}.", expected=f"a factor from 1 to {_MOST_HEADROOM}")
    if rounding is not None and rounding not in ROUNDINGS:
        raise unknown_name("rounding", str(rounding), ROUNDINGS)
    exact = profile.floating
    if exact:
        unread = {"rounding": (rounding, None), "headroom": (headroom, 1.0)}
        check_unread(f"The profile {profile.id!r}, of floating point,", unread, "a profile of integers has them")
    kind = None if exact else _mapping_of(profile, rounding)
    sd, findings = chosen_mismatch(profile, mismatch_sd)
    network = network.to(torch.float64)
    if kind is not None:
        network, notes = _own_weights(network)
        findings += notes
        network, notes = _prepared(network, profile, allow_split)
        findings += notes
    findings += check_dynamics(network, profile)
    bits = profile.weights.bits or 64
    if any(finding.level == "error" for finding in findings):
        # What it needs of the chip besides is said at once.
        raise refuse(profile.id, [*findings, *place(network, profile, bits).findings], lacks=True)
    mapping: _Floats | IntegerMapping | ValueMapping
    if kind is None:
        mapping = _Floats(network, profile)
    elif issubclass(kind, ValueMapping):
        mapping = kind(network, profile, rounding, seed, headroom, sd)
    else:
        mapping = kind(network, profile, rounding, seed, steps, headroom)
    mapped, rows = mapping.network(), mapping.rows
    placement = place(mapped, profile, bits, mapping.axons, network)
    findings += [*mapping.findings, *placement.findings]
    layers = tuple(_placed(row, placement.plans[row.layer]) for row in rows)
    ways = {str(way.name): way.text for way in homeostatic_ways(profile)}
    report = MappingReport(profile.id, layers, placement.cores, tuple(findings), energy_coefficients(profile), ways)
    if strict and not report.fits:
        raise refuse(profile.id, findings)
    return dataclasses.replace(mapped, report=report)


def _prepared(
    network: SpikingNetwork, profile: HardwareProfile, allow_split: bool
) -> tuple[SpikingNetwork, list[MappingFinding]]:
    """The network in the form in which the chip has it, still in real numbers."""
    network, findings = fold_relays(network, profile)
    weights = profile.weights
    one_by_one = weights.sign_of_source or weights.values_of_target or weights.clustered
    if one_by_one or weights.rows_of_a_sign:
        network, notes = unroll(network, profile.id)
        findings += notes
    if allow_split:
        network, notes = split_fan_in(network, profile)
        # Helpers lead on one by one.
        findings += notes
        if notes and one_by_one:
            network, _ = unroll(network, profile.id)
    if weights.sign_of_source and all(isinstance(q, Dense) for q in network.projections):
        network, notes = split_by_sign(network)
        findings += notes
    return network, findings


def _placed(row: LayerReport, plan: PopulationPlan) -> LayerReport:
    return dataclasses.replace(
        row,
        cores=plan.cores,
        neurons_per_core=plan.neurons_per_core,
        memory_bits=plan.memory_bits,
        in_axons=plan.in_axons,
    )


def _mapping_of(profile: HardwareProfile, rounding: Rounding | None) -> type[IntegerMapping] | type[ValueMapping]:
    """What maps to profiles of this kind; refuses those for which there is nothing."""
    weights, decay = profile.weights, profile.decay
    scheme, way = weights.sign_scheme, weights.rounding
    reasons = []
    if profile.real_potentials:
        if weights.values_of_target or weights.sign_of_source:
            reasons.append(f"weights.sign_scheme {scheme} with membrane.bits unpublished")
        if weights.clustered and rounding is not None:
            reasons.append(f"rounding {rounding}, where weights are sums of shared currents")
        elif (rounding or way or "nearest_even") not in (*ROUNDINGS, "cluster"):
            reasons.append(f"weights.rounding {way}")
        if not reasons:
            return ValueMapping
    fixed_point, table = weights.point_of_group, weights.values_of_target
    if scheme not in ("twos_complement", "group_mode", "pre_neuron", "axon_table") and not fixed_point:
        reasons.append(f"weights.sign_scheme {scheme or 'unpublished'}")
    if table and weights.distinct_magnitudes_per_neuron != 4:
        reasons.append(f"weights.distinct_magnitudes_per_neuron {weights.distinct_magnitudes_per_neuron}, not 4")
    if table and not weights.mantissa_max:
        reasons.append(f"weights.mantissa_max {weights.mantissa_max}")
    if decay.kind not in DECAYS:
        reasons.append(f"decay.kind {decay.kind or 'unpublished'}")
    elif decay.kind == "multiplicative_integer" and decay.denominator is None and not fixed_point:
        reasons.append("decay.denominator unpublished")
    if not table:
        if not fixed_point and weights.scale_scope not in ("layer", "network"):
            reasons.append(f"weights.scale_scope {weights.scale_scope or 'unpublished'}")
        if (rounding or way) not in ROUNDINGS:
            reasons.append(f"weights.rounding {way or 'unpublished'}")
    if reasons:
        raise UnsupportedError(
            f"Networks cannot be mapped to {profile.id!r}.",
            found=", ".join(reasons),
            expected="weights and decays as one of the shipped profiles has them",
            hint="neurosleep profiles lists them, and neurosleep profiles NAME shows what one states",
        )
    return SpinnakerMapping if fixed_point else TrueNorthMapping if table else IntegerMapping


def _own_weights(network: SpikingNetwork) -> tuple[SpikingNetwork, list[MappingFinding]]:
    """Every projection with a weight of its own: on a chip a transposed weight is a second copy."""
    projections: list[Projection] = []
    notes: list[MappingFinding] = []
    for projection in network.projections:
        if isinstance(projection, Transposed):
            weight, ends = network.matrix(projection).contiguous(), (projection.source, projection.target)
            projection = Dense(*ends, weight, scale=projection.scale, delay=projection.delay, plastic=False)
            text = f"the transposed weight from {projection.source!r} is a copy, which does not change in a sleep"
            notes.append(MappingFinding("note", projection.target, text))
        projections.append(projection)
    return dataclasses.replace(network, projections=tuple(projections)), notes


class _Floats:
    """A profile of floating point: the network as it is, in float64."""

    axons: ClassVar[dict[str, int]] = {}

    def __init__(self, network: SpikingNetwork, profile: HardwareProfile) -> None:
        self._network, self._profile = network, profile
        self.findings: list[MappingFinding] = []
        self.rows = [LayerReport(q.target, q.source, None, 1.0, 0, 0, 0.0, 0.0, 0.0) for q in network.weighted]

    def network(self) -> MappedNetwork:
        n = self._network
        return MappedNetwork(n.populations, n.projections, n.dt, n.discretisation, profile=self._profile.id)
