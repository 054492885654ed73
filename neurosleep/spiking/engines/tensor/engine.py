"""Whole stretches of steps as tensors on any device of torch; on CUDA devices their steps are replayed as one graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from neurosleep.errors import UnsupportedError
from neurosleep.functional import EngineRule, PlasticityRule, StreamRule, StreamUpdates
from neurosleep.spiking.engines.base import Engine, Session, register_engine
from neurosleep.spiking.engines.batch import BatchSession
from neurosleep.spiking.engines.tensor.plasticity import RULES
from neurosleep.spiking.engines.tensor.session import TensorBatchSession, TensorSession, TensorSessions
from neurosleep.spiking.engines.tensor.stack import check_alike
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.plastic import changes
from neurosleep.spiking.projections import Projection, Transposed

__all__ = ["TorchEngine"]


@register_engine
class TorchEngine(Engine):
    """Dense and in parallel; the default for networks on a CUDA device. Many networks can be stepped as one."""

    name: ClassVar[str] = "torch"
    devices: ClassVar[frozenset[str]] = frozenset({"cpu", "cuda"})
    population_kinds: ClassVar[frozenset[str]] = frozenset({"input", "relay", "lif", "cuba_lif", "li"})
    projection_types: ClassVar[frozenset[type[Projection]]] = frozenset({Projection})
    rules: ClassVar[frozenset[str]] = RULES
    synaptic_integrators: ClassVar[bool] = True
    reset_times: ClassVar[frozenset[str]] = frozenset({"same", "next", "guarded"})
    batches: ClassVar[bool] = True
    homeostasis: ClassVar[frozenset[str]] = frozenset({"weights"})
    spike_counts: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    def start_many(
        self,
        networks: Sequence[SpikingNetwork],
        rule: PlasticityRule | EngineRule | None = None,
        streams: int = 1,
        updates: StreamUpdates = "sum",
        *,
        device: str = "cpu",
    ) -> TensorSessions:
        """A session that steps all ``networks`` together, each from its own input, of so many streams.

        Raises
        ------
        SettingsError
            If they are not of one architecture.
        UnsupportedError
            If the engine does not step them, or the rule, by name.
        DeviceMemoryError
            If they do not fit into the device's memory together.
        """
        check_alike(networks)
        self.check_streams(networks[0], rule, streams, updates, device=device)
        assert rule is None or isinstance(rule, PlasticityRule)
        with torch.no_grad():
            return TensorSessions(networks, rule, device, streams, updates)

    def _check_single(self, network: SpikingNetwork, rule: PlasticityRule | EngineRule | None, device: str) -> None:
        super()._check_single(network, rule, device)
        if rule is None:
            return
        for q in network.projections:
            relay = changes(rule, q) and network.population(q.target).kind == "relay"
            if relay or isinstance(q, Transposed):
                why = "whose weight the rule would change, ends in a relay" if relay else "uses a weight that changes"
                raise UnsupportedError(
                    f"The engine 'torch' steps no plasticity where projection {q.source!r} -> {q.target!r} {why}.",
                    expected="plastic=False" if relay else "a network without shared weights",
                    hint="--engine reference steps it",
                )

    def _check_batch(self, network: SpikingNetwork, device: str) -> None:
        super()._check_batch(network, device)
        if len(network.inputs) != 1:
            raise UnsupportedError(
                f"The engine 'torch' steps no batches of a network with {len(network.inputs)} input populations.",
                expected="one input population",
                hint="ns.simulate takes spikes of several by name",
            )

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        return TensorSession(network, rule, device)

    def _start_streams(
        self,
        network: SpikingNetwork,
        rule: StreamRule | None,
        streams: int,
        updates: StreamUpdates,
        device: str,
    ) -> Session:
        return TensorSession(network, rule, device, streams, updates)

    def _start_batch(self, network: SpikingNetwork, batch: int, device: str) -> BatchSession:
        return TensorBatchSession(network, batch, device)
