"""Networks that are being stepped by the engine ``torch``: trains of spikes, many networks' trains, and batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
import torch
from torch import Tensor

from neurosleep.functional import PlasticityRule, SpikeEvents, StreamUpdates
from neurosleep.spiking.engines.base import Session, check_inputs
from neurosleep.spiking.engines.batch import BatchInput, BatchSession, ConstantInput, SpikeInput
from neurosleep.spiking.engines.memory import check_room, free_memory
from neurosleep.spiking.engines.tensor.graphs import Replayed
from neurosleep.spiking.engines.tensor.networks import Networks
from neurosleep.spiking.engines.tensor.stack import Stack, check_alike
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.projections import Transposed

__all__ = ["TensorBatchSession", "TensorSession", "TensorSessions"]

# Numbers that are computed at once where memory is not the limit: few enough for a processor's cache, and enough to
# keep a GPU busy.
_AT_ONCE = {"cpu": 2**20, "cuda": 2**27}
# Steps of a stretch at most: a graph holds the operations of each.
_MOST_STEPS = 64
# Of the memory that is free, the part that a stretch may take.
_SHARE = 0.5


Tensors = dict[str, Tensor]


class _Stretches:
    """Advances networks by any number of steps, in stretches of one length, and a shorter one at the end."""

    def __init__(
        self,
        networks: Sequence[SpikingNetwork],
        batch: int,
        device: str,
        rule: PlasticityRule | None = None,
        updates: StreamUpdates = "sum",
    ) -> None:
        check_alike(networks)
        stack = Stack(networks, device) if free_memory(device) is None else _fitting(networks, batch, device)
        self.networks = Networks(stack, batch, rule, updates)
        self._replayed = Replayed(self._stretch, device)
        self._time = 0
        step = stack.numbers_per_step() * batch
        most = _AT_ONCE["cpu" if device == "cpu" else "cuda"]
        free = free_memory(device)
        if free is not None:
            most = min(most, int(_SHARE * free) // stack.dtype.itemsize)
        self.length = max(1, min(most // step, _MOST_STEPS, self.networks.longest or _MOST_STEPS))

    def _stretch(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        sent, potentials = self.networks.advance(given, self._steps)
        return {**{f"sent {name}": values for name, values in sent.items()}, **potentials}

    def run(self, given: Mapping[str, Tensor], steps: int) -> Iterator[tuple[int, Tensors, Tensors]]:
        """First step, what was sent and potentials, of each stretch; they hold until the next.

        ``given`` ``[networks, steps, batch, n]`` by input that is not held.
        """
        start = 0
        while start < steps:
            with _exact(self.networks.stack.device):
                self.networks.arrive(self._time)
            self._steps = min(self.length, steps - start)
            part = {name: values[:, start : start + self._steps] for name, values in given.items()}
            # Until everything that is held has arrived, stretches differ in what they compute.
            alike = self._steps == self.length and self._time >= self.networks.settled
            with _exact(self.networks.stack.device):
                made = self._replayed(part) if alike else self._stretch(part)
            sent = {name: made[f"sent {name}"] for name in self.networks.network.order}
            yield start, sent, {name: values for name, values in made.items() if not name.startswith("sent ")}
            start += self._steps
            self._time += self._steps


@contextmanager
def _exact(device: str) -> Iterator[None]:
    """On CUDA devices sums of float32 are those of float32, not of shorter numbers (TF32), whatever is set."""
    if torch.device(device).type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _fitting(networks: Sequence[SpikingNetwork], batch: int, device: str) -> Stack:
    """The stack on a device whose memory is known, or an error that says how much it needs."""
    on_cpu = Stack(networks[:1], "cpu")
    state = sum(6 * p.size for p in networks[0].populations) * batch
    weights = sum(weight.numel() for weight in on_cpu.weights.values())
    numbers = len(networks) * (on_cpu.numbers_per_step() * batch + state + weights)
    what = f"A stack of {len(networks)} networks" if len(networks) > 1 else f"A batch of {batch}"
    check_room(what, numbers * networks[0].dtype.itemsize, device)
    return Stack(networks, device)


class TensorSessions:
    """Many networks of one architecture, each with its own weights and its own input, stepped together.

    With several ``streams`` of input each, these lie side by side: neuron k of stream s of n is number ``s * n + k``.
    """

    def __init__(
        self,
        networks: Sequence[SpikingNetwork],
        rule: PlasticityRule | None,
        device: str,
        streams: int = 1,
        updates: StreamUpdates = "sum",
    ) -> None:
        self._stretches = _Stretches(networks, streams, device, rule, updates)
        self._streams = streams
        self._networks = self._stretches.networks
        self._network, self._device, self._count = networks[0], device, len(networks)

    @torch.no_grad()
    def run(self, inputs: Sequence[Mapping[str, SpikeEvents]]) -> list[dict[str, SpikeEvents]]:
        """Advance each network by the steps of its input, all by as many; the spikes of every population of each."""
        steps = {check_inputs(self._network, given, self._streams) for given in inputs}
        assert len(inputs) == self._count and len(steps) == 1
        (length,) = steps
        given = {p.name: self._dense([one[p.name] for one in inputs]) for p in self._network.inputs}
        parts: dict[str, list[list[SpikeEvents]]] = {p.name: [[] for _ in inputs] for p in self._network.layers}
        for _, sent, _ in self._stretches.run(given, length):
            for name, events in parts.items():
                for one, more in zip(events, _events(sent[name].flatten(2)), strict=True):
                    one.append(more)
        sizes = {p.name: p.size * self._streams for p in self._network.layers}
        return [
            {
                p.name: inputs[k][p.name]
                if p.kind == "input"
                else SpikeEvents.concatenate(parts[p.name][k], sizes[p.name])
                for p in self._network.populations
            }
            for k in range(self._count)
        ]

    def _dense(self, trains: Sequence[SpikeEvents]) -> Tensor:
        """Booleans ``[networks, steps, streams, n]`` on the device, to which only the spikes themselves are copied."""
        steps, n = trains[0].steps, trains[0].n
        shape = (len(trains), steps, self._streams, n // self._streams)
        dense = torch.zeros(shape, dtype=torch.bool, device=self._device)
        flat = [
            (k * steps + events.times) * n + events.indices[events.offsets[0] : events.offsets[-1]]
            for k, events in enumerate(trains)
        ]
        dense.view(-1)[torch.from_numpy(np.concatenate(flat).astype(np.int64)).to(self._device)] = True
        return dense

    def weights(self, number: int) -> list[Tensor]:
        """The present weights of network ``number``, in the order of its own, on the CPU."""
        own = (k for k, q in enumerate(self._network.projections) if not isinstance(q, Transposed))
        stacked = self._networks.stack.weights
        return [stacked[k][number].detach().cpu().contiguous().clone() for k in own if k in stacked]

    def outliers(self, bound: float) -> list[tuple[int, int]]:
        """Network and number of a weight, of all that hold a value beyond ``bound``, or one that is not finite."""
        weighted = [k for k, q in enumerate(self._network.projections) if not isinstance(q, Transposed)]
        stacked = self._networks.stack.weights
        beyond = []
        for number, k in enumerate(k for k in weighted if k in stacked):
            if stacked[k].numel():
                low, high = torch.aminmax(stacked[k].flatten(1), dim=1)
                # NaN is not within any bound.
                fine = (torch.maximum(-low, high) <= bound) & torch.isfinite(low) & torch.isfinite(high)
                beyond += [(int(one), number) for one in (~fine).nonzero().flatten().cpu()]
        return beyond

    def membranes(self, number: int) -> dict[str, Tensor]:
        """The present membrane potentials ``[streams * n]`` of network ``number``, by population."""
        return {name: one.state.v[number].flatten().cpu().clone() for name, one in self._networks.neurons.items()}


def _events(sent: Tensor) -> list[SpikeEvents]:
    """The spikes in ``[networks, steps, n]``, of each network."""
    networks, steps, n = sent.shape
    where = sent.nonzero().cpu().numpy()
    cuts = np.searchsorted(where[:, 0], np.arange(networks + 1))
    return [
        SpikeEvents._in_order(where[low:high, 1], where[low:high, 2], steps=steps, n=n)
        for low, high in itertools.pairwise(cuts)
    ]


class TensorSession(Session):
    """One network, as a stack of one."""

    def __init__(
        self,
        network: SpikingNetwork,
        rule: PlasticityRule | None,
        device: str,
        streams: int = 1,
        updates: StreamUpdates = "sum",
    ) -> None:
        self._sessions = TensorSessions([network], rule, device, streams, updates)

    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        """Advance by the steps of ``inputs``; the spikes of every population."""
        return self._sessions.run([inputs])[0]

    def weights(self) -> list[Tensor]:
        """The present weights, of projections that have any."""
        return self._sessions.weights(0)

    def outliers(self, bound: float) -> list[int]:
        """Numbers of the weights with a value that is NaN, or beyond ``bound``."""
        return [number for _, number in self._sessions.outliers(bound)]

    def membranes(self) -> dict[str, Tensor]:
        """The present potentials, by population."""
        return self._sessions.membranes(0)


class TensorBatchSession(BatchSession):
    """One network with one input population, and a batch of inputs."""

    def __init__(self, network: SpikingNetwork, batch: int, device: str) -> None:
        self._stretches = _Stretches([network], batch, device)
        self._networks = self._stretches.networks
        (self._source,) = network.inputs
        self._last, self._batch, self._device = network.last, batch, device
        self._holds = False

    @torch.no_grad()
    def advance(self, sent: BatchInput) -> Tensor:
        """Advance by the steps of ``sent``; the read-out after each of them, ``[steps, batch, n]``, on the device."""
        stack, name = self._networks.stack, self._last.name
        said = torch.empty(sent.steps, self._batch, self._last.size, dtype=stack.dtype, device=self._device)
        given = self._given(sent)
        before = self._networks.totals[name][0].clone()
        for start, made, potentials in self._stretches.run(given, sent.steps):
            if name in potentials:
                said[start : start + potentials[name].shape[1]] = potentials[name][0]
                continue
            part = said[start : start + made[name].shape[1]]
            torch.cumsum(made[name][0], 0, dtype=stack.dtype, out=part)
            part += before
            before = part[-1]
        return said

    def _given(self, sent: BatchInput) -> dict[str, Tensor]:
        if isinstance(sent, ConstantInput):
            if not self._holds:
                values = sent.values.to(self._device, self._networks.stack.dtype)
                with _exact(self._device):
                    self._networks.hold(self._source.name, values[None])
            self._holds = True
            return {}
        spikes = cast(SpikeInput, sent)
        shape = (spikes.steps, self._batch, self._source.size)
        several = spikes.fired.dtype != np.bool_
        kind = self._networks.stack.dtype if several else torch.bool
        dense = torch.zeros(shape, dtype=kind, device=self._device)
        samples, neurons = (torch.from_numpy(one).to(self._device) for one in (spikes.samples, spikes.neurons))
        dense[:, samples, neurons] = torch.from_numpy(np.ascontiguousarray(spikes.fired)).to(self._device).to(kind)
        return {self._source.name: dense[None]}

    def batch_membranes(self) -> dict[str, Tensor]:
        """The present membrane potentials ``[batch, n]``, by population."""
        return {name: one.state.v[0].cpu().clone() for name, one in self._networks.neurons.items()}

    def totals(self) -> Mapping[str, Tensor]:
        """By population, ``[batch, n]``: spikes since the session started, or the sum of graded values."""
        return {name: total[0].clone() for name, total in self._networks.totals.items()}
