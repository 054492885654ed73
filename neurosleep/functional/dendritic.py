r"""Dendritic branches: masked ReLU sub-units whose mean drives a point unit, and the gradient of their part of Phi.

.. math::
    u_{jb} = (M_{jb} \odot w_{jb}) \cdot s^{pre} + c_{jb}, \qquad
    \mathrm{drive}_j = \frac{1}{B} \sum_{b=1}^{B} \mathrm{relu}(u_{jb})

The rows of every weight, mask, bias and branch input are ordered branch by branch: row ``b * units + j`` is branch
``b`` of unit ``j``, so that one matrix product serves all branches and the mean over branches reads whole vectors.

A hidden layer l of a dendritic network has basal branches on the layer below and apical ones, weighted by a scale, on
the layer above; the output layer has basal branches only:

.. math::
    \Phi_l = s_l \cdot \left( \mathrm{basal}_l(s_{l-1}) + a\, \mathrm{apical}_l(s_{l+1}) \right), \qquad
    s_l \leftarrow \rho(\partial\Phi_l / \partial s_l)

Each layer follows its own :math:`\Phi_l`: apical weights are no transposes of basal ones, so there is no energy.

Reference: Kubo (2026), arXiv:2605.08135, and its public code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.functional.activations import Activation
from neurosleep.functional.equilibrium import check_steps

__all__ = [
    "DendriticLayer",
    "branch_gradient",
    "branch_inputs",
    "branch_masks",
    "branch_mean",
    "dendritic_phi",
    "dendritic_settle",
    "dendritic_step",
    "kept_inputs",
]


class DendriticLayer(NamedTuple):
    """Branches of one layer, zero where masked.

    ``basal`` ``[basal branches * units, below]`` with ``bias`` ``[basal branches * units]``, ``apical``
    ``[apical branches * units, above]`` or None (output layer).

    See Also
    --------
    dendritic_step : which takes one per layer
    neurosleep.networks.DendriticMLP : the module that holds them as parameters

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import DendriticLayer
    >>> layer = DendriticLayer(torch.ones(2 * 3, 4), bias=torch.zeros(2 * 3), apical=None)  # 3 units of 2 branches
    >>> layer.basal.shape
    torch.Size([6, 4])
    """

    basal: Tensor
    bias: Tensor
    apical: Tensor | None


def kept_inputs(n_in: int, sparsity: float) -> int:
    """How many of ``n_in`` inputs a branch keeps: ``sparsity`` of them, rounded (halves to the even), at least one.

    >>> kept_inputs(784, 0.5), kept_inputs(10, 0.01)
    (392, 1)
    """
    return max(1, round(sparsity * n_in))


def branch_masks(rows: int, n_in: int, sparsity: float, *, generator: torch.Generator | None = None) -> Tensor:
    """A mask of zeros and ones, ``[rows, n_in]``: every row keeps the same number of inputs, drawn without replacement.

    ``rows`` is branches times units; how many inputs are kept says :func:`kept_inputs`.
    """
    chosen = torch.rand(rows, n_in, generator=generator).argsort(dim=1)[:, : kept_inputs(n_in, sparsity)]
    return torch.zeros(rows, n_in).scatter_(1, chosen, 1.0)


def branch_inputs(pre: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Summed input u of every branch, ``[batch, branches * units]``.

    ``pre`` ``[batch, n_in]``, ``weight`` ``[branches * units, n_in]`` with zeros where the mask has them, ``bias``
    ``[branches * units]``.
    """
    return pre @ weight.T if bias is None else torch.addmm(bias, pre, weight.T)


def branch_mean(inputs: Tensor, branches: int) -> Tensor:
    """Drive ``[batch, units]``: the mean of the rectified ``inputs`` ``[batch, branches * units]`` of each unit."""
    return torch.relu(inputs).view(len(inputs), branches, -1).mean(1)


def branch_gradient(inputs: Tensor, post: Tensor, pre: Tensor, branches: int) -> tuple[Tensor, Tensor]:
    r"""Gradient of :math:`\sum_{batch} s^{post} \cdot \mathrm{drive}(s^{pre})` in weight and bias of the branches.

    .. math::
        \frac{\partial}{\partial w_{jb}} = \frac{1}{B} \sum_{batch} s_j^{post}\, [u_{jb} > 0]\, s^{pre}, \qquad
        \frac{\partial}{\partial c_{jb}} = \frac{1}{B} \sum_{batch} s_j^{post}\, [u_{jb} > 0]

    Linear in ``post``: a difference of two phases is one call with the phases stacked and the signs put into ``post``.
    The mask is not applied. Shapes: ``inputs`` ``[batch, branches * units]`` as from :func:`branch_inputs`, ``post``
    ``[batch, units]``, ``pre`` ``[batch, n_in]`` -> ``[branches * units, n_in]`` and ``[branches * units]``.
    """
    gates = (inputs > 0).to(post.dtype).view(len(inputs), branches, -1)
    passed = (gates * (post / branches).unsqueeze(1)).view(len(inputs), -1)
    return passed.T @ pre, passed.sum(0)


