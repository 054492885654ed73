"""The leading principal components of data that come in parts, without keeping the data."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["leading_rows", "loadings_of"]


def leading_rows(rows: Tensor, count: int) -> Tensor:
    """At most ``count`` rows R whose scatter ``R.T @ R`` is nearest that of ``rows`` ``[n, inputs]``, strongest first.

    Merged with new rows again and again they are the principal components of all of them, but for what was left out
    each time (Ross et al. 2008, doi:10.1007/s11263-007-0075-7). float64; each row has a sum >= 0, so that they do not
    depend on the signs that a solver happens to give.

    See Also
    --------
    loadings_of : in units of each input's standard deviation

    Examples
    --------
    >>> leading_rows(torch.tensor([[3.0, 0.0], [0.0, 1.0], [4.0, 0.0]]), 1)
    tensor([[5., 0.]], dtype=torch.float64)
    """
    rows = rows.double()
    if len(rows) <= rows.shape[1]:
        strengths, vectors = torch.linalg.eigh(rows @ rows.T)
        best = (vectors[:, -count:].T @ rows).flip(0)
    else:
        strengths, vectors = torch.linalg.eigh(rows.T @ rows)
        best = (vectors * strengths.clamp(min=0).sqrt())[:, -count:].T.flip(0)
    return torch.where(best.sum(1, keepdim=True) < 0, -best, best)


def loadings_of(rows: Tensor, std: Tensor) -> Tensor:
    """Loadings ``[k, inputs]`` of principal components, given as rows in the units of the inputs, float32.

    An input that does not vary has none; where rows explain more than an input's variance ``std**2``, as estimates
    may, they are made smaller.

    See Also
    --------
    leading_rows : which makes them
    InputNoise : which draws with them

    Examples
    --------
    >>> loadings_of(torch.tensor([[0.5, 0.0, 3.0]]), torch.tensor([1.0, 0.0, 2.0]))
    tensor([[0.5000, 0.0000, 1.0000]])
    """
    loadings = torch.where(std > 0, rows / std.clamp(min=1e-12), torch.zeros_like(rows))
    length: Tensor = torch.linalg.vector_norm(loadings, dim=0)
    bounded: Tensor = loadings / length.clamp(min=1)
    return bounded.float()
