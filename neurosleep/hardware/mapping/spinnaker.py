"""Mapping to SpiNNaker: state in fixed point (s16.15), weights of 16 bits whose point follows the expected input."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurosleep.functional import torch_generator
from neurosleep.hardware.arithmetic.chip_arithmetic import FIXED_POINT
from neurosleep.hardware.arithmetic.weight_grid import OnGrid, WeightGrid
from neurosleep.hardware.mapping.integers import IntegerMapping
from neurosleep.hardware.mapping.mapped import MappedNetwork, MappedSynapses
from neurosleep.hardware.mapping.spinnaker_shift import WEIGHT_MAX, quantise_spinnaker, ring_buffer_shift
from neurosleep.spiking import Population
from neurosleep.spiking.projections import Weighted

__all__ = ["SpinnakerMapping"]

# Part of the inputs that is expected to fire in one step, and standard deviations beyond its mean that have to fit.
_ACTIVE, _DEVIATIONS = 0.25, 5.0
# What 16 bits before the point hold, halved twice: a potential below the threshold and one step's input fit together.
_LARGEST = 2.0**14


class SpinnakerMapping(IntegerMapping):
    """Thresholds and potentials in steps of 2^-15; weights as integers of 16 bits, shifted by the ring buffer.

    The unit is free in software: for each population it is the largest power of two with which threshold, bias and
    expected input stay below 2^14. Exciting and inhibiting synapses have a ring buffer each. Its shift is chosen by the
    input expected in a step: mean and five standard deviations, if each input fires with a probability of 1/4; the
    larger of the two shifts serves both, so that all weights of a population are on one grid.
    """

    def network(self) -> MappedNetwork:
        """The mapped network; fills ``rows`` and ``findings``."""
        if self._profile.decay.denominator is None:
            text = "the width of decays is not published: they have 15 bits after the point here, and round toward zero"
            self._note("", "note", text)
        return super().network()

    def _expected(self, p: Population, sign: int) -> float:
        """What is expected of the synapses of one sign in a step, of the neuron with most."""
        mean = square = torch.zeros(p.size, dtype=torch.float64)
        for k in self._network.incoming(p.name):
            weights = self._weights[k]
            rows = (sign * (weights.flatten(1) if weights.ndim > 1 else weights.reshape(1, 1))).clamp_min(0)
            # Rows of a convolution are channels, each of them many neurons.
            mean = mean + rows.sum(1).repeat_interleave(p.size // len(rows))
            square = square + rows.square().sum(1).repeat_interleave(p.size // len(rows))
        expected = _ACTIVE * mean + _DEVIATIONS * (_ACTIVE * (1 - _ACTIVE) * square).sqrt()
        return self._headroom * float(torch.minimum(expected, mean).max())

    def _scale(self, p: Population) -> float | Tensor:
        largest = [self._expected(p, sign) for sign in (1, -1)] + [float(self._bias(p).abs().max())]
        if p.kind != "li":
            largest.append(float((torch.as_tensor(p.threshold) - torch.as_tensor(p.leak)).abs().max()))
        most = max(largest)
        scale = FIXED_POINT * 2.0 ** math.floor(math.log2(_LARGEST / most)) if most > 0 else float(FIXED_POINT)
        if p.kind == "li" and (room := self._room(p)) < scale:
            text = f"its scale is {scale / room:.1f} times smaller, so that {self._steps} steps do not overflow"
            self._note(p.name, "note", text)
            return 2.0 ** math.floor(math.log2(room))
        return scale

    def _place(self, k: int, scale: float | Tensor) -> tuple[int | None, OnGrid]:
        p, weights = self._network.population(self._network.projections[k].target), self._weights[k]
        unit = float(scale) / FIXED_POINT
        shift = max(ring_buffer_shift(unit * self._expected(p, sign)) for sign in (1, -1))
        generator = torch_generator(self._seed, "mapping", k)
        whole = quantise_spinnaker(weights * unit, shift, self._rounding, generator)
        saturated = int(((weights * unit).abs() * 2.0 ** (15 - shift) > whole.abs() + 1).sum())
        placed = whole * 2.0**shift
        q = self._network.projections[k]
        grid = WeightGrid(-WEIGHT_MAX, WEIGHT_MAX, 1, shift, 16)
        stands_for = MappedSynapses(float(scale), q.scale, grid, 1 << shift)
        self.synapses.append(stands_for if isinstance(q, Weighted) else None)
        return 16, OnGrid.of(placed, weights, float(scale), saturated)

    def _check_sums(self, mapped: MappedNetwork) -> None:
        """Nothing to warn of: a slot of 16 bits holds four times what is expected, and all at once are no more."""
