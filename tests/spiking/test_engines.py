"""Every engine against a plain NumPy transcription of the step contract, and against each other."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.errors import SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import PairSTDP, SpikeEvents, SRCRule, numpy_generator
from neurosleep.spiking import (
    Dense,
    Identity,
    Population,
    SpikingNetwork,
    engine_names,
    get_engine,
)
from neurosleep.spiking.engines.event import kernels, population
from tests.uncompiled import uncompile

ENGINES = ("reference", "snntorch", "norse", "event", "torch")
PROPERTY = settings(max_examples=200, deadline=None, derandomize=True)

# --- the transcription ------------------------------------------------------------------------------------------------


def g(w, rule):
    if rule.factor == "constant":
        return np.ones_like(w)
    if rule.factor == "logistic":
        return 1 / (1 + np.exp(-w))
    return 2 * (1 - 1 / (1 + np.exp(np.clip(-w / rule.width, -60, 60))))


def transcription(net, rule, inputs):
    """The step contract, one population after another, in the order in which the network lists them."""
    dtype = np.float64 if net.dtype == torch.float64 else np.float32
    steps = len(next(iter(inputs.values())))

    def of(population, key):
        return np.broadcast_to(np.asarray(getattr(population, key), dtype=dtype), (population.size,))

    weights = [p.weight.numpy().astype(dtype) for p in net.projections]
    fired = {p.name: np.zeros((steps, p.size), dtype=bool) for p in net.populations}
    fired.update({name: np.asarray(spikes, dtype=bool) for name, spikes in inputs.items()})
    lif = [p for p in net.populations if p.kind == "lif"]
    v = {p.name: of(p, "leak").copy() for p in lif}
    wait = {p.name: np.zeros(p.size, dtype=int) for p in lif}
    x = [np.zeros(w.shape[1], dtype=dtype) for w in weights]
    y = [np.zeros(w.shape[0], dtype=dtype) for w in weights]

    def source(k, t):
        q = net.projections[k]
        return fired[q.source][t - q.delay] if t >= q.delay else np.zeros(weights[k].shape[1], dtype=bool)

    for t in range(steps):
        for p in lif:
            current = of(p, "bias").copy()
            for k, q in enumerate(net.projections):
                if q.target == p.name:
                    current = current + dtype(q.scale) * (weights[k] @ source(k, t).astype(dtype))
            ready = wait[p.name] == 0
            moved = of(p, "leak") + of(p, "decay") * (v[p.name] - of(p, "leak")) + current
            new = np.where(ready, moved, v[p.name]) if p.while_refractory == "hold" else moved
            theta = of(p, "threshold")
            s = (new >= theta if p.compare == ">=" else new > theta) & ready
            fired[p.name][t] = s
            wait[p.name] = np.where(s, p.refractory, np.maximum(wait[p.name] - 1, 0))
            amount = theta if p.amount is None else of(p, "amount")
            v[p.name] = np.where(s, of(p, "reset_value") if p.reset == "to_value" else new - amount, new)
        if rule is None:
            continue
        for k, q in enumerate(net.projections):
            if not q.plastic:
                continue
            pre, post, w = source(k, t), fired[q.target][t], weights[k]
            if isinstance(rule, SRCRule):
                change = np.where(pre, dtype(rule.inc), -dtype(rule.dec)) * g(w, rule)
                weights[k] = np.where(post[:, None], w + change, w).astype(dtype)
            else:
                x[k] = x[k] * dtype(rule.decay_plus) + pre
                y[k] = y[k] * dtype(rule.decay_minus)
                w = w - dtype(rule.a_minus) * np.outer(y[k], pre)
                w = w + dtype(rule.a_plus) * np.outer(post, x[k])
                weights[k] = np.clip(w, rule.w_min, rule.w_max).astype(dtype)
                y[k] = y[k] + post
    return fired, weights, v


# --- running and comparing --------------------------------------------------------------------------------------------


def start(engine, net, rule=None):
    if engine == "norse":
        pytest.importorskip("norse")
    return get_engine(engine).start(net, rule)


def run(engine, net, rule, inputs, chunk=None):
    session = start(engine, net, rule)
    steps = len(next(iter(inputs.values())))
    events = {name: SpikeEvents.from_dense(spikes) for name, spikes in inputs.items()}
    parts: dict[str, list[SpikeEvents]] = {p.name: [] for p in net.populations}
    chunk = chunk or max(steps, 1)
    for first in range(0, max(steps, 1), chunk):
        out = session.run({name: e.slice(first, min(first + chunk, steps)) for name, e in events.items()})
        assert set(out) == set(parts)
        for name, spikes in out.items():
            parts[name].append(spikes)
    fired = {p.name: SpikeEvents.concatenate(parts[p.name], p.size) for p in net.populations}
    dense = {name: spikes.to_dense(torch.bool).numpy() for name, spikes in fired.items()}
    weights = [w.numpy() for w in session.weights()]
    return dense, weights, {name: v.numpy() for name, v in session.membranes().items()}


def assert_same(found, expected, *, exact=False, rtol=1e-6):
    for name, spikes in expected[0].items():
        np.testing.assert_array_equal(found[0][name], spikes, err_msg=name)
    assert len(found[1]) == len(expected[1])
    for k, (a, b) in enumerate(zip(found[1], expected[1], strict=True)):
        assert a.dtype == b.dtype
        if exact:
            np.testing.assert_array_equal(a, b, err_msg=f"weight {k}")
        else:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * 1e-3, err_msg=f"weight {k}")
    assert set(found[2]) == set(expected[2])
    for name, v in expected[2].items():
        assert found[2][name].dtype == v.dtype
        if exact:
            np.testing.assert_array_equal(found[2][name], v, err_msg=name)
        else:
            np.testing.assert_allclose(found[2][name], v, rtol=rtol, atol=rtol, err_msg=name)


# --- the cases --------------------------------------------------------------------------------------------------------

N_IN, N_HIDDEN, N_OUT = 19, 21, 5  # none a multiple of the 16 units that the event engine steps together


def weight(rng, post, pre, dyadic, dtype=torch.float64):
    if dyadic:
        return torch.tensor(rng.integers(-24, 40, (post, pre)) / 64, dtype=dtype)
    return torch.tensor(rng.normal(0.12, 0.3, (post, pre)), dtype=dtype)


def rasters(rng, steps, n=N_IN, p=0.3):
    return rng.random((steps, n)) < p


def chain(dyadic, *, hidden=None, first=None, second=None, extra=(), dtype=torch.float64):
    """input -> hidden -> output; the arguments change fields of the hidden population and of the two projections."""
    rng = numpy_generator(7, "weights")
    decay = 0.5 if dyadic else 0.93
    populations = (
        Population("in", "input", (N_IN,)),
        Population("hidden", "lif", (N_HIDDEN,), **{"decay": decay, **(hidden or {})}),
        Population("out", "lif", (N_OUT,), decay=decay),
    )
    sizes = {p.name: p.size for p in populations}
    projections = [
        Dense("in", "hidden", weight(rng, N_HIDDEN, N_IN, dyadic, dtype), **(first or {})),
        Dense("hidden", "out", weight(rng, N_OUT, N_HIDDEN, dyadic, dtype), **(second or {})),
    ]
    for fields in extra:
        w = weight(rng, sizes[fields["target"]], sizes[fields["source"]], dyadic, dtype)
        projections.append(Dense(weight=w, **fields))
    return SpikingNetwork(populations, tuple(projections))


@dataclass
class Case:
    network: dict[str, Any]
    rule: Any = "src"
    steps: int = 32


RECURRENT = {"source": "hidden", "target": "hidden", "delay": 1}
FEEDBACK = {"source": "out", "target": "hidden", "delay": 2}
VARIED = torch.linspace(0.5, 2.0, N_HIDDEN, dtype=torch.float64)

CASES = {
    "plain": Case({}),
    "soft reset": Case({"hidden": {"reset": "subtract"}}),
    "soft reset with its own amount": Case({"hidden": {"reset": "subtract", "amount": 0.375}}),
    "hard reset to a value": Case({"hidden": {"reset_value": -0.5}}),
    "hard reset to a positive value": Case({"hidden": {"reset_value": 0.25}}),
    "leak": Case({"hidden": {"leak": -0.25, "reset_value": -0.5}}),
    "bias": Case({"hidden": {"bias": 0.125}}),
    "scale": Case({"first": {"scale": 0.5}, "second": {"scale": 2.0}}),
    "threshold 0": Case({"hidden": {"threshold": 0.0}}, steps=24),
    "threshold 0, strict": Case({"hidden": {"threshold": 0.0, "compare": ">"}}, steps=24),
    "strict": Case({"hidden": {"compare": ">"}}),
    "refractory, hold": Case({"hidden": {"refractory": 2}}),
    "refractory, integrate": Case({"hidden": {"refractory": 2, "while_refractory": "integrate"}}),
    "refractory, soft reset": Case({"hidden": {"refractory": 1, "reset": "subtract", "compare": ">"}}),
    "delay 1": Case({"first": {"delay": 1}}),
    "delay 3": Case({"second": {"delay": 3}}),
    "recurrent": Case({"extra": [RECURRENT]}),
    "feedback": Case({"extra": [FEEDBACK]}),
    "recurrent and feedback": Case({"extra": [RECURRENT, FEEDBACK], "second": {"delay": 1}}),
    "decay 1": Case({"hidden": {"decay": 1.0}}),
    "decay 0": Case({"hidden": {"decay": 0.0}}),
    "two projections into one": Case({"extra": [{"source": "in", "target": "out", "delay": 1, "scale": 0.5}]}),
    "two projections between the same two": Case({"extra": [{"source": "in", "target": "hidden", "delay": 3}]}),
    "non-plastic": Case({"first": {"plastic": False}}),
    "parameters per neuron": Case({"hidden": {"threshold": (VARIED * 64).round() / 64, "bias": VARIED.round() / 8}}),
    "no rule": Case({}, rule=None),
    "stdp": Case({}, rule="stdp"),
    "stdp with bounds": Case({}, rule="bounded"),
    "stdp, recurrent and feedback": Case({"extra": [RECURRENT, FEEDBACK]}, rule="bounded"),
    "stdp, refractory": Case({"hidden": {"refractory": 2}, "first": {"delay": 1}}, rule="bounded"),
    "stdp, non-plastic": Case({"second": {"plastic": False}}, rule="bounded"),
}


def make(name, dyadic, dtype=torch.float64):
    case = CASES[name]
    halves = {"decay_plus": 0.5, "decay_minus": 0.5} if dyadic else {}
    rule = {
        None: None,
        "src": SRCRule(1 / 16, 1 / 64, "constant") if dyadic else SRCRule(0.032, 0.0033, "steep"),
        "stdp": PairSTDP(1 / 32, 1 / 32, **halves) if dyadic else PairSTDP(0.011, 0.013, **halves),
        "bounded": PairSTDP(1 / 32, 1 / 32, w_min=-0.375, w_max=0.625, **halves)
        if dyadic
        else PairSTDP(0.011, 0.013, w_min=-2.0, w_max=0.4, **halves),
    }[case.rule]
    net = chain(dyadic, dtype=dtype, **case.network)
    if not dyadic and case.rule == "bounded":
        net = net.with_weights([w.clamp(-2.0, 0.4) for w in net.weights])
    return net, rule, {"in": rasters(numpy_generator(3, "drive"), case.steps)}


@pytest.fixture(scope="module")
def transcribed():
    """The expected result of each case, computed once for all engines."""
    known: dict[tuple[str, bool], Any] = {}

    def get(name, dyadic):
        if (name, dyadic) not in known:
            net, rule, inputs = make(name, dyadic)
            known[name, dyadic] = transcription(net, rule, inputs)
        return known[name, dyadic]

    return get


def test_all_four_engines_are_registered():
    assert set(ENGINES) <= set(engine_names())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_engine_follows_the_contract(engine, name, transcribed):
    net, rule, inputs = make(name, dyadic=False)
    assert_same(run(engine, net, rule, inputs), transcribed(name, False))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_dyadic_values_agree_bit_for_bit(engine, name, transcribed):
    net, rule, inputs = make(name, dyadic=True)
    assert_same(run(engine, net, rule, inputs), transcribed(name, True), exact=True)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dyadic", [False, True])
def test_no_case_is_empty(name, dyadic, transcribed):
    net, rule, _ = make(name, dyadic)
    fired, weights, _ = transcribed(name, dyadic)
    assert fired["hidden"].any() and fired["out"].any()
    assert name == "threshold 0" or not fired["hidden"].all()
    for q, before, after in zip(net.projections, net.weights, weights, strict=True):
        assert (before.numpy() != after).any() == (rule is not None and q.plastic)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["plain", "delay 3", "recurrent and feedback", "refractory, hold", "stdp with bounds"])
def test_engines_run_the_same_in_chunks(engine, name):
    net, rule, _ = make(name, dyadic=False)
    inputs = {"in": rasters(numpy_generator(3, "drive"), 50)}
    whole = run(engine, net, rule, inputs)
    for chunk in (1, 7, 50):
        assert_same(run(engine, net, rule, inputs, chunk), whole, exact=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("factor", ["steep", "logistic", "constant"])
def test_engines_apply_each_weight_factor(engine, factor):
    net, inputs = chain(False), {"in": rasters(numpy_generator(5, "drive"), 40)}
    rule = SRCRule(0.01, 0.002, factor, width=0.05)
    assert_same(run(engine, net, rule, inputs), transcription(net, rule, inputs))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", [SRCRule(1 / 16, 1 / 64, "constant"), PairSTDP(1 / 8, 1 / 8, 0.5, 0.5, -1.0, 1.0)])
def test_engines_in_float32(engine, rule):
    # 12 steps: the halved potentials still fit into 24 bits.
    net, inputs = chain(True, dtype=torch.float32), {"in": rasters(numpy_generator(3, "drive"), 12)}
    assert_same(run(engine, net, rule, inputs), transcription(net, rule, inputs), exact=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_in_float32_with_the_steep_factor(engine):
    net, inputs = chain(False, dtype=torch.float32), {"in": rasters(numpy_generator(3, "drive"), 30)}
    rule = SRCRule(0.032, 0.0033, "steep")
    assert_same(run(engine, net, rule, inputs), transcription(net, rule, inputs), rtol=2e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1, 15, 16, 17, 33])
def test_engines_with_populations_of_any_size(engine, size):
    rng = numpy_generator(size, "weights")
    net = SpikingNetwork(
        (Population("in", "input", (N_IN,)), Population("a", "lif", (size,), decay=0.9)),
        (Dense("in", "a", weight(rng, size, N_IN, False)),),
    )
    inputs, rule = {"in": rasters(rng, 30)}, SRCRule(0.01, 0.002, "logistic")
    assert_same(run(engine, net, rule, inputs), transcription(net, rule, inputs))


# --- one claim each ---------------------------------------------------------------------------------------------------


def single(w=1.0, dtype=torch.float64, **fields):
    return SpikingNetwork(
        (Population("in", "input", (1,)), Population("a", "lif", (1,), **fields)),
        (Dense("in", "a", torch.tensor([[w]], dtype=dtype)),),
    )


def train(engine, net, spikes):
    inputs = {"in": np.asarray(spikes, dtype=bool).reshape(-1, 1)}
    fired, _, v = run(engine, net, None, inputs)
    return fired["a"][:, 0].astype(int).tolist(), v["a"].item()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("decay", "current", "threshold"), [(0.9, 0.3, 1.0), (0.999, 0.01, 0.55), (1.0, 0.3, 1.0)])
def test_engines_fire_as_the_closed_form_says(engine, decay, current, threshold):
    # the first spike at the smallest n with I (1 - a^n)/(1 - a) >= theta, then periodically.
    reached = (current * sum(decay**k for k in range(n)) for n in range(1, 1000))
    n = next(k for k, v in enumerate(reached, 1) if v >= threshold)
    spikes, _ = train(engine, single(current, decay=decay, threshold=threshold), [1] * (4 * n + n // 2))
    assert np.flatnonzero(spikes).tolist() == [n - 1, 2 * n - 1, 3 * n - 1, 4 * n - 1]


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_stay_silent_below_the_closed_forms_limit(engine):
    spikes, v = train(engine, single(0.09, decay=0.9), [1] * 300)
    assert sum(spikes) == 0
    assert v == pytest.approx(0.9, rel=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("decay", [0.5, 1.0])
def test_engines_at_exact_equality(engine, decay):
    assert train(engine, single(1.0, decay=decay), [0, 1, 0]) == ([0, 1, 0], 0.0)
    assert train(engine, single(1.0, decay=decay, compare=">"), [0, 1]) == ([0, 0], 1.0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("decay", [0.0, 0.999, 1.0])
def test_engines_with_threshold_0_at_rest(engine, decay):
    assert train(engine, single(1.0, decay=decay, threshold=0.0), [0] * 5)[0] == [1] * 5
    assert train(engine, single(1.0, decay=decay, threshold=0.0, compare=">"), [0] * 5)[0] == [0] * 5


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_reset_in_the_same_step(engine):
    assert train(engine, single(1.5), [1]) == ([1], 0.0)
    assert train(engine, single(1.5, reset_value=-2.0), [1]) == ([1], -2.0)
    assert train(engine, single(1.5, reset="subtract"), [1]) == ([1], 0.5)
    assert train(engine, single(1.5, reset="subtract", amount=0.25), [1, 0]) == ([1, 1], 1.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_hold_or_integrate_while_refractory(engine):
    assert train(engine, single(1.0, refractory=2), [1] * 6) == ([1, 0, 0, 1, 0, 0], 0.0)
    integrating = single(1.0, refractory=2, while_refractory="integrate")
    assert train(engine, integrating, [1, 1, 1]) == ([1, 0, 0], 2.0)
    assert train(engine, integrating, [1, 1, 1, 0]) == ([1, 0, 0, 1], 0.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_begin_at_the_leak_value_and_return_to_it(engine):
    assert train(engine, single(0.5, leak=0.25, decay=0.5), []) == ([], 0.25)
    assert train(engine, single(0.5, leak=0.25, decay=0.5), [1, 0, 0]) == ([0, 0, 0], 0.375)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_delay_by_whole_steps(engine):
    for delay in (0, 1, 3):
        net = single(1.0)
        net = SpikingNetwork(net.populations, (Dense("in", "a", net.weights[0], delay=delay),))
        expected = ([0] * delay + [1, 0, 1, 0, 0, 0])[:6]
        assert train(engine, net, [1, 0, 1, 0, 0, 0])[0] == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_pass_a_spike_through_a_chain_within_one_step(engine):
    one = torch.ones(1, 1, dtype=torch.float64)
    names = ["in", "a", "b", "c"]
    net = SpikingNetwork(
        tuple(Population(n, "lif" if n != "in" else "input", (1,)) for n in names),
        tuple(Dense(a, b, one) for a, b in itertools.pairwise(names)),
    )
    fired, _, _ = run(engine, net, None, {"in": np.array([[0], [1], [0]], dtype=bool)})
    assert fired["c"][:, 0].tolist() == [False, True, False]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", [SRCRule(0.01, 0.001), PairSTDP(0.01, 0.01)])
def test_engines_without_any_input_spike_change_nothing(engine, rule):
    net = chain(False)
    fired, weights, v = run(engine, net, rule, {"in": np.zeros((20, N_IN), dtype=bool)})
    assert not fired["hidden"].any() and not fired["out"].any()
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(weights, net.weights, strict=True))
    assert not v["hidden"].any()


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_run_zero_steps(engine):
    net = chain(False, extra=[RECURRENT, FEEDBACK])
    session = start(engine, net, SRCRule(0.01, 0.001))
    fired = session.run({"in": SpikeEvents.empty(N_IN, 0)})
    for p in net.populations:
        assert fired[p.name].equals(SpikeEvents.empty(p.size, 0))
    assert all(torch.equal(a, b) for a, b in zip(session.weights(), net.weights, strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_step_a_population_without_inputs_by_its_bias(engine):
    net = single(1.0)
    net = SpikingNetwork((*net.populations, Population("clock", "lif", (3,), bias=0.5)), net.projections)
    fired, _, _ = run(engine, net, None, {"in": np.zeros((4, 1), dtype=bool)})
    assert fired["clock"].sum(axis=1).tolist() == [0, 3, 0, 3]


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_leave_the_given_network_alone(engine):
    net = chain(False)
    before = [w.clone() for w in net.weights]
    run(engine, net, SRCRule(0.1, 0.1), {"in": rasters(numpy_generator(1, "drive"), 20)})
    assert all(torch.equal(a, b) for a, b in zip(before, net.weights, strict=True))


@pytest.mark.parametrize("engine", ["reference", "event", "snntorch", "norse", "torch"])
def test_engines_pass_spikes_through_a_relay(engine):
    one = torch.ones(1, 2, dtype=torch.float64)
    net = SpikingNetwork(
        (Population("in", "input", (2,)), Population("r", "relay", (2,)), Population("a", "lif", (1,), threshold=2.0)),
        (Identity("in", "r"), Dense("r", "a", one)),
    )
    spikes = np.array([[1, 0], [0, 1], [0, 0]], dtype=bool)
    fired, _, _ = run(engine, net, None, {"in": spikes})
    np.testing.assert_array_equal(fired["r"], spikes)
    assert fired["a"][:, 0].tolist() == [False, True, False]


def test_norse_uses_its_iaf_cell_where_nothing_leaks():
    norse = pytest.importorskip("norse.torch")
    cells = start("norse", chain(False, hidden={"decay": 1.0}))._steppers
    assert isinstance(cells["hidden"]._cell, norse.IAFCell)
    assert isinstance(cells["out"]._cell, norse.LIFBoxCell)


def test_norse_refuses_a_population_of_which_only_a_part_leaks():
    decay = torch.tensor([1.0] + [0.9] * (N_HIDDEN - 1))
    with pytest.raises(UnsupportedError, match="'norse' cannot step population 'hidden'"):
        start("norse", chain(False, hidden={"decay": decay}))


def test_reference_engine_steps_a_batch_like_single_runs():
    net, rng = chain(False), numpy_generator(9, "drive")
    batch = np.stack([rasters(rng, 25) for _ in range(3)], axis=1)
    session = get_engine("reference").start_batch(net, 3)
    stepped = torch.stack([session.step({"in": torch.from_numpy(s)})["out"] for s in batch]).numpy()
    for b in range(3):
        fired, _, _ = run("reference", net, None, {"in": batch[:, b]})
        np.testing.assert_array_equal(stepped[:, b], fired["out"])


def test_reference_engine_refuses_an_empty_batch():
    with pytest.raises(SettingsError, match="batch size is 0"):
        get_engine("reference").start_batch(chain(False), 0)


# --- the compiled kernel ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        (None, {}),
        (SRCRule(0.032, 0.0033), {}),
        (SRCRule(0.01, 0.002, "logistic"), {"refractory": 1, "while_refractory": "integrate", "compare": ">"}),
        (SRCRule(0.01, 0.002, "constant"), {"reset": "subtract", "compare": ">"}),
        (PairSTDP(0.01, 0.012, w_min=-1, w_max=0.5), {"refractory": 1}),
    ],
)
def test_event_engines_kernel_does_the_same_uncompiled(rule, fields, monkeypatch):
    net, inputs = chain(False, hidden=fields), {"in": rasters(numpy_generator(3, "drive"), 10)}
    compiled = run("event", net, rule, inputs)
    uncompile(monkeypatch, kernels, population)
    assert_same(run("event", net, rule, inputs), compiled, rtol=1e-12)


def test_event_engine_keeps_more_spikes_than_its_first_buffer_holds():
    net = chain(False, hidden={"threshold": 0.0, "bias": 1.0})
    fired, _, _ = run("event", net, None, {"in": np.zeros((120, N_IN), dtype=bool)})
    assert fired["hidden"].sum() == 120 * N_HIDDEN > 2048


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "kind"),
    [("event", "cuba_lif"), ("norse", "cuba_lif")],
)
def test_engines_refuse_population_kinds_by_name(engine, kind):
    net = SpikingNetwork((Population("in", "input", (2,)), Population("odd", kind, (2,))), ())
    with pytest.raises(UnsupportedError) as refused:
        get_engine(engine).start(net)
    assert all(word in str(refused.value) for word in (repr(engine), "'odd'", repr(kind), "lif"))


@dataclass(frozen=True)
class Forgetting:
    """A rule of the user's own: every step takes away half of every weight."""

    name: ClassVar[str] = "forgetting"

    def initial_traces(self, weight):
        return ()

    def step_(self, weight, pre, post, traces):
        weight *= 0.5
        return traces


