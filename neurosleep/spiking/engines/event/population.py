"""One population as the compiled code of the event engine takes it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.functional import (
    FACTORS,
    MultiplicativeSTDP,
    PairSTDP,
    PlasticityRule,
    PooledSRC,
    SignSTDP,
    SpikeEvents,
    SRCRule,
    TripletSTDP,
)
from neurosleep.spiking.engines.event.block_kernels import lay_out, read_back
from neurosleep.spiking.engines.event.kernels import Arriving, Neurons, Units, run_population
from neurosleep.spiking.engines.event.rule_kernels import MULTIPLICATIVE, NONE, SIGN, SRC, STDP, TRIPLET, Rule
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.projections import Dense

__all__ = ["BLOCK", "Population", "aligned", "rule_numbers"]

# Units that are stepped together, at most: half a layer of 1200. Rows must be long enough for the loops over them to be
# little dearer than the memory they read, and no power of two, or the columns that plasticity walks share cache sets.
BLOCK = 608


def _aligned_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros that start with a line of the cache: rows that start within one cost a tenth of all time."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    zeros: npt.NDArray[Any] = room[start : start + size].view(dtype).reshape(shape)
    return zeros


def aligned(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that starts with a line of the cache."""
    copy = _aligned_zeros(weights.shape, weights.dtype)
    copy[:] = weights
    return copy


def rule_numbers(rule: PlasticityRule | None, dtype: npt.DTypeLike) -> Rule:
    """The rule as compiled code reads it."""
    if isinstance(rule, SRCRule | PooledSRC):
        return Rule(SRC, np.array((rule.inc, rule.dec, rule.width), dtype=dtype), FACTORS.index(rule.factor))
    if isinstance(rule, SignSTDP):
        return Rule(SIGN, np.array((rule.a, rule.window, rule.w_min, rule.w_max), dtype=dtype), 0)
    if isinstance(rule, TripletSTDP):
        r = rule
        pairs = (r.a2_plus, r.a2_minus, r.decay_plus, r.decay_minus, r.w_min, r.w_max)
        return Rule(TRIPLET, np.array((*pairs, r.a3_plus, r.a3_minus, r.decay_x, r.decay_y), dtype=dtype), 0)
    if isinstance(rule, PairSTDP | MultiplicativeSTDP):
        pairs = (rule.a_plus, rule.a_minus, rule.decay_plus, rule.decay_minus, rule.w_min, rule.w_max)
        if isinstance(rule, PairSTDP):
            return Rule(STDP, np.array(pairs, dtype=dtype), 0)
        return Rule(MULTIPLICATIVE, np.array((*pairs, rule.mu_plus, rule.mu_minus), dtype=dtype), 0)
    return Rule(NONE, np.zeros(1, dtype=dtype), 0)


class Population:
    """What the compiled code knows of one population: blocked weights, parameters, state."""

    def __init__(self, network: SpikingNetwork, name: str, rule: PlasticityRule | None) -> None:
        population = network.population(name)
        dtype = torch.empty(0, dtype=network.dtype).numpy().dtype
        self.name, self.n = name, population.size
        # Through transposed weights comes what the loop over steps adds, and without a matrix what a grid adds up: they
        # have no rows here.
        arriving = ((k, network.projections[k]) for k in network.incoming(name))
        dense = {k: q for k, q in arriving if isinstance(q, Dense)}
        self.numbers, incoming = list(dense), list(dense.values())
        self.projections = incoming
        block_width = min(BLOCK, -(-self.n // 16) * 16)
        blocks = -(-self.n // block_width)
        width = blocks * block_width
        sizes = [network.population(p.source).size for p in incoming]
        self.first_row = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.weights = _aligned_zeros((blocks, int(self.first_row[-1]), block_width), dtype)
        for q, projection in enumerate(incoming):
            lay_out(np.ascontiguousarray(projection.weight.detach().cpu().numpy()), self.weights, self.first_row[q])
        p = population.lif_params(network.dtype)
        bias = torch.as_tensor(population.bias, dtype=network.dtype)
        self.params = np.zeros((6, width), dtype=dtype)
        for k, value in enumerate((p.threshold, p.decay, p.leak, p.reset_value, p.amount, bias)):
            self.params[k, : self.n] = value.numpy()
        # Leaky integrators never fire, nor do units that only fill the last block.
        self.params[0, 0 if population.kind == "li" else self.n :] = np.inf
        self.v = self.params[2].copy()
        self.wait = np.zeros(width, dtype=np.int64)
        self.scale = np.array([q.scale for q in incoming], dtype=dtype)
        self.plastic = np.array([q.plastic and rule is not None for q in incoming], dtype=np.bool_)
        real = self.params[:, : self.n]
        quiet = (
            population.refractory == 0
            and p.reset != "subtract"
            and bool((real[0] > 0).all())
            and bool((real[3] < real[0]).all())
            and not real[2].any()
            and not real[5].any()
            and not (self.v >= self.params[0]).any()
        )
        # No input has fired so far: traces are 0, and times of last spikes before every other.
        start = -np.inf if isinstance(rule, SignSTDP) else 0
        self.trace_pre = np.full((2, int(self.first_row[-1])), start, dtype=dtype)
        self.trace_post = np.zeros((2, len(incoming), width), dtype=dtype)
        self.bits = np.zeros(int(self.first_row[-1]), dtype=np.int32 if dtype.itemsize == 4 else np.int64)
        self.rule = rule_numbers(rule, dtype)
        strict, subtract, hold = p.compare == ">", p.reset == "subtract", p.while_refractory == "hold"
        self.neurons = Neurons(self.n, self.params, strict, subtract, population.refractory, hold, quiet)

    def run(self, arriving: Arriving, steps: int) -> SpikeEvents:
        """Advance by ``steps``."""
        units = Units(
            self.neurons,
            self.weights,
            self.first_row,
            self.scale,
            self.plastic,
            self.v,
            self.wait,
            self.trace_pre,
            self.trace_post,
            self.bits,
        )
        times, neurons = run_population(units, self.rule, arriving, steps)
        return SpikeEvents._trusted_times(times, neurons, steps=steps, n=self.n)

    def weight(self, q: int) -> Tensor:
        """The present weights of its incoming projection ``q``."""
        return torch.from_numpy(read_back(self.weights, self.first_row[q], self.first_row[q + 1], self.n))