def dendritic_phi(
    x: Tensor, states: Sequence[Tensor], layers: Sequence[DendriticLayer], branches: tuple[int, int], scale: float
) -> list[Tensor]:
    r"""Each layer's own :math:`\Phi_l` of each sample, ``[batch]``: the plain form that all else is derived from.

    Parameters
    ----------
    x, states:
        ``[batch, n_0]`` and one ``[batch, n_l]`` per layer after the input.
    layers:
        One per state.
    branches:
        Basal and apical branches of a unit.
    scale:
        Weight of the apical drive.

    See Also
    --------
    dendritic_step : the step derived from it
    layered_phi : of units without dendrites

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import DendriticLayer, dendritic_phi
    >>> layer = DendriticLayer(torch.full((2, 3), 0.5), bias=torch.zeros(2), apical=None)  # one unit, two branches
    >>> dendritic_phi(torch.ones(4, 3), [torch.ones(4, 1)], [layer], branches=(2, 0), scale=0.2)
    [tensor([1.5000, 1.5000, 1.5000, 1.5000])]
    """
    values = []
    for k, (layer, state) in enumerate(zip(layers, states, strict=True)):
        below = x if k == 0 else states[k - 1]
        drive = branch_mean(branch_inputs(below, layer.basal, layer.bias), branches[0])
        if layer.apical is not None:
            drive = drive + scale * branch_mean(branch_inputs(states[k + 1], layer.apical), branches[1])
        values.append((drive * state).sum(1))
    return values


def dendritic_step(
    states: Sequence[Tensor],
    first: Tensor,
    layers: Sequence[DendriticLayer],
    branches: tuple[int, int],
    scale: float,
    activations: Sequence[Activation],
    force: Tensor | None = None,
) -> list[Tensor]:
    """One parallel step of all layers; differentiable, nothing is changed in place.

    ``first`` is the first layer's basal drive, ``[batch, n_1]``, which does not change over a phase; ``force`` is added
    to the input of the last layer. The rest is as in :func:`dendritic_phi`.

    See Also
    --------
    dendritic_settle : many steps, in place
    dendritic_phi : the function it is derived from

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import DendriticLayer, dendritic_step, get_activation
    >>> layer = DendriticLayer(basal=torch.full((2, 3), 0.5), bias=torch.zeros(2), apical=None)
    >>> drive = torch.full((4, 1), 0.75)
    >>> clip = get_activation("hard_sigmoid")
    >>> dendritic_step([torch.zeros(4, 1)], drive, [layer], (2, 0), 0.2, [clip])[0].flatten()
    tensor([0.7500, 0.7500, 0.7500, 0.7500])
    """
    moved = []
    last = len(states) - 1
    for k, layer in enumerate(layers):
        total = first
        if k:
            total = branch_mean(branch_inputs(states[k - 1], layer.basal, layer.bias), branches[0])
        if layer.apical is not None:
            total = total + scale * branch_mean(branch_inputs(states[k + 1], layer.apical), branches[1])
        if k == last and force is not None:
            total = total + force
        moved.append(activations[k].value(total))
    return moved


@torch.no_grad()
def dendritic_settle(
    states: Sequence[Tensor],
    first: Tensor,
    layers: Sequence[DendriticLayer],
    branches: tuple[int, int],
    scale: float,
    activations: Sequence[Activation],
    steps: int,
    force: Callable[[Tensor], Tensor] | None = None,
    beta: float = 0.0,
    after: Callable[[int, list[Tensor]], None] | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """States after ``steps`` of :func:`dendritic_step`, and those before the last: the fast form, without a graph.

    It moves between two sets of buffers. ``force`` gives the pull on the last state from that state and is added
    ``beta`` times; ``after(step, states)`` may change the states in place. The given ones are left as they are.

    See Also
    --------
    dendritic_step : one step, which autograd can follow
    neurosleep.networks.DendriticMLP : the module

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import DendriticLayer, dendritic_settle, get_activation
    >>> layer = DendriticLayer(basal=torch.full((2, 3), 0.5), bias=torch.zeros(2), apical=None)
    >>> drive = torch.full((4, 1), 0.75)  # of the first layer, which does not change over a phase
    >>> states, previous = dendritic_settle(
    ...     [torch.zeros(4, 1)], drive, [layer], (2, 0), 0.2, [get_activation("hard_sigmoid")], steps=5
    ... )
    >>> states[0].flatten()
    tensor([0.7500, 0.7500, 0.7500, 0.7500])
    """
    check_steps(steps)
    if scale < 0:
        raise SettingsError(f"The weight of the apical drive is {scale!r}.", expected="at least 0")
    last, batch = len(states) - 1, len(first)
    # relu(c u) = c relu(u) for c >= 0: the mean and the scale go into small copies of the weights, a sum is left to do.
    up = [(layer.basal.t() / branches[0], layer.bias / branches[0]) for layer in layers[1:]]
    down = [layer.apical.t() * (scale / branches[1]) for layer in layers if layer.apical is not None]
    inputs_up = [first.new_empty(batch, weight.shape[1]) for weight, _ in up]
    inputs_down = [first.new_empty(batch, weight.shape[1]) for weight in down]
    sums = [torch.empty_like(state) for state in states[:last]]
    old = list(states)
    new, spare = ([torch.empty_like(state) for state in states] for _ in range(2))
    for step in range(steps):
        for k in range(last + 1):
            total = new[k]
            if k:
                inputs = inputs_up[k - 1]
                torch.addmm(up[k - 1][1], old[k - 1], up[k - 1][0], out=inputs).relu_()
                torch.sum(inputs.view(batch, branches[0], -1), 1, out=total)
            if k < last:
                inputs = inputs_down[k]
                torch.mm(old[k + 1], down[k], out=inputs).relu_()
                torch.sum(inputs.view(batch, branches[1], -1), 1, out=sums[k])
                torch.add(total if k else first, sums[k], out=total)
            elif k == 0:
                total.copy_(first)
            if k == last and force is not None:
                total.add_(force(old[k]), alpha=beta)
            activations[k].value_(total)
        if after is not None:
            after(step, new)
        before, old, new = old, new, (spare if step == 0 else old)
    return old, before
