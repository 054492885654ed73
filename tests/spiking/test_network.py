from __future__ import annotations

import math

import pytest
import torch

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.spiking import Population, Projection, SpikingNetwork


def populations(**fields):
    return (
        Population("in", "input", (2, 3)),
        Population("hidden", "lif", (4,), **fields),
        Population("out", "lif", (2,)),
    )


def network(*extra, **fields):
    chain = (
        Projection("in", "hidden", weight=torch.arange(24.0).reshape(4, 6)),
        Projection("hidden", "out", weight=torch.ones(2, 4), scale=0.5, plastic=False),
    )
    return SpikingNetwork(populations(**fields), (*chain, *extra))


# --- populations ------------------------------------------------------------------------------------------------------


def test_population_size_is_the_product_of_its_shape():
    assert Population("a", "lif", (2, 3, 4)).size == 24


@pytest.mark.parametrize(
    ("fields", "message", "expected"),
    [
        ({"threshold": -0.5}, "threshold is -0.5", "at least 0"),
        ({"threshold": math.nan}, "threshold is nan", "a finite number"),
        ({"threshold": math.inf}, "threshold is inf", "a finite number"),
        ({"threshold": torch.tensor([1.0, 1.0, -2.0, 1.0])}, "threshold is -2.0", "at least 0"),
        ({"threshold": torch.ones(3)}, "threshold has shape (3,)", "each of the 4 neurons"),
        ({"threshold": torch.ones(2, 2)}, "threshold has shape (2, 2)", "each of the 4 neurons"),
        ({"decay": 1.5}, "decay is 1.5", "between 0 and 1"),
        ({"decay": -0.1}, "decay is -0.1", "between 0 and 1"),
        ({"synaptic_decay": 2.0}, "synaptic_decay is 2.0", "between 0 and 1"),
        ({"leak": math.nan}, "leak is nan", "a finite number"),
        ({"reset_value": math.inf}, "reset_value is inf", "a finite number"),
        ({"bias": torch.tensor([0.0, math.nan, 0.0, 0.0])}, "bias is nan", "a finite number"),
        ({"amount": -1.0}, "amount is -1.0", "at least 0"),
        ({"refractory": -1}, "refractory cannot be -1", "a whole number, from 0"),
    ],
)
def test_impossible_parameters_are_refused_with_population_value_and_limits(fields, message, expected):
    with pytest.raises(SettingsError) as refused:
        populations(**fields)
    assert "Population 'hidden': " + message in str(refused.value)
    assert expected in refused.value.expected


@pytest.mark.parametrize(
    ("fields", "near"),
    [
        ({"compare": ">>"}, "'>'"),
        ({"reset": "substract"}, "'subtract'"),
        ({"while_refractory": "holds"}, "'hold'"),
    ],
)
def test_unknown_choices_are_refused_with_the_nearest(fields, near):
    with pytest.raises(UnknownNameError, match="did you mean " + near):
        populations(**fields)


def test_unknown_population_kind_is_refused():
    with pytest.raises(UnknownNameError, match="population kind named 'liff'"):
        Population("a", "liff", (1,))


@pytest.mark.parametrize("shape", [(), (0,), (3, -1)])
def test_empty_shapes_are_refused(shape):
    with pytest.raises(SettingsError, match="Population 'a' has shape"):
        Population("a", "lif", shape)


@pytest.mark.parametrize("fields", [{"threshold": 0.0}, {"decay": 0.0}, {"decay": 1.0}, {"leak": -3.0}, {"amount": 0}])
def test_values_at_the_limits_are_legal(fields):
    populations(**fields)


def test_lif_params_have_the_asked_type_and_the_threshold_as_amount():
    p = Population("a", "lif", (2,), threshold=torch.tensor([1.0, 2.0]), decay=0.9, refractory=3)
    params = p.lif_params(torch.float64)
    assert params.threshold.dtype == params.decay.dtype == torch.float64
    assert params.amount.tolist() == [1.0, 2.0]
    assert params.refractory.item() == 3
    assert Population("a", "lif", (2,), amount=0.25).lif_params(torch.float32).amount.item() == 0.25


# --- projections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": math.nan}, "scale cannot be nan"),
        ({"scale": math.inf}, "scale cannot be inf"),
        ({"delay": -1}, "delay cannot be -1"),
        ({"weight": torch.tensor([[1.0, math.nan]])}, "the weight holds NaN or infinite values"),
        ({"weight": torch.tensor([[-math.inf, 0.0]])}, "the weight holds NaN or infinite values"),
    ],
)
def test_impossible_projections_are_refused(fields, message):
    with pytest.raises(SettingsError) as refused:
        Projection("a", "b", **fields)
    assert "Projection 'a' -> 'b': " + message in str(refused.value)


def test_unknown_projection_kind_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'dense'"):
        Projection("a", "b", "dens")


# --- the network ------------------------------------------------------------------------------------------------------


