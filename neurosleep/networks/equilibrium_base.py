r"""What learning, conversion and experiments expect of an equilibrium network.

Such a network has states :math:`s_1 \dots s_L` (hidden layers and output) over a clamped input :math:`s_0 = x`. They
follow :math:`s_l \leftarrow \rho(\partial\Phi / \partial s_l)` until nothing moves; in a nudged phase
:math:`\Phi - \beta L` takes the place of :math:`\Phi`, with the loss :math:`L` of the read-out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.functional.equilibrium import ReadOut, output_force, soft_targets

__all__ = ["Drive", "EquilibriumNetwork", "Settled", "TwoPhases"]


class Drive(NamedTuple):
    """What stays the same over a phase: the ``inputs`` as given, and ``sums``, whatever the network makes of them.

    See Also
    --------
    EquilibriumNetwork : whose ``start`` makes it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.networks import EquilibriumMLP
    >>> drive = EquilibriumMLP([16, 8, 3]).start(torch.rand(5, 16))
    >>> drive.sums[0].shape
    torch.Size([5, 8])
    """

    inputs: Tensor
    sums: tuple[Tensor, ...]


class Settled(NamedTuple):
    """States after a phase, ``[batch, n]`` each, and per layer the largest change of a state in its last step.

    See Also
    --------
    EquilibriumNetwork : whose ``settle`` makes it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.networks import EquilibriumMLP
    >>> model = EquilibriumMLP([16, 8, 3])
    >>> images = torch.rand(5, 16)
    >>> drive = model.start(images)
    >>> settled = model.settle(drive, model.zeros(images), 20)
    >>> [state.shape for state in settled.states], settled.residual.shape
    ([torch.Size([5, 8]), torch.Size([5, 3])], torch.Size([2]))
    """

    states: list[Tensor]
    residual: Tensor


class TwoPhases(NamedTuple):
    """What :meth:`EquilibriumNetwork.contrast` compares, by the names that it has there."""

    minus: list[Tensor]
    plus: list[Tensor]
    factor: float
    targets: Tensor | None
    betas: tuple[float, float]
    predictive: bool


class EquilibriumNetwork(nn.Module, ABC):
    r"""The protocol of recurrent networks that Equilibrium Propagation, BPTT and contrastive Hebbian learning train.

    Attributes
    ----------
    sizes:
        Units per layer, input first; of a convolutional layer its flattened state.
    free_steps:
        Steps of the free phase in :meth:`forward` and :meth:`activities`.
    read_out_kind:
        ``"squared-error"``: :math:`L = \frac12 \sum_k (s_{L,k} - t_k)^2`, the output keeps its activation;
        ``"cross-entropy"``: the output's activation is the identity and the prediction its soft-max;
        ``"softmax-read-out"``: one more weight matrix, outside the dynamics, is read out through a soft-max. There are
        then states for all layers but the last of ``sizes``, and that matrix is the last of :attr:`weights`.

    See Also
    --------
    EquilibriumMLP, EquilibriumConv, DendriticMLP : the networks of the package

    References
    ----------
    Scellier & Bengio (2017), doi:10.3389/fncom.2017.00024; Laborieux et al. (2021), doi:10.3389/fnins.2021.633674.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.networks import EquilibriumMLP, EquilibriumNetwork
    >>> model = EquilibriumMLP([16, 8, 3], free_steps=20)
    >>> isinstance(model, EquilibriumNetwork), [layer.shape for layer in model.activities(torch.rand(5, 16))]
    (True, [torch.Size([5, 8]), torch.Size([5, 3])])
    """

    sizes: tuple[int, ...]
    free_steps: int
    read_out_kind: ReadOut

    @property
    @abstractmethod
    def weights(self) -> list[Tensor]:
        """Forward weights ``[post, pre]``, input side first."""

    @property
    @abstractmethod
    def trained(self) -> list[nn.Parameter]:
        """Everything that learning changes, in a fixed order."""

    @property
    @abstractmethod
    def layer_of(self) -> list[int]:
        """For each entry of :attr:`trained` the layer, from 0, whose learning rate it takes."""

    @abstractmethod
    def start(self, x: Tensor) -> Drive:
        """Compute what is constant over a phase with input ``x`` (``[batch, ...]``), once."""

    @abstractmethod
    def zeros(self, x: Tensor) -> list[Tensor]:
        """Zero states for ``x``, one ``[batch, n]`` per layer after the input."""

    @abstractmethod
    def settle(
        self, drive: Drive, states: list[Tensor], steps: int, *, targets: Tensor | None = None, beta: float = 0.0
    ) -> Settled:
        """States after ``steps`` parallel updates of all layers; the given ones are left as they are.

        ``targets`` (labels int64 ``[batch]`` or soft targets ``[batch, classes]``) are needed where ``beta``, the
        strength of the nudge towards them, is not 0. Differentiable by autograd where gradients are enabled.
        """

    @torch.no_grad()
    def contrast(
        self,
        drive: Drive,
        x: Tensor,
        minus: list[Tensor],
        plus: list[Tensor],
        factor: float,
        *,
        targets: Tensor | None = None,
        betas: tuple[float, float] = (0.0, 0.0),
        predictive: bool = False,
    ) -> list[Tensor]:
        r"""Estimate the gradient of the mean loss from two phases, for every entry of :attr:`trained`, in closed form.

        .. math::  -\frac{f}{B} \left( \frac{\partial\Phi_{\beta_+}}{\partial\theta}(s^+)
                   - \frac{\partial\Phi_{\beta_-}}{\partial\theta}(s^-) \right)

        with the factor f, :math:`1 / 2\beta` after phases at :math:`\pm\beta`. Subtract it to learn.

        Parameters
        ----------
        drive, x:
            Of the batch; ``x`` is its input.
        minus, plus:
            States after the two phases.
        factor:
            f above.
        targets, betas:
            What the phases were nudged to and how much, ``(minus, plus)``: only weights of the loss itself
            (soft-max read-out) need them.
        predictive:
            Take the presynaptic state of the plus phase in both terms, and only the difference of the postsynaptic
            one (AdpNet's form).
        """
        return self._contrast(drive, x, TwoPhases(minus, plus, factor, targets, betas, predictive))

    @abstractmethod
    def _contrast(self, drive: Drive, x: Tensor, phases: TwoPhases) -> list[Tensor]:
        """What :meth:`contrast` gives, without a graph of gradients."""

    @property
    def _read_out_layer(self) -> nn.Linear | None:
        """The layer outside of the dynamics of a soft-max read-out, else None."""
        return None

    def logits(self, output: Tensor) -> Tensor:
        """What a soft-max is taken of, ``[batch, classes]``; where there is a read-out matrix it acts here."""
        last = self._read_out_layer
        return output if last is None else F.linear(output, last.weight, last.bias)

    def _force(self, targets: Tensor | None, beta: float, like: Tensor) -> Callable[[Tensor], Tensor] | None:
        """``beta`` times the pull of the loss on the last state, a function of it; None where nothing is nudged."""
        if not beta:
            return None
        if targets is None:
            raise SettingsError(f"A nudged phase (beta {beta!r}) needs targets.", expected="labels or soft targets")
        target, kind, last = soft_targets(targets, like, self.sizes[-1]), self.read_out_kind, self._read_out_layer
        weight, bias = (None, None) if last is None else (last.weight, last.bias)
        return lambda output: beta * output_force(output, target, kind, weight, bias)

    def _read_out_gradients(
        self, minus: Tensor, plus: Tensor, targets: Tensor | None, betas: tuple[float, float], scale: float
    ) -> list[Tensor]:
        """The part of :meth:`contrast` that is of a soft-max read-out's weight and bias; nothing where there is none.

        ``minus`` and ``plus`` are the last states of the two phases, ``scale`` is the factor over the batch.
        """
        last = self._read_out_layer
        if last is None:
            return []
        if targets is None:
            raise SettingsError("The weights of a soft-max read-out learn from targets, and none were given.")
        target = soft_targets(targets, minus, self.sizes[-1])
        # -beta L is a part of Phi, and beta_+ - beta_- is 1 / factor.
        up, down = (
            (torch.softmax(self.logits(state), dim=1) - target) * (beta * scale)
            for state, beta in ((plus, betas[1]), (minus, -betas[0]))
        )
        gradients = [up.t() @ plus + down.t() @ minus]
        return gradients if last.bias is None else [*gradients, up.sum(0) + down.sum(0)]

    def straight_through(self, drive: Drive, before: list[Tensor], after: list[Tensor]) -> Tensor:
        """Return the last state of ``after``, one step on from ``before``, with a gradient where it is clipped too.

        Where the output's activation is flat, the gradient goes to its summed input as if it were the identity.
        """
        raise UnsupportedError(
            f"A {type(self).__name__} hands no gradient through a clipped output.",
            hint="take straight_through=False, or a read-out whose output is not clipped",
        )

    def read_out(self, output: Tensor) -> Tensor:
        """Prediction ``[batch, classes]`` from the last state: itself, or the probabilities of its soft-max."""
        return output if self.read_out_kind == "squared-error" else torch.softmax(self.logits(output), dim=1)

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch from the last state: what nudging pulls down and BPTT differentiates."""
        if self.read_out_kind == "squared-error":
            return 0.5 * (output - soft_targets(targets, output)).square().sum(1).mean()
        return F.cross_entropy(self.logits(output), targets)

    def evolve(
        self,
        drive: Drive,
        states: list[Tensor],
        steps: int,
        after: Callable[[int, list[Tensor]], None],
        *,
        targets: Tensor | None = None,
        beta: float = 0.0,
    ) -> list[Tensor]:
        """Settle without gradient, calling ``after(step, states)`` after each; it may change the states in place.

        Steps count from 0. The tensors are valid only during the call: copy what is to be kept.
        """
        with torch.no_grad():
            states = [state.clone() for state in states]
            for step in range(steps):
                states = self.settle(drive, states, 1, targets=targets, beta=beta).states
                after(step, states)
        return states

    def activities(self, x: Tensor) -> list[Tensor]:
        """States of every layer after a free phase from zero; the last one is what :meth:`read_out` takes."""
        return self.settle(self.start(x), self.zeros(x), self.free_steps).states

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's state after a free phase from zero states."""
        return self.activities(x)[-1]
