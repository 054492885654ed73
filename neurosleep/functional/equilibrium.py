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


def soft_targets(targets: Tensor, like: Tensor, classes: int | None = None) -> Tensor:
    """Targets ``[batch, classes]`` in the type of ``like``, from labels int64 ``[batch]`` or soft targets.

    ``classes`` is the width of ``like`` if left out.
    """
    if targets.ndim == 1:
        targets = F.one_hot(targets, like.shape[1] if classes is None else classes)
    return targets.to(like.dtype)


def output_force(
    output: Tensor, target: Tensor, kind: ReadOut, weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    r"""Pull of the loss on the last state, :math:`-\partial L / \partial s_L` of each sample, ``[batch, n]``.

    ``target`` is ``[batch, classes]``; ``weight`` ``[classes, n]`` and ``bias`` are those of a soft-max read-out.
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
    """Primitive function of each sample, ``[batch]``: the plain form, of which the dynamics are the derivative."""
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
    """
    hopfield = dynamics == "hopfield"
    talk = [a.value(s) for s, a in zip(states, activations, strict=True)] if hopfield else list(states)
    found = []
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
        found.append(new.clamp(0, 1) if hopfield else new)
    return found


@torch.no_grad()
def layered_settle(
    states: Sequence[Tensor],
    first: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activations: Sequence[Activation],
    steps: int,
    dt: float | Sequence[Tensor] = 1.0,
    force: Callable[[Tensor], Tensor] | None = None,
    beta: float = 0.0,
    after: Callable[[int, list[Tensor]], None] | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """States after ``steps`` of the discrete :func:`layered_step`, and those before the last: the fast form.

    It moves between two sets of buffers, allocates nothing per step and records no graph. ``force`` gives the pull on
    the last state from that state, and ``after(step, states)`` may change the states in place. The given ones are
    left as they are.
    """
    check_steps(steps)
    last = len(states) - 1
    # Made once: transposed views, and rows to add.
    forward = [w.t() for w in weights]
    rows = [None if b is None else b.expand(len(s), -1) for b, s in zip(biases, states[1:], strict=True)]
    kept: Sequence[float | Tensor] | None
    kept = (None if dt == 1.0 else [1 - dt] * len(states)) if isinstance(dt, float) else [1 - d for d in dt]
    old = list(states)
    new, spare = ([torch.empty_like(s) for s in states] for _ in range(2))
    for step in range(steps):
        for k in range(last + 1):
            total = new[k]
            if k == 0:
                if last:
                    torch.addmm(first, old[1], weights[0], out=total)
                else:
                    total.copy_(first)
            else:
                row = rows[k - 1]
                if row is None:
                    torch.mm(old[k - 1], forward[k - 1], out=total)
                else:
                    torch.addmm(row, old[k - 1], forward[k - 1], out=total)
                if k < last:
                    total.addmm_(old[k + 1], weights[k])
            if k == last and force is not None:
                total.add_(force(old[k]), alpha=beta)
            activations[k].value_(total)
            if kept is not None:
                # The convex combination with the state of before: new + (1 - dt) (old - new).
                total.lerp_(old[k], kept[k])
        if after is not None:
            after(step, new)
        old, new = new, (spare if step == 0 else old)
    return old, (list(states) if steps == 1 else new)
