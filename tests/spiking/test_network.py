from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from neurosleep.errors import SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import (
    Conv,
    Dense,
    Identity,
    Pool,
    Population,
    Projection,
    SpikingNetwork,
    Transposed,
    get_engine,
)
from neurosleep.spiking.projections import Weighted


def populations(**fields):
    return (
        Population("in", "input", (2, 3)),
        Population("hidden", "lif", (4,), **fields),
        Population("out", "lif", (2,)),
    )


def network(*extra, **fields):
    chain = (
        Dense("in", "hidden", torch.arange(24.0).reshape(4, 6)),
        Dense("hidden", "out", torch.ones(2, 4), scale=0.5, plastic=False),
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
        ({"refractory": -1}, "refractory cannot be -1", "an integer, from 0"),
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
        Dense("a", "b", **({"weight": torch.ones(1, 1)} | fields))
    assert "Projection 'a' -> 'b': " + message in str(refused.value)


@pytest.mark.parametrize("kind", [Projection, Weighted])
def test_a_projection_of_no_kind_is_refused(kind):
    with pytest.raises(SettingsError, match=f"{kind.__name__} itself") as refused:
        kind("a", "b", weight=torch.ones(1, 1))
    assert all(
        name in refused.value.expected for name in ("Dense", "Transposed", "Conv", "Pool", "Reshape", "Identity")
    )


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
        network(Dense(source, target, torch.ones(1, 1)))


@pytest.mark.parametrize(
    ("weight", "found"),
    [(torch.ones(6, 4), "(6, 4)"), (torch.ones(24), "(24,)")],
)
def test_weights_of_the_wrong_shape_are_refused(weight, found):
    with pytest.raises(SettingsError) as refused:
        network(Dense("in", "hidden", weight))
    assert f"Projection 'in' -> 'hidden': the weight has shape {found}" in str(refused.value)
    assert refused.value.expected == "[post, pre] = (4, 6)"


@pytest.mark.parametrize(("source", "target", "n"), [("hidden", "hidden", (4, 4)), ("out", "hidden", (4, 2))])
def test_loops_need_a_delay(source, target, n):
    with pytest.raises(SettingsError, match=r"hidden.* form a loop without delay") as refused:
        network(Dense(source, target, torch.ones(n)))
    assert "delay of at least one step" in refused.value.expected
    assert network(Dense(source, target, torch.ones(n), delay=1)).order == ("in", "hidden", "out")


def test_order_follows_the_projections_and_not_the_list():
    shuffled = tuple(reversed(populations()))
    net = SpikingNetwork(shuffled, network().projections)
    assert net.order == ("in", "hidden", "out")
    assert [p.name for p in net.inputs] == ["in"]
    assert [p.name for p in net.layers] == ["hidden", "out"]


def test_incoming_gives_the_numbers_of_the_projections():
    net = network(Dense("out", "hidden", torch.ones(4, 2), delay=2))
    assert net.incoming("hidden") == [0, 2]
    assert net.incoming("in") == []


def test_population_by_name():
    assert network().population("out").size == 2
    with pytest.raises(UnknownNameError, match="no population named 'ou'"):
        network().population("ou")


def test_with_weights_replaces_the_weights_and_nothing_else():
    relay = Population("r", "relay", (6,))
    old = SpikingNetwork((*populations(), relay), (Identity("in", "r"), *network().projections), dt=0.002)
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


# --- values of every kind ---------------------------------------------------------------------------------------------

NO_WHOLE_NUMBERS = [1.0, 1.5, 0.5, math.nan, math.inf, "1", None, True, [1], torch.tensor(1.0), 10**30, -1]


@pytest.mark.parametrize("value", NO_WHOLE_NUMBERS, ids=str)
def test_refractory_times_and_delays_are_whole_numbers_of_steps(value):
    with pytest.raises(SettingsError, match="Population 'hidden': refractory cannot be"):
        populations(refractory=value)
    with pytest.raises(SettingsError, match="Projection 'a' -> 'b': delay cannot be"):
        Dense("a", "b", torch.ones(1, 1), delay=value)


def test_whole_numbers_of_any_type_are_steps():
    assert Population("a", "lif", (1,), refractory=np.int64(3)).refractory == 3
    found = Dense("a", "b", torch.ones(1, 1), delay=torch.tensor(2)).delay
    assert found == 2 and type(found) is int


def test_delays_are_bounded_alone_and_by_what_they_make_an_engine_remember():
    weight = torch.ones(1, 1)
    with pytest.raises(SettingsError, match=r"delay cannot be 100001\.(.|\n)*from 0 to 100000"):
        Dense("a", "b", weight, delay=100_001)
    a, b = Population("a", "input", (1,)), Population("b", "lif", (1,))
    SpikingNetwork((a, b), (Dense("a", "b", weight, delay=100_000),))
    crowd = Population("crowd", "lif", (10_000,))
    with pytest.raises(SettingsError, match="A delay of 100000 steps in a network of 10002 neurons"):
        SpikingNetwork((a, b, crowd), (Dense("a", "b", weight, delay=100_000),))


KEYS = ("threshold", "decay", "leak", "reset_value", "bias", "amount", "synaptic_decay")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        "1",
        b"1",
        True,
        [],
        {},
        1j,
        [0.5, 0.5],
        [0.5, 0.5, 0.5, "x"],
        np.ones((4, 1)),
        np.array([0.5, 0.5, 0.5, math.nan]),
        torch.ones(4, dtype=torch.bool),
        torch.ones(4, dtype=torch.complex64),
        torch.ones(4).to_sparse(),
        torch.tensor([0.5, 0.5, 0.5, math.inf], dtype=torch.float16),
    ],
    ids=repr,
)
def test_what_is_no_finite_number_is_refused_with_population_and_key(key, value):
    with pytest.raises(SettingsError, match=f"Population 'hidden': {key} "):
        populations(**{key: value})


