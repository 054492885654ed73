r"""Orthogonal Weights Modification (Zeng et al. 2019, doi:10.1038/s42256-019-0080-x): learn across old inputs.

Each layer has a projector P onto the space that its inputs have not used so far; gradients are projected,
:math:`W \leftarrow W - lr\,(\nabla W) P`. After each mini-batch with mean input r (a column), recursive least squares:
:math:`k = P r,\; P \leftarrow P - k k^T / (\alpha + r^T k)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep._checks import check_number
from neurosleep.continual.strategies.base import AwakeNetwork, Learner, Strategy
from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.learning import Batch
from neurosleep.networks import MLP

__all__ = ["OWM"]


class OWM(Strategy):
    """Project gradients away from old inputs.

    Parameters
    ----------
    alpha, decay:
        Per layer, > 0: alpha at progress q through a task is ``alpha * decay ** q``.
    clip:
        Largest norm of the whole projected gradient, > 0.

    See Also
    --------
    EWC, SI : which hold weights instead
    learn_tasks : runs one

    Examples
    --------
    >>> from neurosleep.continual import OWM
    >>> OWM(alpha=(0.9, 1.0, 0.6), decay=(0.001, 0.1, 1.0)).name  # a network of three layers
    'owm'
    """

    name: ClassVar[str] = "owm"
    needs_boundaries = True
    changes_gradients: ClassVar[bool] = True
    works_with: ClassVar[tuple[str, ...] | None] = ("backprop",)  # each layer's errors and inputs of a batch

    def __init__(
        self,
        alpha: Sequence[float] = (0.9, 1.0, 0.6),
        decay: Sequence[float] = (0.001, 0.1, 1.0),
        clip: float = 10.0,
    ) -> None:
        for key, values in (("alpha", alpha), ("decay", decay)):
            if not values:
                raise SettingsError(f"owm.{key} is empty.", expected="numbers > 0, one per layer")
            for value in values:
                check_number(f"An entry of owm.{key}", value, above=0)
        if len(alpha) != len(decay):
            raise SettingsError(
                f"owm.alpha has {len(alpha)} entries, owm.decay {len(decay)}.", expected="one per layer in both"
            )
        self.alpha, self.decay, self.clip = tuple(alpha), tuple(decay), check_number("owm.clip", clip, above=0)
        self._projectors: list[Tensor] = []

    def check_network(self, network: AwakeNetwork) -> None:
        """Each layer's inputs and errors of a batch make its gradient: for fully connected layers without biases."""
        if not isinstance(network, MLP) or network.biases:
            raise UnsupportedError(
                f"The strategy 'owm' cannot project the gradients of a {type(network).__name__}"
                + (" with biases." if isinstance(network, MLP) else "."),
                expected="an MLP without biases (network.kind mlp, network.bias false)",
            )

    def before_training_exp(self, learner: Learner) -> None:
        """Start with the whole space, before the first task."""
        weights = learner.network.weights
        if len(weights) != len(self.alpha):
            raise SettingsError(
                f"owm.alpha has {len(self.alpha)} entries.", expected=f"{len(weights)}, one for each layer with weights"
            )
        if not self._projectors:
            # In float64: in float32 rounding errors grow without bound for a small alpha (1e-4 on MNIST).
            self._projectors = [torch.eye(weight.shape[1], dtype=torch.float64) for weight in weights]

    @torch.no_grad()
    def after_backward(self, learner: Learner, batch: Batch) -> None:
        """Project the gradients, and limit their norm."""
        gradients = []
        for weight, delta, inputs, projector in zip(
            learner.network.weights, batch.deltas, batch.inputs, self._projectors, strict=True
        ):
            # (delta^T inputs) P = delta^T (inputs P): the batch is much smaller than the layer.
            weight.grad = delta.T @ (inputs @ projector.to(inputs.dtype))
            gradients.append(weight.grad)
        norm = torch.sqrt(sum((g.square().sum() for g in gradients), torch.zeros(())))
        if norm > self.clip:
            for gradient in gradients:
                gradient *= self.clip / norm

    @torch.no_grad()
    def after_step(self, learner: Learner, batch: Batch) -> None:
        """Take the batch's mean inputs out of the space."""
        for projector, inputs, alpha, decay in zip(self._projectors, batch.inputs, self.alpha, self.decay, strict=True):
            mean = inputs.mean(0).double()
            k = projector @ mean
            projector.addr_(k, k, alpha=-1 / float(alpha * decay**batch.progress + mean @ k))

    def state_dict(self) -> dict[str, Tensor]:
        """The projectors."""
        return {f"projector{k}": projector for k, projector in enumerate(self._projectors)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take them back."""
        self._projectors = [state[f"projector{k}"] for k in range(len(state))]
