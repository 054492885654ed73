"""The principal components of all inputs observed, task after task, from a few samples of each and no longer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neurosleep.functional.principal_components import leading_rows

__all__ = ["MOST", "RunningComponents"]

# Components that are kept, and samples of the newest task from which they are estimated.
MOST = 32
_SAMPLES = 300


@dataclass(frozen=True)
class RunningComponents:
    """Rows whose scatter ``rows.T @ rows`` is near that of ``count`` inputs around their ``mean``; float64, flat."""

    rows: Tensor
    mean: Tensor
    count: int

    @classmethod
    def none(cls) -> RunningComponents:
        """Of no inputs."""
        return cls(torch.zeros(0, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64), 0)

    def grown(self, mean: Tensor, count: int, newest: Tensor | None) -> RunningComponents:
        """With those that came since: ``mean`` and ``count`` are of all, ``newest`` samples ``[n, ...]`` of the rest.

        Samples are weighted as the inputs that they stand for; without any, what is known of the rest is its mean.
        """
        mean = mean.flatten()
        came = count - self.count
        if came == 0:
            return self
        parts = [self.rows] if self.count else []
        if newest is not None:
            samples = newest[:: -(-len(newest) // _SAMPLES)].flatten(1).double()
            parts.append((samples - samples.mean(0)) * (came / len(samples)) ** 0.5)
        if self.count:
            apart = (mean - self.mean) * (count / came)  # between the means of the two parts
            parts.append((apart * (self.count * came / count) ** 0.5).unsqueeze(0))
        rows = torch.cat(parts) if parts else mean.new_zeros(0, len(mean))
        return RunningComponents(leading_rows(rows, MOST), mean, count)
