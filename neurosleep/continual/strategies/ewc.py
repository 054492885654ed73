r"""Elastic Weight Consolidation: weights that mattered for old tasks are held near their old values.

The penalty is :math:`\frac{\lambda}{2} \sum_k \sum_i F_i^k (w_i - w_i^k)^2` with the diagonal Fisher information
:math:`F^k` after task k (Kirkpatrick et al. 2017, doi:10.1073/pnas.1611835114). Its gradient,
:math:`\lambda\,(w \sum_k F^k - \sum_k F^k w^k)`, needs two sums only, so that memory does not grow with the tasks.
Online (Schwarz et al. 2018, arXiv 1805.06370): one running :math:`F \leftarrow \gamma F + F^k`, held to the newest
weights.

The step of a weight is never longer than to the minimum of its penalty: with SGD its step size is at most
:math:`1 / (\lambda \sum_k F^k)`. A plain step overshoots where :math:`\eta \lambda \sum_k F^k > 1` and diverges beyond
:math:`2 (1 + m)` (momentum m), which a large :math:`\lambda` meets within a task or two. What the weights are held to
is the same, and where no step would overshoot, the numbers are those of plain steps bit for bit.
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from neurosleep.continual.strategies.base import AwakeNetwork, Learner, Strategy, trained
from neurosleep.data import to_float
from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.learning import Batch
from neurosleep.networks import MLP

__all__ = ["EWC", "fisher_diagonal"]

Mode = Literal["separate", "online"]
Labels = Literal["true", "expected"]


@torch.no_grad()
def fisher_diagonal(
    network: MLP, images: Tensor, labels: Tensor, *, kind: Labels = "expected", batch: int = 500
) -> list[Tensor]:
    r"""Diagonal Fisher information of all weights ``[post, pre]``, then all biases, mean over ``images``, closed form.

    The gradient of one sample with respect to a layer's weights is the outer product of the backpropagated error and
    the layer's input, so the mean of its square is a product of squares, without a pass per sample; with respect to its
    biases it is the error. The likelihood is the one that belongs to the network's output: categorical for softmax,
    Bernoulli for sigmoid, Gaussian of unit variance for ReLU (with the published straight-through error). ``kind``
    takes the labels as they are (``"true"``: the empirical Fisher) or the
    expectation over the labels that the network itself would give (``"expected"``).
    """
    network.eval()
    weights = network.weights
    total = [torch.zeros_like(tensor) for tensor in network.trained]
    for start in range(0, len(images), batch):
        x, y = images[start : start + batch], labels[start : start + batch]
        sums, activities = network.trace(x)
        inputs = [x, *activities[:-1]]
        output = network.read_out(sums[-1])
        one_hot = torch.eye(output.shape[1], dtype=output.dtype)
        if kind == "true":
            errors = [(output - one_hot[y], torch.ones(len(x), 1, dtype=output.dtype))]
        elif network.output == "softmax":
            errors = [(output - one_hot[c], output[:, c : c + 1]) for c in range(output.shape[1])]
        elif network.output == "sigmoid":
            # Of independent outputs; the expected square of each one's error is its variance.
            errors = [
                (one_hot[c].expand_as(output), (output * (1 - output))[:, c : c + 1]) for c in range(len(one_hot))
            ]
        else:
            # With unit variance the expected square of the error is 1 for every output, and outputs are independent.
            errors = [(one_hot[c].expand_as(output), torch.ones(len(x), 1)) for c in range(output.shape[1])]
        for delta, chance in errors:
            for layer in reversed(range(len(weights))):
                total[layer] += (chance * delta**2).T @ inputs[layer] ** 2
                if network.biases:
                    total[len(weights) + layer] += (chance * delta**2).sum(0)
                if layer:
                    delta = delta @ weights[layer] * (sums[layer - 1] > 0) * (1 - network.dropout)
    return [fisher / len(images) for fisher in total]


class EWC(Strategy):
    """Hold important weights.

    Parameters
    ----------
    strength:
        Lambda, >= 0.
    mode:
        ``"separate"`` (one penalty per task) or ``"online"``.
    gamma:
        How much of the old importance stays, 0 to 1; online only.
    fisher:
        ``"expected"`` or ``"true"`` labels (:func:`fisher_diagonal`).

    See Also
    --------
    SI : another that holds weights
    learn_tasks : runs one

    Examples
    --------
    >>> from neurosleep.continual import EWC
    >>> EWC(strength=100.0, mode="online", gamma=0.9).name
    'ewc'
    """

    name: ClassVar[str] = "ewc"
    needs_boundaries = True
    changes_gradients: ClassVar[bool] = True
    works_with: ClassVar[tuple[str, ...] | None] = ("backprop",)  # the Fisher information in closed form

    def __init__(
        self, strength: float = 100.0, mode: Mode = "separate", gamma: float = 1.0, fisher: Labels = "expected"
    ) -> None:
        if not 0 <= strength < float("inf"):
            raise SettingsError(f"ewc.strength is {strength!r}.", expected="a finite number >= 0")
        if mode not in get_args(Mode):
            raise unknown_name("ewc.mode", str(mode), get_args(Mode))
        if fisher not in get_args(Labels):
            raise unknown_name("ewc.fisher", str(fisher), get_args(Labels))
        if not 0 <= gamma <= 1:
            raise SettingsError(f"ewc.gamma is {gamma!r}.", expected="0 to 1")
        self.strength, self.mode, self.gamma, self.fisher = strength, mode, gamma, fisher
        self._importance: list[Tensor] = []
        self._anchored: list[Tensor] = []  # importance times the weights it belongs to

    def check_network(self, network: AwakeNetwork) -> None:
        """The Fisher information is in closed form, for fully connected layers."""
        if not isinstance(network, MLP):
            raise UnsupportedError(
                f"The strategy 'ewc' cannot measure a {type(network).__name__}.", expected="an MLP (network.kind mlp)"
            )

    def after_backward(self, learner: Learner, batch: Batch) -> None:
        """Add the gradient of the penalty, and shorten the steps that would overshoot it."""
        for k, (weight, importance, anchored) in enumerate(
            zip(trained(learner.network), self._importance, self._anchored, strict=False)
        ):
            assert weight.grad is not None
            weight.grad += self.strength * (importance * weight.detach() - anchored)
            if batch.rates:
                weight.grad /= (batch.rates[k] * self.strength * importance).clamp_(min=1.0)

    def after_training_exp(self, learner: Learner) -> None:
        """Measure what mattered for the task just learnt."""
        task = learner.tasks[learner.task]
        images, labels = torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels)
        network = learner.network
        assert isinstance(network, MLP)  # check_network refuses others
        importance = fisher_diagonal(network, images, labels, kind=self.fisher)
        weights = [weight.detach() for weight in network.trained]
        if not self._importance:
            self._importance = importance
            self._anchored = [f * w for f, w in zip(importance, weights, strict=True)]
        elif self.mode == "separate":
            for k, (f, w) in enumerate(zip(importance, weights, strict=True)):
                self._anchored[k] = self._anchored[k] + f * w
                self._importance[k] = self._importance[k] + f
        else:
            self._importance = [self.gamma * old + f for old, f in zip(self._importance, importance, strict=True)]
            self._anchored = [f * w for f, w in zip(self._importance, weights, strict=True)]

    def state_dict(self) -> dict[str, Tensor]:
        """Importance and anchors."""
        named = {f"importance{k}": f for k, f in enumerate(self._importance)}
        return named | {f"anchored{k}": f for k, f in enumerate(self._anchored)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take them back."""
        layers = len(state) // 2
        self._importance = [state[f"importance{k}"] for k in range(layers)]
        self._anchored = [state[f"anchored{k}"] for k in range(layers)]
