"""Feedback of equilibrium networks: a layer also gets the spikes of the layer above, through the transposed weight."""

from __future__ import annotations

from dataclasses import dataclass

from neurosleep._checks import check_number, check_unread
from neurosleep.errors import unknown_name

__all__ = ["Feedback", "feedback_of"]


@dataclass(frozen=True)
class Feedback:
    r"""That a layer also gets the spikes that the layer above had one step before.

    .. math::  I_l(t) = \alpha_l \left( W_l s_{l-1}(t) + \gamma W_{l+1}^T s_{l+1}(t-1) \right)

    A soft-max read-out, which is outside the dynamics, gives none.

    Parameters
    ----------
    gamma:
        Its strength, 0 to 1.
    symmetric_rule:
        Whether sleep's rule is also applied to the shared weight from its other side
        (:class:`~neurosleep.spiking.Projection` says how).

    Raises
    ------
    SettingsError
        If ``gamma`` is not from 0 to 1.

    See Also
    --------
    neurosleep.convert : what reads it

    Notes
    -----
    The published account of how equilibrium networks sleep (arXiv:2508.14081) leaves feedback open: it is ours.

    Examples
    --------
    >>> Feedback(gamma=0.5)
    Feedback(gamma=0.5, symmetric_rule=False)
    """

    gamma: float = 1.0
    symmetric_rule: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", check_number("gamma", self.gamma, 0, 1))


def feedback_of(kind: str, gamma: float = 1.0, symmetric_rule: bool = False) -> Feedback | None:
    """What settings side by side stand for: ``none`` (which has no other setting) or ``delayed``.

    Raises
    ------
    SettingsError
        If there is no such kind, or it does not have what is given with it.

    See Also
    --------
    neurosleep.convert : which takes it

    Examples
    --------
    >>> from neurosleep.conversion import feedback_of
    >>> feedback_of("delayed", gamma=0.5), feedback_of("none")
    (Feedback(gamma=0.5, symmetric_rule=False), None)
    """
    if kind not in ("none", "delayed"):
        raise unknown_name("feedback", kind, ("none", "delayed"))
    feedback = Feedback(gamma, symmetric_rule)
    if kind == "delayed":
        return feedback
    unread = {"gamma": (gamma, 1.0), "symmetric_rule": (symmetric_rule, False)}
    check_unread("feedback='none'", unread, "feedback='delayed' has them")
    return None
