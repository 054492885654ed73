"""Whether a chip has a network's dynamics: its neurons, resets, decays, delays and biases."""

from __future__ import annotations

import torch

from neurosleep.hardware.arithmetic.chip_arithmetic import chip_decay, float64
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import MappingFinding, exceeds
from neurosleep.hardware.rewrite.fold import pools_on_chip
from neurosleep.spiking import Population, Projection, SpikingNetwork

__all__ = ["check_dynamics", "chip_delay"]


def check_dynamics(network: SpikingNetwork, profile: HardwareProfile) -> list[MappingFinding]:
    """Everything in ``network`` that the chip cannot do, and what of it the profile does not say."""
    kept = {p.name for p in network.layers if p.kind == "relay" and pools_on_chip(network, p.name, profile)}
    findings = [finding for p in network.layers if p.name not in kept for finding in _population(p, profile)]
    most = profile.delay.max_steps
    for q in network.projections:
        own = network.population(q.source).kind != "input"
        latency = (profile.delay.latency_steps or 0) if own else 0
        if isinstance(most, int) and q.delay - latency > most:
            what = f"the delay from {q.source!r} is too long"
            findings.append(exceeds(q.target, "delay.max_steps", q.delay, most + latency, "structural", what=what))
    if profile.capacity.packing.recurrent is False:
        place = {name: k for k, name in enumerate(network.order)}
        for q in network.projections:
            if place[q.source] >= place[q.target]:
                what = f"feedback from {q.source!r}"
                findings.append(
                    exceeds(q.target, "capacity.packing.recurrent", "feedback", "none", "structural", what=what)
                )
    step = profile.time.step_s
    if step is not None and not profile.time.step_free and step != network.dt:
        text = f"a step is {network.dt:g} s in the network, and taken as {step:g} s on the chip"
        findings.append(MappingFinding("note", "", text))
    unknown = [
        key
        for key in profile.unpublished
        if key.partition(".")[0] in ("threshold", "membrane", "weights", "bias", "decay", "reset", "delay")
    ]
    if unknown and not profile.floating:
        findings.append(MappingFinding("note", "", f"not published, and so not limited: {', '.join(unknown)}"))
    return findings


def chip_delay(network: SpikingNetwork, q: Projection, profile: HardwareProfile) -> tuple[int, list[MappingFinding]]:
    """Steps from a spike to its arrival on the chip, and what to say where they become more."""
    latency = 0 if network.population(q.source).kind == "input" else profile.delay.latency_steps or 0
    delay = max(q.delay, latency + (profile.delay.min_steps or 0))
    if delay == q.delay:
        return delay, []
    later = "1 step" if delay - q.delay == 1 else f"{delay - q.delay} steps"
    text = f"spikes of {q.source!r} arrive {later} later on the chip"
    return delay, [MappingFinding("note", q.target, text)]


