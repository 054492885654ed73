r"""Activations of equilibrium networks: value, value in place, and derivative.

The derivative is taken at the summed input; at a corner it is the one of the linear piece, so that a unit which sits
exactly on the bound can still move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name

__all__ = ["ACTIVATIONS", "Activation", "get_activation"]


@dataclass(frozen=True)
class Activation:
    """An activation.

    Attributes
    ----------
    name:
        As settings files have it.
    value, value_:
        Of the summed input; ``value_`` overwrites it and returns it.
    derivative:
        Of the summed input, or None where there is none.

    See Also
    --------
    get_activation : one of the package's by name
    neurosleep.networks.EquilibriumMLP : which takes one

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import Activation
    >>> tanh = Activation("tanh", torch.tanh, torch.tanh_, lambda x: 1 - torch.tanh(x) ** 2)
    >>> tanh.value(torch.zeros(2))
    tensor([0., 0.])
    """

    name: str
    value: Callable[[Tensor], Tensor]
    value_: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        # A registered one travels (and is copied) as its name: its functions cannot be pickled.
        if ACTIVATIONS.get(self.name) is self:
            return get_activation, (self.name,)
        return Activation, (self.name, self.value, self.value_, self.derivative)

    def slope(self, x: Tensor) -> Tensor:
        """Derivative at ``x``.

        Raises
        ------
        SettingsError
            If the activation has none.
        """
        if self.derivative is None:
            raise SettingsError(
                f"The activation {self.name!r} has no derivative, and one is needed here.",
                hint="give derivative=, or take one of: " + ", ".join(sorted(ACTIVATIONS)),
            )
        return self.derivative(x)


def _inside(x: Tensor, low: float, high: float) -> Tensor:
    return ((x >= low) & (x <= high)).to(x.dtype)


def _steep_sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(4 * (x - 0.5))


def _sigmoid_slope(s: Tensor) -> Tensor:
    return s * (1 - s)


# Names as the public code of Laborieux et al. (2021) has them.
ACTIVATIONS: dict[str, Activation] = {
    a.name: a
    for a in (
        Activation(
            "mysig",
            _steep_sigmoid,
            lambda x: x.sub_(0.5).mul_(4).sigmoid_(),
            lambda x: 4 * _sigmoid_slope(_steep_sigmoid(x)),
        ),
        Activation(
            "hard_sigmoid",
            lambda x: x.clamp(0, 1),
            lambda x: x.clamp_(0, 1),
            lambda x: _inside(x, 0, 1),
        ),
        Activation(
            "ctrd_hard_sig",
            lambda x: x.clamp(-0.5, 0.5),
            lambda x: x.clamp_(-0.5, 0.5),
            lambda x: _inside(x, -0.5, 0.5),
        ),
        Activation(
            "my_hard_sig",
            lambda x: (x / 2).clamp(0, 1),
            lambda x: x.mul_(0.5).clamp_(0, 1),
            lambda x: _inside(x, 0, 2) / 2,
        ),
        Activation("tanh", torch.tanh, torch.tanh_, lambda x: 1 - torch.tanh(x).square()),
        Activation("relu", torch.relu, torch.relu_, lambda x: (x >= 0).to(x.dtype)),
        Activation("sigmoid", torch.sigmoid, torch.sigmoid_, lambda x: _sigmoid_slope(torch.sigmoid(x))),
        Activation("identity", lambda x: x, lambda x: x, torch.ones_like),
    )
}


def get_activation(activation: str | Activation) -> Activation:
    """The activation of that name, or the given one.

    See Also
    --------
    Activation : one of your own

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import get_activation
    >>> get_activation("hard_sigmoid").value(torch.tensor([-1.0, 0.25, 2.0]))
    tensor([0.0000, 0.2500, 1.0000])
    """
    if isinstance(activation, Activation):
        return activation
    if activation not in ACTIVATIONS:
        raise unknown_name("activation", activation, ACTIVATIONS)
    return ACTIVATIONS[activation]
