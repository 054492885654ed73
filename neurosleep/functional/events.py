"""Spikes of one population as sparse events: what fired at each step, never a dense ``[time, neuron]`` array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep._checks import check_count
from neurosleep.errors import SettingsError

__all__ = ["SpikeEvents"]

# Neurons are numbered by int32.
_MOST_NEURONS = 2**31 - 1
# Spikes whose order is looked at in one go: those in a file need not be in memory all at once.
_PIECE = 2**20


def _whole(name: str, values: Any) -> npt.NDArray[np.int64]:
    """One dimension of integers as int64, or an error."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array.dtype.kind == "u" and int(array.max()) >= 2**63):
        raise SettingsError(
            f"The {name} of spike events cannot be read.",
            found=f"{type(values).__name__} of {array.dtype}, shape {array.shape}",
            expected="one dimension of integers",
        )
    return array.astype(np.int64, copy=False)


def _check_range(name: str, values: npt.NDArray[Any], size: int) -> None:
    """Refuse numbers outside 0 to ``size - 1``."""
    if len(values) and not (values.min() >= 0 and values.max() < size):
        bad = values[(values < 0) | (values >= size)]
        raise SettingsError(
            f"Spike events name a {name} {int(bad[0])}, of {size}.",
            expected=f"numbers from 0 to {size - 1}" if size else f"no {name}",
        )


