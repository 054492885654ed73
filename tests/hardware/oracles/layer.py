"""One layer of neurons in integers, as every chip's transcription steps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.int64]
Step = Callable[[Whole, Whole], Whole]  # weights [post, pre] and what arrives [pre]: who fires


class Neurons(NamedTuple):
    """Numbers of one layer; ``decay`` and ``current`` are what is lost in a step: of 4096, or as shifts (Xylo)."""

    n: int
    threshold: int
    decay: int
    current: int
    bias: int
    subtract: bool
    fires_at: bool  # at the threshold, or above it only


def reset(v: Whole, fired: Whole, p: Neurons) -> None:
    v[:] = np.where(fired, v - p.threshold if p.subtract else 0, v)


def lost(x: Whole, part: int, bits: int) -> Whole:
    return np.sign(x) * ((np.abs(x) * ((1 << bits) - part)) >> bits)


def generic(p: Neurons) -> Step:
    v = np.zeros(p.n, dtype=np.int64)

    def step(weights: Whole, arriving: Whole) -> Whole:
        v[:] = np.clip(lost(v, p.decay, 12) + weights @ arriving + p.bias, -(2**31), 2**31 - 1)
        fired = v >= p.threshold
        reset(v, fired, p)
        return fired

    return step