@pytest.mark.parametrize("key", ["threshold", "decay", "leak", "reset_value", "bias", "synaptic_decay"])
def test_no_parameter_but_the_amount_may_be_left_out(key):
    with pytest.raises(SettingsError, match=f"Population 'hidden': {key} cannot be None"):
        populations(**{key: None})


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1, 1.0),
        (np.float32(0.5), 0.5),
        (torch.tensor(0.25, dtype=torch.bfloat16), 0.25),
        (10**30, 1e30),
        ([1, 2, 3, 4], torch.float64),
        (np.arange(4)[::-1], torch.float64),
        (np.arange(4, dtype=">f4"), torch.float32),
        (torch.arange(4, dtype=torch.float16), torch.float32),
        (torch.ones(4, dtype=torch.float64, requires_grad=True), torch.float64),
    ],
)
def test_numbers_of_other_types_are_kept_exactly_in_the_types_that_are_computed_in(value, kept):
    found = Population("a", "lif", (4,), threshold=value).threshold
    if isinstance(kept, float):
        assert found == kept and type(found) is float
    else:
        assert found.dtype == kept and not found.requires_grad
        assert found.tolist() == [float(v) for v in getattr(value, "tolist", lambda: value)()]


@pytest.mark.parametrize("shape", [3, 3.0, "3", None, (2.0,), (True,), ("2",), (2, None), (2**31,), (2**20, 2**20)])
def test_shapes_are_whole_numbers_with_a_limit(shape):
    with pytest.raises(SettingsError, match="Population 'a' has shape"):
        Population("a", "lif", shape)


@pytest.mark.parametrize("name", ["", None, 3, ("a",)])
def test_names_are_texts(name):
    with pytest.raises(SettingsError, match="cannot be named"):
        Population(name, "lif", (1,))
    with pytest.raises(SettingsError, match="cannot be named"):
        Dense("a", name, torch.ones(1, 1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": "2"}, "scale cannot be '2'"),
        ({"scale": True}, "scale cannot be True"),
        ({"plastic": "no"}, "plastic is 'no'"),
        ({"kind": Transposed, "of": ("b", "a"), "symmetric_rule": 1}, "symmetric_rule is 1"),
        ({"kind": Transposed, "of": "ab"}, "of is 'ab'"),
        ({"kind": Conv, "weight": torch.ones(1, 1, 1), "stride": {"stride": 1}}, "stride is"),
        ({"kind": Conv, "weight": torch.ones(1, 1, 1), "stride": "1"}, "stride is '1'"),
        ({"kind": Pool, "kernel": (2, True)}, r"kernel is \(2, True\)"),
        ({"weight": "weights"}, "the weight cannot be 'weights'"),
        ({"weight": torch.ones(2, 2, dtype=torch.bool)}, "the weight cannot be a tensor of torch.bool"),
        ({"weight": torch.ones(2, 2).to_sparse()}, "the weight cannot be a tensor of torch.float32, torch.sparse_coo"),
        ({"weight": torch.ones(2, 2, device="meta")}, "the weight cannot be a tensor"),
    ],
)
def test_projections_of_other_values_are_refused(fields, message):
    fields = {"kind": Dense, "weight": torch.ones(1, 1)} | fields if "kind" not in fields else dict(fields)
    kind = fields.pop("kind")
    with pytest.raises(SettingsError, match="Projection 'a' -> 'b': " + message):
        kind("a", "b", **fields)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(kind):
    weight = torch.tensor([[0.5, -0.25, 3.0]], dtype=kind)
    found = Dense("a", "b", weight).weight
    assert found.dtype == torch.float32 and torch.equal(found, weight.float())
    with pytest.raises(UnsupportedError, match="cannot be computed in"):
        network().to(kind)


