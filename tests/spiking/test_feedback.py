"""Feedback through the transposed weight of another projection, and the symmetric rule: against a plain loop."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.errors import SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import (
    MultiplicativeSTDP,
    PairSTDP,
    PlasticityRule,
    SignSTDP,
    SpikeEvents,
    SRCRule,
    TripletSTDP,
)
from neurosleep.spiking import (
    Dense,
    Engine,
    Population,
    Projection,
    Session,
    SpikingNetwork,
    Transposed,
    get_engine,
    register_engine,
)
from neurosleep.spiking.engines import base
from neurosleep.spiking.engines.event import kernels, loop
from neurosleep.spiking.engines.event import session as event_session
from tests.uncompiled import uncompile

ENGINES = ("reference", "snntorch", "norse", "event")
SIZES = (19, 21, 17, 5)  # none a multiple of the 16 units that the event engine steps together
NAMES = ("in", "a", "b", "c")


def network(
    seed: int = 0,
    *,
    dyadic: bool = True,
    sizes: tuple[int, ...] = SIZES,
    scale: float = 0.5,
    delay: int = 1,
    symmetric: bool = False,
    feedback: bool = True,
    dtype: torch.dtype = torch.float64,
    **fields: Any,
) -> SpikingNetwork:
    """A chain in which every layer but the input feeds back through the weight that feeds it."""
    rng = np.random.default_rng(seed)

    def weight(post: int, pre: int) -> torch.Tensor:
        shape = (post, pre)
        values = rng.integers(-24, 40, shape) / 64 if dyadic else rng.normal(0.12, 0.3, shape)
        return torch.tensor(values, dtype=dtype)

    names = NAMES[: len(sizes)]
    populations = [Population("in", "input", (sizes[0],))]
    populations += [
        Population(name, "lif", (n,), **({"decay": 0.5 if dyadic else 0.93} | fields))
        for name, n in zip(names[1:], sizes[1:], strict=True)
    ]
    forward = [
        Dense(one, other, weight(post, pre))
        for one, other, pre, post in zip(names, names[1:], sizes, sizes[1:], strict=False)
    ]
    back = [
        Transposed(q.target, q.source, of=(q.source, q.target), scale=scale, delay=delay, symmetric_rule=symmetric)
        for q in forward[1:]
        if feedback
    ]
    return SpikingNetwork(tuple(populations), (*forward, *back))


def rasters(seed: int, steps: int = 30, n: int = SIZES[0]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random((steps, n)) < 0.3


def g(w: float, rule: SRCRule) -> float:
    if rule.factor == "constant":
        return 1.0
    x = -w / rule.width if rule.factor == "steep" else w
    steep = 2.0 if rule.factor == "steep" else 1.0
    return steep / (1 + float(np.exp(min(max(-x, -60.0), 60.0))))


def plain(
    net: SpikingNetwork, rule: SRCRule | None, inputs: np.ndarray[Any, Any]
) -> tuple[dict[str, np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]:
    """Units and synapses one by one, in the order that the docstring of Projection states."""
    own = {(q.source, q.target): q.weight.numpy().copy() for q in net.weighted}
    fired = {p.name: np.zeros((len(inputs), p.size), dtype=bool) for p in net.populations}
    fired["in"] = inputs
    v = {p.name: np.zeros(p.size) for p in net.layers}
    for t in range(len(inputs)):

        def at(name: str, delay: int, t: int = t) -> np.ndarray[Any, Any]:
            return fired[name][t - delay] if t >= delay else np.zeros(fired[name].shape[1], dtype=bool)

        for p in net.layers:
            current = np.zeros(p.size)
            for q in net.projections:
                if q.target == p.name:
                    w = own[q.of].T if isinstance(q, Transposed) else own[q.source, q.target]
                    current += q.scale * (w @ at(q.source, q.delay).astype(float))
            v[p.name] = p.decay * v[p.name] + current
            fired[p.name][t] = v[p.name] >= p.threshold
            v[p.name][fired[p.name][t]] = 0.0
        if rule is None:
            continue
        for shares in (False, True):
            for q in net.projections:
                if isinstance(q, Transposed) != shares or not q.plastic:
                    continue
                w = own[q.of if isinstance(q, Transposed) else (q.source, q.target)]
                pre, post = at(q.source, q.delay), at(q.target, 0)
                for k in np.flatnonzero(post):
                    for m in range(len(pre)):
                        at_synapse = (m, k) if shares else (k, m)
                        old = float(w[at_synapse])
                        w[at_synapse] = old + (rule.inc if pre[m] else -rule.dec) * g(old, rule)
    return fired, list(own.values())


def run(
    engine: str,
    net: SpikingNetwork,
    rule: PlasticityRule | None,
    inputs: np.ndarray[Any, Any],
    chunk: int | None = None,
) -> tuple[dict[str, np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]:
    if engine == "norse":
        pytest.importorskip("norse")
    session = get_engine(engine).start(net, rule)
    events = SpikeEvents.from_dense(inputs)
    parts: dict[str, list[SpikeEvents]] = {p.name: [] for p in net.populations}
    for first in range(0, len(inputs), chunk or len(inputs)):
        out = session.run({"in": events.slice(first, min(first + (chunk or len(inputs)), len(inputs)))})
        for name, spikes in out.items():
            parts[name].append(spikes)
    fired = {p.name: SpikeEvents.concatenate(parts[p.name], p.size) for p in net.populations}
    return {name: e.to_dense(torch.bool).numpy() for name, e in fired.items()}, [w.numpy() for w in session.weights()]


def assert_same(found: Any, expected: Any, *, rtol: float = 0.0) -> None:
    for name, spikes in expected[0].items():
        np.testing.assert_array_equal(found[0][name], spikes, err_msg=name)
    for k, (a, b) in enumerate(zip(found[1], expected[1], strict=True)):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * 1e-3, err_msg=f"weight {k}")


DYADIC = SRCRule(1 / 16, 1 / 64, "constant")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("delay", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_dyadic_networks_with_feedback_agree_bit_for_bit(engine: str, symmetric: bool, delay: int, seed: int) -> None:
    net, inputs = network(seed, symmetric=symmetric, delay=delay), rasters(seed)
    expected = plain(net, DYADIC, inputs)
    assert_same(run(engine, net, DYADIC, inputs), expected)
    # Feedback must matter, and the symmetric rule too.
    assert not np.array_equal(expected[0]["a"], plain(network(seed, feedback=False), DYADIC, inputs)[0]["a"])
    other = plain(network(seed, symmetric=not symmetric, delay=delay), DYADIC, inputs)
    assert not np.array_equal(expected[1][1], other[1][1])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("factor", ["steep", "logistic", "constant"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_networks_with_feedback_agree_within_rounding(engine: str, factor: Any, symmetric: bool) -> None:
    rule = SRCRule(0.032, 0.0033, factor, width=0.05)
    net, inputs = network(3, dyadic=False, symmetric=symmetric), rasters(3)
    assert_same(run(engine, net, rule, inputs), plain(net, rule, inputs), rtol=1e-6)


@pytest.mark.parametrize("seed", range(60))
def test_the_event_engine_follows_the_reference_in_any_network_with_feedback(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    sizes = tuple(int(n) for n in rng.integers(1, 40, int(rng.integers(3, 5))))
    dyadic = bool(rng.integers(2))
    net = network(
        seed,
        dyadic=dyadic,
        sizes=sizes,
        scale=float(rng.choice([0.0, 0.25, 1.0, -0.5])),
        delay=int(rng.integers(1, 4)),
        symmetric=bool(rng.integers(2)),
        threshold=float(rng.choice([0.25, 1.0, 2.0])),
        refractory=int(rng.choice([0, 0, 2])),
        compare=str(rng.choice([">=", ">"])),
        reset=str(rng.choice(["to_value", "subtract"])),
        bias=float(rng.choice([0.0, 0.0, 0.125])),
    )
    rule = DYADIC if dyadic else SRCRule(0.03, 0.004, str(rng.choice(["steep", "logistic"])))  # type: ignore[arg-type]
    inputs = rasters(seed, 40, sizes[0])
    # 24 steps: what is halved every step still fits into 53 bits.
    inputs = inputs[:24] if dyadic else inputs
    expected = run("reference", net, rule, inputs)
    assert_same(run("event", net, rule, inputs, int(rng.integers(1, 41))), expected, rtol=0.0 if dyadic else 1e-6)


@pytest.mark.parametrize("size", [608, 609, 1250])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_event_engine_with_several_blocks_of_units(size: int, symmetric: bool) -> None:
    net = network(1, sizes=(12, 40, size, 9), symmetric=symmetric, threshold=2.0)
    inputs = rasters(1, 12, 12)
    expected = plain(net, None, inputs)
    assert_same(run("event", net, None, inputs), expected)
    assert expected[0]["b"][:, -3:].any()
    assert_same(run("event", net, DYADIC, inputs), run("reference", net, DYADIC, inputs))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("chunk", [1, 7])
def test_networks_with_feedback_run_the_same_in_chunks(engine: str, chunk: int) -> None:
    net, inputs = network(2, delay=2, symmetric=True), rasters(2)
    assert_same(run(engine, net, DYADIC, inputs, chunk), run(engine, net, DYADIC, inputs))


@pytest.mark.parametrize("engine", ENGINES)
def test_feedback_of_scale_0_is_no_feedback(engine: str) -> None:
    inputs = rasters(4)
    muted, none = network(4, dyadic=False, scale=0.0), network(4, dyadic=False, feedback=False)
    rule = SRCRule(0.032, 0.0033)
    assert_same(run(engine, muted, rule, inputs), run(engine, none, rule, inputs))


@pytest.mark.parametrize("engine", ENGINES)
def test_feedback_sees_the_weight_as_the_step_before_left_it(engine: str) -> None:
    # a fires in every step and drives b, whose weight of 1 grows by a half with each spike: 1.5, 2, 2.5, ...
    one = torch.ones(1, 1, dtype=torch.float64)
    net = SpikingNetwork(
        (
            Population("in", "input", (1,)),
            Population("a", "lif", (1,), threshold=4.0, decay=1.0, reset="subtract", amount=4.0),
            Population("b", "lif", (1,), threshold=1.0, decay=0.0),
        ),
        (
            Dense("in", "a", 4 * one, plastic=False),
            Dense("a", "b", one),
            Transposed("b", "a", of=("a", "b"), delay=1),
        ),
    )
    session = get_engine(engine).start(net, SRCRule(0.5, 0.0, "constant")) if engine != "norse" else None
    if session is None:
        pytest.importorskip("norse")
        session = get_engine(engine).start(net, SRCRule(0.5, 0.0, "constant"))
    left = []
    for _ in range(3):
        session.run({"in": SpikeEvents.from_dense(np.ones((1, 1), dtype=bool))})
        left.append(session.membranes()["a"].item())
    # Nothing at first, then 1.5 after the first update, then 2 after the second; never the update of the same step.
    assert left == [0.0, 1.5, 3.5]


@pytest.mark.parametrize(
    "rule",
    [
        PairSTDP(1 / 32, 1 / 32, 0.5, 0.5, w_min=-1.0, w_max=1.0),
        MultiplicativeSTDP(1 / 32, 1 / 32, 0.0, 1.0, 0.5, 0.5, w_min=-1.0, w_max=1.0),
        TripletSTDP(1 / 32, 1 / 32, 1 / 64, 1 / 64, 0.5, 0.5, 0.5, 0.5, w_min=-1.0, w_max=1.0),
        SignSTDP(1 / 32, window=3, w_min=-1.0, w_max=1.0),
    ],
    ids=lambda rule: str(rule.name),
)
@pytest.mark.parametrize("engine", ENGINES)
def test_spike_timing_changes_a_weight_that_is_also_used_transposed(engine: str, rule: PlasticityRule) -> None:
    inputs = rasters(6, 16)
    expected = run("reference", network(6), rule, inputs)
    assert not np.array_equal(expected[1][1], network(6).weights[1].numpy())
    assert_same(run(engine, network(6), rule, inputs), expected)


@pytest.mark.parametrize("engine", ["snntorch", "norse"])
def test_torch_engines_apply_any_rule_from_both_sides(engine: str) -> None:
    rule = PairSTDP(1 / 32, 1 / 32, 0.5, 0.5, w_min=-1.0, w_max=1.0)
    net, inputs = network(6, symmetric=True), rasters(6, 16)
    expected = run("reference", net, rule, inputs)
    assert not np.array_equal(expected[1][1], run("reference", network(6), rule, inputs)[1][1])
    assert_same(run(engine, net, rule, inputs), expected)


def test_a_batch_is_fed_back_like_single_runs() -> None:
    net = network(5)
    batch = np.stack([rasters(s, 20) for s in range(3)], axis=1)
    session = get_engine("reference").start_batch(net, 3)  # type: ignore[attr-defined]
    stepped = torch.stack([session.step({"in": torch.from_numpy(s)})["b"] for s in batch]).numpy()
    for b in range(3):
        np.testing.assert_array_equal(stepped[:, b], run("event", net, None, batch[:, b])[0]["b"])


@pytest.mark.parametrize(("rule", "symmetric"), [(DYADIC, True), (SRCRule(0.03, 0.004), True), (None, False)])
def test_the_compiled_loop_does_the_same_uncompiled(
    rule: SRCRule | None, symmetric: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, inputs = network(7, symmetric=symmetric, delay=2), rasters(7, 10)
    compiled = run("event", net, rule, inputs, 4)
    uncompile(monkeypatch, kernels, loop)
    assert_same(run("event", net, rule, inputs, 4), compiled, rtol=1e-12)


def test_more_spikes_than_the_log_holds_at_first() -> None:
    net = network(8, threshold=0.0)
    fired, _ = run("event", net, None, np.ones((300, SIZES[0]), dtype=bool))
    assert fired["a"].sum() + fired["b"].sum() > 8192
    assert_same((fired, []), (run("reference", net, None, np.ones((300, SIZES[0]), dtype=bool))[0], []))


# --- what is refused --------------------------------------------------------------------------------------------------


def projection(**fields: Any) -> Transposed:
    return Transposed("b", "a", **({"of": ("a", "b")} | fields))


@pytest.mark.parametrize(
    ("fields", "said", "wanted"),
    [
        ({"delay": 0}, "delay 0", "at least 1"),
        ({"of": None}, "of is None", "source and target"),
        ({"of": ("a", "b", "c")}, "of is ('a', 'b', 'c')", "source and target"),
        ({"symmetric_rule": "yes"}, "symmetric_rule is 'yes'", "True or False"),
    ],
)
def test_impossible_transposes_are_refused(fields: dict[str, Any], said: str, wanted: str) -> None:
    with pytest.raises(SettingsError) as refused:
        projection(**fields)
    assert "Projection 'b' -> 'a'" in str(refused.value)
    assert said in refused.value.message
    assert wanted in str(refused.value.expected)


def graph(*extra: Projection, plastic: bool = True) -> SpikingNetwork:
    populations = (Population("in", "input", (2,)), Population("a", "lif", (3,)), Population("b", "lif", (2,)))
    first = Dense("in", "a", torch.ones(3, 2))
    return SpikingNetwork(populations, (first, Dense("a", "b", torch.ones(2, 3), plastic=plastic), *extra))


def test_a_transpose_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="population named 'x'"):
        graph(projection(of=("x", "b")))
    with pytest.raises(SettingsError, match="cannot use the transposed weight of 'in' -> 'b'") as refused:
        graph(projection(of=("in", "b")))
    assert refused.value.found == "no such projection with a weight"
    # Two to choose from, one that is a transpose itself, one that is not dense.
    with pytest.raises(SettingsError, match="cannot use") as refused:
        graph(projection(), Dense("a", "b", torch.ones(2, 3), delay=1))
    assert refused.value.found == "dense, dense"
    with pytest.raises(SettingsError, match="cannot use") as refused:
        graph(projection(), Transposed("a", "b", of=("b", "a"), delay=1))
    loop = Dense("b", "b", torch.ones(2, 2), delay=1)
    with pytest.raises(SettingsError, match="cannot use") as refused:
        graph(loop, Transposed("b", "b", of=("b", "b"), delay=1))
    assert refused.value.found is not None and "recurrent" in refused.value.found


def test_a_transpose_that_does_not_fit_is_refused() -> None:
    with pytest.raises(SettingsError, match="does not fit transposed") as refused:
        graph(projection(of=("in", "a")))
    assert refused.value.expected == "a source of 3 and a target of 2 neurons"
    assert refused.value.found == "2 and 3"


def test_a_symmetric_rule_on_a_weight_that_is_not_plastic_is_refused() -> None:
    with pytest.raises(SettingsError, match="not plastic"):
        graph(projection(symmetric_rule=True), plastic=False)
    assert not graph(projection(), plastic=False).projections[-1].plastic


class _Plain(Engine):
    name = "plain-test"
    population_kinds = frozenset({"input", "lif"})
    projection_types = frozenset({Dense})
    rules = frozenset({"src", "stdp"})

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        raise AssertionError("refused before")


def test_engines_refuse_by_name_what_they_do_not_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_ENGINES", dict(base._ENGINES))
    register_engine(_Plain)
    with pytest.raises(UnsupportedError, match="'plain-test' cannot compute projection 'b' -> 'a'") as refused:
        get_engine("plain-test").start(network())
    assert refused.value.hint == "engines that can: event, norse, reference, snntorch, torch"
    with pytest.raises(UnsupportedError, match="'event' does not offer the rule 'stdp' as symmetric_rule") as refused:
        get_engine("event").start(network(symmetric=True), PairSTDP(0.1, 0.1))
    assert refused.value.expected == "one of: src, src-pooled"
    get_engine("event").start(network(symmetric=True))


# --- the network itself -----------------------------------------------------------------------------------------------


def test_the_table_names_the_weight_that_is_shared() -> None:
    rows = [row.split() for row in str(network(symmetric=True)).splitlines()]
    assert ["b", "->", "a", "dense", "transpose", "of", "a", "->", "b", "0.5", "1", "true"] in rows


def test_other_weights_and_types_keep_the_transposes() -> None:
    net = network(symmetric=True)
    assert len(net.weights) == 3
    for other in (net.to(torch.float32), net.with_weights([w + 1 for w in net.weights])):
        shared = [(q.source, q.target, q.of, q.symmetric_rule, q.plastic) for q in other.projections[3:]]
        assert shared == [("b", "a", ("a", "b"), True, True), ("c", "b", ("b", "c"), True, True)]
        assert [other.owner(k) for k in range(5)] == [0, 1, 2, 1, 2]
    assert network().projections[3].plastic is False


# --- the look at divergence -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["event", "reference"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("feedback", [False, True])
def test_outliers_finds_what_a_look_at_every_weight_finds(engine: str, dtype: torch.dtype, feedback: bool) -> None:
    net = network(9, dtype=dtype, feedback=feedback)
    session = get_engine(engine).start(net, DYADIC)
    events = SpikeEvents.from_dense(rasters(9, 20))
    seen = set()
    for t, bound in itertools.product(range(20), (0.5, 0.7, 0.9)):
        if bound == 0.5:
            session.run({"in": events.slice(t, t + 1)})
        expected = [k for k, w in enumerate(session.weights()) if float(w.abs().max()) > bound]
        assert session.outliers(bound) == expected
        seen.add(tuple(expected))
    assert len(seen) > 1


@pytest.mark.parametrize("engine", ["event", "reference"])
@pytest.mark.parametrize(("inc", "bound"), [(3e38, 1e6), (3e38, float("inf")), (1e7, 1e6)])
def test_outliers_finds_what_is_infinite_whatever_the_bound(engine: str, inc: float, bound: float) -> None:
    # inc twice is infinite in float32.
    session = get_engine(engine).start(network(9, dtype=torch.float32), SRCRule(inc, inc, "constant"))
    assert session.outliers(bound) == []
    events = SpikeEvents.from_dense(rasters(9, 40))
    found = set()
    for t in range(40):
        session.run({"in": events.slice(t, t + 1)})
        whole = [float(w.abs().max()) for w in session.weights()]
        expected = [k for k, largest in enumerate(whole) if not np.isfinite(largest) or largest > bound]
        assert session.outliers(bound) == expected
        found |= set(expected)
    assert found


@pytest.mark.parametrize("engine", ["event", "reference"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 2e6, -2e6])
@pytest.mark.parametrize("size", [21, 650])
def test_outliers_finds_a_single_one_wherever_it_is(engine: str, value: float, size: int) -> None:
    net = network(9, sizes=(19, size, 17, 5), dtype=torch.float32)
    for k, row, column in ((0, 0, 0), (0, size - 1, 18), (1, 16, size - 1), (2, 4, 16)):
        # A network does not take such a weight, so it is put into the session.
        session: Any = get_engine(engine).start(net, DYADIC)
        if engine == "reference":
            session._weights[k][row, column] = value
        else:
            population = session._populations[NAMES[k + 1]]
            width = population.weights.shape[2]
            population.weights[row // width, column, row % width] = value
        assert session.outliers(1e6) == [k]
        assert session.outliers(1e6) == [k]
        assert session.outliers(3e6) == ([k] if abs(value) != 2e6 else [])


def test_the_compiled_look_at_weights_does_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    uncompile(monkeypatch, event_session)
    session = get_engine("event").start(network(9))
    bounds = (0.3, 0.5, 0.6, 0.625)
    found = [session.outliers(bound) for bound in bounds]
    assert found == [[k for k, w in enumerate(network(9).weights) if float(w.abs().max()) > b] for b in bounds]
    assert found[0] == [0, 1, 2] and found[-1] == []


def test_a_bound_that_float32_does_not_have_is_not_rounded_up() -> None:
    big = torch.tensor([[1.0 + 2.0**-23]])
    net = SpikingNetwork((Population("in", "input", (1,)), Population("a", "lif", (1,))), (Dense("in", "a", big),))
    for engine in ("event", "reference"):
        session = get_engine(engine).start(net)
        assert session.outliers(1.0 + 2.0**-24) == [0]
        assert session.outliers(1.0 + 2.0**-23) == []
        assert session.outliers(1.0) == [0]
