"""Energy by the conventions that the literature uses: several numbers for one activity, and none where a chip has none.

They differ by orders of magnitude between conventions; a quotient before and after tells more than any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neurosleep.errors import UnsupportedError
from neurosleep.hardware._profile import Energy
from neurosleep.spiking import Recording, SpikingNetwork

__all__ = ["Activity", "count_activity", "estimate_energy"]


@dataclass(frozen=True)
class Activity:
    """What happened: synaptic events, updates of neurons with and without input, and the time in seconds."""

    synaptic_events: float
    active_updates: float = 0.0
    inactive_updates: float = 0.0
    seconds: float = 0.0


def estimate_energy(energy: Energy, activity: Activity) -> dict[str, float | None]:
    """Joules by convention; None, which is to be read as not estimated, where the profile lacks a coefficient.

    Returns
    -------
    dict
        ``synaptic``: synaptic events alone, as most papers count. ``all_updates``: each event with a hop, and every
        update as one of an active neuron (keras-spiking). ``active_and_inactive``: events, and updates of either kind.
        ``with_static``: events, and the static power over the time; its coefficient must not hold a part of the static
        power itself.
    """

    def total(*terms: tuple[float | None, float]) -> float | None:
        found = [None if coefficient is None else coefficient * number for coefficient, number in terms]
        return None if any(term is None for term in found) else sum(term for term in found if term is not None) * 1e-12

    a, events = activity, activity.synaptic_events
    updates = a.active_updates + a.inactive_updates
    # A milliwatt is 10^9 picojoules a second.
    static = None if energy.static_mw is None or energy.synop_includes_static else energy.static_mw * 1e9
    return {
        "synaptic": total((energy.synop_pj, events)),
        "all_updates": total((energy.synop_pj, events), (energy.hop_pj, events), (energy.update_active_pj, updates)),
        "active_and_inactive": total(
            (energy.synop_pj, events),
            (energy.update_active_pj, a.active_updates),
            (energy.update_inactive_pj, a.inactive_updates),
        ),
        "with_static": total((energy.synop_pj, events), (static, a.seconds)),
    }


def count_activity(network: SpikingNetwork, recording: Recording) -> Activity:
    """The activity in a recording: each spike times its synapses that are not 0; every update counted as active.

    Raises
    ------
    UnsupportedError
        If a projection is neither dense nor recurrent, whose synapses this does not count.
    """
    events = 0.0
    for q in network.projections:
        weight = q.weight if q.transpose_of is None else None
        if q.transpose_of is not None:
            owned = network.projections[network.owner(network.projections.index(q))].weight
            weight = None if owned is None else owned.T
        if weight is None or q.kind not in ("dense", "recurrent"):
            raise UnsupportedError(
                f"Synaptic events of projection {q.source!r} -> {q.target!r} of kind {q.kind!r} are not counted.",
                expected="dense and recurrent projections",
            )
        counts = torch.as_tensor(recording.counts[q.source]).to(torch.float64).reshape(-1, weight.shape[1])
        events += float((counts @ (weight != 0).sum(0).to(torch.float64)).sum())
    samples = max(1, recording.counts[network.populations[0].name].size // network.populations[0].size)
    updates = float(sum(p.size for p in network.layers) * recording.steps * samples)
    return Activity(events, updates, 0.0, recording.steps * recording.dt * samples)
