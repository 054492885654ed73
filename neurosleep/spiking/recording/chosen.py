"""Neurons that someone asks for by number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep.errors import SettingsError

__all__ = ["check_neurons"]


def check_neurons(population: str, neurons: Any, size: int, purpose: str) -> NDArray[np.int64]:
    """The numbers of ``neurons`` (``"all"``, or integers below ``size``) in the given order, int64 ``[k]``.

    Raises
    ------
    SettingsError
        If one is not there or is named twice; the message says which there are.
    """
    if isinstance(neurons, str) and neurons == "all":
        return np.arange(size)
    expected = f"'all', or different integers from 0 to {size - 1}"
    try:
        given = np.asarray(neurons)
    except ValueError:
        given = np.zeros((0, 0))  # nested lists of several lengths
    if given.ndim == 1 and given.size == 0:
        given = given.astype(np.int64)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
        raise SettingsError(
            f"The neurons of {population!r} ({purpose}) are no numbers of neurons.",
            found=repr(neurons)[:80],
            expected=expected,
        )
    outside = given[(given < 0) | (given >= size)]
    if len(outside):
        raise SettingsError(
            f"There is no neuron {int(outside[0])} in population {population!r} ({purpose}).", expected=expected
        )
    if len(np.unique(given)) < len(given):
        raise SettingsError(f"A neuron of {population!r} ({purpose}) is named twice.", expected=expected)
    return given.astype(np.int64)
