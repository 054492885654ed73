"""Spikes of one population as sparse events: what fired at each step, never a dense ``[time, neuron]`` array."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.errors import SettingsError

__all__ = ["SpikeEvents"]


@dataclass(frozen=True, eq=False)
class SpikeEvents:
    """The spikes of ``n`` neurons over ``steps`` time steps, in compressed form.

    Attributes
    ----------
    n:
        Number of neurons.
    offsets:
        int64 ``[steps + 1]``; the spikes of step ``t`` are ``indices[offsets[t]:offsets[t + 1]]``.
    indices:
        int32 ``[spikes]``; neuron numbers, ascending within a step.
    """

    n: int
    offsets: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]

    @property
    def steps(self) -> int:
        """Number of time steps covered."""
        return len(self.offsets) - 1

    @property
    def count(self) -> int:
        """Number of spikes."""
        return int(self.offsets[-1] - self.offsets[0])

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """int64 ``[spikes]``: the step of each spike."""
        return np.repeat(np.arange(self.steps, dtype=np.int64), np.diff(self.offsets))

    def at(self, step: int) -> npt.NDArray[np.int32]:
        """The neurons that fire at ``step``."""
        return self.indices[self.offsets[step] : self.offsets[step + 1]]

    def counts(self) -> npt.NDArray[np.int64]:
        """int64 ``[n]``: spikes per neuron."""
        return np.bincount(self.indices, minlength=self.n).astype(np.int64)

    def slice(self, start: int, stop: int) -> SpikeEvents:
        """The steps ``start`` to ``stop - 1`` as events of their own."""
        first, last = self.offsets[start], self.offsets[stop]
        return SpikeEvents(self.n, self.offsets[start : stop + 1] - first, self.indices[first:last])

    def equals(self, other: SpikeEvents) -> bool:
        """Whether both hold the same spikes of the same neurons at the same steps."""
        return (
            self.n == other.n
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.indices, other.indices)
        )

    def to_dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Tensor ``[steps, n]`` of 0 and 1."""
        dense = torch.zeros(self.steps, self.n, dtype=dtype)
        dense[torch.from_numpy(self.times), torch.from_numpy(self.indices.astype(np.int64))] = 1
        return dense

    @classmethod
    def from_dense(cls, spikes: Tensor | npt.NDArray[np.generic]) -> SpikeEvents:
        """Events from an array ``[steps, n]`` whose non-zero entries are spikes (each must be 1).

        Raises
        ------
        SettingsError
            If the array is not two-dimensional or holds anything but 0 and 1.
        """
        array = spikes.detach().cpu().numpy() if isinstance(spikes, Tensor) else np.asarray(spikes)
        if array.ndim != 2:
            raise SettingsError(f"Spikes of shape {array.shape} cannot be read.", expected="an array [steps, neurons]")
        fired = array != 0
        if not np.array_equal(array, fired):
            raise SettingsError("The spikes hold values other than 0 and 1.", expected="0 (silent) or 1 (spike)")
        times, neurons = np.nonzero(fired)
        return cls.from_times(times, neurons, steps=array.shape[0], n=array.shape[1])

    @classmethod
    def from_times(
        cls, times: npt.NDArray[np.integer], neurons: npt.NDArray[np.integer], *, steps: int, n: int
    ) -> SpikeEvents:
        """Events from the step and the neuron of each spike, in any order."""
        order = np.lexsort((neurons, times))
        offsets = np.zeros(steps + 1, dtype=np.int64)
        np.cumsum(np.bincount(times, minlength=steps), out=offsets[1:])
        return cls(n, offsets, np.ascontiguousarray(neurons[order], dtype=np.int32))

    @classmethod
    def empty(cls, n: int, steps: int = 0) -> SpikeEvents:
        """``steps`` steps of silence."""
        return cls(n, np.zeros(steps + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))

    @classmethod
    def concatenate(cls, parts: Iterable[SpikeEvents], n: int) -> SpikeEvents:
        """One recording after another."""
        chunks = list(parts)
        if not chunks:
            return cls.empty(n)
        widths = np.concatenate([np.diff(part.offsets) for part in chunks])
        offsets = np.zeros(len(widths) + 1, dtype=np.int64)
        np.cumsum(widths, out=offsets[1:])
        indices = [part.indices[part.offsets[0] : part.offsets[-1]] for part in chunks]
        return cls(n, offsets, np.concatenate(indices).astype(np.int32, copy=False))
