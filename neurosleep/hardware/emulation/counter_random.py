"""Random numbers by position: what synapse s draws in step t is a function of the seed, t and s alone.

A chip rounds each changed weight by a random number of its own. Drawn one after another, those numbers would depend on
the order in which synapses are visited; drawn by position they are the same in every engine, and in a run that goes on
where another stopped. The function is the output step of SplitMix64 (Steele, Lea and Flood 2014,
doi:10.1145/2660193.2660195).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosleep.functional import numpy_generator

__all__ = ["GOLDEN", "MIX_1", "MIX_2", "UNIT", "key_at", "key_of", "uniforms"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
#: A number of 53 bits times this lies in [0, 1).
UNIT = 2.0**-53


def _mixed(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = z + GOLDEN
    z = (z ^ (z >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    return z ^ (z >> np.uint64(31))


def key_of(seed: int, stream: str, *position: int) -> int:
    """A key of 64 bits for one stream of a run, as the generators of this package have seeds."""
    return int(numpy_generator(seed, stream, *position).integers(0, 2**64, dtype=np.uint64))


def key_at(key: int, step: int) -> int:
    """The key of one step."""
    return int(_mixed(np.array([key], dtype=np.uint64) ^ _mixed(np.array([step], dtype=np.uint64)))[0])


def uniforms(key: int, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """For each of the whole ``numbers`` (any shape, not negative) a number in [0, 1), by the key of a step."""
    drawn = _mixed(np.uint64(key) + numbers.astype(np.uint64) * GOLDEN)
    return (drawn >> np.uint64(11)).astype(np.float64) * UNIT
