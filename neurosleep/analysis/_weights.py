"""How sleep moves the weights (analyses F.6 and F.10)."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from neurosleep._checks import check_count
from neurosleep.analysis._inputs import Layered, check_pair, layer_names
from neurosleep.analysis.table import Table

__all__ = ["stable_rank", "weight_histogram", "weight_summary"]


def _pairs(before: Layered, after: Layered) -> list[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """Name, and flat weights before and after, of each layer."""
    check_pair(before, after)
    flat = [[w.detach().double().cpu().numpy().ravel() for w in network.weights] for network in (before, after)]
    return list(zip(layer_names(before), *flat, strict=True))


def weight_histogram(before: Layered, after: Layered, *, bins: int = 61) -> Table:
    """Histograms of the weights into each layer before and after sleep, of their change, and of those that moved.

    Returns
    -------
    A row per layer, quantity and bin: ``layer``, ``quantity``, ``low``, ``high`` (edges of the bin; the last one of a
    quantity is closed above), ``count`` (synapses). Quantities: ``before`` and ``after`` (all weights), ``change``
    (after - before), ``grown before``, ``grown after``, ``shrunk before``, ``shrunk after`` (of the synapses that grew,
    and that shrank). All but ``change`` share their bins within a layer.

    See Also
    --------
    weight_summary : in one row per layer
    neurosleep.plot.weight_histogram : a picture of it

    Examples
    --------
    >>> from neurosleep.analysis import weight_histogram
    >>> from neurosleep.networks import MLP
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> table = weight_histogram(before, after, bins=10)
    >>> table.where(layer="hidden1", quantity="before")["count"].sum().item()
    128
    """
    check_count("The number of bins", bins)
    columns: dict[str, list[NDArray[np.generic]]] = {key: [] for key in ("layer", "quantity", "low", "high", "count")}
    for layer, early, late in _pairs(before, after):
        change = late - early
        edges = _edges(min(early.min(), late.min()), max(early.max(), late.max()), bins)
        of_change = _edges(change.min(), change.max(), bins)
        up, down = change > 0, change < 0
        for quantity, values in (
            ("before", early),
            ("after", late),
            ("change", change),
            ("grown before", early[up]),
            ("grown after", late[up]),
            ("shrunk before", early[down]),
            ("shrunk after", late[down]),
        ):
            used = of_change if quantity == "change" else edges
            columns["layer"].append(np.full(bins, layer))
            columns["quantity"].append(np.full(bins, quantity))
            columns["low"].append(used[:-1])
            columns["high"].append(used[1:])
            columns["count"].append(np.histogram(values, used)[0])
    return Table({key: np.concatenate(parts) for key, parts in columns.items()})


def _edges(low: float, high: float, bins: int) -> NDArray[np.float64]:
    if low == high:
        # All the same: bins of any width around it.
        half = max(abs(low), 1e-3) / 2
        low, high = low - half, high + half
    return np.linspace(low, high, bins + 1)


def weight_summary(before: Layered, after: Layered) -> Table:
    """How many weights into each layer grew and shrank with sleep, and by how much.

    Returns
    -------
    A row per layer: ``layer``, ``synapses``, ``grown``, ``shrunk``, ``unchanged`` (shares), ``mean_growth``,
    ``mean_shrinkage`` (mean changes of those; NaN where there is none), ``mean_before``, ``mean_after``.

    See Also
    --------
    weight_histogram, stable_rank : more of the weights

    Examples
    --------
    >>> from neurosleep.analysis import weight_summary
    >>> from neurosleep.networks import MLP
    >>> network = MLP([16, 8, 2])
    >>> print(weight_summary(network, network).where(layer="output")["unchanged"])
    [1.]
    """
    rows = []
    for layer, early, late in _pairs(before, after):
        change = late - early
        up, down = change > 0, change < 0
        rows.append(
            {
                "layer": layer,
                "synapses": len(change),
                "grown": float(up.mean()),
                "shrunk": float(down.mean()),
                "unchanged": float((change == 0).mean()),
                "mean_growth": float(change[up].mean()) if up.any() else math.nan,
                "mean_shrinkage": float(change[down].mean()) if down.any() else math.nan,
                "mean_before": float(early.mean()),
                "mean_after": float(late.mean()),
            }
        )
    return Table.from_rows(rows)


def stable_rank(before: Layered, after: Layered) -> Table:
    r"""Stable rank of the weights into each layer before and after sleep.

    .. math::  r = \|W\|_F^2 \,/\, \|W\|_2^2

    Returns
    -------
    A row per layer: ``layer``, ``full`` (the largest rank possible), ``before``, ``after``, ``change``; from 1 to
    ``full``, and NaN where all weights are 0.

    See Also
    --------
    weight_summary, weight_histogram : what else sleep does to weights
    neurosleep.plot.stable_rank : a picture of it

    References
    ----------
    Rudelson and Vershynin (2007), doi:10.1145/1255443.1255449.

    Examples
    --------
    >>> from neurosleep.analysis import stable_rank
    >>> from neurosleep.networks import MLP
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> stable_rank(before, after)["full"]
    array([8, 2])
    """
    check_pair(before, after)
    rows = []
    for layer, early, late in zip(layer_names(before), before.weights, after.weights, strict=True):
        a, b = (_stable_rank(weight.detach().double().cpu()) for weight in (early, late))
        rows.append({"layer": layer, "full": min(early.shape), "before": a, "after": b, "change": b - a})
    return Table.from_rows(rows)


def _stable_rank(weight: torch.Tensor) -> float:
    # The smaller of the two Gram matrices has the squares of the singular values, at a fraction of the cost.
    gram = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    largest = float(torch.linalg.eigvalsh(gram)[-1])
    return float(gram.trace()) / largest if largest > 0 else math.nan
