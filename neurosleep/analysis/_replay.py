"""Whether the patterns of sleep are those that classes evoke awake, and more so than shuffled ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosleep._checks import check_count, check_number
from neurosleep.analysis._correlation import pearson_rows
from neurosleep.analysis._inputs import Array, Layered, check_images, check_pair, class_means, layer_names
from neurosleep.analysis._trains import (
    Spikes,
    SpikeTrains,
    bin_count,
    bin_of,
    spike_trains,
)
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError
from neurosleep.functional import numpy_generator

__all__ = ["class_patterns", "replay_similarity", "replay_windows"]


def class_patterns(
    network: Layered, images: Tensor | Array, labels: Tensor | Array
) -> dict[str, dict[int, NDArray[np.float64]]]:
    """The mean activity ``[n]`` that the images of each class evoke awake, by layer, then by class.

    Parameters
    ----------
    network:
        The awake network.
    images, labels:
        Floating point ``[n, inputs]`` and classes ``[n]``.

    See Also
    --------
    replay_windows, replay_similarity : compare sleep with them
    preferred_class : of each neuron

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import class_patterns
    >>> from neurosleep.networks import MLP
    >>> patterns = class_patterns(MLP([16, 8, 2]), torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> list(patterns), patterns["hidden1"][0].shape
    (['hidden1', 'output'], (8,))
    """
    check_pair(network, network)
    x, y = check_images(network, images, labels)
    classes = np.unique(y).tolist()
    means = class_means(network, x, y, [[c] for c in classes])[1:]
    return {
        name: dict(zip(classes, layer, strict=True)) for name, layer in zip(layer_names(network), means, strict=True)
    }


def replay_windows(
    spikes: Spikes,
    patterns: Mapping[Any, NDArray[np.float64]],
    population: str | None = None,
    *,
    width: float = 0.1,
) -> Table:
    """Correlation of what fires in each window of sleep with the pattern of each class.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    patterns:
        The awake pattern ``[n]`` of each class (:func:`class_patterns`, of the layer that is asked about).
    width:
        Of a window, in seconds; what is left over after the last whole one is not used.

    Returns
    -------
    A row per window and class, by window: ``start`` (in seconds), ``spikes`` (of all neurons), ``class`` and
    ``correlation`` (Pearson's, over the neurons, of spike counts and pattern). It is NaN where all neurons fire equally
    often, as in a silent window, or where a pattern is the same in all neurons. Possibly no row.

    See Also
    --------
    replay_similarity : over all windows, against shuffled patterns
    class_patterns : the patterns

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.analysis import replay_windows, spike_trains
    >>> trains = spike_trains([[0.01, 0.02], [0.03], [], []], stop=0.1)
    >>> print(replay_windows(trains, {"cat": np.array([2.0, 1.0, 0.0, 0.0])}))
    start  spikes  class  correlation
        0       3  cat              1
    """
    trains = spike_trains(spikes, population)
    names, z, real = _patterns(patterns, trains.n)
    bins = bin_count(trains, check_number("width, in seconds,", width, above=0))
    correlations = np.full((bins, len(names)), np.nan)
    spikes_in = np.zeros(bins, dtype=np.int64)
    for k, (count, direction) in enumerate(_windows(trains, bins, width)):
        spikes_in[k] = count
        if direction is not None:
            correlations[k] = np.where(real, z @ direction, np.nan)
    starts = trains.start + width * np.arange(bins)
    return Table(
        {
            "start": np.repeat(starts, len(names)),
            "spikes": np.repeat(spikes_in, len(names)),
            "class": np.tile(np.array(names), bins),
            "correlation": np.clip(correlations, -1.0, 1.0).ravel(),
        }
    )


def replay_similarity(
    spikes: Spikes,
    patterns: Mapping[Any, NDArray[np.float64]],
    population: str | None = None,
    *,
    width: float = 0.1,
    shuffles: int = 1000,
    seed: int = 0,
) -> Table:
    r"""How much sleep resembles the awake pattern of each class, and what shuffled patterns reach.

    Parameters
    ----------
    spikes, patterns, population, width:
        As in :func:`replay_windows`.
    shuffles, seed:
        How many controls there are, and their seed: each gives the values of the pattern to other neurons, so that how
        many neurons answer, and how strongly, stays as it is.

    Returns
    -------
    A row per class: ``class``; ``windows`` (those that have a correlation); ``similarity``, the mean correlation over
    them; ``control`` and ``control_sd``, mean and standard deviation (n - 1) of the same number over the shuffled
    patterns; ``z``, by how many of these standard deviations it lies above; ``p``, the share of patterns, the real one
    among them, that reach at least ``similarity``; ``best``, share of the windows that resemble this class most (the
    first of those that are equally alike). NaN where undefined.

    See Also
    --------
    replay_windows : window by window
    class_patterns : the patterns

    Notes
    -----
    All controls are correlated with the same windows. Since the mean over windows of a correlation is the product of
    the pattern with the mean of the windows' scaled counts, a control costs one product of n numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.analysis import replay_similarity, spike_trains
    >>> trains = spike_trains([[0.01, 0.02], [0.03], [], []], stop=0.1)
    >>> patterns = {"cat": np.array([2.0, 1.0, 0.0, 0.0]), "dog": np.array([0.0, 0.0, 1.0, 2.0])}
    >>> table = replay_similarity(trains, patterns, shuffles=99)
    >>> table["class"].tolist(), table["similarity"].round(3).tolist()
    (['cat', 'dog'], [1.0, -0.818])
    """
    trains = spike_trains(spikes, population)
    check_count("shuffles", shuffles, 1)
    names, z, real = _patterns(patterns, trains.n)
    bins = bin_count(trains, check_number("width, in seconds,", width, above=0))
    mean, windows = np.zeros(trains.n), 0
    best = np.zeros(len(names), dtype=np.int64)
    for _, direction in _windows(trains, bins, width):
        if direction is None:
            continue
        mean += direction
        windows += 1
        if real.any():
            alike = np.where(real, z @ direction, -math.inf)
            best[int(alike.argmax())] += 1
    mean /= max(windows, 1)
    rows = []
    generator = numpy_generator(seed, "replay-shuffles")
    controls = np.empty((len(names), shuffles))
    for s in range(shuffles):
        # One permutation for all classes: a control of the whole set, and as cheap as one of a single class.
        controls[:, s] = z @ mean[generator.permutation(trains.n)]
    for c, name in enumerate(names):
        row: dict[str, Any] = {"class": name, "windows": windows if real[c] else 0}
        if windows and real[c]:
            value = float(z[c] @ mean)
            control, sd = float(controls[c].mean()), float(controls[c].std(ddof=1)) if shuffles > 1 else math.nan
            reached = int((controls[c] >= value - 1e-12).sum())
            row |= {"similarity": value, "control": control, "control_sd": sd}
            row |= {"z": (value - control) / sd if sd > 0 else math.nan, "p": (1 + reached) / (1 + shuffles)}
            row |= {"best": int(best[c]) / windows}
        else:
            row |= dict.fromkeys(("similarity", "control", "control_sd", "z", "p", "best"), math.nan)
        rows.append(row)
    return Table.from_rows(rows)


def _windows(trains: SpikeTrains, bins: int, width: float) -> Iterator[tuple[int, NDArray[np.float64] | None]]:
    """Of each window its spikes, and the counts ``[n]`` centred and of length 1; None where all neurons fire alike."""
    number, neurons = bin_of(trains, width), trains.neurons
    order = np.argsort(number, kind="stable")
    edges = np.searchsorted(number[order], np.arange(bins + 1))
    for first, last in itertools.pairwise(edges.tolist()):
        counts = np.bincount(neurons[order[first:last]], minlength=trains.n)
        alike = len(counts) == 0 or counts.min() == counts.max()
        yield last - first, None if alike else pearson_rows(counts[None].astype(np.float64))[0]


def _patterns(
    patterns: Mapping[Any, NDArray[np.float64]], n: int
) -> tuple[list[Any], NDArray[np.float64], NDArray[np.bool_]]:
    """Names of the classes, their patterns centred and of length 1, ``[classes, n]``, and which are not constant."""
    if not isinstance(patterns, Mapping):
        raise DataError(
            f"The patterns are an object of type {type(patterns).__name__}.",
            expected="a mapping from class to pattern, such as class_patterns(...)['hidden1']",
        )
    if not patterns:
        raise DataError("There is no pattern to compare with.", expected="at least one class")
    rows = []
    for name, pattern in patterns.items():
        values = np.asarray(pattern, dtype=np.float64)
        if values.shape != (n,) or not np.isfinite(values).all():
            raise DataError(
                f"The pattern of class {name!r} does not fit.",
                found=f"{list(values.shape)}" if values.shape != (n,) else "values that are NaN or infinite",
                expected=f"one finite number for each of the {n} neurons",
            )
        rows.append(values)
    stacked = np.stack(rows)
    if not n:
        return list(patterns), stacked, np.zeros(len(rows), dtype=np.bool_)
    z = pearson_rows(stacked)
    real = ~np.isnan(z[:, 0])
    return list(patterns), np.where(real[:, None], z, 0.0), np.asarray(real)
