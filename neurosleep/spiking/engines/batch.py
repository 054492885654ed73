"""What goes into a batch, and what an engine offers that steps many independent inputs at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["BatchInput", "BatchSession", "ConstantInput", "SpikeInput"]


class BatchInput(ABC):
    """What the input population of every sample sends over some steps."""

    steps: int

    @abstractmethod
    def at(self, t: int) -> Tensor:
        """What is sent in step ``t``, ``[batch, n]``: booleans, or values of a graded input."""


@dataclass(frozen=True, eq=False)
class ConstantInput(BatchInput):
    """The same ``values`` ``[batch, n]`` in every step."""

    values: Tensor
    steps: int

    def at(self, t: int) -> Tensor:
        """The values."""
        return self.values


@dataclass(frozen=True, eq=False)
class SpikeInput(BatchInput):
    """Spikes, held for those inputs only that may fire at all.

    Attributes
    ----------
    batch, n:
        Samples and input neurons.
    samples, neurons:
        int64 ``[entries]``: the inputs that may fire, ascending by sample, then by neuron.
    fired:
        bool ``[steps, entries]``; or uint8, how many spikes each of them sends in a step.
    """

    batch: int
    n: int
    samples: npt.NDArray[np.int64]
    neurons: npt.NDArray[np.int64]
    fired: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]

    @property
    def steps(self) -> int:  # type: ignore[override]
        """Number of steps."""
        return len(self.fired)

    def of(self, first: int, last: int) -> SpikeInput:
        """What the samples ``first`` to ``last`` send."""
        if (first, last) == (0, self.batch):
            return self
        low, high = np.searchsorted(self.samples, (first, last))
        samples, neurons = self.samples[low:high] - first, self.neurons[low:high]
        return SpikeInput(last - first, self.n, samples, neurons, self.fired[:, low:high])

    def at(self, t: int) -> Tensor:
        """Boolean ``[batch, n]``, or numbers of spikes, float32."""
        kind: type[np.generic] = np.bool_ if self.fired.dtype == np.bool_ else np.float32
        dense = np.zeros((self.batch, self.n), dtype=kind)
        dense[self.samples, self.neurons] = self.fired[t]
        return torch.from_numpy(dense)


class BatchSession(ABC):
    """One network with one input population, answering to a batch, from rest and without plasticity.

    States live on between stretches of input; these are all of one kind, and a constant input stays the same.
    """

    @abstractmethod
    def advance(self, sent: BatchInput) -> Tensor:
        """Advance by the steps of ``sent``; the read-out after each of them, ``[steps, batch, n]``.

        It is that of the network's :attr:`~neurosleep.spiking.SpikingNetwork.last` population: its spikes since the
        session started, or its membrane potentials if it never fires (kind ``li``).
        """

    @abstractmethod
    def batch_membranes(self) -> dict[str, Tensor]:
        """The present membrane potentials ``[batch, n]``, by population."""

    @abstractmethod
    def totals(self) -> Mapping[str, Tensor]:
        """By population, ``[batch, n]``: spikes since the session started, or the sum of graded values."""
