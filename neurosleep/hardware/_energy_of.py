"""The energy of what was recorded: count it, time it, and price it."""

from __future__ import annotations

import dataclasses
from functools import reduce
from operator import add

from neurosleep.functional import PlasticityRule
from neurosleep.hardware.energy.activity import sample_activities
from neurosleep.hardware.energy.chip_time import chip_time
from neurosleep.hardware.energy.energy import EnergyEstimate, estimate_energy
from neurosleep.hardware.energy.synapses import Zeros
from neurosleep.hardware.mapping.mapped import MappedNetwork
from neurosleep.hardware.profiles.load import load_profile
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.spiking import Recording, SpikingNetwork

__all__ = ["energy_of"]


def energy_of(
    network: SpikingNetwork,
    recording: Recording,
    profile: HardwareProfile | str,
    *,
    rule: PlasticityRule | None = None,
    zeros: Zeros = "skip",
) -> EnergyEstimate:
    """What a recorded simulation, or a sleep phase, would take on a chip: an estimate from its profile, not a chip.

    Parameters
    ----------
    network, recording, rule, zeros:
        As for :func:`~neurosleep.hardware.count_activity`; the network is best the one that
        :func:`~neurosleep.map_to` made for this profile: rounding makes zeros of small weights, and from its report
        come the cores, without which power by core and deadlines are not known, and one chip is assumed.
    profile:
        A loaded profile, or what :func:`~neurosleep.load_profile` takes.

    Returns
    -------
    EnergyEstimate
        Of all samples together; its JSON and its text are those of one.

    Raises
    ------
    SettingsError
        If the recording is of another network.

    See Also
    --------
    count_activity, estimate_energy : its two halves
    neurosleep.map_to : makes the network
    neurosleep.plot.energy : a picture of several

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.hardware import energy_of
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, reset="to_value", read_out="spikes")
    >>> mapped = ns.map_to(network, "loihi1")
    >>> recording = ns.simulate(mapped, images[:5], 50, coding="bernoulli", engine="fixed")
    >>> low, high = energy_of(mapped, recording, "loihi1").interval  # joules, by the conventions of the literature
    >>> 0 < low <= high < 1e-3
    True
    """
    if isinstance(profile, str):
        profile = load_profile(profile)
    by_layer, cores = {}, None
    if isinstance(network, MappedNetwork) and network.report.profile == profile.id:
        by_layer = {row.layer: row.cores for row in network.report.layers if row.cores is not None}
        cores = network.report.cores
    time = chip_time(network, recording, profile, by_layer)
    limit = profile.capacity.cores_per_chip
    chips = -(-cores // limit) if cores is not None and isinstance(limit, int) else None
    each = [
        dataclasses.replace(
            activity,
            seconds=time.seconds_per_sample,
            core_seconds=None if cores is None else cores * time.seconds_per_sample,
            chip_seconds=None if chips is None else chips * time.seconds_per_sample,
        )
        for activity in sample_activities(network, recording, rule=rule, zeros=zeros, cores=by_layer)
    ]
    estimate = estimate_energy(profile, reduce(add, each), time)
    if len(each) == 1 or estimate.interval is None:
        return estimate
    spans = [span for activity in each if (span := estimate_energy(profile, activity).interval) is not None]
    return dataclasses.replace(estimate, spread=(min(low for low, _ in spans), max(high for _, high in spans)))
