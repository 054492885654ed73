"""Dendritic branches: masks, drive, gradient, and the fast phase against the plain step."""

from __future__ import annotations

import pytest
import torch

from neurosleep.errors import SettingsError
from neurosleep.functional.activations import get_activation
from neurosleep.functional.dendritic import (
    DendriticLayer,
    branch_gradient,
    branch_inputs,
    branch_masks,
    branch_mean,
    dendritic_settle,
    dendritic_step,
    kept_inputs,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_branch_keeps_a_rounded_part_of_its_inputs_and_at_least_one() -> None:
    assert [kept_inputs(10, p) for p in (0.01, 0.24, 0.26, 0.5, 1.0)] == [1, 2, 3, 5, 10]
    mask = branch_masks(300, 20, 0.3, generator=seeded())
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert mask.sum(1).tolist() == [6.0] * 300
    # Every branch draws its own inputs (of 38760 choices), all equally likely: each in 90 of 300 rows, sd 7.9.
    assert len(mask.unique(dim=0)) > 290
    assert float((mask.sum(0) - 90).abs().max()) < 4 * 7.9
    assert torch.equal(mask, branch_masks(300, 20, 0.3, generator=seeded()))
    assert not torch.equal(mask, branch_masks(300, 20, 0.3, generator=seeded(1)))
    assert bool((branch_masks(7, 4, 1.0) == 1).all())


def test_drive_and_gradient_are_those_of_the_formula() -> None:
    g, batch, units, branches, n = seeded(), 6, 5, 3, 7
    pre, post = (torch.randn(batch, k, generator=g, dtype=torch.float64) for k in (n, units))
    weight = torch.randn(branches * units, n, generator=g, dtype=torch.float64)
    bias = torch.randn(branches * units, generator=g, dtype=torch.float64)
    drive = branch_mean(branch_inputs(pre, weight, bias), branches)
    for sample in range(batch):
        for unit in range(units):
            expected = 0.0
            for b in range(branches):
                u = float(weight[b * units + unit] @ pre[sample] + bias[b * units + unit])
                expected += max(u, 0.0) / branches
            assert float(drive[sample, unit]) == pytest.approx(expected, abs=1e-12)
    weight.requires_grad_()
    bias.requires_grad_()
    phi = (branch_mean(branch_inputs(pre, weight, bias), branches) * post).sum()
    for found, expected in zip(
        branch_gradient(branch_inputs(pre, weight, bias).detach(), post, pre, branches),
        torch.autograd.grad(phi, [weight, bias]),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [(4,), (6, 3), (6, 5, 3)])
def test_the_fast_phase_is_the_plain_step_repeated(sizes: tuple[int, ...]) -> None:
    g, batch, branches, scale = seeded(), 5, (3, 2), 0.7

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    layers = []
    for k, n in enumerate(sizes):
        above = sizes[k + 1] if k + 1 < len(sizes) else None
        apical = None if above is None else some(2 * n, above)
        layers.append(DendriticLayer(some(3 * n, sizes[k - 1] if k else 9), some(3 * n), apical))
    acts = [get_activation("hard_sigmoid")] * len(sizes)
    states, first, aim = [some(batch, n) for n in sizes], some(batch, sizes[0]), some(batch, sizes[-1])
    kept = [s.clone() for s in states]
    path: list[list[torch.Tensor]] = []
    for steps in (1, 2, 5):
        path.clear()
        last, before = dendritic_settle(
            states,
            first,
            layers,
            branches,
            scale,
            acts,
            steps,
            lambda s: aim - s,
            0.3,
            lambda step, now: path.append([s.clone() for s in now]),
        )
        plain = states
        for step in range(steps):
            previous = plain
            plain = dendritic_step(plain, first, layers, branches, scale, acts, 0.3 * (aim - plain[-1]))
            for found, expected in zip(path[step], plain, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        for found, expected in zip([*last, *before], [*plain, *previous], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(s, k) for s, k in zip(states, kept, strict=True))


def test_no_steps_and_a_negative_scale_are_refused() -> None:
    layer = DendriticLayer(torch.zeros(2, 3), torch.zeros(2), None)
    arguments = ([torch.zeros(1, 1)], torch.zeros(1, 1), [layer], (2, 1))
    acts = [get_activation("relu")]
    with pytest.raises(SettingsError, match="0 steps"):
        dendritic_settle(*arguments, 0.2, acts, 0)
    with pytest.raises(SettingsError, match=r"-0\.2"):
        dendritic_settle(*arguments, -0.2, acts, 3)
