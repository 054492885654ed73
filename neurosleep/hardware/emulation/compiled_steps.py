"""A mapped network laid out for the compiled steps of the engine ``fixed``, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.functional import SpikeEvents
from neurosleep.hardware.arithmetic.arithmetic import Arithmetic
from neurosleep.hardware.arithmetic.registers import Register
from neurosleep.hardware.emulation.chip_rule import SynapseRule
from neurosleep.hardware.emulation.fixed_kernel import (
    DECAY_INTEGER,
    DECAY_NONE,
    DECAY_SHIFT,
    Cells,
    Numerics,
    Rules,
    State,
    Wiring,
    run_steps,
)
from neurosleep.hardware.mapping.mapped import MappedNetwork
from neurosleep.spiking import Dense

__all__ = ["CompiledSteps", "FixedState"]

_Whole = npt.NDArray[np.int64]
_KINDS = {"input": 0, "lif": 1, "cuba_lif": 1, "li": 2}
_MOST = 2**31 - 1


@dataclass
class FixedState:
    """Everything of a session that changes.

    ``v``, ``u``, ``wait`` and ``overflows`` by population; ``weights`` and ``traces`` by projection (None where there
    is none); ``past[d]`` holds, by population, the numbers of the neurons that fired d steps before the last step.
    """

    steps: int
    v: dict[str, _Whole]
    u: dict[str, _Whole]
    wait: dict[str, _Whole]
    weights: list[_Whole | None]
    traces: list[_Whole | None]
    past: list[dict[str, _Whole]]
    overflows: dict[str, dict[str, int]]


class CompiledSteps:
    """A network of dense projections in flat arrays."""

    @staticmethod
    def offered(network: MappedNetwork, arithmetic: Arithmetic) -> bool:
        """Whether the compiled steps know everything in ``network``."""
        return (
            not arithmetic.by_event
            and all(p.kind in _KINDS for p in network.populations)
            and all(isinstance(q, Dense) and q.scale == 1 for q in network.projections)
            # What arrives is summed in int64, weights are kept in int32.
            and all(w.numel() == 0 or float(w.abs().max()) <= _MOST for w in network.weights)
            and arithmetic.decay in ("integer", "shift", "none")
            and (arithmetic.decay != "integer" or arithmetic.rounding in ("toward_zero", "floor"))
        )

    def __init__(
        self,
        network: MappedNetwork,
        arithmetic: Arithmetic,
        rules: Sequence[SynapseRule | None],
        state: FixedState,
    ) -> None:
        self._network, self._arithmetic = network, arithmetic
        self._names = [p.name for p in network.populations]
        place = {name: k for k, name in enumerate(self._names)}
        populations, projections = network.populations, network.projections
        self._first = np.cumsum([0, *(p.size for p in populations)]).astype(np.int64)
        self._kinds = np.array([_KINDS[p.kind] for p in populations])
        self._flags = np.array(
            [
                [p.compare == ">", p.reset == "subtract", p.refractory, p.while_refractory == "hold"]
                for p in populations
            ],
            dtype=np.int64,
        ).T.copy()
        self._order = np.array([place[p.name] for p in network.layers], dtype=np.int64)
        incoming = [list(network.incoming(name)) for name in self._names]
        self._incoming_first = np.cumsum([0, *(len(k) for k in incoming)]).astype(np.int64)
        self._incoming = np.array([k for those in incoming for k in those], dtype=np.int64)
        self._source = np.array([place[q.source] for q in projections], dtype=np.int64)
        self._target = np.array([place[q.target] for q in projections], dtype=np.int64)
        self._delay = np.array([q.delay for q in projections], dtype=np.int64)
        flat = [np.ascontiguousarray(w.T).reshape(-1) for w in state.weights if w is not None]
        self._weight_first = np.cumsum([0, *(len(w) for w in flat)]).astype(np.int64)
        self._weights = np.concatenate(flat).astype(np.int32)
        self._numbers = np.stack([self._all(key) for key in ("threshold", "decay", "synaptic_decay")])
        self._numbers = np.concatenate(
            [self._numbers, np.stack([self._all(key) for key in ("reset_value", "amount", "bias")])]
        )
        kinds = {"integer": DECAY_INTEGER, "shift": DECAY_SHIFT, "none": DECAY_NONE}
        self._decay_kind = kinds[arithmetic.decay]
        self._registers = np.array(
            [_row(r) for r in (arithmetic.accumulator, arithmetic.current, arithmetic.membrane)], dtype=np.int64
        )
        self._steps = state.steps
        n = int(self._first[-1])
        self._v, self._u, self._wait = (np.zeros(n, dtype=np.int64) for _ in range(3))
        self._overflows = np.zeros((len(populations), 3), dtype=np.int64)
        for k, p in enumerate(populations):
            if p.kind != "input":
                part = slice(self._first[k], self._first[k + 1])
                self._v[part], self._u[part], self._wait[part] = state.v[p.name], state.u[p.name], state.wait[p.name]
                self._overflows[k] = list(state.overflows[p.name].values())
        longest = len(state.past) - 1
        self._past = np.zeros((longest + 1, n), dtype=np.int32)
        self._past_counts = np.zeros((longest + 1, len(populations)), dtype=np.int64)
        for d, fired in enumerate(state.past):
            slot = (self._steps - 1 - d) % (longest + 1)
            for name, neurons in fired.items():
                k = place[name]
                self._past[slot, self._first[k] : self._first[k] + len(neurons)] = neurons
                self._past_counts[slot, k] = len(neurons)
        self._lay_out_rules(rules, state)

    def _lay_out_rules(self, rules: Sequence[SynapseRule | None], state: FixedState) -> None:
        m = len(rules)
        self._plastic = np.array([k for k, rule in enumerate(rules) if rule is not None], dtype=np.int64)
        self._table_first, self._levels, self._trace_first = (np.zeros(m, dtype=np.int64) for _ in range(3))
        self._grid, self._trace_numbers = np.zeros((m, 3), dtype=np.int64), np.zeros((m, 3))
        self._keys = np.zeros((m, 2), dtype=np.uint64)
        low, part, traces, tables, inputs = [np.zeros(0, dtype=np.int64)], [np.zeros(0)], [], 0, 0
        for k, rule in enumerate(rules):
            trace = state.traces[k]
            if rule is None or trace is None:
                continue
            grid = rule.synapses.grid
            self._table_first[k], self._levels[k], self._trace_first[k] = tables, rule.low.shape[1], inputs
            self._grid[k] = grid.low, grid.step, rule.synapses.unit
            self._trace_numbers[k] = rule.trace_decay, rule.impulse, len(rule.low) - 1
            self._keys[k] = rule.key, rule.trace_key
            low.append(rule.low.reshape(-1))
            part.append(rule.part.reshape(-1))
            traces.append(trace)
            tables, inputs = tables + rule.low.size, inputs + len(trace)
        self._low, self._part = np.concatenate(low), np.concatenate(part)
        self._traces = np.concatenate([np.zeros(0, dtype=np.int64), *traces])
        self._has_trace = [trace is not None for trace in state.traces]

    def _all(self, key: str) -> _Whole:
        """One number of every neuron; decays as the kernel takes them."""
        arithmetic = self._arithmetic
        parts = []
        for p in self._network.populations:
            value: float | Tensor | None = getattr(p, key)
            if key == "amount" and value is None:
                value = p.threshold
            x = torch.as_tensor(0.0 if value is None else value, dtype=torch.float64).reshape(-1)
            if key in ("decay", "synaptic_decay"):
                if arithmetic.decay == "integer":
                    x = x * arithmetic.denominator
                elif arithmetic.decay == "shift":
                    x = torch.where(x == 1, -1.0, -torch.log2((1 - x).clamp_min(2.0**-60)))
            parts.append(x.expand(p.size).numpy())
        whole: _Whole = np.rint(np.concatenate(parts)).astype(np.int64)
        return whole

    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        """Advance by the steps of ``inputs``; the spikes of every population."""
        steps = next(iter(inputs.values())).steps
        count = len(self._names)
        pointers = np.zeros((count, steps + 1), dtype=np.int64)
        indices, start = [np.zeros(0, dtype=np.int32)], 0
        for k, name in enumerate(self._names):
            if name in inputs:
                events = inputs[name]
                pointers[k] = events.offsets - events.offsets[0] + start
                indices.append(events.indices[events.offsets[0] : events.offsets[-1]])
                start += events.count
        strict, subtract, refractory, holds = self._flags
        decay_bits, rounds_down = self._arithmetic.denominator.bit_length() - 1, self._arithmetic.rounding == "floor"
        has_current = self._arithmetic.current is not None
        fired, offsets = run_steps(
            steps,
            self._steps,
            pointers,
            np.concatenate(indices).astype(np.int32),
            Wiring(
                self._first,
                self._order,
                self._incoming_first,
                self._incoming,
                self._source,
                self._target,
                self._delay,
                self._weight_first,
            ),
            Cells(self._kinds, strict, subtract, refractory, holds, self._numbers),
            Numerics(self._decay_kind, decay_bits, rounds_down, has_current, self._registers),
            State(
                self._weights,
                self._v,
                self._u,
                self._wait,
                self._overflows,
                self._past,
                self._past_counts,
                self._traces,
            ),
            Rules(
                self._plastic,
                self._table_first,
                self._levels,
                self._low,
                self._part,
                self._grid,
                self._trace_first,
                self._trace_numbers,
                self._keys,
            ),
        )
        self._steps += steps
        widths = np.diff(offsets).reshape(steps, count)
        owner = np.repeat(np.tile(np.arange(count), steps), widths.reshape(-1))
        result = {}
        for k, p in enumerate(self._network.populations):
            if p.name in inputs:
                result[p.name] = inputs[p.name]
                continue
            own = np.concatenate([[0], np.cumsum(widths[:, k])]).astype(np.int64)
            result[p.name] = SpikeEvents._trusted(p.size, own, fired[owner == k])
        return result

    def state(self) -> FixedState:
        """Everything that changes, as it is now."""
        v, u, wait, overflows = {}, {}, {}, {}
        for k, p in enumerate(self._network.populations):
            if p.kind != "input":
                part = slice(self._first[k], self._first[k + 1])
                v[p.name], u[p.name], wait[p.name] = (x[part].copy() for x in (self._v, self._u, self._wait))
                counts = self._overflows[k].tolist()
                overflows[p.name] = dict(zip(("accumulator", "current", "membrane"), counts, strict=True))
        weights: list[_Whole | None] = []
        for k, q in enumerate(self._network.projections):
            shape = self._network.population(q.source).size, self._network.population(q.target).size
            flat = self._weights[self._weight_first[k] : self._weight_first[k + 1]]
            weights.append(flat.reshape(shape).T.astype(np.int64))
        traces: list[_Whole | None] = []
        for k, has in enumerate(self._has_trace):
            n = self._network.population(self._network.projections[k].source).size
            first = self._trace_first[k]
            traces.append(self._traces[first : first + n].copy() if has else None)
        past = []
        for d in range(len(self._past)):
            slot = (self._steps - 1 - d) % len(self._past)
            past.append(
                {
                    name: self._past[slot, self._first[k] : self._first[k] + self._past_counts[slot, k]].astype(
                        np.int64
                    )
                    for k, name in enumerate(self._names)
                }
            )
        return FixedState(self._steps, v, u, wait, weights, traces, past, overflows)


def _row(register: Register | None) -> list[int]:
    """Low, high, whether it wraps, and whether there is one."""
    if register is None:
        return [0, 0, 0, 0]
    return [register.low, register.high, int(register.overflow == "wrap"), 1]
