"""By how many spikes two engines differ, and how near to its threshold a unit was that fired in one of them only."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from neurosleep.spiking import SpikingNetwork, get_engine
from neurosleep.spiking.engines.batch import BatchSession, ConstantInput

__all__ = ["SpikesApart", "spikes_apart"]


class SpikesApart(NamedTuple):
    """Differences of the engines ``event`` and ``reference``.

    share: spikes in one engine only, of all spikes of the reference; first: those of them in the earliest step and
    lowest population in which an image has any, which cause those after them; distance: the largest distance of the
    reference's potential from the threshold at such a first one, None if there is none.
    """

    share: float
    first: int
    distance: float | None


class _Stepped:
    """A session that tells the spikes of each step."""

    def __init__(self, session: BatchSession) -> None:
        self.session, self._before = session, dict(session.totals())

    def step(self, sent: ConstantInput) -> dict[str, Tensor]:
        self.session.advance(sent)
        totals = dict(self.session.totals())
        fired = {name: total != self._before[name] for name, total in totals.items()}
        self._before = totals
        return fired


def spikes_apart(network: SpikingNetwork, images: Tensor, steps: int) -> SpikesApart:
    """Show constant ``images`` ``[batch, ...]`` to both; ``network`` has no feedback, delays or refractory units."""
    firing = [p for p in network.layers if p.kind == "lif"]
    assert all(p.reset == "subtract" and not p.refractory for p in firing) and not any(
        q.delay for q in network.projections
    )
    sent = ConstantInput(images.flatten(1), 1)
    event, reference = (_Stepped(get_engine(name).start_batch(network, len(images))) for name in ("event", "reference"))
    together = torch.ones(len(images), dtype=torch.bool)
    apart = total = first = 0
    distances: list[float] = []
    for _ in range(steps):
        found, expected = event.step(sent), reference.step(sent)
        potentials = reference.session.batch_membranes()
        for p in firing:
            differs = found[p.name] != expected[p.name]
            apart, total = apart + int(differs.sum()), total + int(expected[p.name].sum())
            early = differs & together[:, None]
            if not early.any():
                continue
            first += int(early.sum())
            own = p.lif_params(network.dtype)
            # As it was before the reset.
            potential = potentials[p.name] + own.amount * expected[p.name]
            distances.append(float((potential - own.threshold).abs()[early].max()))
            together &= ~differs.any(1)
    return SpikesApart(apart / max(total, 1), first, max(distances, default=None))