def test_two_populations_of_one_name_are_refused():
    with pytest.raises(SettingsError, match="Two populations share a name: a"):
        SpikingNetwork((Population("a", "input", (1,)), Population("a", "lif", (1,))), ())


@pytest.mark.parametrize("dt", [0.0, -0.001, math.nan, math.inf])
def test_impossible_steps_are_refused(dt):
    with pytest.raises(SettingsError, match="dt cannot be"):
        SpikingNetwork(populations(), (), dt=dt)


@pytest.mark.parametrize(("source", "target"), [("hiden", "out"), ("in", "hiden")])
def test_projections_of_unknown_populations_are_refused(source, target):
    with pytest.raises(UnknownNameError, match="did you mean 'hidden'"):
        network(Projection(source, target, weight=torch.ones(1, 1)))


@pytest.mark.parametrize(("weight", "found"), [(torch.ones(6, 4), "(6, 4)"), (torch.ones(24), "(24,)"), (None, "None")])
def test_weights_of_the_wrong_shape_are_refused(weight, found):
    with pytest.raises(SettingsError) as refused:
        network(Projection("in", "hidden", weight=weight))
    assert f"Projection 'in' -> 'hidden': the weight has shape {found}" in str(refused.value)
    assert refused.value.expected == "[post, pre] = (4, 6)"


@pytest.mark.parametrize(("source", "target", "n"), [("hidden", "hidden", (4, 4)), ("out", "hidden", (4, 2))])
def test_loops_need_a_delay(source, target, n):
    with pytest.raises(SettingsError, match=r"hidden.* form a loop without delay") as refused:
        network(Projection(source, target, weight=torch.ones(n)))
    assert "delay of at least one step" in refused.value.expected
    assert network(Projection(source, target, weight=torch.ones(n), delay=1)).order == ("in", "hidden", "out")


def test_order_follows_the_projections_and_not_the_list():
    shuffled = tuple(reversed(populations()))
    net = SpikingNetwork(shuffled, network().projections)
    assert net.order == ("in", "hidden", "out")
    assert [p.name for p in net.inputs] == ["in"]
    assert [p.name for p in net.layers] == ["hidden", "out"]


def test_incoming_gives_the_numbers_of_the_projections():
    net = network(Projection("out", "hidden", weight=torch.ones(4, 2), delay=2))
    assert net.incoming("hidden") == [0, 2]
    assert net.incoming("in") == []


def test_population_by_name():
    assert network().population("out").size == 2
    with pytest.raises(UnknownNameError, match="no population named 'ou'"):
        network().population("ou")


def test_with_weights_replaces_the_weights_and_nothing_else():
    relay = Population("r", "relay", (6,))
    old = SpikingNetwork((*populations(), relay), (Projection("in", "r", "identity"), *network().projections), dt=0.002)
    new = old.with_weights([torch.zeros(4, 6), torch.zeros(2, 4)])
    assert [w.abs().sum().item() for w in new.weights] == [0.0, 0.0]
    assert [w.abs().sum().item() for w in old.weights] == [276.0, 8.0]
    assert (new.dt, new.order) == (old.dt, old.order)
    assert [(q.source, q.target, q.scale, q.plastic) for q in new.projections] == [
        (q.source, q.target, q.scale, q.plastic) for q in old.projections
    ]


def test_with_weights_refuses_another_number_or_shape():
    with pytest.raises(SettingsError, match="1 weights were given"):
        network().with_weights([torch.zeros(4, 6)])
    with pytest.raises(SettingsError, match="has shape"):
        network().with_weights([torch.zeros(4, 6), torch.zeros(4, 2)])


def test_to_changes_the_type_of_the_weights():
    assert network().dtype == torch.float32
    assert network().to(torch.float64).dtype == torch.float64
    assert SpikingNetwork(populations(), ()).dtype == torch.float32


def test_with_thresholds():
    net = network().with_thresholds({"hidden": 3.0})
    assert [p.threshold for p in net.layers] == [3.0, 1.0]
    with pytest.raises(UnknownNameError, match="no population named 'hiden'"):
        network().with_thresholds({"hiden": 1.0})
    with pytest.raises(SettingsError, match="threshold is -1"):
        network().with_thresholds({"hidden": -1.0})


def test_str_is_a_table_of_populations_and_projections():
    text = str(network(threshold=torch.ones(4), decay=0.999, reset="subtract", refractory=2, compare=">"))
    rows = [row.split() for row in text.splitlines()]
    assert text.splitlines()[0] == "SpikingNetwork, dt = 0.001 s (exponential)"
    assert ["in", "input", "2x3", "-", "-", "-", "-"] in rows
    assert ["hidden", "lif", "4", ">", "[4]", "0.999", "subtract", "2"] in rows
    assert ["out", "lif", "2", ">=", "1", "1", "to_value", "0"] in rows
    assert ["in", "->", "hidden", "dense", "4x6", "1", "0", "true"] in rows
    assert ["hidden", "->", "out", "dense", "2x4", "0.5", "0", "false"] in rows
    assert len(rows) == 1 + 1 + 3 + 1 + 2
