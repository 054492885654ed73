"""Whether firing in sleep resembles the activity that a class evokes awake (analysis F.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosleep._checks import check_count
from neurosleep.analysis._correlation import pearson_rows
from neurosleep.analysis._inputs import Array, Layered, activity_batches, check_images, check_pair, class_means
from neurosleep.analysis._populations import hidden_populations
from neurosleep.analysis.table import Table
from neurosleep.functional import SpikeEvents, numpy_generator
from neurosleep.spiking import Recording

__all__ = ["sleep_wake_similarity"]


def sleep_wake_similarity(
    network: Layered,
    recording: Recording,
    images: Tensor | Array,
    labels: Tensor | Array,
    *,
    window: int = 1000,
    windows: int = 200,
    seed: int = 0,
) -> Table:
    """Pearson correlation between the activity that a class evokes awake and the firing of the same units in sleep.

    Parameters
    ----------
    network:
        The awake network before sleep.
    recording:
        Of that sleep. The comparison with windows needs the spikes themselves (``Record(spikes="all")``).
    images, labels:
        Floating point ``[n, inputs]`` and classes ``[n]``.
    window, windows, seed:
        Length in steps (the whole sleep if that is shorter), number and seed of the windows drawn from the sleep.

    Returns
    -------
    A row per hidden layer and class: ``layer``, ``class``; ``per_image``, the mean over the class's images of the
    correlation of their activity with the spike counts of the whole sleep; ``per_window``, ``per_window_sd`` and
    ``windows``, the mean and standard deviation over random windows of the correlation of the class's mean activity
    with the firing rates in the window, and how many windows had one (the layer was not silent); ``unit_correlation``,
    the mean correlation between two units of the layer over all images; ``normalised``, ``per_window /
    unit_correlation``. NaN where undefined, or where spikes were not recorded.

    See Also
    --------
    replay_similarity : against shuffled patterns
    neurosleep.plot.sleep_wake_similarity : a picture of it

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7, similarity of sleep and wake activity. What the pairwise
    correlation of units is taken over is not stated there; here it is the images.

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, Recording, SpikeEvents
    >>> from neurosleep.analysis import sleep_wake_similarity
    >>> events = SpikeEvents.from_dense(torch.rand(500, 8) < 0.05)  # of a sleep phase, usually
    >>> recording = Recording(500, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> labels = torch.tensor([0, 1, 0, 1, 0, 1])
    >>> table = sleep_wake_similarity(MLP([16, 8, 2]), recording, torch.rand(6, 16), labels, window=100, windows=20)
    >>> table["layer"].tolist(), table["class"].tolist()
    (['hidden1', 'hidden1'], [0, 1])
    """
    check_pair(network, network)
    x, y = check_images(network, images, labels)
    layers = hidden_populations(network, recording)
    for name, value in (("window", window), ("windows", windows)):
        check_count(name, value)
    classes = np.unique(y)
    length = min(window, recording.steps)
    starts = numpy_generator(seed, "windows").integers(0, recording.steps - length + 1, size=windows)
    means = class_means(network, x, y, [[c] for c in classes.tolist()])[1:]
    whole = _with_counts(network, x, [np.asarray(recording.counts[name]) for _, name in layers])
    pairwise = _unit_correlations(network, x, len(layers))
    rows = []
    for k, name in layers:
        spikes = recording.spikes.get(name)
        rates = np.zeros((0, means[k].shape[1])) if spikes is None else _window_counts(spikes, starts, length)
        similar = pearson_rows(means[k]) @ _defined(rates).T
        for c, values in zip(classes.tolist(), similar, strict=True):
            defined = values[~np.isnan(values)]
            mean = float(defined.mean()) if len(defined) else math.nan
            image = whole[k, (y == c) & ~np.isnan(whole[k])]
            rows.append(
                {
                    "layer": name,
                    "class": c,
                    "per_image": float(image.mean()) if len(image) else math.nan,
                    "per_window": mean,
                    "per_window_sd": float(defined.std(ddof=1)) if len(defined) > 1 else math.nan,
                    "windows": len(defined),
                    "unit_correlation": pairwise[k],
                    "normalised": mean / pairwise[k] if pairwise[k] else math.nan,
                }
            )
    return Table.from_rows(rows)


def _window_counts(spikes: SpikeEvents, starts: NDArray[np.int64], length: int) -> NDArray[np.float64]:
    """Spikes per neuron in each window, ``[windows, n]``."""
    first, last = spikes.offsets[starts], spikes.offsets[starts + length]
    counts = [np.bincount(spikes.indices[a:b], minlength=spikes.n) for a, b in zip(first, last, strict=True)]
    return np.array(counts, dtype=np.float64)


def _defined(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows that have a correlation, centred and of length 1."""
    z = pearson_rows(rates) if len(rates) else rates
    return z[~np.isnan(z).any(axis=1)]


def _with_counts(network: Layered, x: Tensor, counts: Sequence[Array]) -> NDArray[np.float64]:
    """Correlation of each image's activity with the spike counts, ``[layers, images]``."""
    z = [pearson_rows(c[None].astype(np.float64))[0] for c in counts]
    correlations = np.empty((len(counts), len(x)))
    for place, layers in activity_batches(network, x):
        for k, direction in enumerate(z):
            correlations[k, place] = pearson_rows(layers[k]) @ direction
    return correlations


def _unit_correlations(network: Layered, x: Tensor, hidden: int) -> list[float]:
    r"""Mean Pearson correlation between two units of each hidden layer over the images; units that never change: none.

    With :math:`z_u` the standardised activity of unit u (length 1 over the images), the sum over all ordered pairs is
    :math:`|\sum_u z_u|^2 - U`, and the units x units matrix is never built.
    """
    n = len(x)
    total: list[NDArray[np.float64]] = []
    for _, layers in activity_batches(network, x):
        sums = [layer.sum(axis=0) for layer in layers[:hidden]]
        total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
    means = [sums / n for sums in total]
    squares = [np.zeros_like(mean) for mean in means]
    for _, layers in activity_batches(network, x):
        for k, mean in enumerate(means):
            squares[k] += ((layers[k] - mean) ** 2).sum(axis=0)
    # Of a constant unit only rounding is left of the differences from its mean.
    moving = [s > 1e-20 * n * np.maximum(m**2, np.finfo(float).tiny) for s, m in zip(squares, means, strict=True)]
    length = [np.sqrt(np.where(m, s, 1.0)) for s, m in zip(squares, moving, strict=True)]
    together = [0.0] * hidden
    for _, layers in activity_batches(network, x):
        for k in range(hidden):
            z = np.where(moving[k], (layers[k] - means[k]) / length[k], 0.0)
            together[k] += float((z.sum(axis=1) ** 2).sum())
    units = [int(m.sum()) for m in moving]
    return [(t - u) / (u * (u - 1)) if u > 1 else math.nan for t, u in zip(together, units, strict=True)]
