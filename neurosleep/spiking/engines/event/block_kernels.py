"""Compiled: weights into blocks of units and back, square by square, so that neither side is walked across its rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosleep._compiled import compiled

__all__ = ["lay_out", "read_back"]

_SIDE = 32


@compiled(boundscheck=False)
def lay_out(weight: Any, blocks: Any, first: int) -> None:
    """Copy ``weight`` ``[units, inputs]`` into the rows from ``first`` on of ``blocks`` ``[blocks, rows, width]``."""
    units, inputs = weight.shape
    width = blocks.shape[2]
    for b in range(len(blocks)):
        low = b * width
        real = min(width, units - low)
        for r0 in range(0, inputs, _SIDE):
            for j0 in range(0, real, _SIDE):
                for r in range(r0, min(r0 + _SIDE, inputs)):
                    for j in range(j0, min(j0 + _SIDE, real)):
                        blocks[b, first + r, j] = weight[low + j, r]


@compiled(boundscheck=False)
def read_back(blocks: Any, first: int, last: int, units: int) -> Any:
    """The weight ``[units, inputs]`` in the rows from ``first`` to ``last`` of ``blocks``."""
    inputs, width = last - first, blocks.shape[2]
    weight = np.empty((units, inputs), dtype=blocks.dtype)
    for b in range(len(blocks)):
        low = b * width
        real = min(width, units - low)
        for r0 in range(0, inputs, _SIDE):
            for j0 in range(0, real, _SIDE):
                for j in range(j0, min(j0 + _SIDE, real)):
                    for r in range(r0, min(r0 + _SIDE, inputs)):
                        weight[low + j, r] = blocks[b, first + r, j]
    return weight
