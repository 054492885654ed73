"""Event-driven, compiled: touches only what fired, and keeps each block of neurons in the cache over a whole chunk.

A unit's future depends on the spikes of its sources and on its own weights only. So the steps of a chunk may be run
block of units by block of units instead of step by step: the weights of a block then stay in the processor's cache.
With feedback, a chunk is cut to the shortest delay of a loop, within which the same is true.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.functional import FACTORS, PairSTDP, PlasticityRule, SpikeEvents, SRCRule
from neurosleep.spiking.engines.base import Engine, Session, register_engine
from neurosleep.spiking.network import SpikingNetwork

__all__ = ["BLOCK", "EventEngine"]

# Units that are stepped together, at most: half a layer of 1200. Rows must be long enough for the loops over them to be
# little dearer than the memory they read, and no power of two, or the columns that plasticity walks share cache sets.
BLOCK = 608

_NONE, _SRC, _STDP = 0, 1, 2


# exp(r) for |r| <= ln(2)/2 as a Taylor polynomial: the first term left out is below 1e-17 (float64) or 2e-9 (float32).
_TAYLOR = np.array([1 / math.factorial(k) for k in range(13, -1, -1)])
_TAYLOR32 = np.array([1 / math.factorial(k) for k in range(7, -1, -1)], dtype=np.float32)
_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 0.693147180369123816490, 1.90821492927058770002e-10
# 355/512 has 9 bits, so that its product with a whole number below 2^7 is exact in float32.
_LN2_HIGH32, _LN2_LOW32 = np.float32(355 / 512), np.float32(-2.12194440054690583e-4)


@numba.njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _factors(x: Any, factor: int, width: float, g: Any, bits: Any) -> None:
    """Weight factor g of the weights ``x`` (float32 or float64), written so that the compiler can do several at a time.

    A call of exp() per weight would be most of the cost of a plastic step. Here e^x is 2^k e^r, a polynomial gives e^r,
    and the power of two is put together in the bits of a floating point number. ``g`` (like ``x``) and ``bits`` (int32
    or int64, as wide as ``x``) are room for the result.
    """
    n = len(x)
    if factor == 2:
        for i in range(n):
            g[i] = 1
        return
    real = x.dtype.type
    inverse = real(1 / width) if factor == 0 else real(-1)
    numerator = real(2) if factor == 0 else real(1)
    low, high, half, one = real(-60), real(60), real(0.5), real(1)
    if x.itemsize == 4:
        log2e = np.float32(_LOG2E)
        for i in range(n):
            scaled = min(max(x[i] * inverse, low), high)
            k = np.floor(scaled * log2e + half)
            r = (scaled - k * _LN2_HIGH32) - k * _LN2_LOW32
            value = _TAYLOR32[0]
            for c in range(1, 8):
                value = value * r + _TAYLOR32[c]
            g[i] = value
            bits[i] = (np.int32(k) + np.int32(127)) << np.int32(23)
        power32 = bits.view(np.float32)
        for i in range(n):
            g[i] = numerator / (one + g[i] * power32[i])
    else:
        for i in range(n):
            scaled = min(max(x[i] * inverse, low), high)
            k = np.floor(scaled * _LOG2E + half)
            r = (scaled - k * _LN2_HIGH) - k * _LN2_LOW
            value = _TAYLOR[0]
            for c in range(1, 14):
                value = value * r + _TAYLOR[c]
            g[i] = value
            # By way of int32, which every vector unit can make of a float64.
            bits[i] = np.int64(np.int32(k) + np.int32(1023)) << 52
        power64 = bits.view(np.float64)
        for i in range(n):
            g[i] = numerator / (one + g[i] * power64[i])


@numba.njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _gather(w: Any, indices: Any, first: int, last: int, acc: Any) -> None:
    """Sum of the rows of ``w`` that fired, into ``acc``; several rows at a time, for fewer passes over ``acc``."""
    # Rows by number, not as views of their own: making a view costs as much as summing a good part of a row.
    width = len(acc)
    r0 = indices[first]
    for j in range(width):
        acc[j] = w[r0, j]
    k = first + 1
    while k + 7 < last:
        r0, r1, r2, r3 = indices[k], indices[k + 1], indices[k + 2], indices[k + 3]
        r4, r5, r6, r7 = indices[k + 4], indices[k + 5], indices[k + 6], indices[k + 7]
        for j in range(width):
            acc[j] = acc[j] + w[r0, j] + w[r1, j] + w[r2, j] + w[r3, j] + w[r4, j] + w[r5, j] + w[r6, j] + w[r7, j]
        k += 8
    while k + 1 < last:
        r0, r1 = indices[k], indices[k + 1]
        for j in range(width):
            acc[j] = acc[j] + w[r0, j] + w[r1, j]
        k += 2
    if k < last:
        r0 = indices[k]
        for j in range(width):
            acc[j] += w[r0, j]


@numba.njit(cache=True, boundscheck=False)  # type: ignore[untyped-decorator, unused-ignore]
def _run_population(
    n: int,
    steps: int,
    weights: Any,  # [blocks, rows, width], rows = inputs of all projections one after another
    pointers: Any,  # int64 [projections, steps + 1] into indices
    indices: Any,  # int32: rows
    first_row: Any,  # int64 [projections + 1]
    scale: Any,  # [projections]
    plastic: Any,  # bool [projections]
    params: Any,  # [6, blocks * width]: threshold, decay, leak, reset value, amount, bias
    strict: bool,
    subtract: bool,
    refractory: int,
    hold: bool,
    quiet: bool,  # whether units without input only decay: no leak value, bias, wait or soft reset; thresholds above 0
    v: Any,  # [blocks * width]
    wait: Any,  # int64 [blocks * width]
    rule: int,
    numbers: Any,  # parameters of the rule
    factor: int,
    trace_pre: Any,  # [rows]: presynaptic traces at the chunk's begin
    trace_post: Any,  # [projections, blocks * width]
    bits: Any,  # int32 or int64 [rows], as wide as the weights
) -> Any:
    """Step one population through a chunk; returns its spikes as (times, neurons, count), block by block."""
    blocks = weights.shape[0]
    rows = weights.shape[1]
    width = weights.shape[2]
    projections = pointers.shape[0]
    capacity = 1024
    times = np.empty(capacity, dtype=np.int64)
    neurons = np.empty(capacity, dtype=np.int64)
    found = 0
    acc = np.empty(width, dtype=weights.dtype)
    total = np.empty(width, dtype=weights.dtype)
    change = np.empty(rows, dtype=weights.dtype)  # inc where the source fired in this step, -dec elsewhere
    if rule == _SRC:
        change[:] = -numbers[1]
    x = np.empty(rows, dtype=trace_pre.dtype)
    column = np.empty(rows, dtype=weights.dtype)
    g = np.empty(rows, dtype=weights.dtype)
    for b in range(blocks):
        low = b * width
        w = weights[b]
        threshold = params[0, low : low + width]
        decay = params[1, low : low + width]
        leak = params[2, low : low + width]
        reset_value = params[3, low : low + width]
        amount = params[4, low : low + width]
        bias = params[5, low : low + width]
        vb = v[low : low + width]
        real = min(width, n - low)
        if rule == _STDP:
            x[:] = trace_pre
        for t in range(steps):
            silent = quiet
            for q in range(projections):
                if pointers[q, t] != pointers[q, t + 1]:
                    silent = False
            if silent and rule != _STDP:
                for j in range(width):
                    vb[j] *= decay[j]
                continue
            any_spike = False
            if quiet and projections == 1:
                # The common case in one pass; the same sums, the terms that are 0 left out.
                alpha = scale[0]
                if pointers[0, t] == pointers[0, t + 1]:
                    acc[:] = 0
                else:
                    _gather(w, indices, pointers[0, t], pointers[0, t + 1], acc)
                if strict:
                    for j in range(width):
                        vb[j] = decay[j] * vb[j] + alpha * acc[j]
                        any_spike |= vb[j] > threshold[j]
                else:
                    for j in range(width):
                        vb[j] = decay[j] * vb[j] + alpha * acc[j]
                        any_spike |= vb[j] >= threshold[j]
            else:
                for j in range(width):
                    total[j] = bias[j]
                for q in range(projections):
                    if pointers[q, t] == pointers[q, t + 1]:
                        continue
                    _gather(w, indices, pointers[q, t], pointers[q, t + 1], acc)
                    for j in range(width):
                        total[j] += scale[q] * acc[j]
            if refractory == 0 and not (quiet and projections == 1):
                for j in range(width):
                    vb[j] = leak[j] + decay[j] * (vb[j] - leak[j]) + total[j]
                if strict:
                    for j in range(width):
                        any_spike |= vb[j] > threshold[j]
                else:
                    for j in range(width):
                        any_spike |= vb[j] >= threshold[j]
            elif refractory > 0:
                for j in range(real):
                    if wait[low + j] <= 0 or not hold:
                        vb[j] = leak[j] + decay[j] * (vb[j] - leak[j]) + total[j]
                    over = vb[j] > threshold[j] if strict else vb[j] >= threshold[j]
                    if wait[low + j] > 0:
                        over = False
                        wait[low + j] -= 1
                    elif over:
                        wait[low + j] = refractory
                    # A mark that no potential can reach tells the loop below which units fired.
                    if over:
                        any_spike = True
                        total[j] = np.inf
                    else:
                        total[j] = 0
            if rule == _STDP:
                # Traces decay and take up this step's inputs before weights change; the own spikes come last.
                for r in range(rows):
                    x[r] *= numbers[2]
                for q in range(projections):
                    for j in range(width):
                        trace_post[q, low + j] *= numbers[3]
                    for k in range(pointers[q, t], pointers[q, t + 1]):
                        x[indices[k]] += 1
                        if plastic[q]:
                            for j in range(width):
                                w[indices[k], j] -= numbers[1] * trace_post[q, low + j]
            if any_spike:
                if rule == _SRC:
                    for q in range(projections):
                        for k in range(pointers[q, t], pointers[q, t + 1]):
                            change[indices[k]] = numbers[0]
                for j in range(real):
                    if refractory == 0:
                        over = vb[j] > threshold[j] if strict else vb[j] >= threshold[j]
                    else:
                        over = total[j] == np.inf
                    if not over:
                        continue
                    if found == capacity:
                        capacity *= 2
                        more_times = np.empty(capacity, dtype=np.int64)
                        more_neurons = np.empty(capacity, dtype=np.int64)
                        more_times[:found] = times[:found]
                        more_neurons[:found] = neurons[:found]
                        times, neurons = more_times, more_neurons
                    times[found] = t
                    neurons[found] = low + j
                    found += 1
                    for q in range(projections):
                        if rule == _NONE or not plastic[q]:
                            continue
                        start, stop = first_row[q], first_row[q + 1]
                        if rule == _SRC:
                            for r in range(start, stop):
                                column[r] = w[r, j]
                            _factors(column[start:stop], factor, numbers[2], g[start:stop], bits[start:stop])
                            for r in range(start, stop):
                                w[r, j] = column[r] + change[r] * g[r]
                        else:
                            for r in range(start, stop):
                                w[r, j] = min(max(w[r, j] + numbers[0] * x[r], numbers[4]), numbers[5])
                    if subtract:
                        vb[j] -= amount[j]
                    else:
                        vb[j] = reset_value[j]
                if rule == _SRC:
                    for q in range(projections):
                        for k in range(pointers[q, t], pointers[q, t + 1]):
                            change[indices[k]] = -numbers[1]
            if rule == _STDP:
                for q in range(projections):
                    if plastic[q]:
                        for k in range(pointers[q, t], pointers[q, t + 1]):
                            for j in range(width):
                                value = w[indices[k], j]
                                w[indices[k], j] = min(max(value, numbers[4]), numbers[5])
                last_spike = found - 1
                while last_spike >= 0 and times[last_spike] == t and neurons[last_spike] >= low:
                    for q in range(projections):
                        trace_post[q, neurons[last_spike]] += 1
                    last_spike -= 1
    if rule == _STDP:
        trace_pre[:] = x
    return times[:found], neurons[:found]


class _Population:
    """The compiled kernel's view of one population: blocked weights, parameters, state."""

    def __init__(self, network: SpikingNetwork, name: str, rule: PlasticityRule | None) -> None:
        population = network.population(name)
        dtype = torch.empty(0, dtype=network.dtype).numpy().dtype
        self.name, self.n = name, population.size
        self.numbers = network.incoming(name)
        incoming = [network.projections[k] for k in self.numbers]
        self.projections = incoming
        block_width = min(BLOCK, -(-self.n // 16) * 16)
        blocks = -(-self.n // block_width)
        width = blocks * block_width
        sizes = [network.population(p.source).size for p in incoming]
        self.first_row = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.weights = np.zeros((blocks, int(self.first_row[-1]), block_width), dtype=dtype)
        for q, projection in enumerate(incoming):
            assert projection.weight is not None  # the network checks it for every kind supported here
            padded = np.zeros((width, sizes[q]), dtype=dtype)
            padded[: self.n] = projection.weight.detach().cpu().numpy()
            block = padded.reshape(blocks, block_width, sizes[q]).transpose(0, 2, 1)
            self.weights[:, self.first_row[q] : self.first_row[q + 1]] = block
        p = population.lif_params(network.dtype)
        bias = torch.as_tensor(population.bias, dtype=network.dtype)
        self.params = np.zeros((6, width), dtype=dtype)
        for k, value in enumerate((p.threshold, p.decay, p.leak, p.reset_value, p.amount, bias)):
            self.params[k, : self.n] = value.numpy()
        self.params[0, self.n :] = np.inf  # units that only fill the last block never fire
        self.v = self.params[2].copy()
        self.wait = np.zeros(width, dtype=np.int64)
        self.scale = np.array([q.scale for q in incoming], dtype=dtype)
        self.plastic = np.array([q.plastic and rule is not None for q in incoming], dtype=np.bool_)
        self.strict, self.subtract = p.compare == ">", p.reset == "subtract"
        self.refractory, self.hold = population.refractory, p.while_refractory == "hold"
        real = self.params[:, : self.n]
        self.quiet = (
            self.refractory == 0
            and not self.subtract
            and bool((real[0] > 0).all())
            and bool((real[3] < real[0]).all())
            and not real[2].any()
            and not real[5].any()
            and not (self.v >= self.params[0]).any()
        )
        self.trace_pre = np.zeros(int(self.first_row[-1]), dtype=dtype)
        self.trace_post = np.zeros((len(incoming), width), dtype=dtype)
        self.bits = np.zeros(int(self.first_row[-1]), dtype=np.int32 if dtype.itemsize == 4 else np.int64)
        self.rule, self.factor = _NONE, 0
        parameters: tuple[float, ...] = (0.0,)
        if isinstance(rule, SRCRule):
            self.rule, self.factor = _SRC, FACTORS.index(rule.factor)
            parameters = (rule.inc, rule.dec, rule.width)
        elif isinstance(rule, PairSTDP):
            self.rule = _STDP
            parameters = (rule.a_plus, rule.a_minus, rule.decay_plus, rule.decay_minus, rule.w_min, rule.w_max)
        self.rule_numbers = np.array(parameters, dtype=dtype)

    def run(self, pointers: npt.NDArray[np.int64], indices: npt.NDArray[np.int32], steps: int) -> SpikeEvents:
        times, neurons = _run_population(
            self.n,
            steps,
            self.weights,
            pointers,
            indices,
            self.first_row,
            self.scale,
            self.plastic,
            self.params,
            self.strict,
            self.subtract,
            self.refractory,
            self.hold,
            self.quiet,
            self.v,
            self.wait,
            self.rule,
            self.rule_numbers,
            self.factor,
            self.trace_pre,
            self.trace_post,
            self.bits,
        )
        return SpikeEvents.from_times(times, neurons, steps=steps, n=self.n)

    def weight(self, q: int) -> Tensor:
        rows = self.weights[:, self.first_row[q] : self.first_row[q + 1]]
        dense = rows.transpose(0, 2, 1).reshape(-1, rows.shape[1])[: self.n]
        return torch.from_numpy(np.ascontiguousarray(dense))


class _EventSession(Session):
    def __init__(self, network: SpikingNetwork, rule: PlasticityRule | None) -> None:
        self._network = network
        self._populations = {p.name: _Population(network, p.name, rule) for p in network.layers}
        self._memory = max([p.delay for p in network.projections], default=0)
        self._past = {p.name: SpikeEvents.empty(p.size, self._memory) for p in network.populations}
        order = list(network.order)
        loops = [p.delay for p in network.projections if order.index(p.source) >= order.index(p.target)]
        self._stride = min(loops) if loops else None

    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        steps = next(iter(inputs.values())).steps
        stride = self._stride or steps
        parts: dict[str, list[SpikeEvents]] = {p.name: [] for p in self._network.layers}
        for start in range(0, steps, max(stride, 1)):
            stop = min(start + stride, steps)
            for name, events in self._advance({k: e.slice(start, stop) for k, e in inputs.items()}).items():
                parts[name].append(events)
        fired = {name: SpikeEvents.concatenate(chunks, self._populations[name].n) for name, chunks in parts.items()}
        return {**{name: events for name, events in inputs.items()}, **fired}

    def _advance(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        steps = next(iter(inputs.values())).steps
        # Past and present of every population; what has not been stepped yet in this chunk is only read through delays.
        seen = {n: SpikeEvents.concatenate((self._past[n], e), e.n) for n, e in inputs.items()}
        fired: dict[str, SpikeEvents] = {}
        for name in self._network.order:
            if name in inputs:
                continue
            population = self._populations[name]
            pointers = np.zeros((len(population.projections), steps + 1), dtype=np.int64)
            rows: list[npt.NDArray[np.int32]] = []
            base = 0
            for q, projection in enumerate(population.projections):
                source = seen.get(projection.source, self._past[projection.source])
                begin = self._memory - projection.delay
                window = source.slice(begin, begin + steps)
                pointers[q] = window.offsets + base
                base += window.count
                rows.append(window.indices + np.int32(population.first_row[q]))
            indices = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
            fired[name] = population.run(pointers, indices, steps)
            seen[name] = SpikeEvents.concatenate((self._past[name], fired[name]), population.n)
        if self._memory:
            self._past = {n: e.slice(e.steps - self._memory, e.steps) for n, e in seen.items()}
        return fired

    def weights(self) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for population in self._populations.values():
            for q, number in enumerate(population.numbers):
                found[number] = population.weight(q)
        return [found[number] for number in sorted(found)]

    def membranes(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(p.v[: p.n].copy()) for name, p in self._populations.items()}


@register_engine
class EventEngine(Engine):
    """Compiled and event-driven; the default for sleep. CPU only, float32 or float64 after the network's weights."""

    name: ClassVar[str] = "event"
    population_kinds: ClassVar[frozenset[str]] = frozenset({"input", "lif"})
    projection_kinds: ClassVar[frozenset[str]] = frozenset({"dense", "recurrent"})
    rules: ClassVar[frozenset[str]] = frozenset({SRCRule.name, PairSTDP.name})

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        return _EventSession(network, rule)
