"""What a verb finds: cores, and what must be as it was when it returns: torch's threads, global generators."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["cores", "surroundings_kept"]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def surroundings_kept(threads: int | None = None) -> Iterator[None]:
    """Give torch ``threads`` threads (None: those that it has), and take back what happens to them and the generators.

    The generators are the global ones of torch (on the CPU), NumPy and Python. It also decorates functions.
    """
    before, states = torch.get_num_threads(), (torch.get_rng_state(), np.random.get_state(), random.getstate())
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
