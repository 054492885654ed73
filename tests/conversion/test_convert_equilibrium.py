"""Symmetric networks that settle: their way into a spiking network with feedback, and back with their biases."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurosleep.conversion import Feedback, Ratio, Recursive, convert, feedback_of, wake
from neurosleep.errors import ConversionError, DataError, SettingsError, UnknownNameError
from neurosleep.functional import SpikeEvents, SRCRule
from neurosleep.networks import MLP, DendriticMLP, EquilibriumConv, EquilibriumMLP
from neurosleep.spiking import Transposed, get_engine


def settled(sizes: tuple[int, ...] = (6, 5, 4, 3), **fields: Any) -> EquilibriumMLP:
    given = {"init": 2.0, "free_steps": 40, "generator": torch.Generator().manual_seed(0)} | fields
    return EquilibriumMLP(sizes, **given)


def images(n: int = 30, inputs: int = 6) -> torch.Tensor:
    return torch.rand(n, inputs, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "fields", [{}, {"read_out": "cross-entropy"}, {"activation": "my_hard_sig"}, {"bias": False}, {"dt": 0.5}]
)
def test_the_scale_is_of_weights_and_settled_activities(fields: dict[str, Any]) -> None:
    model = settled(**fields)
    network = convert(model, images(), recipe=Ratio(3.0))
    report = network.report
    with torch.no_grad():
        states = model.activities(images())
    largest = [max(float(w.detach().max()), float(s.max())) for w, s in zip(model.weights, states, strict=True)]
    assert report.largest == tuple(largest)
    expected = [3.0 / largest[0], 3.0 * largest[0] / largest[1], 3.0 * largest[1] / largest[2]]
    assert [q.scale for q in network.projections] == pytest.approx(expected)
    assert [(p.name, p.size) for p in network.populations] == [
        ("input", 6),
        ("hidden1", 5),
        ("hidden2", 4),
        ("output", 3),
    ]
    for ours, theirs in zip(network.weights, model.weights, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.data_ptr() != theirs.data_ptr()
        assert not ours.requires_grad
    assert all(not np.any(p.bias) for p in network.populations)


def test_the_activity_of_a_potential_is_what_others_get_of_it() -> None:
    model = settled(dynamics="hopfield", activation="my_hard_sig", init=0.3)
    report = convert(model, images(), recipe="recursive").report
    with torch.no_grad():
        potentials = model.activities(images())
    largest = [max(float(w.detach().max()), float(u.max()) / 2) for w, u in zip(model.weights, potentials, strict=True)]
    assert report.largest == pytest.approx(largest)


def test_a_soft_max_read_out_is_scaled_by_its_probabilities_and_feeds_nothing_back() -> None:
    model = settled(read_out="softmax-read-out")
    network = convert(model, images(), recipe="recursive", feedback=Feedback())
    report = network.report
    with torch.no_grad():
        probabilities = torch.softmax(model.logits(model(images())), dim=1)
    assert report.largest[2] == max(float(probabilities.max()), float(model.weights[2].detach().max()))
    assert [(q.source, q.target) for q in network.projections if isinstance(q, Transposed)] == [("hidden2", "hidden1")]


@pytest.mark.parametrize("symmetric", [False, True])
def test_delayed_feedback_goes_through_the_transposed_weights(symmetric: bool) -> None:
    model = settled()
    network = convert(model, images(), recipe=Recursive(2.0), feedback=Feedback(gamma=0.25, symmetric_rule=symmetric))
    forward, back = network.projections[:3], network.projections[3:]
    assert [(q.source, q.target, q.of) for q in back] == [
        ("hidden2", "hidden1", ("hidden1", "hidden2")),
        ("output", "hidden2", ("hidden2", "output")),
    ]
    assert [q.scale for q in back] == [0.25 * forward[0].scale, 0.25 * forward[1].scale]
    assert all(q.delay == 1 and q.symmetric_rule is symmetric for q in back)
    assert len(network.weights) == 3
    none = convert(model, images(), recipe=Recursive(2.0))
    assert len(none.projections) == 3
    assert [q.scale for q in none.projections] == [q.scale for q in forward]


@pytest.mark.parametrize("engine", ["reference", "event"])
def test_feedback_of_gamma_0_is_none(engine: str) -> None:
    model = settled((12, 9, 7, 3))
    events = SpikeEvents.from_dense(np.random.default_rng(0).random((200, 12)) < 0.3)
    rule = SRCRule(0.02, 0.002)

    def slept(**options: Any) -> Any:
        network = convert(model, images(30, 12), recipe="recursive", thresholds=[2.0] * 3, **options)
        session = get_engine(engine).start(network, rule)
        return session.run({"input": events}), session.weights()

    none, muted, loud = slept(), slept(feedback=Feedback(0.0)), slept(feedback=Feedback())
    assert all(muted[0][name].equals(train) for name, train in none[0].items())
    assert all(torch.equal(a, b) for a, b in zip(muted[1], none[1], strict=True))
    assert none[0]["output"].count > 0
    assert not loud[0]["hidden1"].equals(none[0]["hidden1"])


def test_biases_drive_only_if_asked_to() -> None:
    model = settled()
    network = convert(model, images(), recipe=Recursive(2.0), bias_drive=True)
    report = network.report
    for population, bias, alpha in zip(network.populations[1:], model.biases, report.scales, strict=True):
        assert bias is not None
        assert torch.equal(torch.as_tensor(population.bias), alpha * bias.detach())
    without = convert(settled(bias=False), images(), recipe="recursive", bias_drive=True)
    assert all(not np.any(p.bias) for p in without.populations)


def test_waking_puts_the_weights_back_and_leaves_the_biases() -> None:
    model = settled(dt=torch.linspace(0.2, 1.0, 12))
    before = copy.deepcopy(model.state_dict())
    network = convert(model, images(), recipe="recursive", feedback=Feedback(symmetric_rule=True), bias_drive=True)
    assert all(
        torch.equal(a, b) for a, b in zip(wake(network, model).state_dict().values(), before.values(), strict=True)
    )
    woken = wake(network.with_weights([w + 1 for w in network.weights]), model)
    assert woken is not model
    assert isinstance(woken, EquilibriumMLP)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    assert all(torch.equal(w, m + 1) for w, m in zip(woken.weights, model.weights, strict=True))
    for key in before:
        if "weight" not in key:
            assert torch.equal(woken.state_dict()[key], before[key])
    assert all(parameter.requires_grad for parameter in woken.parameters())


@pytest.mark.parametrize(
    "model", [DendriticMLP((6, 4, 3)), EquilibriumConv((2, 3, 1), (2,), pool=1)], ids=["dendritic", "conv"]
)
def test_networks_that_cannot_sleep_are_refused_by_name(model: nn.Module) -> None:
    name = type(model).__name__
    with pytest.raises(ConversionError, match=name) as refused:
        convert(model, images(), recipe="recursive")
    assert "EquilibriumMLP" in str(refused.value.expected)
    assert "train an EquilibriumMLP" in str(refused.value.hint)
    with pytest.raises(ConversionError, match=name):
        wake(convert(settled(), images(), recipe="recursive"), model)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        (("delay",), UnknownNameError, "did you mean 'delayed'"),
        (("delayed", 1.5), SettingsError, "gamma cannot be 1.5"),
        (("none", -0.1), SettingsError, "gamma cannot be -0.1"),
        (("none", float("nan")), SettingsError, "gamma cannot be nan"),
        (("none", 0.5), SettingsError, "feedback='none' has no gamma"),
        (("none", 1.0, True), SettingsError, "feedback='none' has no symmetric_rule"),
    ],
)
def test_impossible_feedback_is_refused(options: tuple[Any, ...], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        feedback_of(*options)


@pytest.mark.parametrize("options", [{"feedback": Feedback()}, {"bias_drive": True}])
def test_feed_forward_networks_have_no_feedback(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="type MLP, which has no feedback"):
        convert(MLP([6, 4, 3]), images(), recipe="recursive", **options)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("output", ["relu", "softmax"])
def test_the_largest_activities_are_those_of_the_plain_pass_bit_for_bit(dropout: float, output: Any) -> None:
    model = MLP([50, 40, 30, 5], dropout=dropout, init=0.4, output=output, generator=torch.Generator().manual_seed(0))
    many = images(4300, 50)
    largest = [max(float(w.detach().max()), 0.0) for w in model.weights]
    with torch.no_grad():
        for part in (many[:2000], many[2000:4000], many[4000:]):
            x = part
            for k, w in enumerate(model.weights):
                sums = x @ w.T
                x = torch.relu(sums) * (1 - dropout) if k < 2 else model.read_out(sums)
                largest[k] = max(largest[k], float(x.max()))
    assert convert(model, many, recipe="recursive").report.largest == tuple(largest)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_single_value_that_is_not_finite_is_found(value: float) -> None:
    bad = images()
    bad[17, 3] = value
    for model in (settled(), MLP([6, 3])):
        with pytest.raises(DataError, match="Calibration images"):
            convert(model, bad, recipe="recursive")