def _population(p: Population, profile: HardwareProfile) -> list[MappingFinding]:
    findings: list[MappingFinding] = []

    def lacks(limit: str, needed: str, available: str, what: str, hint: str | None = None) -> None:
        findings.append(exceeds(p.name, limit, needed, available, "structural", what=what, hint=hint))

    exact, real = profile.floating, profile.real_potentials
    if not exact and p.kind == "relay":
        hint = "end the network with neurons or with an integrator (kind 'li'), and let no relay feed itself"
        what = "a relay passes on sums, and has no weights after it into which they could be folded"
        lacks("spike.payload_bits", "graded sums", "spikes", what, hint)
        return findings
    if p.kind in ("lif", "cuba_lif"):
        _reset(p, profile, lacks)
        _refractory(p, profile, findings)
        if not real and bool((float64(p.threshold) < float64(p.leak)).any()):
            lacks("threshold", "a negative one", ">= 0", "the leak value lies above the threshold")
    if exact:
        return findings
    # Circuits and programs of unpublished widths have synaptic currents; a file of theirs has no register for them.
    if profile.current is None and not real and bool(float64(p.synaptic_decay).any()):
        lacks("current", "a synaptic current", "none", "the neurons have a synaptic current")
    decays = [("decay", p.decay, False)]
    if profile.current is not None:
        decays.append(("synaptic_decay", p.synaptic_decay, True))
    for key, value, current in decays:
        missing = torch.isnan(chip_decay(profile, float64(value), current=current))
        if bool(missing.any()):
            wanted = float(float64(value)[missing].reshape(-1)[0])
            kind = str(profile.decay.kind)
            without = "decay=1.0 (convert): neurons without leak" if kind == "none" and key == "decay" else None
            lacks("decay.kind", f"{wanted:g} a step", kind, f"the chip has no such {key}", without)
    if profile.decay.constant and bool((float64(p.decay) < 1).any()):
        if p.kind == "li":
            what = "what a constant leak would stand for is a share of the threshold, and integrators have none"
            lacks("decay.kind", "a decay by a factor", "subtractive", what, "neurons with a threshold, or no decay")
        elif bool(float64(p.bias).any()):
            what = "the chip's one constant a step cannot be leak and bias at once"
            lacks("bias.supported", "a bias and a leak", "one of them", what)
    if profile.decay.kind == "power_of_two" and bool((float64(p.decay) == 1).any()):
        text = (
            "the chip has no neurons without leak: with the longest time constant a positive potential loses 1 a step"
        )
        findings.append(MappingFinding("note", p.name, text))
    if profile.membrane.signed is False and p.kind != "relay":
        findings.append(MappingFinding("note", p.name, "potentials do not go below 0 on the chip"))
    if profile.bias.supported is False and bool(float64(p.bias).any()):
        hint = "train a network without biases, such as torch.nn.Linear(..., bias=False)"
        lacks("bias.supported", "a bias", "none", "the neurons have a bias", hint)
    return findings


def _reset(p: Population, profile: HardwareProfile, lacks: object) -> None:
    assert callable(lacks)
    if profile.reset.modes is None:  # not published, and so not limited
        return
    modes = profile.reset.modes
    there = ", ".join(modes)
    if p.reset_time != "same":
        lacks("reset.modes", f"reset_time {p.reset_time}", there, "the reset comes later than the spike")
    if p.reset == "subtract":
        if "subtract_threshold" not in modes:
            hint = (
                "reset='to_value' (convert), or --reset to_value (neurosleep convert), makes a network that resets to 0"
            )
            lacks("reset.modes", "subtract_threshold", there, "the reset subtracts", hint)
        elif (
            p.amount is not None
            and not profile.floating
            and not profile.reset.amount_free
            and not bool((float64(p.amount) == float64(p.threshold)).all())
        ):
            lacks("reset.modes", "another amount", "the threshold", "the reset subtracts another amount")
        return
    at_zero = bool((float64(p.reset_value) == float64(p.leak)).all())
    if not ("to_value" in modes or ("to_zero" in modes and at_zero)):
        needed = "to_zero" if at_zero else "to_value"
        # Not every recipe of the conversion has both resets.
        hint = "reset='subtract', recipe='percentile' (convert), or --reset subtract (neurosleep convert)"
        what = "the reset goes to 0" if at_zero else "the reset goes to a value"
        lacks("reset.modes", needed, there, what, hint if "subtract_threshold" in modes else None)


def _refractory(p: Population, profile: HardwareProfile, found: list[MappingFinding]) -> None:
    if p.refractory == 0 or profile.floating:
        return
    # Where the fewest steps are 1, the spike's own step is counted.
    own, most = profile.reset.refractory_steps_min or 0, profile.reset.refractory_steps_max
    if most is None and (profile.kind in ("analog", "software") or profile.reset.modes is None):
        found.append(MappingFinding("note", p.name, "the profile states no limits of refractoriness: taken as it is"))
        return
    needed, key = p.refractory + own, "reset.refractory_steps_max"
    if most is None or needed > most:
        what = "refractoriness is too long" if most is not None else "the profile states no refractoriness"
        found.append(exceeds(p.name, key, needed, most if most is not None else 0, "structural", what=what))
    if p.while_refractory == "integrate":
        what = "refractory neurons go on integrating"
        found.append(exceeds(p.name, "reset", "integrate", "hold", "structural", what=what))
