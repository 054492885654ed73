"""Which networks can sleep as a chain of their own weights, and how the others are refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from neurosleep.conversion import convert, sleeping_chain
from neurosleep.errors import ConversionError, DataError
from neurosleep.networks import MLP, DendriticMLP, EquilibriumMLP

X = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))


class Written(nn.Module):
    """A chain as people write it: layers by name, functions and reshaping in ``forward``."""

    def __init__(self, sizes: list[int], bias: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in itertools.pairwise(sizes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.view(x.size(0), -1)
        for layer in self.layers[:-1]:
            x = nn.functional.dropout(torch.relu(layer(x)), 0.5, self.training)
        return self.layers[-1](x)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=2, max_size=5), st.booleans(), st.integers(0, 10**6))
def test_the_chain_is_the_model_without_its_biases(sizes: list[int], bias: bool, seed: int) -> None:
    torch.manual_seed(seed)
    model, x = Written(sizes, bias).eval(), torch.rand(3, 1, sizes[0])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    chain, weights = sleeping_chain(model, x)
    assert torch.equal(torch.get_rng_state(), state)
    # The very parameters, in the order of the layers.
    assert [id(weight) for weight in weights] == [id(layer.weight) for layer in model.layers]
    assert [id(weight) for weight in chain.parameters()] == [id(weight) for weight in weights]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with torch.no_grad():
        for layer in model.layers:
            if layer.bias is not None:
                layer.bias.zero_()
        # The output of the chain is rectified, as the recipes of sleep read it.
        assert torch.equal(chain(x.flatten(1)), torch.relu(model(x)))


@pytest.mark.parametrize(
    "model",
    [
        MLP([6, 5, 3]),
        EquilibriumMLP([6, 5, 3]),
        nn.Sequential(nn.Flatten(), nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False)),
    ],
)
def test_what_sleep_takes_stands_for_itself(model: nn.Module) -> None:
    chain, weights = sleeping_chain(model, X)
    assert chain is model
    assert [tuple(weight.shape) for weight in weights] == [(5, 6), (3, 5)]
    assert all(any(weight is own for own in model.parameters()) for weight in weights)


def test_a_network_of_ours_may_stand_behind_a_flatten() -> None:
    inner = MLP([6, 5, 3])
    chain, weights = sleeping_chain(nn.Sequential(nn.Flatten(), nn.Identity(), inner), X.reshape(4, 1, 2, 3))
    assert chain is inner
    assert all(a is b for a, b in zip(weights, inner.weights, strict=True))


def test_nested_layers_and_biases_convert_as_the_plain_network_of_the_same_weights() -> None:
    nested = nn.Sequential(nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Dropout(0.5)), nn.Linear(5, 3))
    plain = nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False))
    plain[0].weight, plain[2].weight = nested[0][0].weight, nested[1].weight
    found, expected = (convert(chain, X, recipe="recursive") for chain in (sleeping_chain(nested, X)[0], plain))
    assert [p.scale for p in found.projections] == [p.scale for p in expected.projections]
    assert all(torch.equal(a, b) for a, b in zip(found.weights, expected.weights, strict=True))


def twice() -> nn.Module:
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.ReLU(), layer)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return x + self.second(x)


class Doubled(Branches):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(2 * torch.relu(self.first(x)))


class Convolved(Branches):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x.view(-1, 1, 2, 3))).flatten(1))


class TwoInputs(Branches):
    def forward(self, x: torch.Tensor, task_labels: torch.Tensor) -> torch.Tensor:
        return self.first(x) + task_labels


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 3)), "'1' (Sigmoid)"),
        (lambda: nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3)), "'0'"),
        (lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)), "'0'"),
        (Convolved, "'first'"),
        (lambda: nn.Sequential(nn.Unflatten(1, (1, 6)), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(3, 2)), "'0'"),
        (twice, "'0'"),
        (Branches, "'second'"),
        (Doubled, "'second'"),
        (TwoInputs, "task_labels"),
        (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 3, bias=False))), "'0'"),
        (lambda: nn.Sequential(nn.ReLU()), "no layer with weights"),
        (lambda: DendriticMLP([6, 5, 3]), "DendriticMLP"),
    ],
)
def test_what_is_no_chain_is_refused_by_name(make: Callable[[], nn.Module], named: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(ConversionError) as caught:
        sleeping_chain(make(), X)
    assert named in str(caught.value), str(caught.value)


@pytest.mark.parametrize("example", [torch.rand(4, 7), torch.empty(0, 6), torch.empty(0)])
def test_examples_that_do_not_fit_are_refused(example: torch.Tensor) -> None:
    with pytest.raises(DataError, match="6 values"):
        sleeping_chain(MLP([6, 5, 3]), example)
