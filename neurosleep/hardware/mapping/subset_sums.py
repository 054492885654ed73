"""Magnitudes as sums of a few shared values: what a mask over bias currents, or axons of several types, can hold."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosleep.functional import torch_generator

__all__ = ["fit_largest", "fit_subset_sums", "subset_sums"]

_ROUNDS = 40
_STARTS = 6
# Of a row with more numbers than this, so many of them, evenly spaced in rank, decide on the values.
_SAMPLE = 4096


def subset_sums(values: Tensor) -> Tensor:
    """Sums of all subsets of ``values`` ``[..., k]``, by mask: ``[..., 2^k]``."""
    return values @ _bits(values.shape[-1]).T


def _bits(k: int) -> Tensor:
    """Masks 0 to 2^k - 1 as rows of k bits, the lowest first."""
    return ((torch.arange(1 << k).unsqueeze(1) >> torch.arange(k)) & 1).to(torch.float64)


def _nearest(row: Tensor, values: Tensor) -> Tensor:
    """The mask of the subset sum that is nearest to each number."""
    sums, masks = subset_sums(values).sort(stable=True)
    above = torch.searchsorted((sums[1:] + sums[:-1]) / 2, row)
    return masks[above]


def _generating(row: Tensor, k: int) -> Tensor | None:
    """At most k values of which all numbers of the row are sums, if they can be found one by one from the least on."""
    levels = torch.unique(row)
    levels = levels[levels > 0]
    if len(levels) > 1 << k:
        return None
    generators: list[float] = []
    for level in levels.tolist():
        sums = subset_sums(torch.tensor(generators, dtype=torch.float64))
        if bool(((sums - level).abs() <= 1e-9 * level).any()):
            continue
        if len(generators) == k:
            return None
        generators.append(level)
    return torch.tensor([*_lowered(generators, levels), *[0.0] * (k - len(generators))], dtype=torch.float64)


def _lowered(values: list[float], levels: Tensor) -> list[float]:
    """The values with others taken away from them, as long as all levels stay sums: one choice among several."""
    while True:
        lower = [
            [*values[:i], y - x, *values[i + 1 :]]
            for i, y in sorted(enumerate(values), key=lambda pair: -pair[1])
            for x in sorted(values, reverse=True)
            if 1e-6 * y < x < y  # beyond what sums are compared by
        ]
        for candidate in lower:
            sums = subset_sums(torch.tensor(candidate, dtype=torch.float64))
            if bool(((sums.unsqueeze(1) - levels).abs() <= 1e-9 * levels).any(0).all()):
                values = candidate
                break
        else:
            return values


def _improved(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Masks for fixed values, values for fixed masks, in turns; the best values ``[n, k]`` and their squared errors.

    Neither step can make an error larger, so that a row is done once it no longer falls.
    """
    bits = _bits(values.shape[-1])
    still = 1e-12 * torch.eye(values.shape[-1], dtype=torch.float64)
    best, error = values, torch.full((len(rows),), torch.inf, dtype=torch.float64)
    for _ in range(_ROUNDS):
        apart = (subset_sums(values).unsqueeze(1) - rows.unsqueeze(2)).abs()
        nearest, masks = apart.min(2)
        now = nearest.square().sum(1)
        better = now < error
        if not better.any():
            break
        best = torch.where(better.unsqueeze(1), values, best)
        error = torch.where(better, now, error)
        chosen = bits[masks]
        # A value that no mask uses has no equation, and stays as it is.
        both = chosen.transpose(1, 2) @ chosen + still
        values = torch.linalg.solve(both, chosen.transpose(1, 2) @ rows.unsqueeze(2) + 1e-12 * values.unsqueeze(2))
        values = values.squeeze(2).clamp_min(0)
    return best, error


def _fitted(rows: Tensor, k: int, seed: int) -> Tensor:
    """Values ``[n, k]`` for rows none of which is all zeros: the best of several starts for each."""
    if rows.shape[1] > _SAMPLE:
        places = torch.linspace(0, rows.shape[1] - 1, _SAMPLE).round().long()
        rows = rows.sort(1).values[:, places]
    largest = rows.max(1, keepdim=True).values
    powers = 2.0 ** torch.arange(k, dtype=torch.float64)
    inner = (torch.arange(k, dtype=torch.float64) + 1) / (k + 1)
    starts = [powers * largest / powers.sum(), torch.quantile(rows, inner, dim=1).T]
    generator = torch_generator(seed, "subset-sums")
    starts += [torch.rand(1, k, generator=generator, dtype=torch.float64) * largest for _ in range(_STARTS - 2)]
    best, error = _improved(rows, starts[0])
    for start in starts[1:]:
        values, now = _improved(rows, start)
        best = torch.where((now < error).unsqueeze(1), values, best)
        error = torch.minimum(now, error)
    return best


def fit_subset_sums(rows: Tensor, k: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Find k values for each row ``[n, m]``, and masks, so that sums come near to the numbers; none is negative.

    Masks and values are improved in turns from several starts, two of which are fixed and the others drawn from
    ``seed``; the best result counts. Numbers that are such sums already are found again exactly where each of the k
    values is itself among them, or its sums tell it.

    Returns
    -------
    values, masks
        ``[n, k]``, ascending, and integers from 0 to 2^k - 1 in the shape of ``rows``; a number of 0 has mask 0.
    """
    rows = rows.to(torch.float64)
    values = torch.zeros(len(rows), k, dtype=torch.float64)
    masks = torch.zeros(rows.shape, dtype=torch.int64)
    if not rows.numel():
        return values, masks
    waiting = []
    for i, row in enumerate(rows):
        exact = _generating(row, k)
        if exact is None:
            waiting.append(i)
        else:
            values[i] = exact
    if waiting:
        # Zeros are not fitted: they are no synapses. Rows of their own length are fitted one by one if they are long.
        together = [rows[waiting]] if rows.shape[1] <= _SAMPLE else [rows[i][rows[i] > 0].unsqueeze(0) for i in waiting]
        fitted = torch.cat([_fitted(some, k, seed) for some in together])
        for i, value in zip(waiting, fitted, strict=True):
            # One choice of values, whichever start found them, for the sums that are in use.
            used = _generating(subset_sums(value)[_nearest(rows[i], value)], k)
            values[i] = value if used is None else used
    values = values.sort(1).values
    for i, row in enumerate(rows):
        masks[i] = torch.where(row > 0, _nearest(row, values[i]), 0)
    return values, masks


def fit_largest(rows: Tensor) -> tuple[Tensor, Tensor]:
    r"""One value for each row of ``rows`` ``[n, m]``, and which numbers it stands for; the others become 0.

    The squared error is least for the largest c numbers, with their mean as the value and the c that maximises
    :math:`(\sum_{i \le c} x_i)^2 / c`.
    """
    ordered, places = rows.to(torch.float64).sort(dim=1, descending=True, stable=True)
    counts = torch.arange(1, rows.shape[1] + 1, dtype=torch.float64)
    sums = ordered.cumsum(1)
    c = (sums.square() / counts).argmax(1, keepdim=True)
    values = (sums / counts).gather(1, c).squeeze(1)
    taken = torch.zeros(rows.shape, dtype=torch.bool)
    taken.scatter_(1, places, torch.arange(rows.shape[1]) <= c)
    return values, taken & (rows > 0)
