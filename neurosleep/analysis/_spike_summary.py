"""The statistics of a recording in one table: a row per neuron, or a row per population."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count, check_number
from neurosleep.analysis._avalanches import avalanches
from neurosleep.analysis._bursts import bursts, up_states
from neurosleep.analysis._fano import fano_factor
from neurosleep.analysis._intervals import cv, cv2
from neurosleep.analysis._pairwise import mean_pairwise_correlation
from neurosleep.analysis._rates import firing_rate
from neurosleep.analysis._synchrony import chi_synchrony
from neurosleep.analysis._trains import Spikes, spike_trains
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError
from neurosleep.functional import numpy_generator
from neurosleep.spiking import Recording

__all__ = ["firing_statistics", "neuron_statistics"]


def neuron_statistics(spikes: Spikes, population: str | None = None, *, width: float = 0.1) -> Table:
    """What single neurons do: a row per neuron.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    width:
        Of the windows of the Fano factor, in seconds.

    Returns
    -------
    ``neuron``, ``spikes``, ``rate_hz``, ``mean_isi`` (in seconds), ``cv``, ``cv2``, ``fano``; NaN where undefined, as
    each function says. Possibly no row.

    See Also
    --------
    firing_statistics : a row per population

    Examples
    --------
    >>> from neurosleep.analysis import neuron_statistics, spike_trains
    >>> table = neuron_statistics(spike_trains([[0.125, 0.375, 0.625], []], stop=1.0))
    >>> table["rate_hz"], table["mean_isi"]
    (array([3., 0.]), array([0.25,  nan]))
    """
    trains = spike_trains(spikes, population)
    counts = trains.counts
    first, last = trains.first[:-1], trains.first[1:] - 1
    span = np.zeros(trains.n)
    many = counts > 1
    span[many] = trains.times[last[many]] - trains.times[first[many]]
    return Table(
        {
            "neuron": np.arange(trains.n),
            "spikes": counts,
            "rate_hz": firing_rate(trains),
            "mean_isi": np.where(many, span / np.maximum(counts - 1, 1), np.nan),
            "cv": cv(trains),
            "cv2": cv2(trains),
            "fano": fano_factor(trains, width=width),
        }
    )


def firing_statistics(
    recording: Recording, *, width: float = 0.01, fano_width: float = 0.1, max_neurons: int = 500, seed: int = 0
) -> Table:
    """How each population fired: a row per population of a recording.

    Parameters
    ----------
    recording:
        Of a sleep or a simulation; of populations whose single spikes it lacks only counts and rates are said. Where
        spikes of some neurons were kept, those from ``cv`` on are about these.
    width:
        Of the bins of correlations, synchrony and up states, in seconds.
    fano_width:
        Of the windows of the Fano factor, in seconds.
    max_neurons, seed:
        Correlations between pairs are taken of at most so many neurons that fire, drawn with this seed.

    Returns
    -------
    ``population``, ``neurons``, ``silent`` (share of neurons without a spike), ``spikes``, ``rate_hz`` (mean over
    neurons); ``cv``, ``cv2``, ``fano`` (means over the neurons that have one); ``correlation`` (mean over pairs),
    ``synchrony`` (:func:`~neurosleep.analysis.chi_synchrony`), ``bursts_hz`` (bursts per neuron and second),
    ``up_states_hz`` (per second), ``up_share`` (of the time), ``avalanches`` and ``mean_avalanche`` (spikes). NaN where
    undefined.

    Raises
    ------
    DataError
        If it is no recording, or one of a batch or of no population.

    See Also
    --------
    neuron_statistics : a row per neuron
    neurosleep.plot.raster, neurosleep.plot.intervals : pictures of the same spikes

    Examples
    --------
    >>> import torch
    >>> from neurosleep import Recording, SpikeEvents
    >>> from neurosleep.analysis import firing_statistics
    >>> events = SpikeEvents.from_dense(torch.rand(500, 20) < 0.05)
    >>> recording = Recording(500, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> table = firing_statistics(recording)
    >>> table["population"].tolist(), table["neurons"].tolist()
    (['hidden1'], [20])
    """
    check_number("width, in seconds,", width, above=0)
    check_number("fano_width, in seconds,", fano_width, above=0)
    check_count("max_neurons", max_neurons, 2)
    if not isinstance(recording, Recording):
        raise DataError(
            f"Statistics of firing need a recording, not an object of type {type(recording).__name__}.",
            hint="neuron_statistics takes the spikes of one population",
        )
    if not recording.counts or any(counts.ndim != 1 for counts in recording.counts.values()):
        raise DataError(
            "Statistics of firing need a recording of one train.",
            found="one of a batch" if recording.counts else "one of no population",
        )
    duration = recording.steps * recording.dt
    rows = []
    for name, counts in recording.counts.items():
        row: dict[str, Any] = {
            "population": name,
            "neurons": len(counts),
            "silent": float((counts == 0).mean()),
            "spikes": int(counts.sum()),
            "rate_hz": float(counts.mean()) / duration if duration else math.nan,
        }
        keys = ("cv", "cv2", "fano", "correlation", "synchrony", "bursts_hz", "up_states_hz", "up_share")
        row |= dict.fromkeys((*keys, "avalanches", "mean_avalanche"), math.nan)
        if name in recording.spikes and duration:
            trains = spike_trains(recording, name)
            active = np.flatnonzero(trains.counts)
            if len(active) > max_neurons:
                draw = numpy_generator(seed, "pairs")
                active = np.sort(draw.choice(active, max_neurons, replace=False))
            some = spike_trains([trains[k] for k in active.tolist()], start=trains.start, stop=trains.stop)
            up, waves = up_states(trains, width=width), avalanches(trains)
            row |= {
                "cv": _mean(cv(trains)),
                "cv2": _mean(cv2(trains)),
                "fano": _mean(fano_factor(trains, width=fano_width)),
                "correlation": mean_pairwise_correlation(some, width=width),
                "synchrony": chi_synchrony(trains, width=width),
                "bursts_hz": len(bursts(trains)) / (max(trains.n, 1) * duration),
                "up_states_hz": len(up) / duration,
                "up_share": float(up["duration"].sum()) / duration,
                "avalanches": float(len(waves)),
                "mean_avalanche": _mean(waves["size"].astype(np.float64)),
            }
        rows.append(row)
    return Table.from_rows(rows)


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan
