"""What a look between two steps has seen: potentials of some neurons, weights of some synapses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._shown import brief

__all__ = ["STATISTICS", "States", "WeightSamples"]

#: What is kept of a whole weight matrix, in this order.
STATISTICS = ("mean", "sd", "smallest", "largest", "change")


@dataclass(frozen=True, eq=False)
class States:
    """Membrane potentials of some neurons.

    Attributes
    ----------
    steps:
        int64 ``[samples]``: how many steps had been done.
    neurons:
        int64 ``[k]``.
    values:
        ``[samples, k]``.

    See Also
    --------
    StateMonitor : the view of it

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.spiking import States
    >>> States(np.array([0, 1]), neurons=np.array([7]), values=np.array([[0.0], [0.5]])).values.shape
    (2, 1)
    """

    steps: NDArray[np.int64]
    neurons: NDArray[np.int64]
    values: NDArray[Any]

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class WeightSamples:
    """Weights of some synapses of a projection, or statistics of all of them.

    Attributes
    ----------
    steps:
        int64 ``[samples]``: how many steps had been done.
    synapses:
        int64 ``[k, 2]``: post and pre; None with statistics.
    values:
        ``[samples, k]``: weights, or mean, standard deviation, smallest, largest, and root mean square of the change
        since the start.

    See Also
    --------
    WeightMonitor : the view of it

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.spiking import WeightSamples
    >>> WeightSamples(np.array([0, 1000]), synapses=np.array([[3, 1]]), values=np.array([[0.5], [0.75]])).steps
    array([   0, 1000])
    """

    steps: NDArray[np.int64]
    synapses: NDArray[np.int64] | None
    values: NDArray[Any]

    __repr__ = brief
