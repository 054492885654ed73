"""A stack of networks over stretches of steps: every population in turn, each over the whole stretch at once.

In a feed-forward network all inputs of a population are known once its sources have been stepped, also where its
weights change, as a local rule reads nothing above it. With feedback a stretch is as long as the shortest delay that
closes a loop. What a constant input makes arrive is computed once, through relays too.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from neurosleep.functional import PlasticityRule, SRCRule, StreamUpdates
from neurosleep.spiking.engines.tensor.fused import Fused, fuses
from neurosleep.spiking.engines.tensor.neurons import Neurons
from neurosleep.spiking.engines.tensor.plasticity import learner
from neurosleep.spiking.engines.tensor.stack import Stack
from neurosleep.spiking.plastic import changes

__all__ = ["Networks"]


class Networks:
    """The networks of ``stack``, each with ``batch`` inputs side by side, in the middle of being stepped.

    All that changes lies in the same memory from stretch to stretch, so that :meth:`advance` can be recorded as a CUDA
    graph and replayed.
    """

    def __init__(
        self, stack: Stack, batch: int, rule: PlasticityRule | None = None, updates: StreamUpdates = "sum"
    ) -> None:
        self.stack, self.batch = stack, batch
        network = self.network = stack.network
        self._place = {p.name: k for k, p in enumerate(network.populations)}
        self._order = [name for name in network.order if network.population(name).kind != "input"]
        self.neurons = {
            name: Neurons(stack, self._place[name], batch)
            for name in self._order
            if network.population(name).kind != "relay"
        }
        self._incoming = {name: network.incoming(name) for name in self._order}
        self._plastic = {
            name: [k for k in ks if changes(rule, network.projections[k])] for name, ks in self._incoming.items()
        }
        self._fused = self._fuse(rule)
        self._learners = (
            {}
            if rule is None
            else {k: learner(stack.weights[k], rule, updates) for ks in self._plastic.values() for k in ks}
        )
        self._bases = {name: self._bias(name) for name in self._order}
        #: Steps that are remembered of each population.
        self._memory = {
            p.name: max([q.delay for q in network.projections if q.source == p.name], default=0)
            for p in network.populations
        }
        self._past = {
            p.name: self._silence(p.name, self._memory[p.name]) for p in network.populations if self._memory[p.name]
        }
        place = {name: k for k, name in enumerate(network.order)}
        #: Steps of the longest stretch, or None where nothing feeds back.
        self.longest = min((q.delay for q in network.projections if place[q.source] >= place[q.target]), default=None)
        self.totals = {
            p.name: torch.zeros(stack.count, batch, p.size, dtype=stack.dtype, device=stack.device)
            for p in network.populations
        }
        #: Steps since the start after which all that a constant input sends has arrived.
        self.settled = max(self._memory.values(), default=0)
        self._held: dict[str, Tensor] = {}
        self._through: set[int] = set()

    def _fuse(self, rule: PlasticityRule | None) -> dict[str, Fused]:
        """Populations that one kernel steps; their weights and potentials lie in its memory from now on."""
        fused: dict[str, Fused] = {}
        if not fuses(rule, self.stack.dtype, self.batch, self.stack.device):
            return fused
        assert isinstance(rule, SRCRule)
        for name, plastic in self._plastic.items():
            neurons = self.neurons.get(name)
            if neurons is None or not neurons.plain or len(plastic) != 1:
                continue
            (k,) = plastic
            ones = torch.ones(self.stack.count, 1, dtype=self.stack.dtype, device=self.stack.device)
            scale = self.stack.scaled(k, ones)
            fused[name] = Fused(self.stack.weights[k], scale, neurons.state.v[:, 0], neurons.p, rule)
            self.stack.weights[k] = fused[name].weights
            neurons.state = neurons.state._replace(v=fused[name].v[:, None])
        return fused

    def _bias(self, name: str) -> Tensor:
        bias = self.stack.parameter(self._place[name], lambda p: p.bias)
        return bias.reshape(1, 1, 1, 1) if bias.ndim == 0 else bias[:, None]

    def _silence(self, name: str, steps: int) -> Tensor:
        graded = self.network.population(name).kind in ("relay", "input")
        kind = self.stack.dtype if graded else torch.bool
        shape = (self.stack.count, steps, self.batch, self.network.population(name).size)
        return torch.zeros(shape, dtype=kind, device=self.stack.device)

    def hold(self, name: str, values: Tensor) -> None:
        """Input ``name`` sends ``values`` ``[networks, batch, n]`` in every step from the start on."""
        self._held[name] = values[:, None]
        for target in self._order:
            incoming = [self.network.projections[k] for k in self._incoming[target]]
            leaving = [q for q in self.network.projections if q.source == target]
            still = all(q.source in self._held for q in incoming) and not any(q.delay for q in incoming + leaving)
            if self.network.population(target).kind == "relay" and incoming and still:
                numbers = zip(self._incoming[target], incoming, strict=True)
                arriving = [self.stack.arriving(k, self._held[q.source]) for k, q in numbers]
                self._held[target] = sum(arriving, self._bases[target])

    def arrive(self, time: int) -> None:
        """From step ``time`` on, what is held arrives in every step through projections whose delay is over."""
        for name in self._order:
            for k in self._incoming[name]:
                q = self.network.projections[k]
                plastic = k in self._plastic[name]
                if q.source in self._held and q.delay <= time and k not in self._through and not plastic:
                    self._through.add(k)
                    self._bases[name] = self._bases[name] + self.stack.arriving(k, self._held[q.source])

    def advance(self, inputs: Mapping[str, Tensor], steps: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Advance by ``steps``, of at most :attr:`longest`; ``inputs`` ``[networks, steps, batch, n]`` by name.

        What every population sends comes back, spikes or graded values, and the potentials of leaky integrators.
        """
        potentials: dict[str, Tensor] = {}
        sent = dict(inputs)
        shape = (self.stack.count, steps, self.batch, -1)
        for name, values in self._held.items():
            sent[name] = values.expand(shape)
        seen = dict(self._past)
        for name in self.network.order:
            if name not in sent:
                made = self._stretch(name, seen, sent, steps)
                if self._integrates(name):
                    potentials[name] = made
                    made = self._silence(name, 1).expand_as(made)
                sent[name] = made
            if name in self._past:
                seen[name] = torch.cat([self._past[name], sent[name].to(self._past[name].dtype)], 1)
            if name not in potentials:
                self.totals[name] += sent[name].sum(1, dtype=self.stack.dtype)
        for name, past in self._past.items():
            past.copy_(seen[name][:, -past.shape[1] :])
        return sent, potentials

    def _integrates(self, name: str) -> bool:
        return name in self.neurons and self.neurons[name].kind == "li"

    def _window(self, k: int, seen: Mapping[str, Tensor], sent: Mapping[str, Tensor], steps: int) -> Tensor:
        """What projection ``k`` carries in each step of the stretch."""
        q = self.network.projections[k]
        if q.delay == 0:
            return sent[q.source]
        start = self._memory[q.source] - q.delay
        return seen[q.source][:, start : start + steps]

    def _stretch(self, name: str, seen: Mapping[str, Tensor], sent: Mapping[str, Tensor], steps: int) -> Tensor:
        """What population ``name`` sends in a stretch."""
        currents, plastic = self._bases[name], self._plastic[name]
        for k in self._incoming[name]:
            silent = self._integrates(self.network.projections[k].source)
            if k not in self._through and k not in plastic and not silent:
                currents = currents + self.stack.arriving(k, self._window(k, seen, sent, steps))
        if name not in self.neurons:
            return currents.expand(self.stack.count, steps, self.batch, self.network.population(name).size)
        if not plastic:
            return self.neurons[name].scan(currents, steps)
        if name in self._fused:
            size = self.network.population(name).size
            every = currents.expand(self.stack.count, steps, 1, size)[:, :, 0]
            window = self._window(plastic[0], seen, sent, steps)
            return self._fused[name].run(every, window[:, :, 0] != 0)[:, :, None]
        return self._learning(name, currents, {k: self._window(k, seen, sent, steps) for k in plastic}, steps)

    def _learning(self, name: str, currents: Tensor, windows: Mapping[int, Tensor], steps: int) -> Tensor:
        """The same where the weights of ``windows`` change from step to step."""
        neurons, sent = self.neurons[name], []
        state, silent = neurons.state, neurons.kind == "li"
        values = {k: window.to(self.stack.dtype) for k, window in windows.items()}
        # A graded value counts as a spike where it is not 0.
        fired = {k: v if windows[k].dtype == torch.bool else (v != 0).to(v.dtype) for k, v in values.items()}
        for t in range(steps):
            current = currents[:, t if currents.shape[1] > 1 else 0]
            for k, window in values.items():
                arriving = torch.bmm(window[:, t], self.stack.weights[k].transpose(1, 2))
                current = current + self.stack.scaled(k, arriving)
            spiked, state = neurons.step(current.expand_as(state.v), state)
            sent.append(state.v if silent else spiked)
            post = spiked.to(self.stack.dtype)
            for k, window in fired.items():
                self._learners[k].step(window[:, t], post)
        neurons.keep(state)
        return torch.stack(sent, 1)
