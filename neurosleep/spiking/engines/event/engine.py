"""Event-driven, compiled: touches only what fired, and keeps each block of neurons in the cache over a whole chunk.

With feedback, a unit's sources depend on the unit itself, and all populations are stepped together, one step at a time.
"""

from __future__ import annotations

from typing import ClassVar

from neurosleep.errors import UnsupportedError
from neurosleep.functional import (
    EngineRule,
    MultiplicativeSTDP,
    PairSTDP,
    PlasticityRule,
    PooledSRC,
    SignSTDP,
    SRCRule,
    StreamRule,
    StreamUpdates,
    TripletSTDP,
)
from neurosleep.spiking.engines.base import Engine, Session, register_engine
from neurosleep.spiking.engines.batch import BatchSession
from neurosleep.spiking.engines.event.batch import EventBatchSession
from neurosleep.spiking.engines.event.grid import is_dense
from neurosleep.spiking.engines.event.session import EventSession
from neurosleep.spiking.engines.event.streams import StreamSession
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.plastic import changes
from neurosleep.spiking.projections import Conv, Projection, Transposed

__all__ = ["EventEngine"]


@register_engine
class EventEngine(Engine):
    """Compiled and event-driven; the default for sleep. CPU only, float32 or float64 after the network's weights."""

    name: ClassVar[str] = "event"
    population_kinds: ClassVar[frozenset[str]] = frozenset({"input", "relay", "lif", "li"})
    projection_types: ClassVar[frozenset[type[Projection]]] = frozenset({Projection})
    rules: ClassVar[frozenset[str]] = frozenset(
        rule.name for rule in (SRCRule, PooledSRC, PairSTDP, MultiplicativeSTDP, TripletSTDP, SignSTDP)
    )
    symmetric_rules: ClassVar[frozenset[str]] = frozenset({SRCRule.name, PooledSRC.name})
    batches: ClassVar[bool] = True
    homeostasis: ClassVar[frozenset[str]] = frozenset({"weights"})
    spike_counts: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    def _check_single(self, network: SpikingNetwork, rule: PlasticityRule | EngineRule | None, device: str) -> None:
        super()._check_single(network, rule, device)
        if rule is None:
            return
        learning = [q for q in network.projections if changes(rule, q)]
        relays = [q for q in learning if network.population(q.target).kind == "relay"]
        matrices = {q.target for q in learning if not isinstance(q, Conv)}
        both = [q for q in learning if isinstance(q, Conv) and q.target in matrices]
        shared = [q for q in network.projections if isinstance(q, Transposed)]
        grids = [p.name for p in network.layers if not is_dense(network, p.name)]
        if relays or both or (shared and grids):
            q, why = (relays or both or shared)[0], "whose weight the rule would change, ends in a relay"
            if both and not relays:
                why = f"is a convolution, and a plastic matrix ends in population {q.target!r} too"
            elif not relays:
                why = f"is transposed, and convolutions, pooling or graded values reach population {grids[0]!r}"
            raise UnsupportedError(
                f"The engine 'event' steps no plasticity where projection {q.source!r} -> {q.target!r} {why}.",
                expected="plastic=False" if relays or both else "feedback, or convolutions and relays",
                hint="--engine reference steps it",
            )

    def _check_streams(self, network: SpikingNetwork, rule: PlasticityRule | EngineRule | None) -> None:
        super()._check_streams(network, rule)
        place = {name: k for k, name in enumerate(network.order)}
        for q in network.projections:
            back = isinstance(q, Transposed) or place[q.source] >= place[q.target]
            if back or not is_dense(network, q.target):
                why = "feeds back, or is delayed" if back else "is not Dense, or ends where such a one does"
                raise UnsupportedError(
                    f"The engine 'event' steps one stream of noise: projection {q.source!r} -> {q.target!r} {why}.",
                    expected="streams=1, or Dense projections only, without feedback",
                    hint="--engine reference steps several",
                )

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        return EventSession(network, rule)

    def _start_streams(
        self, network: SpikingNetwork, rule: StreamRule | None, streams: int, updates: StreamUpdates, device: str
    ) -> Session:
        return StreamSession(network, rule, streams, updates)

    def _check_batch(self, network: SpikingNetwork, device: str) -> None:
        super()._check_batch(network, device)
        if len(network.inputs) != 1:
            raise UnsupportedError(
                f"The engine 'event' steps no batches of a network with {len(network.inputs)} input populations.",
                expected="one input population",
                hint="ns.simulate takes spikes of several by name",
            )

    def _start_batch(self, network: SpikingNetwork, batch: int, device: str) -> BatchSession:
        return EventBatchSession(network, batch)
