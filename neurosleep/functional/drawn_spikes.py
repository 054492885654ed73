"""Compiled: which of the inputs that are seen in a step fire, of numbers that were drawn for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosleep._compiled import compiled

__all__ = ["drawn_spikes"]


@compiled(boundscheck=False)
def drawn_spikes(drawn: Any, probability: Any, row: Any, column: Any, side: Any) -> Any:
    """Events of ``drawn`` ``[steps, height * width of what is seen]``: an input fires below its probability.

    ``probability`` ``[height, width]`` is that of a whole image, of which ``side`` (height and width) pixels are seen
    in a step, from ``row`` and ``column`` of that step on. Returns offsets and neurons.
    """
    steps = len(drawn)
    width = probability.shape[1]
    offsets = np.zeros(steps + 1, dtype=np.int64)
    neurons = np.empty(max(1024, steps), dtype=np.int32)
    used = 0
    for t in range(steps):
        if used + side[0] * side[1] > len(neurons):
            more = np.empty(2 * (used + side[0] * side[1]), dtype=np.int32)
            more[:used] = neurons[:used]
            neurons = more
        k = 0
        for i in range(row[t], row[t] + side[0]):
            for j in range(column[t], column[t] + side[1]):
                # Written in any case, kept if it fires: whether it does cannot be foretold, a branch would be dearer.
                neurons[used] = i * width + j
                used += drawn[t, k] < probability[i, j]
                k += 1
        offsets[t + 1] = used
    return offsets, neurons[:used].copy()
