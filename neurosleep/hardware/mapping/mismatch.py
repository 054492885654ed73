"""Analogue chips: what was set comes out a little different in every circuit, and stays so."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from neurosleep._checks import check_number
from neurosleep.errors import SettingsError
from neurosleep.functional import torch_generator
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import MappingFinding
from neurosleep.spiking import Population, Projection, SpikingNetwork
from neurosleep.spiking.projections import Weighted

__all__ = ["chosen_mismatch", "with_mismatch"]


def chosen_mismatch(profile: HardwareProfile, sd: float | None) -> tuple[float, list[MappingFinding]]:
    """The relative standard deviation to apply: the one given, else the profile's, else none; and what to say of it.

    Raises
    ------
    SettingsError
        If it is no number from 0 to 1, or one was given for a chip that is not analogue.
    """
    if sd is not None:
        sd = check_number("The mismatch, a relative standard deviation,", sd, 0, 1)
    if profile.kind != "analog":
        if sd:
            raise SettingsError(
                f"A mismatch of {sd!r} was given, and {profile.id!r} is no analogue chip.", expected="mismatch_sd=None"
            )
        return 0.0, []
    published = None if profile.mismatch is None else profile.mismatch.sd_relative
    if sd is None and published is None:
        text = "no figure of mismatch is published, and none is applied: mismatch_sd sets one"
        return 0.0, [MappingFinding("warning", "", text)]
    chosen = float(sd if sd is not None else published or 0.0)
    origin = "as given" if sd is not None else "the profile's figure"
    text = f"weights, thresholds and time constants differ by {100 * chosen:g} percent (standard deviation, {origin})"
    return chosen, [MappingFinding("note", "", text)]


def with_mismatch(network: SpikingNetwork, sd: float, seed: int) -> SpikingNetwork:
    r"""Every weight, threshold and decay as one device of the chip might have it; the seed is the device.

    Each is multiplied by its own :math:`1 + \sigma n`, with n normal, and not below 0; time constants in their rates,
    so that a decay d becomes :math:`d^{1 + \sigma n}`, or :math:`1 - (1 - d) (1 + \sigma n)` by forward Euler.
    """
    if sd == 0:
        return network

    def factors(shape: tuple[int, ...], what: str) -> Tensor:
        generator = torch_generator(seed, f"mismatch of {what}")
        return (1 + sd * torch.randn(shape, generator=generator, dtype=torch.float64)).clamp_min(0)

    populations: list[Population] = []
    for p in network.populations:
        if p.kind in ("input", "relay"):
            populations.append(p)
            continue
        changed: dict[str, Tensor] = {}
        if p.kind != "li":
            theta = torch.as_tensor(p.threshold, dtype=torch.float64)
            changed["threshold"] = theta * factors((p.size,), f"{p.name} threshold")
        for key in ("decay", "synaptic_decay"):
            value = torch.as_tensor(getattr(p, key), dtype=torch.float64)
            if bool(value.any()):
                rates = factors((p.size,), f"{p.name} {key}")
                euler = network.discretisation == "euler"
                value = (1 - (1 - value) * rates).clamp_min(0) if euler else value**rates
            changed[key] = value
        populations.append(dataclasses.replace(p, **changed))  # type: ignore[arg-type]
    projections: list[Projection] = []
    for k, q in enumerate(network.projections):
        if isinstance(q, Weighted):
            q = dataclasses.replace(q, weight=q.weight * factors(tuple(q.weight.shape), f"weight {k}"))
        projections.append(q)
    return dataclasses.replace(network, populations=tuple(populations), projections=tuple(projections))
