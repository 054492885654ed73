r"""Dynamics of layered networks with symmetric connections, as pure functions of tensors.

.. math::
    \Phi(x, s) = \sum_l s_l \cdot (W_l s_{l-1} + b_l), \quad s_0 = x

    s_l \leftarrow (1 - dt)\, s_l + dt\, \rho(W_l s_{l-1} + b_l + W_{l+1}^T s_{l+1})

All layers move at once, from the states of the step before. :math:`W_1 x + b_1` does not change and is computed once. A
nudge :math:`-\beta\, \partial L / \partial s_L` is added to the input of the last layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.functional.activations import Activation

__all__ = [
    "DYNAMICS",
    "READ_OUTS",
    "Dynamics",
    "ReadOut",
    "check_steps",
    "layered_phi",
    "layered_settle",
    "layered_step",
    "output_force",
    "soft_targets",
]

ReadOut = Literal["squared-error", "cross-entropy", "softmax-read-out"]
READ_OUTS: tuple[str, ...] = get_args(ReadOut)
Dynamics = Literal["discrete", "hopfield"]
DYNAMICS: tuple[str, ...] = get_args(Dynamics)
# The fast form looks every so many steps whether its states repeat.
_LOOK = 8


def soft_targets(targets: Tensor, like: Tensor, classes: int | None = None) -> Tensor:
    """Targets ``[batch, classes]`` in the type of ``like``, from labels int64 ``[batch]`` or soft targets.

    ``classes`` is the width of ``like`` if left out.

    See Also
    --------
    output_force : which takes them
    neurosleep.learning.task_loss : a loss of either kind of targets

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import soft_targets
    >>> soft_targets(torch.tensor([2, 0]), like=torch.zeros(2, 3))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if targets.ndim > 1:
        return targets.to(like.dtype)
    return like.new_zeros(len(targets), like.shape[1] if classes is None else classes).scatter_(1, targets[:, None], 1)


def output_force(
    output: Tensor, target: Tensor, kind: ReadOut, weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    r"""Pull of the loss on the last state, :math:`-\partial L / \partial s_L` of each sample, ``[batch, n]``.

    ``target`` is ``[batch, classes]``; ``weight`` ``[classes, n]`` and ``bias`` are those of a soft-max read-out.

    See Also
    --------
    layered_step : which takes it as ``force``, times beta

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import output_force
    >>> output_force(torch.tensor([[0.5, 0.0]]), torch.tensor([[1.0, 0.0]]), "squared-error")
    tensor([[0.5000, 0.0000]])
    """
    if kind == "squared-error":
        return target - output
    if kind == "cross-entropy":
        return target - torch.softmax(output, dim=1)
    if weight is None:
        raise SettingsError(f"The read-out {kind!r} needs its weight.", found="None", expected="[classes, units]")
    return (target - torch.softmax(F.linear(output, weight, bias), dim=1)) @ weight


def layered_phi(
    x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], biases: Sequence[Tensor | None]
) -> Tensor:
    """Primitive function of each sample, ``[batch]``: the plain form, of which the dynamics are the derivative.

    See Also
    --------
    layered_step : the step derived from it
    neurosleep.networks.EquilibriumMLP : the module

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import layered_phi
    >>> x, state, weight = torch.ones(1, 2), torch.ones(1, 3), torch.full((3, 2), 0.5)
    >>> layered_phi(x, [state], [weight], [None])
    tensor([3.])
    """
    total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for below, state, weight, bias in zip([x, *states[:-1]], states, weights, biases, strict=True):
        total = total + (F.linear(below, weight, bias) * state).sum(1)
    return total


def check_steps(steps: int) -> None:
    """Refuse a phase without a step."""
    if steps < 1:
        raise SettingsError(f"A phase of {steps} steps was asked for.", expected="at least 1")