def test_event_engine_refuses_a_rule_it_does_not_know_by_name():
    with pytest.raises(UnsupportedError, match="'event' does not offer the plasticity rule 'forgetting'"):
        get_engine("event").start(chain(False), Forgetting())


@pytest.mark.parametrize("engine", ["reference", "snntorch", "norse"])
def test_torch_engines_run_a_rule_of_the_users_own(engine):
    net = chain(False)
    _, weights, _ = run(engine, net, Forgetting(), {"in": np.zeros((2, N_IN), dtype=bool)})
    np.testing.assert_array_equal(weights[0], net.weights[0].numpy() / 4)


def test_unknown_engines_are_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean 'snntorch'"):
        get_engine("sntorch")


# --- properties -------------------------------------------------------------------------------------------------------


@st.composite
def small_networks(draw):
    """Dyadic networks of one to three hidden units with everything that the engines share."""
    sixteenth = st.integers(-24, 24).map(lambda k: k / 16)
    n_in, n_a = draw(st.integers(1, 4)), draw(st.integers(1, 3))

    def weights(post, pre):
        rows = draw(st.lists(st.lists(sixteenth, min_size=pre, max_size=pre), min_size=post, max_size=post))
        return torch.tensor(rows, dtype=torch.float64)

    population = Population(
        "a",
        "lif",
        (n_a,),
        threshold=draw(st.integers(0, 24)) / 16,
        decay=draw(st.sampled_from([0.0, 0.5, 1.0])),
        leak=draw(sixteenth),
        reset_value=draw(sixteenth),
        bias=draw(st.sampled_from([-0.125, 0.0, 0.25])),
        refractory=draw(st.integers(0, 2)),
        compare=draw(st.sampled_from([">=", ">"])),
        reset=draw(st.sampled_from(["to_value", "subtract"])),
        amount=draw(st.sampled_from([None, 0.25])),
        while_refractory=draw(st.sampled_from(["hold", "integrate"])),
    )
    projections = [
        Dense(
            "in",
            "a",
            weights(n_a, n_in),
            scale=draw(st.sampled_from([0.5, 1.0, -2.0])),
            delay=draw(st.integers(0, 2)),
            plastic=draw(st.booleans()),
        )
    ]
    if draw(st.booleans()):
        projections.append(Dense("a", "a", weights(n_a, n_a), delay=draw(st.integers(1, 3))))
    rule = draw(
        st.sampled_from(
            [None, SRCRule(0.25, 0.125, "constant"), PairSTDP(0.25, 0.125, 0.5, 0.5), PairSTDP(1, 1, 0.5, 0, -2, 2)]
        )
    )
    steps = draw(st.integers(0, 12))
    bits = draw(st.lists(st.booleans(), min_size=steps * n_in, max_size=steps * n_in))
    spikes = np.array(bits, dtype=bool).reshape(steps, n_in)
    return SpikingNetwork((Population("in", "input", (n_in,)), population), tuple(projections)), rule, {"in": spikes}


