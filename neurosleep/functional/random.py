"""Named child generators: one integer seed per run, one independent stream per purpose.

A draw added to one stream changes nothing in another, and a stream keyed by a position (task, epoch, chunk) can be
entered at that position without replaying what came before it, which is what lets a run restart.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch

from neurosleep._checks import check_count

__all__ = ["check_seed", "numpy_generator", "torch_generator"]


def check_seed(seed: int) -> int:
    """Return ``seed`` if it is an integer >= 0, else raise :class:`~neurosleep.errors.SettingsError`."""
    return check_count("The seed", seed, 0)


def _sequence(seed: int, stream: str, key: tuple[int, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence(check_seed(seed), spawn_key=(zlib.crc32(stream.encode()), *key))


def numpy_generator(seed: int, stream: str, *key: int) -> np.random.Generator:
    """A NumPy generator for ``stream`` (``"drive"``, ``"order"``, …) at position ``key`` of the run ``seed``."""
    return np.random.Generator(np.random.Philox(_sequence(seed, stream, key)))


def torch_generator(seed: int, stream: str, *key: int) -> torch.Generator:
    """A CPU torch generator for ``stream`` at position ``key`` of the run ``seed``."""
    state = int(_sequence(seed, stream, key).generate_state(1, np.uint64)[0])
    # torch takes the seed as a signed 64-bit number.
    return torch.Generator().manual_seed(state & 0x7FFF_FFFF_FFFF_FFFF)
