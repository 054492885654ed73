r"""Weight factors g(w): how the size of a plastic change depends on the weight itself.

``steep`` is the factor of the released Sleep Replay Consolidation code, :math:`g(w) = 2/(1 + e^{w/width})` with width
0.001: positive weights are frozen, negative ones move by twice the step. ``logistic`` is the ordinary
:math:`1/(1 + e^{-w})`, ``constant`` is 1.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["FACTORS", "Factor", "weight_factor"]

Factor = Literal["steep", "logistic", "constant"]
FACTORS: tuple[str, ...] = get_args(Factor)

# exp() overflows float32 near 88; beyond 60 the factor is 0 or 2 to the last bit of float64 anyway.
_CLIP = 60.0


def weight_factor(weight: Tensor, factor: Factor = "steep", width: float = 0.001) -> Tensor:
    """The factor g of each weight, any shape; ``width`` is the scale of ``steep`` in units of the weight.

    See Also
    --------
    SRCRule : whose steps it scales

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import weight_factor
    >>> weight_factor(torch.tensor([-1.0, 0.0, 1.0]), "logistic")
    tensor([0.2689, 0.5000, 0.7311])
    """
    if factor == "steep":
        return 2 / (1 + torch.exp((weight / width).clamp(-_CLIP, _CLIP)))
    if factor == "logistic":
        return torch.sigmoid(weight)
    return torch.ones_like(weight)
