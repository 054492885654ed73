"""The bias-free network: shapes, initial weights, the old dropout."""

from __future__ import annotations

import pytest
import torch

from neurosleep.errors import SettingsError
from neurosleep.networks import MLP


def test_weights_are_uniform_and_from_the_generator() -> None:
    made = [MLP([50, 40, 3], init=0.05, generator=torch.Generator().manual_seed(4)) for _ in range(2)]
    assert [tuple(w.shape) for w in made[0].weights] == [(40, 50), (3, 40)]
    for one, other in zip(made[0].weights, made[1].weights, strict=True):
        assert torch.equal(one, other)
        assert float(one.detach().abs().max()) <= 0.05
    assert float(made[0].weights[0].detach().std()) == pytest.approx(0.05 / 3**0.5, rel=0.1)
    assert sum(1 for _ in made[0].parameters()) == 2


def test_dropout_is_not_inverted() -> None:
    net = MLP([6, 1000, 2], dropout=0.25, init=0.5, generator=torch.Generator().manual_seed(0))
    x = torch.rand(3, 6, generator=torch.Generator().manual_seed(1))
    full = torch.relu(x @ net.weights[0].T)
    net.eval()
    hidden, output = net.activities(x)
    assert torch.equal(hidden, full * 0.75)
    assert torch.equal(output, hidden @ net.weights[1].T)
    assert torch.equal(net(x), output)
    net.train()
    hidden = net.activities(x, generator=torch.Generator().manual_seed(2))[0]
    assert bool(((hidden == full) | (hidden == 0)).all())
    kept = (hidden > 0).sum() / (full > 0).sum()
    assert 0.7 < float(kept) < 0.8


@pytest.mark.parametrize(
    ("sizes", "wrong"),
    [([3], {}), ([3, 0], {}), ([3, 2], {"dropout": 1.0}), ([3, 2], {"init": 0.0}), ([3, 2], {"init": float("nan")})],
)
def test_wrong_settings_are_refused(sizes: list[int], wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        MLP(sizes, **wrong)  # type: ignore[arg-type]
