"""Event-driven, compiled: touches only what fired, and keeps each block of neurons in the cache over a whole chunk.

With feedback, a unit's sources depend on the unit itself, and all populations are stepped together, one step at a time.
"""

from __future__ import annotations

from typing import ClassVar

from neurosleep.errors import UnsupportedError
from neurosleep.functional import MultiplicativeSTDP, PairSTDP, PlasticityRule, SignSTDP, SRCRule, TripletSTDP
from neurosleep.spiking.engines.base import Engine, Session, register_engine
from neurosleep.spiking.engines.batch import BatchSession
from neurosleep.spiking.engines.event.batch import EventBatchSession
from neurosleep.spiking.engines.event.session import EventSession
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.projections import Dense, Projection, Transposed

__all__ = ["EventEngine"]


@register_engine
class EventEngine(Engine):
    """Compiled and event-driven; the default for sleep. CPU only, float32 or float64 after the network's weights."""

    name: ClassVar[str] = "event"
    population_kinds: ClassVar[frozenset[str]] = frozenset({"input", "lif", "li"})
    projection_types: ClassVar[frozenset[type[Projection]]] = frozenset({Dense, Transposed})
    rules: ClassVar[frozenset[str]] = frozenset(
        rule.name for rule in (SRCRule, PairSTDP, MultiplicativeSTDP, TripletSTDP, SignSTDP)
    )
    symmetric_rules: ClassVar[frozenset[str]] = frozenset({SRCRule.name})
    batches: ClassVar[bool] = True
    homeostasis: ClassVar[frozenset[str]] = frozenset({"weights"})
    spike_counts: ClassVar[bool] = True

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        return EventSession(network, rule)

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