@dataclass(frozen=True, eq=False)
class SpikeEvents:
    """The spikes of ``n`` neurons over ``steps`` time steps, in compressed form.

    Where offsets and neurons are not at hand in this form, :meth:`from_times` and :meth:`from_dense` make them.

    Attributes
    ----------
    n:
        Number of neurons.
    offsets:
        int64 ``[steps + 1]``; the spikes of step ``t`` are ``indices[offsets[t]:offsets[t + 1]]``.
    indices:
        int32 ``[spikes]``; neuron numbers from 0 to ``n - 1``, ascending within a step, none twice.

    Raises
    ------
    SettingsError
        If they are not integers, or not so ordered: compiled code reads memory by them.

    See Also
    --------
    neurosleep.simulate : which takes them

    Examples
    --------
    >>> SpikeEvents.from_dense(torch.eye(3, dtype=torch.bool))
    <SpikeEvents: 3 spikes of 3 neurons in 3 steps>
    """

    n: int
    offsets: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]

    def __repr__(self) -> str:
        return f"<SpikeEvents: {self.count} spikes of {self.n} neurons in {self.steps} steps>"

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "n", check_count("n, the number of neurons of spike events,", self.n, 0, _MOST_NEURONS)
        )
        offsets = _whole("offsets", self.offsets)
        indices: npt.NDArray[Any] = self.indices
        if not (isinstance(indices, np.ndarray) and indices.dtype == np.int32 and indices.ndim == 1):
            indices = _whole("indices", indices)
        if len(offsets) == 0 or offsets[0] < 0 or offsets[-1] > len(indices) or (offsets[1:] < offsets[:-1]).any():
            raise SettingsError(
                "The offsets of spike events are empty, fall, or lie outside the spikes.",
                found=f"{len(offsets)} offsets from {offsets[:1]} to {offsets[-1:]}, {len(indices)} spikes",
                expected=f"steps + 1 of them, none smaller than the one before, from 0 to {len(indices)}",
            )
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "indices", indices)
        used = self._used
        _check_range("neuron", used, self.n)
        for start in range(0, max(len(used) - 1, 0), _PIECE):
            piece = used[start : start + _PIECE + 1]
            ascending = piece[1:] > piece[:-1]
            # Where one step ends and another starts they may fall.
            first, last = np.searchsorted(offsets, offsets[0] + start + np.array([1, len(piece)]))
            ascending[offsets[first:last] - offsets[0] - start - 1] = True
            if not ascending.all():
                where = start + int(np.argmin(ascending))
                step = int(np.searchsorted(offsets, offsets[0] + where, side="right")) - 1
                raise SettingsError(
                    f"In step {step} of spike events neuron {int(used[where + 1])} comes after {int(used[where])}.",
                    expected="ascending neurons within a step, none twice",
                    hint="SpikeEvents.from_times takes spikes in any order",
                )
        object.__setattr__(self, "indices", indices.astype(np.int32, copy=False))

    @classmethod
    def _trusted(cls, n: int, offsets: npt.NDArray[np.int64], indices: npt.NDArray[np.int32]) -> SpikeEvents:
        """Events of arrays that are known to be right, such as an engine's, without a look at every spike."""
        events = object.__new__(cls)
        for key, value in (("n", n), ("offsets", offsets), ("indices", indices)):
            object.__setattr__(events, key, value)
        return events

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

    @property
    def _used(self) -> npt.NDArray[np.int32]:
        """The neurons of the spikes; ``indices`` may hold others before and after them."""
        return self.indices[self.offsets[0] : self.offsets[-1]]

    def at(self, step: int) -> npt.NDArray[np.int32]:
        """The neurons that fire at ``step``."""
        return self.indices[self.offsets[step] : self.offsets[step + 1]]

    def counts(self) -> npt.NDArray[np.int64]:
        """int64 ``[n]``: spikes per neuron."""
        return np.bincount(self._used, minlength=self.n).astype(np.int64)

    def slice(self, start: int, stop: int) -> SpikeEvents:
        """The steps ``start`` to ``stop - 1`` as events of their own."""
        if not 0 <= start <= stop <= self.steps:
            raise SettingsError(
                f"Spike events cannot be cut from step {start} to {stop}.",
                expected=f"0 <= start <= stop <= {self.steps}",
            )
        first, last = self.offsets[start], self.offsets[stop]
        return SpikeEvents._trusted(self.n, self.offsets[start : stop + 1] - first, self.indices[first:last])

    def part(self, first: int, n: int) -> SpikeEvents:
        """The neurons ``first`` to ``first + n - 1``, counted from 0, as events of their own."""
        used = self._used
        inside = (used >= first) & (used < first + n)
        offsets = np.zeros(len(self.offsets), dtype=np.int64)
        offsets[:] = np.concatenate([[0], np.cumsum(inside)])[self.offsets - self.offsets[0]]
        return SpikeEvents._trusted(n, offsets, used[inside] - np.int32(first))

    def equals(self, other: SpikeEvents) -> bool:
        """Whether both hold the same spikes of the same neurons at the same steps."""
        return (
            self.n == other.n
            and np.array_equal(self.offsets - self.offsets[0], other.offsets - other.offsets[0])
            and np.array_equal(self._used, other._used)
        )

    def to_dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Tensor ``[steps, n]`` of 0 and 1."""
        dense = torch.zeros(self.steps, self.n, dtype=dtype)
        dense[torch.from_numpy(self.times), torch.from_numpy(self._used.astype(np.int64))] = 1
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
        # They come in order: time after time, and ascending within each.
        times, neurons = np.nonzero(fired)
        return cls._in_order(times, neurons, steps=array.shape[0], n=array.shape[1])

    @classmethod
    def _trusted_times(
        cls, times: npt.NDArray[np.int64], neurons: npt.NDArray[np.integer[Any]], *, steps: int, n: int
    ) -> SpikeEvents:
        """As :meth:`from_times`, of spikes that are known to be right."""
        order = np.lexsort((neurons, times))
        return cls._in_order(times[order], neurons[order], steps=steps, n=n)

    @classmethod
    def _in_order(
        cls, times: npt.NDArray[np.int64], neurons: npt.NDArray[np.integer[Any]], *, steps: int, n: int
    ) -> SpikeEvents:
        """Events that are known to be right and in order."""
        offsets = np.zeros(steps + 1, dtype=np.int64)
        np.cumsum(np.bincount(times, minlength=steps), out=offsets[1:])
        return cls._trusted(n, offsets, np.ascontiguousarray(neurons, dtype=np.int32))

    @classmethod
    def from_times(
        cls, times: npt.NDArray[np.integer[Any]], neurons: npt.NDArray[np.integer[Any]], *, steps: int, n: int
    ) -> SpikeEvents:
        """Events from the step and the neuron of each spike, in any order.

        Raises
        ------
        SettingsError
            If there are not as many steps as neurons, one lies outside, or a neuron fires twice in a step.
        """
        steps = check_count("The number of steps", steps, 0)
        n = check_count("The number of neurons", n, 0, _MOST_NEURONS)
        when, who = _whole("times", times), _whole("neurons", neurons)
        if len(when) != len(who):
            raise SettingsError(
                f"{len(when)} times and {len(who)} neurons were given.", expected="one of each per spike"
            )
        _check_range("step", when, steps)
        _check_range("neuron", who, n)
        order = np.lexsort((who, when))
        when, who = when[order], who[order]
        twice = (when[1:] == when[:-1]) & (who[1:] == who[:-1])
        if twice.any():
            first = int(np.argmax(twice))
            raise SettingsError(
                f"Neuron {who[first]} fires twice in step {when[first]}.", expected="at most one spike of it in a step"
            )
        return cls._in_order(when, who, steps=steps, n=n)

    @classmethod
    def empty(cls, n: int, steps: int = 0) -> SpikeEvents:
        """``steps`` steps of silence."""
        return cls._trusted(n, np.zeros(steps + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))

    @classmethod
    def side_by_side(cls, parts: Sequence[SpikeEvents]) -> SpikeEvents:
        """Populations of one size over the same steps as one: neuron k of part s of n is number ``s * n + k``."""
        if len(parts) == 1:
            return parts[0]
        n, steps = parts[0].n, parts[0].steps
        if any(part.n != n or part.steps != steps for part in parts):
            raise SettingsError(
                "Spike events of different sizes cannot lie side by side.",
                found=f"{sorted({(part.steps, part.n) for part in parts})[:8]} (steps, neurons)",
                expected=f"{steps} steps of {n} neurons in each",
            )
        widths = np.stack([np.diff(part.offsets) for part in parts], 1)
        ends = np.cumsum(widths)
        offsets = np.concatenate([[0], ends[len(parts) - 1 :: len(parts)]]).astype(np.int64)
        starts = (ends - widths.reshape(-1)).reshape(steps, len(parts))
        neurons = np.empty(offsets[-1], dtype=np.int32)
        for s, part in enumerate(parts):
            own = part.offsets[:-1] - part.offsets[0]
            place = np.arange(part.count) + np.repeat(starts[:, s] - own, widths[:, s])
            neurons[place] = part._used + np.int32(s * n)
        return cls._trusted(n * len(parts), offsets, neurons)

    @classmethod
    def concatenate(cls, parts: Iterable[SpikeEvents], n: int) -> SpikeEvents:
        """One recording after another."""
        chunks = list(parts)
        if not chunks:
            return cls.empty(n)
        if any(part.n != n for part in chunks):
            raise SettingsError(
                "Spike events of different populations cannot follow each other.",
                found=f"{sorted({part.n for part in chunks})[:8]} neurons",
                expected=f"{n} in each",
            )
        widths = np.concatenate([np.diff(part.offsets) for part in chunks])
        offsets = np.zeros(len(widths) + 1, dtype=np.int64)
        np.cumsum(widths, out=offsets[1:])
        indices = [part._used for part in chunks]
        return cls._trusted(n, offsets, np.concatenate(indices).astype(np.int32, copy=False))
