"""Pure steps of layered networks: the fast form against the plain one, for every shape that it treats apart."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import ACTIVATIONS, get_activation, layered_phi, layered_settle, layered_step, soft_targets


def layers(sizes: list[int], batch: int, bias: bool) -> tuple[list[Tensor], Tensor, list[Tensor], list[Tensor | None]]:
    """States, input of the first one, weights and biases between them."""
    g = torch.Generator().manual_seed(0)
    rand = [torch.rand(batch, n, generator=g, dtype=torch.float64) for n in (*sizes, sizes[0])]
    pairs = list(itertools.pairwise(sizes))
    weights = [torch.randn(post, pre, generator=g, dtype=torch.float64) for pre, post in pairs]
    biases = [torch.randn(post, generator=g, dtype=torch.float64) if bias else None for _, post in pairs]
    return rand[:-1], rand[-1] - 0.5, weights, biases


# One layer; an output that is narrower, and one that is wider, than the batch; a hidden layer between two others.
@pytest.mark.parametrize("sizes", [[5], [9, 3], [3, 9], [6, 8, 7, 4]])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dt", [1.0, 0.3, None])
@pytest.mark.parametrize("pushed", [True, False])
def test_the_fast_form_is_the_plain_one(sizes: list[int], bias: bool, dt: float | None, pushed: bool) -> None:
    states, first, weights, biases = layers(sizes, 5, bias)
    kept = [s.clone() for s in states]
    pace = [torch.linspace(0.1, 1, n, dtype=torch.float64) for n in sizes] if dt is None else dt
    activations = [ACTIVATIONS["sigmoid"], ACTIVATIONS["tanh"]] * 2
    activations = activations[: len(sizes)]
    target = torch.rand(5, sizes[-1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    push_ = (lambda total, output: total.add_(target - output, alpha=0.4)) if pushed else None
    before, plain = states, states
    for steps in range(1, 6):
        force = 0.4 * (target - plain[-1]) if pushed else None
        before, plain = plain, layered_step(plain, first, weights, biases, activations, pace, force)
        last, last_but_one = layered_settle(states, first, weights, biases, activations, steps, pace, push_)
        for found, expected in ((last, plain), (last_but_one, before)):
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
    assert all(torch.equal(a, b) for a, b in zip(states, kept, strict=True))


def test_the_input_of_every_state_is_the_derivative_of_phi() -> None:
    states, _, weights, biases = layers([6, 8, 7, 4], 3, True)
    x, states = states[0], [s.requires_grad_() for s in states[1:]]
    phi = layered_phi(x, states, weights, biases)
    assert phi.shape == (3,)
    by_hand = sum(
        s[0] @ (w @ below[0] + b)
        for s, w, b, below in zip(states, weights, biases, [x, *states[:-1]], strict=True)
        if b is not None
    )
    torch.testing.assert_close(phi[0], by_hand)
    sums = torch.autograd.grad(phi.sum(), states)
    first = x @ weights[0].T + biases[0]
    identity = [ACTIVATIONS["identity"]] * 3
    stepped = layered_step(states, first, weights[1:], biases[1:], identity)
    for one, other in zip(stepped, sums, strict=True):
        torch.testing.assert_close(one, other)


def test_a_phase_may_be_watched_and_changed() -> None:
    states, first, weights, biases = layers([9, 3], 5, True)
    hard = [ACTIVATIONS["hard_sigmoid"]] * 2
    seen: list[int] = []

    def hold(step: int, now: list[Tensor]) -> None:
        seen.append(step)
        now[1].fill_(0.25)

    last, _ = layered_settle(states, first, weights, biases, hard, 40, after=hold)
    assert seen == list(range(40))
    expected = (first + torch.full((5, 3), 0.25, dtype=torch.float64) @ weights[0]).clamp(0, 1)
    torch.testing.assert_close(last[0], expected)
    assert bool((last[1] == 0.25).all())


def test_soft_targets_are_one_hot_labels_and_never_the_given_tensor_changed() -> None:
    like = torch.zeros(3, 4, dtype=torch.float64)
    found = soft_targets(torch.tensor([2, 0, 3]), like)
    assert found.dtype == torch.float64
    assert found.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert soft_targets(torch.tensor([2]), like, 7).shape == (1, 7)
    given = torch.tensor([[0.5, 0.5]])
    assert soft_targets(given, like).dtype == torch.float64 and given.tolist() == [[0.5, 0.5]]


def test_unknown_names_and_empty_phases_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="hard_sigmoid"):
        get_activation("hard_sigmoyd")
    assert get_activation(ACTIVATIONS["tanh"]) is ACTIVATIONS["tanh"]
    states, first, weights, biases = layers([5], 2, True)
    with pytest.raises(SettingsError, match="-1 steps"):
        layered_settle(states, first, weights, biases, [ACTIVATIONS["tanh"]], -1)