def test_whole_and_mixed_weights_are_computed_in_double():
    whole = Dense("in", "hidden", np.arange(24).reshape(4, 6))
    assert whole.weight.dtype == torch.float64
    mixed = SpikingNetwork(populations(), (whole, Dense("hidden", "out", torch.full((2, 4), 0.5))))
    assert mixed.dtype == torch.float64 and {w.dtype for w in mixed.weights} == {torch.float64}
    spikes = SpikeEvents.from_dense(np.ones((5, 6), dtype=bool))
    event, reference = (get_engine(name).start(mixed).run({"in": spikes}) for name in ("event", "reference"))
    assert event["out"].count and event["out"].equals(reference["out"])


def test_numbers_that_the_weights_type_does_not_hold_are_refused():
    with pytest.raises(SettingsError, match=r"'hidden': bias is too large for weights of type torch\.float32"):
        network(bias=1e300)
    wide = tuple(torch.ones(*shape, dtype=torch.float64) for shape in ((4, 6), (2, 4)))
    pairs = (("in", "hidden"), ("hidden", "out"))
    projections = tuple(Dense(*pair, w) for pair, w in zip(pairs, wide, strict=True))
    double = SpikingNetwork(populations(bias=1e300), projections)
    with pytest.raises(SettingsError, match="bias is too large"):
        double.to(torch.float32)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dt": "short"}, "dt cannot be 'short'"),
        ({"dt": True}, "dt cannot be True"),
        ({"populations": ()}, "no population"),
        ({"populations": populations()[0]}, "populations is"),
        ({"populations": (1, 2)}, "populations is"),
        ({"projections": None}, "projections is"),
        ({"discretisation": "eulre"}, "did you mean 'euler'"),
    ],
)
def test_networks_of_other_values_are_refused(fields, message):
    with pytest.raises(SettingsError, match=message):
        SpikingNetwork(**{"populations": populations(), "projections": (), **fields})


@pytest.mark.parametrize("engine", ["event", "reference"])
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"in": SpikeEvents.empty(7, 3)}, "do not fit the network"),
        ({"inn": SpikeEvents.empty(6, 3)}, "do not fit the network"),
        ({}, "do not fit the network"),
        ({"in": torch.zeros(3, 6)}, "do not fit the network"),
    ],
)
def test_engines_look_at_what_they_are_given(engine, inputs, message):
    with pytest.raises(SettingsError, match=message):
        get_engine(engine).start(network()).run(inputs)


def seconds(populations_: int) -> float:
    start = time.process_time()
    parts = [Population("p0", "input", (1,)), *(Population(f"p{k}", "lif", (1,)) for k in range(1, populations_))]
    joined = [Identity(f"p{k}", f"p{k + 1}") for k in range(populations_ - 1)]
    net = SpikingNetwork(tuple(parts), tuple(joined))
    assert len(net.layers) == populations_ - 1 and net.last.name == f"p{populations_ - 1}"
    get_engine("reference").start(net)
    return time.process_time() - start


def test_the_time_to_make_a_network_grows_with_its_populations_and_not_with_their_square():
    seconds(100)
    few, many = (min(seconds(count) for _ in range(3)) for count in (1000, 8000))
    assert many < 24 * few  # 8 times, and not 64
