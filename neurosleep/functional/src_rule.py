r"""The plasticity rule of Sleep Replay Consolidation (Tadros et al. 2022): Hebbian, gated by the postsynaptic spike.

When unit j fires, every input that fired in the same step gains ``inc * g(w)`` and every silent one loses
``dec * g(w)``. Rows of silent units do not change. There is no bound and no normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional.factors import FACTORS, Factor, weight_factor
from neurosleep.functional.rule_checks import check_amplitudes

__all__ = ["STREAM_UPDATES", "SRCRule", "StreamUpdates", "src_rows", "src_step", "src_stream_rows"]

#: How the updates of streams that fire in one step are taken together: their sum, or their mean over those streams.
StreamUpdates: TypeAlias = Literal["sum", "mean"]
STREAM_UPDATES: tuple[str, ...] = get_args(StreamUpdates)


@dataclass(frozen=True)
class SRCRule:
    """Specification of the rule.

    Parameters
    ----------
    inc, dec:
        Step of an active and of an inactive input, in units of the weight, not negative.
    factor:
        Weight factor g: ``"steep"`` (the released code), ``"logistic"`` or ``"constant"``.
    width:
        Width of the steep factor, in units of the weight.

    See Also
    --------
    PairSTDP : a rule of spike timing
    neurosleep.sleep : which takes any rule

    Examples
    --------
    >>> SRCRule(inc=0.01, dec=0.001)
    SRCRule(inc=0.01, dec=0.001, factor='steep', width=0.001)
    """

    inc: float
    dec: float
    factor: Factor = "steep"
    width: float = 0.001
    name: ClassVar[str] = "src"

    def __post_init__(self) -> None:
        check_amplitudes(self, "inc", "dec")
        if not 0 < self.width < float("inf"):
            raise SettingsError(f"The rule's width is {self.width!r}.", expected="a number > 0")
        if self.factor not in FACTORS:
            raise unknown_name("weight factor", self.factor, FACTORS)

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """The rule keeps no traces."""
        return ()

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change ``weight`` ``[post, pre]`` in place after a step with boolean spikes ``pre`` and ``post``."""
        rows = post.nonzero().squeeze(1)
        if len(rows):
            weight[rows] = src_rows(weight[rows], pre, self)
        return traces

    def step_streams_(self, weight: Tensor, pre: Tensor, post: Tensor, updates: StreamUpdates) -> None:
        """Change ``weight`` in place after a step of several streams that share it.

        ``pre`` ``[streams, pre]`` and ``post`` ``[streams, post]`` are boolean; :func:`src_stream_rows` says how.
        """
        rows = post.any(0).nonzero().squeeze(1)
        if len(rows):
            weight[rows] = src_stream_rows(weight[rows], pre, post[:, rows], self, updates)


def src_rows(rows: Tensor, pre: Tensor, rule: SRCRule) -> Tensor:
    """New values of the weight rows ``[k, pre]`` of units that spiked; ``pre`` is boolean ``[pre]``.

    See Also
    --------
    src_step : the whole matrix

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import SRCRule, src_rows
    >>> src_rows(torch.zeros(1, 2), torch.tensor([True, False]), SRCRule(inc=0.5, dec=0.25, factor="constant"))
    tensor([[ 0.5000, -0.2500]])
    """
    g = weight_factor(rows, rule.factor, rule.width)
    return torch.where(pre, rows + rule.inc * g, rows - rule.dec * g)


def src_stream_rows(rows: Tensor, pre: Tensor, post: Tensor, rule: SRCRule, updates: StreamUpdates = "sum") -> Tensor:
    r"""New values of the weight rows ``[k, pre]`` of units that spiked in some of several streams in one step.

    The factor of a weight is taken once, as it was before the step, times the number of coincidences:

    .. math::
        w_{ji} \leftarrow w_{ji} + \left( c_{ji}\, inc - (n_j - c_{ji})\, dec \right) g(w_{ji})

    with the number n of streams in which the unit fired, and c of those in which the input did too; for ``"mean"`` the
    bracket is divided by n, so that a weight goes no further in a step than one spike takes it. ``pre`` is boolean
    ``[streams, pre]``, ``post`` boolean ``[streams, k]``.

    See Also
    --------
    src_rows : of one stream

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import SRCRule, src_stream_rows
    >>> pre, post = torch.tensor([[True, False], [True, True]]), torch.tensor([[True], [True]])
    >>> src_stream_rows(torch.zeros(1, 2), pre, post, SRCRule(inc=0.5, dec=0.25, factor="constant"))
    tensor([[1.0000, 0.2500]])
    """
    fired = post.sum(0).to(rows)[:, None]
    together = post.to(rows).T @ pre.to(rows)
    change = rule.inc * together - rule.dec * (fired - together)
    if updates == "mean":
        change = change / fired
    return rows + change * weight_factor(rows, rule.factor, rule.width)


def src_step(weight: Tensor, pre: Tensor, post: Tensor, rule: SRCRule) -> Tensor:
    r"""The rule as a pure function, for one step.

    .. math::
        w_{ji} \leftarrow w_{ji} + s_j \left( s_i\, inc - (1 - s_i)\, dec \right) g(w_{ji})

    Shapes: ``weight`` ``[post, pre]``, ``pre`` and ``post`` boolean. Reference: Tadros et al. (2022),
    doi:10.1038/s41467-022-34938-7, and its released code.

    See Also
    --------
    SRCRule : its parameters
    src_rows : only the rows of units that spiked
    neurosleep.plot.stdp_window : a picture of what a rule does

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import SRCRule, src_step
    >>> pre, post = torch.tensor([True, False]), torch.tensor([True, False])
    >>> src_step(torch.zeros(2, 2), pre, post, SRCRule(inc=0.5, dec=0.25, factor="constant"))
    tensor([[ 0.5000, -0.2500],
            [ 0.0000,  0.0000]])
    """
    updated = weight.clone()
    rule.step_(updated, pre, post, ())
    return updated
