"""The fully connected network: shapes, initial weights, the old dropout, its two read-outs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.conversion import convert, wake
from neurosleep.errors import ConversionError, SettingsError, UnknownNameError
from neurosleep.learning import accuracy, predict
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


# --- the read-out -----------------------------------------------------------------------------------------------------


def softmax_pair() -> tuple[MLP, MLP]:
    """Two networks with the same weights, read out in the two ways."""
    return tuple(  # type: ignore[return-value]
        MLP([5, 4, 3], dropout=0.25, init=0.5, output=output, generator=torch.Generator().manual_seed(0)).eval()
        for output in ("relu", "softmax")
    )


def test_the_read_out_is_that_of_the_output() -> None:
    relu, softmax = softmax_pair()
    x = torch.rand(7, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        sums = softmax(x)
        # What is passed on and learnt from are the sums in both.
        assert torch.equal(sums, relu(x))
        assert float(sums.min()) < 0 < float(sums.max())
        assert torch.equal(relu.read_out(sums), sums.clamp(min=0))
        expected = sums.double().exp() / sums.double().exp().sum(1, keepdim=True)
        torch.testing.assert_close(softmax.read_out(sums).double(), expected, rtol=1e-6, atol=1e-7)
    assert relu.output == "relu"
    # Sums beyond what exp can hold.
    assert softmax.read_out(torch.tensor([[1e4, 0.0, -1e4]])).tolist() == [[1.0, 0.0, 0.0]]


def test_a_prediction_is_clipped_at_zero_for_relu_only() -> None:
    relu, softmax = softmax_pair()
    for net in (relu, softmax):
        with torch.no_grad():
            net.weights[0].copy_(torch.eye(4, 5))
            net.weights[1].copy_(torch.tensor([[-3.0, 0, 0, 0], [-1.0, 0, 0, 0], [-2.0, 0, 0, 0]]))
    x = torch.tensor([[1.0, 0, 0, 0, 0]])
    # All sums are negative: a silent ReLU output says class 0, a softmax the least negative.
    assert predict(relu, x).tolist() == [0]
    assert predict(softmax, x).tolist() == [1]
    assert accuracy(softmax, x, torch.tensor([1])) == 1.0


def test_the_scale_of_a_softmax_output_is_of_probabilities() -> None:
    relu, softmax = softmax_pair()
    for net in (relu, softmax):
        with torch.no_grad():
            net.weights[0].mul_(10)
            net.weights[1].mul_(0.5).clamp_(max=0.2)
    x = 4 * torch.rand(50, 5, generator=torch.Generator().manual_seed(2))
    found = {}
    for name, net in (("relu", relu), ("softmax", softmax)):
        report = convert(net, x, recipe="recursive").report
        with torch.no_grad():
            hidden, sums = net.activities(x)
        largest = max(float(net.read_out(sums).max()), float(net.weights[1].detach().max()))
        assert report.largest == pytest.approx(
            (max(float(hidden.max()), float(net.weights[0].detach().max())), largest)
        )
        found[name] = report.largest[1]
    assert 1 / 3 <= found["softmax"] <= 1
    assert found["relu"] != pytest.approx(found["softmax"])
    # Weights above 1 count more than any probability.
    with torch.no_grad():
        softmax.weights[1][0, 0] = 6.0
    assert convert(softmax, x, recipe="recursive").report.largest[1] == 6.0


def test_both_outputs_wake_as_they_fell_asleep() -> None:
    for net in softmax_pair():
        woken = wake(convert(net, torch.rand(9, 5), recipe="recursive"), net)
        assert woken.output == net.output


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="softmaks"):
        MLP([3, 2], output="softmaks")  # type: ignore[arg-type]


# --- with biases, and torch's initial weights -------------------------------------------------------------------------


def test_torchs_initial_weights_are_those_of_its_linear_layers() -> None:
    torch.manual_seed(5)
    theirs = [nn.Linear(7, 6), nn.Linear(6, 3)]
    ours = MLP([7, 6, 3], init="torch", bias=True, generator=torch.Generator().manual_seed(5))
    assert [tuple(t.shape) for t in ours.trained] == [(6, 7), (3, 6), (6,), (3,)]
    expected = [*(layer.weight for layer in theirs), *(layer.bias for layer in theirs)]
    assert all(torch.equal(a, b) for a, b in zip(ours.trained, expected, strict=True))
    x = torch.rand(4, 7)
    torch.testing.assert_close(ours(x), nn.Sequential(theirs[0], nn.ReLU(), theirs[1])(x))
    assert ours.layer_of == [0, 1, 0, 1] and MLP([7, 6, 3]).layer_of == [0, 1]


def test_biases_begin_at_zero_beside_weights_of_a_stated_range() -> None:
    before = torch.get_rng_state()
    with_biases, without = (MLP([7, 6, 3], bias=b, generator=torch.Generator().manual_seed(5)) for b in (True, False))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(not bias.any() for bias in with_biases.biases) and without.biases == []
    assert all(torch.equal(a, b) for a, b in zip(with_biases.weights, without.weights, strict=True))


def test_a_sigmoid_read_out_is_torchs() -> None:
    net = MLP([5, 3], output="sigmoid", init="torch")
    x = torch.rand(4, 5)
    assert torch.equal(net.read_out(net(x)), torch.sigmoid(net(x)))
    with pytest.raises(SettingsError, match="torch"):
        MLP([5, 3], init="kaiming")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["mlp.safetensors", "mlp.onnx"])
def test_a_network_with_biases_comes_back_from_a_file(tmp_path: Path, name: str) -> None:
    net = MLP([5, 7, 3], bias=True, init="torch", dropout=0.25, output="sigmoid").eval()
    again = ns.load(ns.save(net, tmp_path / name))
    assert isinstance(again, MLP) and (again.sizes, again.output, again.dropout) == (net.sizes, "sigmoid", 0.25)
    assert all(torch.equal(a, b) for a, b in zip(again.trained, net.trained, strict=True))


def test_with_biases_the_sleep_of_the_paper_refuses_it_and_other_recipes_carry_them() -> None:
    net = MLP([5, 7, 3], bias=True, init="torch").eval()
    with pytest.raises(ConversionError, match="bias"):
        convert(net, torch.rand(20, 5), recipe="recursive")
    x = torch.rand(20, 5)
    network = convert(net, x, recipe="percentile")
    assert any(bool(torch.as_tensor(p.bias).any()) for p in network.populations)
    woken = wake(network, net)
    assert all(torch.allclose(a, b) for a, b in zip(woken.trained, net.trained, strict=True))
