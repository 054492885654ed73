"""What ``convert`` makes: a spiking network that says how it was made."""

from __future__ import annotations

from dataclasses import dataclass, field

from neurosleep.conversion.report import ConversionReport
from neurosleep.spiking import SpikingNetwork

__all__ = ["ConvertedNetwork"]


@dataclass(frozen=True, eq=False, repr=False)
class ConvertedNetwork(SpikingNetwork):
    """A :class:`~neurosleep.SpikingNetwork` as any other, with the report of its conversion.

    Files do not keep the report; copies with other weights, as after sleep, do.

    Parameters
    ----------
    report:
        What became of each layer.

    See Also
    --------
    neurosleep.convert : what makes one
    neurosleep.conversion.compare : how well a conversion does

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from neurosleep import convert
    >>> network = convert(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.ones(5, 2), recipe="max")
    >>> network.report.images, network.report.populations
    (5, ('output',))
    """

    __repr__ = SpikingNetwork.__repr__

    report: ConversionReport = field(kw_only=True)
