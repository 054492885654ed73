"""Optimisers with a rate per layer against PyTorch's; they train equilibrium networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.learning import SGD, AdaGrad, Adam, Optimiser, make_optimiser

LRS = [0.3, 0.03, 0.1]


def parameters() -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return [torch.randn(n, generator=g, dtype=torch.float64) for n in (3, 4, 5)]


CASES: list[tuple[Optimiser, Callable[..., torch.optim.Optimizer]]] = [
    (SGD(0.9, 0.01), lambda groups: torch.optim.SGD(groups, momentum=0.9, weight_decay=0.01)),
    (SGD(0.0), lambda groups: torch.optim.SGD(groups)),
    (Adam(), lambda groups: torch.optim.Adam(groups)),
    (Adam(weight_decay=0.01), lambda groups: torch.optim.Adam(groups, weight_decay=0.01)),
    (AdaGrad(weight_decay=0.01), lambda groups: torch.optim.Adagrad(groups, eps=1e-7, weight_decay=0.01)),
]


@pytest.mark.parametrize(("ours", "theirs"), CASES, ids=[repr(c[0]) for c in CASES])
def test_an_optimiser_of_equilibrium_networks_is_pytorchs(
    ours: Optimiser, theirs: Callable[..., torch.optim.Optimizer]
) -> None:
    mine, other = parameters(), [p.requires_grad_() for p in parameters()]
    peer = theirs([{"params": [p], "lr": lr} for p, lr in zip(other, LRS, strict=True)])
    state = ours.state(mine)
    g = torch.Generator().manual_seed(1)
    for step in range(6):
        grads = [torch.randn(p.shape, generator=g, dtype=torch.float64) for p in mine]
        if step == 3:
            # Stored and restored between steps, as flat tensors.
            state = [s.clone() for s in state]
            assert all(isinstance(s, torch.Tensor) for s in state)
        kept = [grad.clone() for grad in grads]
        ours.step_(mine, grads, state, LRS)
        assert all(torch.equal(a, b) for a, b in zip(grads, kept, strict=True))
        for p, grad in zip(other, kept, strict=True):
            p.grad = grad
        peer.step()
        for a, b in zip(mine, other, strict=True):
            torch.testing.assert_close(a, b.detach(), rtol=1e-11, atol=1e-13)


def test_optimisers_by_name_for_equilibrium_learning() -> None:
    assert make_optimiser("sgd", momentum=0.5) == SGD(0.5)
    assert make_optimiser("adam", weight_decay=0.1) == Adam(weight_decay=0.1)
    assert make_optimiser("adagrad") == AdaGrad()
    with pytest.raises(UnknownNameError, match="adam"):
        make_optimiser("adams")
    for wrong in ({"momentum": 1.0}, {"momentum": -0.1}, {"weight_decay": -1.0}, {"weight_decay": float("nan")}):
        with pytest.raises(SettingsError):
            make_optimiser("sgd", **wrong)
