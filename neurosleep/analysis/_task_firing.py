"""Whether the neurons that answer to a class fire more in sleep than others (analysis F.3)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosleep.analysis._inputs import Array, Layered, activity_batches, check_images, check_pair
from neurosleep.analysis._populations import hidden_populations
from neurosleep.analysis._student import welch_test
from neurosleep.analysis.table import Table
from neurosleep.errors import SettingsError
from neurosleep.functional import numpy_generator
from neurosleep.spiking import Recording

__all__ = ["task_specific_firing"]


def task_specific_firing(
    network: Layered,
    recording: Recording,
    images: Tensor | Array,
    labels: Tensor | Array,
    *,
    units: int | None = None,
    seed: int = 0,
) -> Table:
    """Firing rate in sleep of the units that each image excites most, against as many units chosen at random.

    Parameters
    ----------
    network:
        The awake network before sleep.
    recording:
        Of that sleep; spike counts are enough.
    images, labels:
        Floating point ``[n, inputs]`` and classes ``[n]``: of the classes learnt by then.
    units:
        Most active units per image; a tenth of each layer if not given.
    seed:
        Of the random subsets, one per image.

    Returns
    -------
    A row per hidden layer and class: ``layer``, ``class``, ``images`` (those that excite the layer at all), ``units``,
    ``specific_hz``, ``random_hz`` (means over the images, in Hz), ``t``, ``df``, ``p`` (Welch's test over the images,
    two-sided) and ``p_bonferroni`` (p times the number of tests in this table that could be made, at most 1). Where
    fewer than ``units`` units are active, only those count as excited.

    See Also
    --------
    selective_groups : the neurons that prefer each class
    neurosleep.plot.task_specific_firing : a picture of it

    Notes
    -----
    Images of a class excite much the same units, so that they are no independent observations: the p-values describe
    the published comparison, and grow smaller with the number of images.

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7, firing of task-specific neurons during sleep.

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, Recording, SpikeEvents
    >>> from neurosleep.analysis import task_specific_firing
    >>> events = SpikeEvents.from_dense(torch.rand(500, 8) < 0.05)  # of a sleep phase, usually
    >>> recording = Recording(500, 0.001, {"hidden1": events.counts()})
    >>> labels = torch.tensor([0, 1, 0, 1, 0, 1])
    >>> table = task_specific_firing(MLP([16, 8, 2]), recording, torch.rand(6, 16), labels, units=2)
    >>> table["class"].tolist(), table["units"].tolist()
    ([0, 1], [2, 2])
    """
    check_pair(network, network)
    x, y = check_images(network, images, labels)
    layers = hidden_populations(network, recording)
    sizes = [len(network.weights[k]) for k, _ in layers]
    if units is not None and not (isinstance(units, int) and 1 <= units <= min(sizes)):
        raise SettingsError(f"The number of units is {units!r}.", expected=f"an integer from 1 to {min(sizes)}")
    chosen = [max(1, size // 10) if units is None else units for size in sizes]

    generator = numpy_generator(seed, "random-subsets")
    specific = np.full((len(layers), len(x)), np.nan)
    random = np.full_like(specific, np.nan)
    for place, activities in activity_batches(network, x):
        for k, name in layers:
            rates = recording.rate(name)
            specific[k, place] = _rate_of_top(activities[k], rates, chosen[k])
            draw = generator.random(activities[k].shape, dtype=np.float32)
            random[k, place] = rates[np.argpartition(draw, chosen[k] - 1, axis=1)[:, : chosen[k]]].mean(axis=1)

    rows = []
    for k, name in layers:
        for c in np.unique(y).tolist():
            of_class = (y == c) & ~np.isnan(specific[k])
            a, b = specific[k, of_class], random[k, of_class]
            means = {"specific_hz": _mean(a), "random_hz": _mean(b)}
            test = welch_test(a, b)._asdict()
            rows.append({"layer": name, "class": c, "images": len(a), "units": chosen[k], **means, **test})
    tests = sum(not math.isnan(row["p"]) for row in rows)
    return Table.from_rows([row | {"p_bonferroni": float(np.minimum(1.0, tests * row["p"]))} for row in rows])


def _rate_of_top(activities: NDArray[np.float64], rates: NDArray[np.float64], units: int) -> NDArray[np.float64]:
    """Mean rate of each row's most active units; NaN where none is active."""
    top = np.argpartition(-activities, units - 1, axis=1)[:, :units]
    active = np.take_along_axis(activities, top, axis=1) > 0
    count = active.sum(axis=1)
    total = np.where(active, rates[top], 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
