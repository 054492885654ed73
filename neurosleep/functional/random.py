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
    """Return ``seed`` if it is an integer >= 0, else raise :class:`~neurosleep.errors.SettingsError`.

    See Also
    --------
    torch_generator, numpy_generator : generators of a seed

    Examples
    --------
    >>> from neurosleep.functional import check_seed
    >>> check_seed(7)
    7
    """
    return check_count("The seed", seed, 0)


def _sequence(seed: int, stream: str, key: tuple[int, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence(check_seed(seed), spawn_key=(zlib.crc32(stream.encode()), *key))


def numpy_generator(seed: int, stream: str, *key: int) -> np.random.Generator:
    """A NumPy generator for ``stream`` (``"drive"``, ``"order"``, …) at position ``key`` of the run ``seed``.

    See Also
    --------
    torch_generator : the same for torch

    Examples
    --------
    >>> from neurosleep.functional import numpy_generator
    >>> a, b = (numpy_generator(0, "order", task).permutation(5).tolist() for task in (0, 0))
    >>> a == b
    True
    """
    return np.random.Generator(np.random.Philox(_sequence(seed, stream, key)))


def torch_generator(seed: int, stream: str, *key: int) -> torch.Generator:
    """A CPU torch generator for ``stream`` at position ``key`` of the run ``seed``.

    See Also
    --------
    numpy_generator : the same for NumPy

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import torch_generator
    >>> a, b = (torch.rand(3, generator=torch_generator(0, "init")) for _ in range(2))
    >>> torch.equal(a, b)
    True
    """
    state = int(_sequence(seed, stream, key).generate_state(1, np.uint64)[0])
    # torch takes the seed as a signed 64-bit number.
    return torch.Generator().manual_seed(state & 0x7FFF_FFFF_FFFF_FFFF)
