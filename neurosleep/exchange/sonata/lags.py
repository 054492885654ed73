"""How many steps later each population fires where every synapse takes a step at least."""

from __future__ import annotations

from neurosleep.errors import UnsupportedError
from neurosleep.spiking import SpikingNetwork

__all__ = ["population_lags"]


def population_lags(network: SpikingNetwork) -> dict[str, int]:
    """The smallest shifts of the populations' times, in steps, that leave every delay a step or more.

    A delay of d steps from population s to t becomes d + lag(t) - lag(s); spike trains stay what they are, each
    population's shifted by its lag.

    Raises
    ------
    UnsupportedError
        If there are none: a loop whose delays are fewer steps than it has projections.
    """
    lags = {population.name: 0 for population in network.populations}
    # Longest paths (Bellman and Ford): without such a loop nothing moves in the last pass.
    for _ in range(len(lags) + 1):
        before = dict(lags)
        for q in network.projections:
            lags[q.target] = max(lags[q.target], lags[q.source] + 1 - q.delay)
        if lags == before:
            return lags
    raise UnsupportedError(
        "A loop of the network takes fewer steps than it has projections, and every synapse of SONATA takes one.",
        expected="loops whose delays sum up to a step for each projection in them",
    )