def layered_step(
    states: Sequence[Tensor],
    first: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activations: Sequence[Activation],
    dt: float | Sequence[Tensor] = 1.0,
    force: Tensor | None = None,
    dynamics: Dynamics = "discrete",
) -> list[Tensor]:
    r"""One parallel step; differentiable, nothing is changed in place.

    Parameters
    ----------
    states:
        One ``[batch, n]`` per layer after the input.
    first:
        Constant input of the first of them, bias included, ``[batch, n_1]``.
    weights, biases:
        From each state to the next, ``[post, pre]`` and ``[post]`` (or None): one fewer than states.
    activations:
        One per state.
    dt:
        Step, from 0 (excluded) to 1, or one ``[n]`` per state.
    force:
        Added to the input of the last state: beta times :func:`output_force`.
    dynamics:
        ``"discrete"`` as above, or ``"hopfield"``,
        :math:`u_l \leftarrow clip(u_l + dt\,(\rho'(u_l)\,I_l - u_l), 0, 1)`: units send :math:`\rho(u)`, and the force
        acts outside of :math:`\rho'`.

    See Also
    --------
    layered_settle : many steps, in place
    output_force : the pull of a loss

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import get_activation, layered_step
    >>> first, weight, clip = torch.full((1, 2), 0.5), torch.full((1, 2), 0.25), get_activation("hard_sigmoid")
    >>> layered_step([torch.ones(1, 2), torch.zeros(1, 1)], first, [weight], [None], [clip, clip])
    [tensor([[0.5000, 0.5000]]), tensor([[0.5000]])]
    """
    hopfield = dynamics == "hopfield"
    talk = [a.value(s) for s, a in zip(states, activations, strict=True)] if hopfield else list(states)
    moved = []
    last = len(states) - 1
    for k, state in enumerate(states):
        total = first if k == 0 else F.linear(talk[k - 1], weights[k - 1], biases[k - 1])
        if k < last:
            total = total + talk[k + 1] @ weights[k]
        if hopfield:
            total = activations[k].slope(state) * total
        if k == last and force is not None:
            total = total + force
        aim = total if hopfield else activations[k].value(total)
        step = dt if isinstance(dt, float) else dt[k]
        new = aim if isinstance(step, float) and step == 1.0 else state + step * (aim - state)
        moved.append(new.clamp(0, 1) if hopfield else new)
    return moved


@torch.no_grad()
def layered_settle(
    states: Sequence[Tensor],
    first: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activations: Sequence[Activation],
    steps: int,
    dt: float | Sequence[Tensor] = 1.0,
    push_: Callable[[Tensor, Tensor], object] | None = None,
    after: Callable[[int, list[Tensor]], None] | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """States after ``steps`` of the discrete :func:`layered_step`, and those before the last: the fast form.

    It moves between two sets of buffers, allocates nothing per step and records no graph. ``push_(total, state)`` adds
    beta times the force on the last ``state`` to its input ``total``, in place; ``after(step, states)`` may change the
    states in place. The given ones are left as they are. A phase whose states repeat exactly is cut short: the rest of
    its steps would return the same numbers.

    See Also
    --------
    layered_step : one step, which autograd can follow
    neurosleep.analysis.settling : how the states of a network come to rest

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import get_activation, layered_settle
    >>> first, weight, clip = torch.full((1, 2), 0.5), torch.full((1, 2), 0.25), get_activation("hard_sigmoid")
    >>> start = [torch.zeros(1, 2), torch.zeros(1, 1)]
    >>> states, previous = layered_settle(start, first, [weight], [None], [clip, clip], steps=50)
    >>> states
    [tensor([[0.5714, 0.5714]]), tensor([[0.2857]])]
    """
    check_steps(steps)
    last = len(states) - 1
    forward = [w.t() for w in weights]
    zeros = [torch.zeros((), dtype=s.dtype, device=s.device) for s in states]
    rows = [
        (zero if b is None else b).expand(s.shape) for b, s, zero in zip(biases, states[1:], zeros[1:], strict=True)
    ]
    kept = (None if dt == 1.0 else [1 - dt] * len(states)) if isinstance(dt, float) else [1 - d for d in dt]
    sets = [[torch.empty_like(s, memory_format=torch.contiguous_format) for s in states] for _ in range(2)]
    batch, narrow = states[last].shape
    if last and narrow <= batch:
        # A product with few columns is up to twice as quick where its result has the batch innermost.
        for buffers in sets:
            buffers[last] = states[last].new_empty(narrow, batch).t()
    addmm, settled = torch.addmm, [a.value_ for a in activations]

    def step_(old: list[Tensor], new: list[Tensor]) -> None:
        for k, total in enumerate(new):
            if k:
                addmm(rows[k - 1], old[k - 1], forward[k - 1], out=total)
                if k < last:
                    total.addmm_(old[k + 1], weights[k])
            elif last:
                addmm(first, old[1], weights[0], out=total)
            else:
                total.copy_(first)
            if k == last and push_ is not None:
                push_(total, old[k])
            settled[k](total)
            if kept is not None:
                # The convex combination with the state of before: new + (1 - dt) (old - new).
                total.lerp_(old[k], kept[k])

    old, new = list(states), sets[0]
    seen: list[Tensor] = []
    for step in range(steps):
        step_(old, new)
        if after is not None:
            after(step, new)
        old, new = new, sets[1 - step % 2]
        if after is None and step % _LOOK == _LOOK - 3:
            seen = [s.clone() for s in old]
        elif after is None and step % _LOOK == _LOOK - 1 and all(map(torch.equal, reversed(old), reversed(seen))):
            # The state of two steps ago, bit for bit and in the same memory: from here on the two sets only repeat.
            if (steps - 1 - step) % 2:
                old, new = new, old
            break
    return old, (list(states) if steps == 1 else new)
