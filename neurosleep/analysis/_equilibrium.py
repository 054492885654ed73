"""How equilibrium networks settle, how strongly and how evenly their units are active, and how often training fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosleep._checks import as_images, check_count
from neurosleep.analysis._inputs import Array
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError
from neurosleep.networks import EquilibriumNetwork

__all__ = ["activation_spread", "settling", "stability", "state_trajectories"]


def _names(network: EquilibriumNetwork, states: int) -> list[str]:
    """Names of the layers that have states; the last is the output, unless a soft-max read-out is above it."""
    hidden = states if network.read_out_kind == "softmax-read-out" else states - 1
    return [f"hidden{k}" for k in range(1, hidden + 1)] + ["output"] * (states - hidden)


def _checked(network: EquilibriumNetwork, images: Tensor | Array, steps: int | None = None) -> Tensor:
    """The images in the type and on the device of the network."""
    x = as_images("images", images)
    if x.ndim < 2 or not bool(torch.isfinite(x).all()):
        raise DataError(f"The images of shape {list(x.shape)} cannot be used.", expected="finite values [n, inputs]")
    if steps is not None:
        check_count("The number of steps", steps)
    return x.to(next(network.parameters()))


@torch.no_grad()
def settling(network: EquilibriumNetwork, images: Tensor | Array, *, steps: int | None = None) -> Table:
    """The free phase step by step: how far the states still move, and how large they are.

    Parameters
    ----------
    network:
        An equilibrium network; it is not changed.
    images:
        Float ``[n, inputs]``; the free phase starts from zero states.
    steps:
        Steps to follow; the network's own free phase if not given.

    Returns
    -------
    A row per step and layer: ``step`` (from 1), ``layer``, ``residual`` (largest ``|s(t) - s(t-1)|`` over images and
    units), ``mean_residual`` (the mean of it), ``mean`` and ``sd`` of the states over images and units.

    See Also
    --------
    state_trajectories : of single units
    neurosleep.plot.settling : a picture of it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import settling
    >>> from neurosleep.networks import EquilibriumMLP
    >>> table = settling(EquilibriumMLP([16, 8, 3]), torch.rand(5, 16), steps=30)
    >>> bool(table["residual"][-1] < table["residual"][0])
    True
    """
    steps = network.free_steps if steps is None else steps
    images = _checked(network, images, steps)
    rows: list[dict[str, Any]] = []
    before = network.zeros(images)
    names = _names(network, len(before))

    def note(step: int, states: list[Tensor]) -> None:
        for k, (name, state) in enumerate(zip(names, states, strict=True)):
            moved = (state - before[k]).abs()
            rows.append(
                {
                    "step": step + 1,
                    "layer": name,
                    "residual": float(moved.max()),
                    "mean_residual": float(moved.double().mean()),
                    "mean": float(state.double().mean()),
                    "sd": float(state.double().std(correction=0)),
                }
            )
            before[k] = state.clone()

    network.evolve(network.start(images), network.zeros(images), steps, note)
    return Table.from_rows(rows)


@torch.no_grad()
def state_trajectories(
    network: EquilibriumNetwork, images: Tensor | Array, *, units: int = 8, steps: int | None = None, seed: int = 0
) -> Table:
    """States of single hidden and output units through the free phase of the first of ``images``.

    Parameters
    ----------
    network, images, steps:
        As in :func:`settling`.
    units:
        How many units of each layer are followed, chosen by ``seed``; all of a smaller layer.

    Returns
    -------
    A row per step, layer and unit: ``step`` (from 0, the zero states), ``layer``, ``unit``, ``state``.

    See Also
    --------
    settling : over all units
    neurosleep.plot.state_trajectories : a picture of it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import state_trajectories
    >>> from neurosleep.networks import EquilibriumMLP
    >>> table = state_trajectories(EquilibriumMLP([16, 8, 3]), torch.rand(1, 16), units=2, steps=10)
    >>> len(table)  # zero states and ten steps, of two layers with two units each
    44
    """
    steps = network.free_steps if steps is None else steps
    images = _checked(network, images, steps)
    check_count("The number of units", units)
    image = images[:1]
    zero = network.zeros(image)
    names = _names(network, len(zero))
    rng = np.random.default_rng(seed)
    chosen = [np.sort(rng.permutation(state.shape[1])[:units]) for state in zero]
    rows: list[dict[str, Any]] = []

    def note(step: int, states: list[Tensor]) -> None:
        for name, state, numbers in zip(names, states, chosen, strict=True):
            found = state[0, torch.from_numpy(numbers)].double().tolist()
            rows.extend(
                {"step": step + 1, "layer": name, "unit": int(unit), "state": value}
                for unit, value in zip(numbers, found, strict=True)
            )

    note(-1, zero)
    network.evolve(network.start(image), zero, steps, note)
    return Table.from_rows(rows)


@torch.no_grad()
def activation_spread(network: EquilibriumNetwork, images: Tensor | Array, *, batch: int = 1000) -> Table:
    r"""How strongly the units of each layer are active after the free phase, and how evenly it is spread over them.

    Parameters
    ----------
    network, images:
        As in :func:`settling`.
    batch:
        Images that settle together.

    Returns
    -------
    A row per layer: ``layer``, ``units``, ``mean`` (of the states over images and units), ``sd_over_units`` (of the
    units' mean states), ``active`` and ``saturated`` (share of states above 0, and of those at or above 1),
    ``silent_units`` (share of units that no image activates) and ``participation``,
    :math:`(\sum_i m_i)^2 / (n \sum_i m_i^2)` of the units' mean magnitudes m: 1 where all take the same part, 1/n where
    one does it all; undefined where nothing is active.

    See Also
    --------
    settling, state_trajectories : how the states got there
    neurosleep.plot.activation_spread : a picture of it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import activation_spread
    >>> from neurosleep.networks import EquilibriumMLP
    >>> table = activation_spread(EquilibriumMLP([16, 8, 3], free_steps=20), torch.rand(5, 16))
    >>> table["layer"].tolist(), table["units"].tolist()
    (['hidden1', 'output'], [8, 3])
    """
    images = _checked(network, images)
    check_count("The batch", batch)
    sums: list[dict[str, Any]] = []
    for start in range(0, len(images), batch):
        states = network.activities(images[start : start + batch])
        for k, state in enumerate(states):
            values = state.double()
            parts = {
                "state": values.sum(0),
                "magnitude": values.abs().sum(0),
                "active": (values > 0).double().sum(0),
                "saturated": (values >= 1).double().sum(0),
            }
            if len(sums) <= k:
                sums.append(parts)
            else:
                sums[k] = {name: sums[k][name] + part for name, part in parts.items()}
    rows = []
    for name, parts in zip(_names(network, len(sums)), sums, strict=True):
        mean, active, saturated = (parts[key] / len(images) for key in ("state", "active", "saturated"))
        magnitude = parts["magnitude"]
        square = float(magnitude.square().sum())
        rows.append(
            {
                "layer": name,
                "units": len(mean),
                "mean": float(mean.mean()),
                "sd_over_units": float(mean.std(correction=0)),
                "active": float(active.mean()),
                "saturated": float(saturated.mean()),
                "silent_units": float((active == 0).double().mean()),
                "participation": float(magnitude.sum()) ** 2 / (len(mean) * square) if square else math.nan,
            }
        )
    return Table.from_rows(rows)


def stability(runs: Sequence[Mapping[str, Any]], *, chance: float | None = None) -> Table:
    """How often training fails at each step size, and how much the others differ between seeds.

    Parameters
    ----------
    runs:
        One mapping per run with ``kind`` (what is compared, such as the name of a variant), ``step_size`` and
        ``accuracy`` (a fraction; None or NaN where the run diverged).
    chance:
        Accuracy that guessing would reach: runs at or below it count as diverged too.

    Returns
    -------
    A row per kind and step size, in the order of the kinds and of rising step sizes: ``kind``, ``step_size``, ``runs``,
    ``diverged`` (share of the runs), ``accuracy`` and ``sd`` (mean and standard deviation, with n - 1, over the seeds
    that did not diverge; undefined where there are too few).

    Raises
    ------
    DataError
        If there is no run, or one lacks a value.

    See Also
    --------
    neurosleep.plot.stability : a picture of it

    Examples
    --------
    >>> from neurosleep.analysis import stability
    >>> runs = [
    ...     {"kind": "EP", "step_size": 0.1, "accuracy": 0.75},
    ...     {"kind": "EP", "step_size": 0.1, "accuracy": 0.25},
    ...     {"kind": "EP", "step_size": 0.5, "accuracy": None},
    ... ]
    >>> stability(runs)["diverged"]
    array([0., 1.])
    """
    groups: dict[tuple[str, float], list[float]] = {}
    for run in runs:
        missing = [key for key in ("kind", "step_size", "accuracy") if key not in run]
        if missing:
            raise DataError(f"A run has no {missing[0]!r}.", found=", ".join(run), expected="kind, step_size, accuracy")
        accuracy = math.nan if run["accuracy"] is None else float(run["accuracy"])
        if chance is not None and accuracy <= chance:
            accuracy = math.nan
        groups.setdefault((str(run["kind"]), float(run["step_size"])), []).append(accuracy)
    if not groups:
        raise DataError("There are no runs.", expected="at least one")
    kinds = list(dict.fromkeys(kind for kind, _ in groups))
    rows = []
    for kind, size in sorted(groups, key=lambda key: (kinds.index(key[0]), key[1])):
        values = groups[kind, size]
        left = [value for value in values if not math.isnan(value)]
        rows.append(
            {
                "kind": kind,
                "step_size": size,
                "runs": len(values),
                "diverged": 1 - len(left) / len(values),
                "accuracy": float(np.mean(left)) if left else math.nan,
                "sd": float(np.std(left, ddof=1)) if len(left) > 1 else math.nan,
            }
        )
    return Table.from_rows(rows)
