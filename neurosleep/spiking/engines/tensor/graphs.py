"""A function of tensors of one shape as a CUDA graph: recorded once, and started as a whole from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["Replayed"]

Tensors = dict[str, Tensor]


def _records(device: torch.device) -> bool:
    """Whether operations can be recorded on a device."""
    return device.type == "cuda"


class Replayed:
    """Calls ``function``; on CUDA devices it is recorded at its second call, and replayed at every further one.

    The function takes and gives tensors by name, of the same names and shapes at each call, changes other tensors only
    where they lie, and waits for nothing. What it gives holds until the next call. Its first call is the warm-up that
    libraries need, in which they choose their kernels and take their room.
    """

    def __init__(self, function: Callable[[Mapping[str, Tensor]], Tensors], device: str) -> None:
        self._function, self._device, self._calls = function, torch.device(device), 0
        self._given: Tensors = {}
        self._made: Tensors = {}
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, given: Mapping[str, Tensor]) -> Tensors:
        """What the function makes of ``given``."""
        self._calls += 1
        if not _records(self._device) or self._calls == 1:
            return self._function(given)
        with torch.cuda.device(self._device):
            if self._graph is None:
                self._given = {name: values.clone() for name, values in given.items()}
                graph = torch.cuda.CUDAGraph()
                # Recording computes nothing: the states stay as they are until it is replayed.
                with torch.cuda.graph(graph):
                    self._made = self._function(self._given)
                self._graph = graph
            else:
                for name, values in given.items():
                    self._given[name].copy_(values)
            self._graph.replay()
        return self._made
