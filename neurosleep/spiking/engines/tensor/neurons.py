"""The neurons of one population over a stretch of steps: a loop over time of operations that wait for nothing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from neurosleep.functional import CubaLIFState, LIFState, cuba_li_step, cuba_lif_step, lif_step
from neurosleep.spiking.engines.tensor.stack import Stack

__all__ = ["Neurons", "State"]


class State(NamedTuple):
    """Potentials, steps of refractoriness left, and synaptic currents, ``[networks, batch, n]``."""

    v: Tensor
    wait: Tensor
    i: Tensor


class Neurons:
    """Population ``place`` of a stack of networks; its state lies in the same memory all the time."""

    def __init__(self, stack: Stack, place: int, batch: int) -> None:
        population = stack.network.populations[place]
        self.name, self.kind = population.name, population.kind
        self.p = stack.lif_params(place)
        shape = (stack.count, batch, population.size)
        self._synaptic_decay = stack.parameter(place, lambda p: p.synaptic_decay)
        # Most populations are never refractory, have no synaptic current, and rest at 0: then there is less to compute.
        synaptic = self.kind == "cuba_lif" or (self.kind == "li" and bool(self._synaptic_decay.any()))
        self._rests_at_0 = not bool(self.p.leak.any())
        self.plain = self.kind == "lif" and population.refractory == 0 and population.reset_time == "same"
        self.state = State(
            v=self.p.leak.expand(shape).clone(),
            wait=torch.zeros(shape if population.refractory else (1, 1, 1), dtype=torch.int32, device=stack.device),
            i=torch.zeros(shape if synaptic else (1, 1, 1), dtype=stack.dtype, device=stack.device),
        )
        self._waits, self._synaptic = population.refractory > 0, synaptic

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of the contract: booleans ``[networks, batch, n]`` and the next state."""
        p = self.p
        if self.kind == "li":
            v, i = cuba_li_step(current, state.v, state.i, p.decay, p.leak, self._synaptic_decay)
            return torch.zeros_like(v, dtype=torch.bool), State(v, state.wait, i if self._synaptic else state.i)
        if self.kind == "cuba_lif":
            spiked, (v, wait, i) = cuba_lif_step(current, CubaLIFState(*state), p, self._synaptic_decay)
            return spiked, State(v, wait if self._waits else state.wait, i)
        if not self.plain:
            spiked, (v, wait) = lif_step(current, LIFState(state.v, state.wait), p)
            return spiked, State(v, wait if self._waits else state.wait, state.i)
        # The same as lif_step, to the bit.
        moved = p.decay * state.v if self._rests_at_0 else p.leak + p.decay * (state.v - p.leak)
        v = moved + current
        spiked = v >= p.threshold if p.compare == ">=" else v > p.threshold
        after = p.reset_value if p.reset == "to_value" else v - p.amount
        return spiked, State(torch.where(spiked, after, v), state.wait, state.i)

    def keep(self, state: State) -> None:
        """Make ``state`` the present one."""
        for present, new in zip(self.state, state, strict=True):
            if new is not present:
                present.copy_(new)

    def scan(self, currents: Tensor, steps: int) -> Tensor:
        """Advance by ``steps``; ``currents`` are ``[networks, steps or 1, batch or 1, n]``, bias included.

        What comes back is ``[networks, steps, batch, n]``: spikes, of leaky integrators their potentials.
        """
        state, sent = self.state, []
        silent = self.kind == "li"
        for t in range(steps):
            current = currents[:, t if currents.shape[1] > 1 else 0].expand_as(state.v)
            spiked, state = self.step(current, state)
            sent.append(state.v if silent else spiked)
        self.keep(state)
        return torch.stack(sent, 1)