@PROPERTY
@given(small_networks(), st.integers(1, 5))
def test_engines_agree_on_any_small_network(drawn, chunk):
    net, rule, inputs = drawn
    expected = transcription(net, rule, inputs)
    for engine in ENGINES:
        assert_same(run(engine, net, rule, inputs, chunk), expected, exact=True)


@PROPERTY
@given(
    seed=st.integers(0, 10_000),
    factor=st.sampled_from(["steep", "logistic", "constant"]),
    engine=st.sampled_from(["reference", "event"]),
)
def test_engines_never_change_rows_of_silent_units(seed, factor, engine):
    rng = np.random.default_rng(seed)
    w = torch.tensor(rng.normal(0, 0.5, (7, 5)))
    net = SpikingNetwork(
        (Population("in", "input", (5,)), Population("a", "lif", (7,), decay=0.9)), (Dense("in", "a", w),)
    )
    fired, weights, _ = run(engine, net, SRCRule(0.02, 0.01, factor), {"in": rng.random((15, 5)) < 0.3})
    silent = ~fired["a"].any(axis=0)
    np.testing.assert_array_equal(weights[0][silent], w.numpy()[silent])


@PROPERTY
@given(
    low=st.floats(0.001, 3),
    more=st.floats(0, 3),
    decay=st.floats(0, 1),
    threshold=st.floats(0.01, 5),
    engine=st.sampled_from(["reference", "event"]),
)
def test_engines_do_not_fire_less_under_a_higher_constant_drive(low, more, decay, threshold, engine):
    def count(w):
        return sum(train(engine, single(w, decay=decay, threshold=threshold), [1] * 40)[0])

    assert count(low) <= count(low + more)
    assert math.isfinite(count(low))
